"""Wide random RNNs and their kernel, against autograd, loops over words, and scalar recursions."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from structured import structured_rnns
from torch.autograd.functional import jacobian
from torch.testing import assert_close

from lowdim import ntk
from lowdim.flow import gradient_descent
from lowdim.ntk import (
    WideRNN,
    impulse_response_ntk,
    kernel_descent,
    kernel_weights,
    rnn_ntk,
    seeded_wide_rnns,
    small_form,
    wide_response,
    wide_rnn,
)
from lowdim.rnn import LinearRNN

pytestmark = pytest.mark.usefixtures("no_global_state")

# Sums of some hundreds of products; entries reach 1e4 for ill-scaled triples.
ROUNDING = dict(rtol=1e-10, atol=1e-10)
LENGTHS, SEEDS, WIDTHS = st.integers(1, 6), st.integers(0, 99), st.integers(1, 5)
VARIANCES = st.fractions(0, 2, max_denominator=9)


def response(W, F, C, length, scale=1.0):
    """scale^(j+1) C W^j F, each lag by a matrix power of its own."""
    return torch.stack([scale ** (j + 1) * (C @ torch.linalg.matrix_power(W, j) @ F)[0, 0]
                        for j in range(length)])


def jacobian_kernel(weights, length, scale=1.0):
    """<grad h_i, grad h_j> over all weights, by automatic differentiation."""
    rows = jacobian(lambda *M: response(*M, length, scale), tuple(weights))
    flat = torch.cat([J.reshape(length, -1) for J in rows], 1)
    return flat @ flat.mT


def assert_kernel_is_autograds(rnn, length):
    assert_close(impulse_response_ntk(rnn, length), jacobian_kernel(rnn, length), **ROUNDING)


# The kernel ----------------------------------------------------------------------------------


@given(structured_rnns(), LENGTHS)
def test_the_kernel_is_that_of_autograd(rnn, length):
    kernel, expected = impulse_response_ntk(rnn, length), jacobian_kernel(rnn, length)
    assert_close(kernel, expected, rtol=1e-9, atol=1e-12 * expected.abs().max().item() + 1e-13)


@given(WIDTHS, LENGTHS, SEEDS)
def test_a_wide_rnn_has_the_response_and_the_kernel_of_its_definition(m, length, seed):
    wide = seeded_wide_rnns(m, [seed], nu_W=0.7, nu_F=1.3, nu_C=0.4)
    one = WideRNN(*(M[0] for M in wide))
    assert_close(wide_response(wide, length)[0], response(*one, length, m**-0.5), **ROUNDING)
    assert_close(rnn_ntk(wide, length)[0], jacobian_kernel(one, length, m**-0.5), **ROUNDING)


@given(st.integers(1, 5), st.integers(1, 4), SEEDS)
def test_the_convolution_is_four_loops(normal, T, batch, seed):
    R, P = normal(batch, T, T, seed=seed), normal(batch, T, T, seed=seed + 1)
    expected = torch.zeros(batch, T, T, dtype=torch.float64)
    for i, j in np.ndindex(T, T):
        for a, b in np.ndindex(i + 1, j + 1):
            expected[:, i, j] += R[:, a, b] * P[:, i - a, j - b]
    assert_close(ntk._convolution(R, P), expected, **ROUNDING)


def test_by_hand_the_scalar_kernel():
    """h_j = c a^j b at a = 2, b = 3, c = 5: gradients (0, 5, 3), (15, 10, 6), (60, 20, 12)."""
    one = torch.ones(1, 1, dtype=torch.float64)
    rows = torch.tensor([[0.0, 5, 3], [15, 10, 6], [60, 20, 12]], dtype=torch.float64)
    assert torch.equal(impulse_response_ntk(LinearRNN(2 * one, 3 * one, 5 * one), 3),
                       rows @ rows.mT)


@given(structured_rnns(most=4), st.integers(2, 6))
def test_a_longer_kernel_begins_with_the_shorter_and_is_a_gram_matrix(rnn, length):
    whole = impulse_response_ntk(rnn, length)
    assert_close(whole[:-1, :-1], impulse_response_ntk(rnn, length - 1), **ROUNDING)
    assert torch.linalg.eigvalsh(whole)[0] >= -1e-11 * whole.abs().max()


def test_break_it_a_dropped_term_a_lost_shift_and_a_swap_are_seen(gaussian, monkeypatch):
    rnn, convolution = gaussian(3), ntk._convolution
    assert_kernel_is_autograds(rnn, 5)
    wrong = {
        "the term of A": lambda R, P: torch.zeros_like(R),
        "one power of A too few": lambda R, P: convolution(R, P).roll((1, 1), (-2, -1)),
        "entrywise, no convolution": lambda R, P: R * P,
        "R twice": lambda R, P: convolution(R, R),
        "half a sum": lambda R, P: convolution(R, P).triu(),
    }
    for mutant in wrong.values():
        with monkeypatch.context() as patch, pytest.raises(AssertionError):
            patch.setattr(ntk, "_convolution", mutant)
            assert_kernel_is_autograds(rnn, 5)
    krylov = ntk.krylov
    with monkeypatch.context() as patch, pytest.raises(AssertionError):  # A where A^T belongs
        patch.setattr(ntk, "krylov", lambda A, v, length: krylov(rnn.A, v, length))
        assert_kernel_is_autograds(rnn, 5)


# The weights of the limit --------------------------------------------------------------------


@given(VARIANCES, VARIANCES, VARIANCES, st.integers(1, 9))
def test_the_weights_are_sums_over_where_the_path_is_cut(nu_W, nu_F, nu_C, length):
    """Lag j is a path F W … W C of j + 2 weights; each in turn is free, the others' variances stay.
    """
    def path(j, cut):
        return [nu for i, nu in enumerate([nu_F, *[nu_W] * j, nu_C]) if i != cut]

    expected = [float(sum(np.prod([Fraction(1), *path(j, cut)]) for cut in range(j + 2)))
                for j in range(length)]
    found = kernel_weights(length, nu_W=float(nu_W), nu_F=float(nu_F), nu_C=float(nu_C))
    assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=1e-15)


def test_the_weights_are_the_mean_kernel_of_lags_0_and_1_at_every_width():
    """At m = 2, exactly: E K_00 = rho_0 and E K_11 = rho_1. 200,000 draws, 5 standard errors."""
    wide = wide_rnn(2, nu_W=0.6, nu_F=0.8, nu_C=1.5, batch=(200_000,),
                    generator=torch.Generator().manual_seed(0))
    diagonal = rnn_ntk(wide, 2).diagonal(dim1=-2, dim2=-1)
    error = 5 * diagonal.std(0) / 200_000**0.5
    rho = kernel_weights(2, nu_W=0.6, nu_F=0.8, nu_C=1.5)
    assert (error < 0.05 * rho).all() and ((diagonal.mean(0) - rho).abs() < error).all()


def test_a_wide_kernel_is_near_its_limit_and_the_unscaled_one_is_not():
    """The error falls like 1/sqrt(m): about 0.06 at m = 400."""
    kernel = rnn_ntk(seeded_wide_rnns(400, range(4), nu_W=0.5, nu_F=2.0), 8)
    rho = kernel_weights(8, nu_W=0.5, nu_F=2.0)
    assert (kernel - rho.diag()).norm(dim=(-2, -1)).max() < 0.2 * rho.norm()
    without_path = (2.0 + 1.0) * 0.5 ** torch.arange(8, dtype=torch.float64)
    assert (kernel - without_path.diag()).norm(dim=(-2, -1)).min() > 0.3 * rho.norm()


# The draws -----------------------------------------------------------------------------------


def test_the_entries_have_the_variances_that_were_asked_for():
    """Of 40,000, 20,000 and 20,000 entries: the variance is known to 1 %, tested at 5 %."""
    wide = wide_rnn(20, nu_W=0.3, nu_F=2.0, nu_C=0.7, batch=(10, 100),
                    generator=torch.Generator().manual_seed(1))
    assert [tuple(M.shape) for M in wide] == [(10, 100, 20, 20), (10, 100, 20, 1),
                                              (10, 100, 1, 20)]
    for M, nu in zip(wide, (0.3, 2.0, 0.7), strict=True):
        assert M.dtype == torch.float64 and abs(M.var().item() / nu - 1) < 0.05
        assert M.mean().abs() < 5 * (nu / M.numel()) ** 0.5
    assert not wide_rnn(3, nu_W=0.0, generator=torch.Generator()).W.any()


def test_a_seed_draws_its_own_network_and_a_generator_its_next():
    three, two = (seeded_wide_rnns(4, seeds, nu_W=0.5, batch=(2,)) for seeds in ((7, 8, 9), (7, 9)))
    assert all(torch.equal(a[[0, 2]], b) for a, b in zip(three, two, strict=True))
    assert three.W.shape == (3, 2, 4, 4)
    alone = wide_rnn(4, nu_W=0.5, batch=(2,), generator=torch.Generator().manual_seed(8))
    assert all(torch.equal(a[1], b) for a, b in zip(three, alone, strict=True))
    generator = torch.Generator().manual_seed(8)
    first, second = (wide_rnn(4, nu_W=0.5, generator=generator) for _ in range(2))
    assert not torch.equal(first.W, second.W)
    unit = seeded_wide_rnns(4, [7, 9], nu_W=1.0, batch=(2,))
    assert_close(two.W, 0.5**0.5 * unit.W, rtol=1e-15, atol=0)  # same draw, another variance


# A wide RNN is a student ---------------------------------------------------------------------


def descend(W, F, C, target, eta, steps):
    """Descent of sum_j (h_j - target_j)^2 in (W, F, C) by autograd, and the responses on the way.
    """
    m, path = len(W), []
    leaves = [M.clone() for M in (W, F, C)]
    for _ in range(steps + 1):
        leaves = [M.detach().requires_grad_() for M in leaves]
        h = response(*leaves, len(target), m**-0.5)
        path.append(h.detach())
        gradient = torch.autograd.grad((h - target).square().sum(), leaves)
        leaves = [M - eta * G for M, G in zip(leaves, gradient, strict=True)]
    return torch.stack(path)


def test_descent_of_the_wide_rnn_is_descent_of_the_small_form_on_a_small_teacher():
    wide, eta = wide_rnn(5, nu_W=0.5, generator=torch.Generator().manual_seed(2)), 0.03
    target = torch.tensor([0.5, -0.4, 0.3, 0.2], dtype=torch.float64)
    trace = gradient_descent(small_form(wide), target / 5**0.5, lr=eta, steps=20, record_every=1)
    path = torch.stack([5**0.5 * response(*(M[i] for M in trace.snapshots), 4)
                        for i in range(21)])
    assert_close(path, descend(*wide, target, eta, 20), **ROUNDING)
    with pytest.raises(AssertionError):  # the teacher is not made small
        assert_close(path, descend(*wide, target * 5**0.5, eta, 20), **ROUNDING)


def test_kernel_descent_is_the_first_order_of_training(normal):
    """The exact step in h differs from the kernel's by O(eta^2)."""
    wide = wide_rnn(4, nu_W=0.5, generator=torch.Generator().manual_seed(3))
    target, h0 = normal(3), wide_response(wide, 3)
    gaps = []
    for eta in (1e-3, 1e-4):
        step = kernel_descent(h0, target, rnn_ntk(wide, 3), lr=eta, steps=1)[1]
        gaps.append((step - descend(*wide, target, eta, 1)[1]).norm())
    assert 80 < gaps[0] / gaps[1] < 120


