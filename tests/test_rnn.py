"""Impulse responses, simulation, initialisation and change of basis, against other routes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from structured import structured_rnns
from torch.testing import assert_close

from lowdim.rnn import (
    LinearRNN,
    change_basis,
    impulse_response,
    random_rnn,
    seeded_rnns,
    simulate,
)

pytestmark = pytest.mark.usefixtures("no_global_state")

# Sums of tens of terms of size one: 1e-12 is a thousand times their rounding.
ROUNDING = dict(rtol=1e-12, atol=1e-12)
SEEDS, DIMS = st.integers(0, 99), st.integers(1, 5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def recursion(rnn, x):
    """y_0 … y_{T-1} by the definition, in NumPy."""
    A, B, C = (M.numpy() for M in rnn)
    s, y = np.zeros((len(A), 1)), []
    for x_t in x.tolist():
        s = A @ s + B * x_t
        y.append((C @ s).item())
    return torch.tensor(y, dtype=torch.float64)


def assert_impulse_response_is_scipys(rnn, h):
    """SciPy's outputs are C s_t, before the update: the same system, one step later."""
    A, B, C = (M.numpy() for M in rnn)
    _, (y,) = signal.dimpulse((A, B, C, np.zeros((1, 1)), 1.0), n=len(h) + 1)
    assert_close(h, torch.from_numpy(y[1:, 0]), **ROUNDING)


def assert_outputs_are_the_convolution(x, h, y):
    """signal.lfilter convolves x with h; len(h) covers x, so that nothing is cut off."""
    assert_close(y, torch.from_numpy(signal.lfilter(h.numpy(), [1.0], x.numpy())), **ROUNDING)


def test_hand_worked_rotation():
    turn = LinearRNN(*(torch.tensor(M, dtype=torch.float64)
                       for M in ([[0, -1], [1, 0]], [[1], [0]], [[3, 5]])))
    assert impulse_response(turn, 6).tolist() == [3, 5, -3, -5, 3, 5]
    assert simulate(turn, [1.0, 1.0, 1.0]).tolist() == [3, 8, 5]


@given(DIMS, SEEDS, st.integers(1, 12))
def test_impulse_response_is_scipys(gaussian, d, seed, length):
    rnn = gaussian(d, seed=seed)
    assert_impulse_response_is_scipys(rnn, impulse_response(rnn, length))


@given(structured_rnns(), st.integers(1, 12), SEEDS)
def test_structured_systems_respond_as_scipys_and_by_recursion(normal, rnn, length, seed):
    h, x = impulse_response(rnn, length), normal(length, seed=seed)
    assert_impulse_response_is_scipys(rnn, h)
    assert_outputs_are_the_convolution(x, h, simulate(rnn, x))


@given(DIMS, SEEDS, st.integers(1, 12))
def test_outputs_are_the_convolution_and_the_recursion(gaussian, normal, d, seed, T):
    rnn, x = gaussian(d, seed=seed), normal(T, seed=seed)
    y = simulate(rnn, x)
    assert_outputs_are_the_convolution(x, impulse_response(rnn, T), y)
    assert_close(y, recursion(rnn, x), **ROUNDING)


def test_break_it_a_lag_too_many_is_seen(gaussian, normal):
    rnn, x = gaussian(3), normal(6)
    late = impulse_response(LinearRNN(rnn.A, rnn.A @ rnn.B, rnn.C), 6)
    with pytest.raises(AssertionError):
        assert_impulse_response_is_scipys(rnn, late)
    with pytest.raises(AssertionError):
        assert_outputs_are_the_convolution(x, late, simulate(rnn, x))


@given(st.integers(1, 4), SEEDS, st.integers(1, 8))
def test_another_basis_has_the_same_impulse_response(gaussian, normal, d, seed, length):
    rnn, T = gaussian(d, seed=seed), normal(d, d, seed=seed + 7)
    other = change_basis(rnn, T)
    # cond(T) multiplies the rounding of each of the two solves; entries grow by it once more.
    tolerance = 1e-14 * d * torch.linalg.cond(T).item()**2
    assert_close(impulse_response(other, length), impulse_response(rnn, length),
                 rtol=0, atol=tolerance)


