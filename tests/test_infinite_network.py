"""The infinitely wide network, against pairings that do not cross and against wide ones."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from lowdim.ntk import (
    impulse_response_ntk,
    infinite_rnn,
    kernel_weights,
    seeded_wide_rnns,
    small_form,
)
from lowdim.rnn import impulse_response

pytestmark = pytest.mark.usefixtures("no_global_state")


def pairings(places):
    """All ways to join the places in pairs."""
    if not places:
        yield []
    for i in range(1, len(places)):
        for rest in pairings(places[1:i] + places[i + 1:]):
            yield [(places[0], places[i]), *rest]


def planar(word):
    """How many pairings of a word in A and T join an A with a T each time and do not cross."""
    return sum(
        all(word[i] != word[j] for i, j in pairs)
        and not any(a < c < b < d for (a, b), (c, d) in itertools.permutations(pairs, 2))
        for pairs in pairings(list(range(len(word))))
    )


def product(rnn, word):
    """The product of A and A^T that the word spells."""
    matrix = torch.eye(rnn.A.shape[-1], dtype=torch.float64)
    for letter in word:
        matrix = matrix @ (rnn.A if letter == "A" else rnn.A.mT)
    return matrix


@pytest.mark.parametrize("length", range(8))
def test_products_count_pairings_that_do_not_cross(length):
    rnn = infinite_rnn(3, nu_W=0.3, nu_F=2.0, nu_C=5.0)  # exact up to 7 factors
    for word in itertools.product("AT", repeat=length):
        matrix = product(rnn, word)
        moment = 0.3 ** (length / 2) * planar(word)
        assert (rnn.B.mT @ matrix @ rnn.B).item() == pytest.approx(2 * moment, abs=1e-14)
        assert (rnn.C @ matrix @ rnn.C.mT).item() == pytest.approx(5 * moment, abs=1e-14)
        assert (rnn.C @ matrix @ rnn.B).item() == 0


def test_beyond_its_letters_it_is_cut_off():
    rnn = infinite_rnn(2, nu_W=1.0)
    moments = [(rnn.B.mT @ product(rnn, "AT" * n) @ rnn.B).item() for n in range(4)]
    assert moments == [1, 1, 2, 4]  # the Catalan numbers 1, 1, 2, 5 up to 5 factors


def test_its_kernel_is_the_infinite_kernel():
    nu = dict(nu_W=0.7, nu_F=1.5, nu_C=0.4)
    rnn = infinite_rnn(4, **nu)
    assert_close(impulse_response_ntk(rnn, 5), kernel_weights(5, **nu).diag(), rtol=1e-14, atol=0)
    assert not impulse_response(rnn, 9).any()


@pytest.mark.parametrize("word", ["", "AT", "TA", "AA", "AATT", "ATTA", "ATAT"])
def test_wide_networks_tend_to_it(word):
    nu = dict(nu_W=0.7, nu_F=1.5, nu_C=0.4)
    wide, limit = small_form(seeded_wide_rnns(300, range(40), **nu)), infinite_rnn(2, **nu)
    given = (wide.B.mT @ product(wide, word) @ wide.B).mean().item()
    # Standard error of forty draws: about 2 (2/300)^{1/2} / 40^{1/2} = 0.03, measured below 0.02.
    assert given == pytest.approx((limit.B.mT @ product(limit, word) @ limit.B).item(), abs=0.08)


def test_states():
    assert infinite_rnn(4, nu_W=1).A.shape == (62, 62)


BAD = [
    (0, {}, "letters must be"),
    (2.5, {}, "letters must be"),
    (3, dict(nu_W=-0.1), "nu_W must be a variance"),
    (3, dict(nu_F=-1), "nu_F must be a variance"),
    (3, dict(nu_C=float("nan")), "nu_C"),
]


@pytest.mark.parametrize(("letters", "change", "said"), BAD)
def test_bad_calls(letters, change, said):
    with pytest.raises(ValueError, match=said):
        infinite_rnn(letters, **{"nu_W": 0.2, **change})