@given(SEEDS, st.integers(1, 4), st.integers(0, 6))
def test_kernel_descent_is_a_scalar_recursion_for_each_lag(normal, seed, T, steps):
    h0, target, weights = (normal(T, seed=seed + 100 * i) for i in range(3))
    path = kernel_descent(h0, target, weights.abs(), lr=0.1, steps=steps)
    assert path.shape == (steps + 1, T)
    for i, j in np.ndindex(steps + 1, T):
        factor = (1 - 2 * 0.1 * abs(weights[j].item())) ** i
        expected = target[j].item() + factor * (h0[j] - target[j]).item()
        assert abs(path[i, j].item() - expected) < 1e-13 * (1 + abs(expected))


@given(SEEDS, st.integers(1, 4), st.integers(1, 6))
def test_kernel_descent_with_a_gram_matrix_is_descent_in_features(normal, seed, T, N):
    """h = G w with G G^T = P, on sequences X: descent of |X (h - target)|^2 / N in w, in NumPy."""
    G, X = normal(T, T, seed=seed).numpy(), normal(N, T, seed=seed + 1).numpy()
    h0, target = normal(T, seed=seed + 2).numpy(), normal(T, seed=seed + 3).numpy()
    lr, w, expected = 0.01, np.linalg.lstsq(G, h0, rcond=None)[0], []
    offset = h0 - G @ w  # a singular G cannot make every start
    for _ in range(6):
        expected.append(offset + G @ w)
        w = w - lr * G.T @ (2 * X.T @ (X @ (expected[-1] - target)) / N)
    path = kernel_descent(h0, target, G @ G.T, lr=lr, steps=5, gram=X.T @ X / N)
    assert_close(path, torch.tensor(np.array(expected)), **ROUNDING)