@given(st.integers(1, 4), SEEDS)
def test_change_basis_is_the_stated_triple_and_can_be_undone(gaussian, normal, d, seed):
    rnn = gaussian(d, seed=seed)
    T = torch.eye(d, dtype=torch.float64) + 0.3 * normal(d, d, seed=seed).tanh() / d
    inverse = torch.linalg.inv(T)  # cond(T) < 2 by construction
    assert_close(change_basis(rnn, T), LinearRNN(T @ rnn.A @ inverse, T @ rnn.B, rnn.C @ inverse),
                 **ROUNDING)
    assert_close(change_basis(change_basis(rnn, T), inverse), rnn, **ROUNDING)


def test_what_leaves_the_range_of_float64_is_an_error(gaussian):
    rnn = gaussian(2)
    huge = rnn._replace(A=rnn.A * 1e200)
    assert torch.isfinite(impulse_response(huge, 2)).all()
    with pytest.raises(ValueError, match="impulse response overflows float64"):
        impulse_response(huge, 3)
    assert torch.isfinite(simulate(huge, [1.0, 1.0])).all()
    with pytest.raises(ValueError, match="outputs overflow float64"):
        simulate(huge, [1.0, 1.0, 1.0])


def test_map_and_at_act_on_the_three_matrices_and_on_the_batch(gaussian):
    rnn = gaussian(2, 3, 4)
    assert all(torch.equal(M, 2 * N) for M, N in zip(rnn.map(lambda M: 2 * M), rnn, strict=True))
    mask = torch.tensor([True, False, True])
    for index, entry in ((1, 1), (-1, -1), ((0, 2), (0, 2)), (slice(1, 3), slice(1, 3)),
                         ([0, 2], [0, 2]), (mask, mask), ((..., 1), (slice(None), 1)),
                         ((None, 0), (None, 0)), (None, None)):
        chosen = rnn.at(index)
        assert isinstance(chosen, LinearRNN)
        for M, N in zip(chosen, rnn, strict=True):
            assert torch.equal(M, N[entry])


@pytest.mark.parametrize("batch, index", [((), 0), ((2,), (0, 0)), ((2,), 2), ((2,), (..., 0, 0))])
def test_at_never_reaches_into_the_matrices(gaussian, batch, index):
    with pytest.raises(IndexError):
        gaussian(2, *batch).at(index)


def test_each_element_of_a_batch_equals_its_single_call(gaussian, normal):
    rnn, x, T = gaussian(3, 2, 2), normal(2, 2, 5), normal(2, 2, 3, 3)
    h, y, other = impulse_response(rnn, 4), simulate(rnn, x), change_basis(rnn, T)
    for i in np.ndindex(2, 2):
        one = LinearRNN(*(M[i] for M in rnn))
        assert_close(h[i], impulse_response(one, 4), **ROUNDING)
        assert_close(y[i], simulate(one, x[i]), **ROUNDING)
        assert_close(LinearRNN(*(M[i] for M in other)), change_basis(one, T[i]), **ROUNDING)


def test_batches_broadcast(gaussian, normal):
    rnn, x, T = gaussian(3), normal(4, 5), normal(2, 3, 3)
    assert_close(simulate(rnn, x), torch.stack([simulate(rnn, row) for row in x]), **ROUNDING)
    both = change_basis(rnn, T)
    assert [M.shape for M in both] == [(2, 3, 3), (2, 3, 1), (2, 1, 3)]
    assert_close(both.C[1], change_basis(rnn, T[1]).C, **ROUNDING)
    assert simulate(gaussian(3, 2, 1), x).shape == (2, 4, 5)


def test_inputs_are_not_modified(gaussian, normal):
    rnn, x, T = gaussian(3), normal(5), normal(3, 3)
    copies = [M.clone() for M in (*rnn, x, T)]
    impulse_response(rnn, 5), simulate(rnn, x), change_basis(rnn, T)
    assert all(map(torch.equal, (*rnn, x, T), copies))


def test_results_stay_on_the_device_of_the_input(gaussian, normal):
    rnn, x, T = gaussian(3), normal(5), normal(3, 3)

    def results():
        return (impulse_response(rnn, 5), simulate(rnn, x), simulate(rnn, [1.0, 2.0]),
                *change_basis(rnn, T), *random_rnn(3, scale=1.0, generator=generator()))

    plain = results()
    with torch.device("meta"):  # a factory that forgets the device would land here
        elsewhere = results()
    assert all(map(torch.equal, elsewhere, plain))


