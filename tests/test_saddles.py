"""Padded students, the curvature of the loss, and fits of low degree, each by another route."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.testing import assert_close

from lowdim.loss import population_gradient
from lowdim.rnn import LinearRNN, impulse_response
from lowdim.saddles import attach_states, best_fit, curvatures, pad_states, population_hessian
from lowdim.teachers import memoryless_teacher, modal_teacher

pytestmark = pytest.mark.usefixtures("no_global_state")

THREE = impulse_response(modal_teacher([0.95, 0.3, -0.7], [1.0, 0.6, 0.3]), 8)


def attached(gaussian, normal, d=3, q=2):
    rnn, R, F = gaussian(d), normal(1 + d, q, seed=7), normal(q, 1 + d, seed=8)
    return rnn, R, F, attach_states(rnn, R, F)


def test_attached_states_add_the_paths_through_them(gaussian, normal):
    """h_j by paths: lag 0 gains C_2 B_2, lag 1 C_1 A_12 B_2 + C_2 A_21 B_1, nothing else."""
    rnn, R, F, wide = attached(gaussian, normal)
    h = impulse_response(rnn, 2)
    first = (R[:1] @ F[:, :1]).squeeze()
    second = (rnn.C @ R[1:] @ F[:, :1] + R[:1] @ F[:, 1:] @ rnn.B).squeeze()
    assert_close(impulse_response(wide, 2), h + torch.stack([first, second]), rtol=1e-13, atol=0)


def test_states_that_are_only_read_or_only_fed_do_not_show(gaussian, normal):
    rnn, R, F, _ = attached(gaussian, normal)
    for wide in (attach_states(rnn, R, 0 * F), attach_states(rnn, 0 * R, F), pad_states(rnn, 4)):
        assert torch.equal(impulse_response(wide, 9), impulse_response(rnn, 9))
    assert pad_states(rnn, 4).A.shape == (7, 7)


def test_the_hessian_is_the_slope_of_the_gradient(gaussian, normal):
    """Central differences of the closed gradient, step 1e-5: errors of about 1e-9."""
    rnn, h = gaussian(3), normal(5, seed=3)
    sizes, weights = [9, 3, 3], torch.cat([M.flatten() for M in rnn])

    def gradient(weights):
        parts = zip(weights.split(sizes), rnn, strict=True)
        G = population_gradient(LinearRNN(*(part.view_as(M) for part, M in parts)), h)
        return torch.cat([M.flatten() for M in G])

    steps = 1e-5 * torch.eye(15).double()
    slopes = torch.stack([(gradient(weights + e) - gradient(weights - e)) / 2e-5 for e in steps])
    hessian = population_hessian(rnn, h)
    assert_close(hessian, slopes, rtol=1e-7, atol=1e-7)
    assert_close(curvatures(rnn, h), torch.linalg.eigvalsh(slopes), rtol=1e-6, atol=1e-6)


def test_a_memoryless_student_has_its_curvatures_by_hand():
    """L = (bc - 1)^2 at a = 0, b = c = 1, k = 1: the Hessian is 2 (1, 1)(1, 1)^T in b and c."""
    h = impulse_response(memoryless_teacher(1.0), 1)
    expected = torch.tensor([0.0, 0, 4]).double()
    assert_close(curvatures(memoryless_teacher(1.0), h), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("sign", [0, 1, -1])
def test_the_best_pole_is_that_of_a_search_on_a_grid(sign):
    """Losses on 200,001 poles in [-2, 2], their residues kept to the sign asked for."""
    h = impulse_response(modal_teacher([-0.1, 0.9], [1.3, -0.9]), 6).numpy()
    poles = np.linspace(-2, 2, 200_001)
    powers = poles[:, None] ** np.arange(6)
    residues = powers @ h / (powers**2).sum(1)
    losses = ((residues[:, None] * powers - h) ** 2).sum(1)
    best = losses[residues * sign >= 0].min()
    fit = best_fit(torch.from_numpy(h), 1, sign=sign)
    found = ((impulse_response(fit, 6).numpy() - h) ** 2).sum()
    assert best - 1e-8 <= found <= best + 1e-12 or (sign and found == pytest.approx(best, rel=1e-8))
    assert (fit.B * fit.C).item() * sign >= 0


def test_two_poles_beat_a_simplex_search_over_weights():
    """Nelder and Mead over poles and residues, from ten starts, finds nothing below."""
    def loss(x):
        powers = x[:2, None] ** np.arange(8)
        return ((x[2:] @ powers - THREE.numpy()) ** 2).sum()

    rng = np.random.default_rng(0)
    starts = rng.uniform(-0.9, 0.9, (10, 4))
    options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-10, "fatol": 1e-14}
    searches = [minimize(loss, x, method="Nelder-Mead", options=options).fun for x in starts]
    fit = best_fit(THREE, 2)
    found = (impulse_response(fit, 8) - THREE).square().sum().item()
    assert found == pytest.approx(min(searches), rel=1e-6)


@pytest.mark.parametrize("poles", [[0.8, -0.5], [0.6 + 0.3j, 0.6 - 0.3j]])
def test_a_teacher_of_the_degree_is_its_own_best_fit(poles):
    h = impulse_response(modal_teacher(poles, [1.0, 1.0]), 7)
    assert_close(impulse_response(best_fit(h, 2), 7), h, rtol=0, atol=1e-7)


ONE = modal_teacher([0.5], [1.0])
ROW, COLUMN = torch.zeros(1, 2).double(), torch.zeros(2, 1).double()


@pytest.mark.parametrize("call, said", [
    (lambda: attach_states(ONE, ROW, COLUMN), "reading must be"),
    (lambda: attach_states(ONE, COLUMN, COLUMN), "reading must be"),
    (lambda: attach_states(ONE, COLUMN.float(), ROW), "reading must be float64"),
    (lambda: attach_states(ONE, COLUMN, ROW * float("nan")), "feeding must be finite"),
    (lambda: attach_states(ONE.map(lambda M: M[None]), COLUMN, ROW), "rnn must have no batch"),
    (lambda: attach_states((1, 2, 3), COLUMN, ROW), "rnn must be a LinearRNN"),
    (lambda: pad_states(ONE, 0), "count must be an integer >= 1"),
    (lambda: pad_states(ONE.map(lambda M: M[None]), 1), "rnn must have no batch"),
    (lambda: population_hessian(ONE.map(lambda M: M[None]), THREE), "no batch axes"),
    (lambda: population_hessian(ONE, THREE[None]), "no batch axes"),
    (lambda: curvatures(ONE, []), "h_teacher must"),
    (lambda: best_fit(THREE, 0), "degree must be an integer >= 1"),
    (lambda: best_fit(THREE, 3), "degree must be 1 or 2"),
    (lambda: best_fit(THREE[:4], 2), "degree must be 1 or 2"),
    (lambda: best_fit(THREE[None], 1), "degree must be 1 or 2"),
    (lambda: best_fit(THREE, 1, sign=2), "sign must be -1, 0 or 1"),
    (lambda: best_fit(THREE, 2, sign=1), "sign must be -1, 0 or 1"),
    (lambda: best_fit(THREE, 1, sign=-1), "sign must be that of a stationary fit"),
])
def test_bad_calls_are_refused_in_a_sentence(call, said):
    with pytest.raises(ValueError, match=said):
        call()