def test_kernel_descent_takes_batches_of_everything(normal):
    rho, x = kernel_weights(3, nu_W=0.5), normal(2, 5, 3, seed=8)
    h0, target, lr = normal(4, 1, 3), normal(3, seed=5), torch.tensor([0.1, 0.01]).double()
    S = x.mT @ x / 5
    path = kernel_descent(h0, target, rho, lr=lr, steps=3, gram=S.expand(4, 2, 3, 3))
    assert path.shape == (4, 4, 2, 3)
    for a, b in np.ndindex(4, 2):
        one = kernel_descent(h0[a, 0], target, rho.diag(), lr=lr[b], steps=3, gram=S[b])
        assert_close(path[:, a, b], one, **ROUNDING)
    kernels = rnn_ntk(seeded_wide_rnns(6, range(4), nu_W=0.5), 3)
    many = kernel_descent(h0[:, 0], target, kernels, lr=0.01, steps=2)
    for a in range(4):
        assert_close(many[:, a], kernel_descent(h0[a, 0], target, kernels[a], lr=0.01, steps=2),
                     **ROUNDING)


def test_break_it_a_two_a_sign_and_an_order_are_seen(normal):
    """The recursion per lag and the features refuse a half, a plus, and S P for P S."""
    h0, target, X = normal(3), normal(3, seed=1), normal(5, 3, seed=2)
    G, S = normal(3, 3, seed=3), X.mT @ X / 5
    P = G @ G.mT
    right = h0 - 2 * 0.01 * (P @ S @ (h0 - target))
    found = kernel_descent(h0, target, P, lr=0.01, steps=1, gram=S)[1]
    assert_close(found, right, **ROUNDING)
    for wrong in (h0 - 0.01 * (P @ S @ (h0 - target)), h0 + 2 * 0.01 * (P @ S @ (h0 - target)),
                  h0 - 2 * 0.01 * (S @ P @ (h0 - target)), h0 - 2 * 0.01 * (P @ (h0 - target))):
        with pytest.raises(AssertionError):
            assert_close(found, wrong, **ROUNDING)