def test_results_are_differentiable(gaussian):
    leaves = tuple(M.requires_grad_() for M in gaussian(2))
    assert torch.autograd.gradcheck(lambda *M: impulse_response(LinearRNN(*M), 3), leaves)


@pytest.mark.parametrize("structure, variances", [
    ("general", (0.25, 0.25, 0.25)),
    ("symmetric", (0.25, 0.5, 0.25)),
    ("symmetric_balanced", (0.25, 0.5, 0.25)),
    ("diagonal", (0.0, 1.0, 0.25)),
])
def test_initial_entries_have_the_stated_variances(structure, variances):
    d, N = 4, 20_000
    A, B, C = random_rnn(d, scale=1.0, batch=(N,), structure=structure, generator=generator())
    off, diagonal = A[:, ~torch.eye(d, dtype=torch.bool)], A.diagonal(dim1=-2, dim2=-1)
    # The mean of M squares of a Gaussian strays by sqrt(2/M) relative: M >= 80,000, 6 sigma.
    for entries, variance in ((off, variances[0]), (diagonal, variances[1]),
                              (B, variances[2]), (C, variances[2])):
        assert entries.square().mean().item() == pytest.approx(variance, rel=0.03)
        assert abs(entries.mean().item()) <= 6 * (variance / entries.numel())**0.5


def test_symmetric_starts_are_symmetric_and_only_balanced_ones_have_C_equal_to_B():
    for structure in ("symmetric", "symmetric_balanced"):
        A, B, C = random_rnn(3, scale=0.7, batch=(2,), structure=structure, generator=generator())
        assert torch.equal(A, A.mT)
        assert torch.equal(C, B.mT) == (structure == "symmetric_balanced")
        assert B.data_ptr() != C.data_ptr()


def test_scale_multiplies_and_the_generator_decides():
    one, half = (random_rnn(3, scale=s, batch=(2,), generator=generator(5)) for s in (1.0, 0.5))
    assert all(torch.equal(0.5 * a, b) for a, b in zip(one, half, strict=True))
    assert not torch.equal(one.A, random_rnn(3, scale=1, batch=(2,), generator=generator(6)).A)
    assert not any(M.any() for M in random_rnn(2, scale=0.0, generator=generator()))


A, B, C = torch.eye(2).double() / 2, torch.ones(2, 1).double(), torch.ones(1, 2).double()
RNN, PAIR = LinearRNN(A, B, C), LinearRNN(*(torch.stack([M] * 2) for M in (A, B, C)))


@pytest.mark.parametrize("structure", ["general", "symmetric_balanced"])
def test_the_student_of_a_seed_depends_on_that_seed_alone(structure):
    rnns = seeded_rnns(3, [7, 2, 7], scale=0.5, structure=structure)
    for i, seed in enumerate((7, 2, 7)):
        alone = random_rnn(3, scale=0.5, structure=structure, generator=generator(seed))
        assert all(torch.equal(M[i], N) for M, N in zip(rnns, alone, strict=True))
    assert not torch.equal(rnns.A[0], rnns.A[1])


@pytest.mark.parametrize("bad, argument", [
    (LinearRNN(A[:1], B, C), "A must have shape"), (LinearRNN(A[0], B, C), "A must have at least"),
    (LinearRNN(A, B[:1], C), "B must"), (LinearRNN(A, B.mT, C), "B must"),
    (LinearRNN(A, B, C.mT), "C must"), (LinearRNN(PAIR.A, B, C), "B must"),
    (LinearRNN(A.float(), B, C), "A must be float64"),
    (LinearRNN(A, B * 1j, C), "B must be float64"), (LinearRNN(A, B, C.numpy() * 1j), "C must"),
    (LinearRNN(A, B.numpy().astype("f4"), C), "B must be float64"),
    (LinearRNN(A, B, C.long()), "C must be float64"),
    (LinearRNN(A * torch.nan, B, C), "A must be finite"),
    (LinearRNN(A, B * torch.inf, C), "B must be finite"),
    (LinearRNN(A[:0, :0], B[:0], C[:, :0]), "A must have at least"),
    (LinearRNN(A, None, C), "B must"), (LinearRNN(A, "B", C), "B must"),
    (LinearRNN(A, B.to("meta"), C), "B must be on the device cpu"),
    ((A, B, C), "rnn must"), (None, "rnn must"),
])
@pytest.mark.parametrize("call", [
    lambda rnn: impulse_response(rnn, 2), lambda rnn: simulate(rnn, [1.0]),
    lambda rnn: change_basis(rnn, A),
], ids=["impulse_response", "simulate", "change_basis"])
def test_malformed_rnns_are_refused(call, bad, argument):
    with pytest.raises(ValueError, match=argument):
        call(bad)


