"""The helpers of chapter 5, against sums, least squares, autograd and flows by other routes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from torch.testing import assert_close

from lowdim.flow import gradient_descent
from lowdim.loss import population_gradient, population_loss
from lowdim.near_zero import (
    at_scales,
    defect_products,
    leading_path,
    loss_floor,
    mirror_parts,
    passage_step,
    response_jacobian,
    see_first,
    square_constants,
    weight_norm,
)
from lowdim.rnn import LinearRNN, impulse_response, random_rnn
from lowdim.saddles import pad_states
from lowdim.teachers import modal_teacher

pytestmark = pytest.mark.usefixtures("no_global_state")

# Products of fewer than ten matrices of size one: rounding stays below 1e-13.
ROUNDING = dict(rtol=1e-11, atol=1e-12)
SEEDS = st.integers(0, 99)
PAIR = list(0.9 * np.exp([1.2j, -1.2j]))
POLES = st.sampled_from([[0.8], [0.9, -0.5], PAIR, [0.7, *PAIR], [1.1, 0.2, -0.6]])


def draw(d, *batch, seed=0, scale=0.7):
    generator = torch.Generator().manual_seed(seed)
    return random_rnn(d, scale=scale, batch=batch, generator=generator)


def recurrence(poles):
    """The coefficients of p^2, ascending, by multiplying out."""
    square = np.polynomial.Polynomial.fromroots([*poles, *poles])
    return torch.from_numpy(square.coef.real.copy())


@given(SEEDS)
def test_mirror_parts_make_up_the_weights_and_change_sign_under_the_mirror(seed):
    A, B, C = rnn = draw(3, 2, seed=seed)
    S, K, u, v = mirror_parts(rnn)
    assert_close(S + K, A), assert_close((u + v) / 2, B), assert_close((u - v) / 2, C.mT)
    image = mirror_parts(LinearRNN(A.mT, C.mT, B.mT))
    for part, mirrored, sign in zip((S, K, u, v), image, (1, -1, 1, -1), strict=True):
        assert torch.equal(mirrored, sign * part)


def test_weight_norm_is_that_of_all_entries():
    rnn = draw(3, 2)
    flat = torch.cat([matrix.flatten(1) for matrix in rnn], 1)
    assert_close(weight_norm(rnn), flat.norm(dim=1), **ROUNDING)


def test_every_scale_multiplies_every_draw():
    rnn, scales = draw(3, 4), torch.tensor([0.5, 0.1], dtype=torch.float64)
    batch = at_scales(rnn, scales, 3)
    for matrix, one in zip(batch, rnn, strict=True):
        assert matrix.shape == (2, 3, *one.shape)
        for i, scale in enumerate(scales):
            for case in range(3):
                assert torch.equal(matrix[i, case], scale * one)


def test_see_first_is_the_loss_of_fewer_lags():
    generator = torch.Generator().manual_seed(0)
    h, h_teacher = torch.randn(2, 5, 3, 6, generator=generator, dtype=torch.float64)
    loss = population_loss(h, h_teacher, covariance=see_first([1, 2, 4, 5, 6], 6))
    for case, lags in enumerate((1, 2, 4, 5, 6)):
        expected = (h - h_teacher)[case, :, :lags].square().sum(-1)
        assert_close(loss[case], expected, **ROUNDING)


def test_passage_is_exact_for_geometric_growth_and_between_the_right_steps():
    step = torch.arange(30, dtype=torch.float64)[:, None]
    rates = torch.tensor([1.1, 1.5], dtype=torch.float64)
    expected = np.log(3.7) / torch.log(rates)
    assert_close(passage_step(0.1 * rates**step, 0.37), expected, **ROUNDING)
    uneven = torch.tensor([1.0, 0.5, 4.0, 2.0], dtype=torch.float64)
    assert 1 < passage_step(uneven, 1.5) < 2


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 5))
def test_the_jacobian_is_a_difference_quotient(seed, k):
    rnn, way = draw(2, 3, seed=seed), draw(2, 3, seed=seed + 1000)
    move = torch.cat([matrix.flatten(1) for matrix in way], 1)
    ahead, behind = (LinearRNN(*(a + step * b for a, b in zip(rnn, way, strict=True)))
                     for step in (1e-5, -1e-5))
    quotient = (impulse_response(ahead, k) - impulse_response(behind, k)) / 2e-5
    # the error of a central difference, of order 1e-10 times third derivatives
    assert_close((response_jacobian(rnn, k) @ move[..., None])[..., 0], quotient,
                 rtol=1e-6, atol=1e-7)


@settings(max_examples=40)
@given(POLES, SEEDS)
def test_residuals_filtered_by_the_recurrence_are_defect_products(poles, seed):
    rnn, c = draw(4, 2, seed=seed), recurrence(poles)
    residues = [0.5] * len(poles)
    r = impulse_response(rnn, 5 + len(c)) - impulse_response(modal_teacher(poles, residues),
                                                            5 + len(c))
    filtered = r.unfold(-1, len(c), 1) @ c
    assert_close(filtered, defect_products(rnn, poles, 6), **ROUNDING)


@settings(max_examples=40)
@given(POLES, SEEDS, st.integers(1, 3))
def test_the_floor_is_the_distance_to_what_obeys_the_recurrence(poles, seed, extra):
    rnn, n = draw(4, 2, seed=seed), len(poles)
    k = 2 * n + extra
    r = impulse_response(rnn, k) - impulse_response(modal_teacher(poles, [0.5] * n), k)
    first = torch.eye(2 * n, dtype=torch.float64)  # every start of a sequence, continued
    obey, c = list(first), recurrence(poles)
    for _ in range(extra):
        obey.append(-sum(c[i] * obey[i - 2 * n] for i in range(2 * n)))
    basis = torch.linalg.qr(torch.stack(obey))[0]
    rest = r - r @ basis @ basis.mT
    assert_close(loss_floor(rnn, poles, k), rest.square().sum(-1), rtol=1e-7, atol=1e-12)


def test_one_extra_lag_has_the_floor_of_one_product():
    rnn = draw(3)
    m, c = defect_products(rnn, [0.8], 1), recurrence([0.8])
    assert_close(loss_floor(rnn, [0.8], 3), m[0] ** 2 / c.square().sum(), **ROUNDING)


@pytest.mark.parametrize("w, pole", [(1.0, 0.8), (0.5, -1.2), (0.1, 0.95), (2.0, 0.0)])
def test_the_path_ends_at_the_teacher_and_has_its_second_formula(w, pole):
    a, b, log_chi = leading_path(w, pole)
    assert_close((a[-1], b[-1]), (pole, w**0.5), rtol=0, atol=1e-6)
    # ln chi = int a da / b^2; the trapezoidal rule on the steps of the integrator
    assert log_chi[-1] == pytest.approx(trapezoid(a / b**2, a), rel=0.02, abs=1e-12)


def test_the_path_is_that_of_descent_with_small_steps():
    w, pole, b_0 = 1.0, 0.8, 0.02
    start = LinearRNN(*torch.tensor([pole * b_0**2 / 2, b_0, b_0]).double()[:, None, None])
    h = w * pole ** torch.arange(2, dtype=torch.float64)
    run = gradient_descent(start, h, lr=1e-3, steps=4000, record_every=40)
    a, b, _ = leading_path(w, pole)
    found = np.interp(run.snapshots.A[:, 0, 0], a, b)  # a only rises
    # the order of the step; starting on the path's tangent instead of the path costs less
    assert_close(torch.from_numpy(found), run.snapshots.B[:, 0, 0], rtol=0, atol=5e-3)


def test_the_constants_of_the_memoryless_teacher_have_no_differential_equation():
    _, _, u, _ = mirror_parts(rnn := draw(4, 3))
    e = u / u.norm(dim=-2, keepdim=True)
    A, flat = rnn.A, torch.eye(4) - e @ e.mT
    constants = square_constants(2.0, 0.0, rnn)
    assert_close(constants.imbalance, torch.zeros(3, dtype=torch.float64))
    expected = 2 * (e.mT @ A @ flat @ A @ e)[:, 0, 0]
    assert_close(constants.up - constants.down, expected, rtol=1e-8, atol=1e-10)


def test_the_constants_are_those_of_a_trained_student():
    rnn, w, pole, alpha = draw(3, 4, scale=1.0), 1.0, 0.8, 1e-4
    h = w * pole ** torch.arange(2, dtype=torch.float64)
    end = gradient_descent(rnn.map(lambda matrix: alpha * matrix), h, lr=0.01, steps=20_000,
                           record_every=20_000, loss_tol=1e-28).last
    imbalance, up, down = square_constants(w, pole, rnn)
    r_2 = impulse_response(end, 3)[:, 2] - w * pole**2
    v = mirror_parts(end).v.norm(dim=(-2, -1))
    # descent differs from the flow by the order of the step
    assert_close(v / alpha, imbalance, rtol=0.01, atol=0)
    assert ((r_2 / alpha**2 - up + down).abs() < 0.01 * (up + down)).all()


def test_a_symmetric_part_pulls_up_and_an_antisymmetric_part_down():
    S, K, _, _ = mirror_parts(rnn := draw(3))
    symmetric = square_constants(1.0, 0.8, LinearRNN(S, rnn.B, rnn.C))
    assert symmetric.down < 1e-20 < symmetric.up
    antisymmetric = square_constants(1.0, 0.8, LinearRNN(K, rnn.B, rnn.C))
    assert antisymmetric.up < 1e-20 < antisymmetric.down


RNN = draw(2)
NUMBERS = torch.ones(3, dtype=torch.float64)
BAD = [
    (mirror_parts, ((1, 2, 3),), "rnn"),
    (weight_norm, ((1, 2, 3),), "rnn"),
    (at_scales, (RNN, NUMBERS[None]), "scales"),
    (at_scales, (RNN, NUMBERS.float()), "scales"),
    (at_scales, (RNN, NUMBERS, 0), "cases"),
    (see_first, ([1, 5], 4), "lags"),
    (see_first, ([0], 4), "lags"),
    (see_first, ([], 4), "lags"),
    (see_first, ([1.5], 4), "lags"),
    (see_first, ([1], 0), "k"),
    (passage_step, (NUMBERS, 1.0), "sizes"),
    (passage_step, (NUMBERS, 2.0), "sizes"),
    (passage_step, (-NUMBERS, 2.0), "sizes"),
    (response_jacobian, (RNN, 0), "k"),
    (response_jacobian, ((1, 2, 3), 4), "rnn"),
    (defect_products, (RNN, [], 1), "poles"),
    (defect_products, (RNN, [0.5 + 0.5j], 1), "poles"),
    (defect_products, (RNN, [0.5], 0), "length"),
    (loss_floor, (RNN, [0.5], 2), "k must be larger"),
    (loss_floor, (RNN, [], 3), "poles"),
    (leading_path, (0.0, 0.5), "w"),
    (leading_path, (-1.0, 0.5), "w"),
    (leading_path, (float("nan"), 0.5), "w"),
    (leading_path, (1.0, float("inf")), "pole"),
    (square_constants, (0.001, 0.5, RNN), "w"),
    (square_constants, (1.0, 0.5, LinearRNN(RNN.A, RNN.B, -RNN.B.mT)), "rnn"),
]


@pytest.mark.parametrize("function, arguments, name", BAD)
def test_bad_calls_name_the_argument(function, arguments, name):
    with pytest.raises(ValueError, match=name):
        function(*arguments)


def test_the_gradient_of_a_padded_teacher_vanishes():
    teacher = modal_teacher([0.9, -0.5], [1.0, 0.7])
    gradient = population_gradient(pad_states(teacher, 2), impulse_response(teacher, 6))
    assert weight_norm(gradient) < 1e-14