# What every module promises ------------------------------------------------------------------


def test_each_element_of_a_batch_equals_its_single_call(gaussian):
    rnn, wide = gaussian(3, 2, 2), seeded_wide_rnns(3, range(2), nu_W=0.5, batch=(2,))
    kernels, wides = impulse_response_ntk(rnn, 4), (rnn_ntk(wide, 4), wide_response(wide, 4))
    for i in np.ndindex(2, 2):
        assert_close(kernels[i], impulse_response_ntk(rnn.at(i), 4), **ROUNDING)
        one = WideRNN(*(M[i] for M in wide))
        assert_close(tuple(value[i] for value in wides), (rnn_ntk(one, 4), wide_response(one, 4)),
                     **ROUNDING)


def test_inputs_are_not_modified_and_results_share_no_memory(gaussian, normal):
    rnn, wide, h = gaussian(3), seeded_wide_rnns(3, [0], nu_W=0.5), normal(4)
    P = impulse_response_ntk(rnn, 4)
    copies = [M.clone() for M in (*rnn, *wide, h, P)]
    impulse_response_ntk(rnn, 4), wide_response(wide, 4), small_form(wide).A.zero_()
    kernel_descent(h, 2 * h, P, lr=0.1, steps=2, gram=P).zero_()
    assert all(map(torch.equal, (*rnn, *wide, h, P), copies))