@pytest.mark.parametrize("call, argument", [
    (lambda: impulse_response(RNN, 0), "length"), (lambda: impulse_response(RNN, 2.0), "length"),
    (lambda: impulse_response(RNN, True), "length"), (lambda: impulse_response(RNN, "2"), "length"),
    (lambda: simulate(RNN, torch.ones(3)), "x must be float64"),
    (lambda: simulate(RNN, np.ones(3, "f4")), "x must be float64"),
    (lambda: simulate(RNN, [1j]), "x must"), (lambda: simulate(RNN, 1.0), "x must"),
    (lambda: simulate(RNN, [[1.0], [1.0, 2.0]]), "x must"), (lambda: simulate(RNN, []), "x must"),
    (lambda: simulate(RNN, [1.0, float("nan")]), "x must be finite"),
    (lambda: simulate(PAIR, [[1.0]] * 3), r"rnn \(2,\) and x \(3,\)"),
    (lambda: simulate(RNN, torch.ones(3, dtype=torch.float64, device="meta")), "x must be on"),
    (lambda: seeded_rnns(2, [], scale=1.0), "seeds must hold"),
    (lambda: seeded_rnns(2, [0, 1.0], scale=1.0), "each of the seeds must be an integer"),
    (lambda: seeded_rnns(2, [True], scale=1.0), "each of the seeds must be an integer"),
    (lambda: seeded_rnns(2, [-1], scale=1.0), "each of the seeds must be an integer"),
    (lambda: seeded_rnns(2, [2**63], scale=1.0), "seeds must be integers"),
    (lambda: seeded_rnns(0, [1], scale=1.0), "dim"),
    (lambda: seeded_rnns(2, [1], scale=1.0, structure="round"), "structure"),
    (lambda: change_basis(RNN, B), "T must"), (lambda: change_basis(RNN, torch.ones(2)), "T must"),
    (lambda: change_basis(RNN, torch.eye(2)), "T must be float64"),
    (lambda: change_basis(RNN, A * torch.inf), "T must be finite"),
    (lambda: change_basis(RNN, B @ C), "T must be invertible"),
    (lambda: change_basis(RNN, 0 * A), "T must be invertible"),
    (lambda: change_basis(RNN, [[1.0, 0.0], [0.0, 1e-17]]), "T must be invertible"),
    (lambda: change_basis(RNN, [[1.0, 1.0], [1.0, 1.0 + 1e-16]]), "T must be invertible"),
    (lambda: change_basis(PAIR, torch.stack([A] * 3)), r"rnn \(2,\) and T \(3,\)"),
])
def test_bad_arguments_are_refused(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()


@pytest.mark.parametrize("argument, value", [
    ("dim", 0), ("dim", 2.0), ("dim", True), ("dim", None),
    ("scale", -1.0), ("scale", float("nan")), ("scale", float("inf")), ("scale", "1"),
    ("structure", "lower"), ("structure", None), ("structure", "symmetric "),
    ("batch", 3), ("batch", (0,)), ("batch", (-1,)), ("batch", (2.0,)), ("batch", [2]),
    ("generator", None), ("generator", np.random.default_rng(0)),
])
def test_bad_initialisations_are_refused(argument, value):
    good = dict(dim=2, scale=1.0, batch=(2,), structure="general", generator=generator())
    random_rnn(**good)
    with pytest.raises(ValueError, match=argument):
        random_rnn(**good | {argument: value})