def test_results_stay_on_the_device_of_the_input(gaussian, normal):
    rnn, wide, h = gaussian(3), seeded_wide_rnns(3, [0], nu_W=0.5), normal(4)

    def results():
        return (impulse_response_ntk(rnn, 4), rnn_ntk(wide, 4), wide_response(wide, 4),
                kernel_descent(h, h.tolist(), [1.0] * 4, lr=0.1, steps=2),
                kernel_descent(h, 2 * h, h, lr=0.1, steps=2, gram=np.eye(4).tolist()))

    plain = results()
    with torch.device("meta"):  # a factory that forgets the device would land here
        elsewhere = results()
    assert all(map(torch.equal, elsewhere, plain))


WIDE = WideRNN(torch.eye(2).double(), torch.ones(2, 1).double(), torch.ones(1, 2).double())
RNN, H, GENERATOR = LinearRNN(*WIDE), torch.ones(3, dtype=torch.float64), torch.Generator()


@pytest.mark.parametrize("call, argument", [
    (lambda: kernel_weights(0, nu_W=1.0), "length"), (lambda: kernel_weights(2.0, nu_W=1.0), "le"),
    (lambda: kernel_weights(2, nu_W=-0.1), "nu_W must be a variance"),
    (lambda: kernel_weights(2, nu_W=1.0, nu_F=-1.0), "nu_F must be a variance"),
    (lambda: kernel_weights(2, nu_W=1.0, nu_C=float("nan")), "nu_C must be finite"),
    (lambda: kernel_weights(2, nu_W=[0.5, 0.6]), "nu_W must be one number"),
    (lambda: kernel_weights(2, nu_W=True), "nu_W"), (lambda: kernel_weights(2, nu_W="1"), "nu_W"),
    (lambda: kernel_weights(3, nu_W=1e300), "weights overflow float64"),
    (lambda: wide_rnn(0, nu_W=1.0, generator=GENERATOR), "m must"),
    (lambda: wide_rnn(2.5, nu_W=1.0, generator=GENERATOR), "m must"),
    (lambda: wide_rnn(2, nu_W=-1.0, generator=GENERATOR), "nu_W must"),
    (lambda: wide_rnn(2, nu_W=1.0, nu_C=-1.0, generator=GENERATOR), "nu_C must"),
    (lambda: wide_rnn(2, nu_W=1.0, generator=0), "generator must"),
    (lambda: wide_rnn(2, nu_W=1.0, batch=3, generator=GENERATOR), "batch must"),
    (lambda: wide_rnn(2, nu_W=1.0, batch=(0,), generator=GENERATOR), "each axis of batch"),
    (lambda: seeded_wide_rnns(2, [], nu_W=1.0), "seeds must"),
    (lambda: seeded_wide_rnns(2, [-1], nu_W=1.0), "each of the seeds"),
    (lambda: seeded_wide_rnns(2, [0.5], nu_W=1.0), "each of the seeds"),
    (lambda: seeded_wide_rnns(2, [2**63], nu_W=1.0), "seeds must"),
    (lambda: seeded_wide_rnns(2, [0], nu_W=-1.0), "nu_W must"),
    (lambda: small_form(RNN), "wide must be a WideRNN"),
    (lambda: small_form(WIDE._replace(W=WIDE.W.float())), "wide is malformed.* A must be float64"),
    (lambda: small_form(WIDE._replace(C=WIDE.F)), "wide is malformed.* C must have shape"),
    (lambda: small_form(WIDE._replace(F=torch.inf * WIDE.F)), "wide is malformed.* B must be fin"),
    (lambda: wide_response(None, 3), "wide must be a WideRNN"),
    (lambda: wide_response(WIDE, 0), "length"),
    (lambda: wide_response(WIDE._replace(F=1e200 * WIDE.F, C=1e200 * WIDE.C), 1), "overflows"),
    (lambda: wide_response(WideRNN(*(c * torch.ones(shape).double() for c, shape in (
        (0.0, (100, 100)), (1e154, (100, 1)), (1e154, (1, 100))))), 1), "overflows float64"),
    (lambda: rnn_ntk(RNN, 3), "wide must be a WideRNN"), (lambda: rnn_ntk(WIDE, -1), "length"),
    (lambda: impulse_response_ntk(WIDE, 3), "rnn must"),
    (lambda: impulse_response_ntk(RNN, 0), "length"),
    (lambda: impulse_response_ntk(RNN._replace(A=RNN.A.float()), 3), "A must be float64"),
    (lambda: impulse_response_ntk(RNN._replace(B=RNN.C), 3), "B must have shape"),
    (lambda: impulse_response_ntk(RNN._replace(B=1e200 * RNN.B), 3), "kernel overflows float64"),
    (lambda: kernel_descent([], [], [], lr=0.1, steps=1), "h0"),
    (lambda: kernel_descent(1.0, [1.0], [1.0], lr=0.1, steps=1), "h0"),
    (lambda: kernel_descent(H.float(), H, H, lr=0.1, steps=1), "h0 must be float64"),
    (lambda: kernel_descent(H, H[:2], H, lr=0.1, steps=1), "target must end in 3 lags"),
    (lambda: kernel_descent(H, H, H[:2], lr=0.1, steps=1), "weights be"),
    (lambda: kernel_descent(H, H, torch.ones(2, 3).double(), lr=0.1, steps=1), "weights be"),
    (lambda: kernel_descent(H, H, H * torch.nan, lr=0.1, steps=1), "weights must be finite"),
    (lambda: kernel_descent(H, H.to("meta"), H, lr=0.1, steps=1), "target must be on"),
    (lambda: kernel_descent(H, H, H, lr=0.0, steps=1), "lr must be positive"),
    (lambda: kernel_descent(H, H, H, lr=[0.1, -0.1], steps=1), "lr must be positive"),
    (lambda: kernel_descent(H, H, H, lr="slow", steps=1), "lr must"),
    (lambda: kernel_descent(H, H, H, lr=0.1, steps=-1), "steps"),
    (lambda: kernel_descent(H, H, H, lr=0.1, steps=1.0), "steps"),
    (lambda: kernel_descent(H, H, H, lr=0.1, steps=1, gram=torch.eye(2).double()), "gram"),
    (lambda: kernel_descent(H, H, H, lr=0.1, steps=1, gram=-torch.eye(3).double()), "gram"),
    (lambda: kernel_descent(H, H, torch.eye(3).double().repeat(2, 1, 1), lr=[0.1] * 5, steps=1),
     r"weights \(2,\).*lr \(5,\)"),
    (lambda: kernel_descent(H.repeat(2, 1), H, torch.eye(3).double().repeat(5, 1, 1), lr=0.1,
                            steps=1), r"h0 \(2,\).*weights \(5,\)"),
    (lambda: kernel_descent(H, 2 * H, H, lr=1e200, steps=4), "descent overflows float64"),
])
def test_bad_arguments_are_refused(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()
