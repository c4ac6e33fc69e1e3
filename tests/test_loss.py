"""Loss, gradient and extrapolation error, against BPTT on designed sequences and brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from structured import structured_rnns
from torch.testing import assert_close

from lowdim import loss
from lowdim.loss import extrapolation_error, population_gradient, population_loss, sampled_loss
from lowdim.rnn import LinearRNN, change_basis, impulse_response, simulate

pytestmark = pytest.mark.usefixtures("no_global_state")

# Sums of tens of terms of size one to ten: rounding stays below 1e-13.
ROUNDING = dict(rtol=1e-11, atol=1e-12)
DIMS, LENGTHS, SEEDS = st.integers(1, 4), st.integers(1, 7), st.integers(0, 99)


def squared_error(rnn, x, y):
    """Mean squared error at the last step by the recursion; autograd through it is BPTT."""
    s = torch.zeros(len(rnn.A), 1, dtype=torch.float64)
    for x_t in x.mT[:, None]:  # (1, N): all sequences at once, state (d, N)
        s = rnn.A @ s + rnn.B @ x_t
    return ((rnn.C @ s)[0] - y).square().mean()


def bptt(rnn, x, y):
    """Loss and gradient of squared_error by backpropagation through time."""
    leaves = LinearRNN(*(M.clone().requires_grad_() for M in rnn))
    value = squared_error(leaves, x, y)
    gradient = torch.autograd.grad(value, leaves, allow_unused=True)  # k = 1 does not use A
    zeros = LinearRNN(*map(torch.zeros_like, rnn))
    return value.detach(), LinearRNN(*(z if g is None else g
                                       for g, z in zip(gradient, zeros, strict=True)))


def orthonormal_design(normal, k, seed=0):
    """k sequences whose second moments are those of white noise exactly: X^T X / k = 1."""
    return k**0.5 * torch.linalg.qr(normal(k, k, seed=seed)).Q


def labels(x, h_teacher):
    """Last outputs of the teacher, sum_j h*_j x_{k-1-j}, term by term."""
    k = len(h_teacher)
    return sum(h_teacher[j] * x[:, k - 1 - j] for j in range(k))


def second_moments(x):
    """S_ij = mean of x_{k-1-i} x_{k-1-j}, by loops."""
    k = x.shape[-1]
    return torch.stack([torch.stack([(x[:, k - 1 - i] * x[:, k - 1 - j]).mean()
                                     for j in range(k)]) for i in range(k)])


def assert_loss_and_gradient_are_bptts(rnn, h_teacher, x, covariance=None):
    value, gradient = bptt(rnn, x, labels(x, h_teacher))
    h = impulse_response(rnn, len(h_teacher))
    assert_close(population_loss(h, h_teacher, covariance=covariance), value, **ROUNDING)
    assert_close(population_gradient(rnn, h_teacher, covariance=covariance), gradient, **ROUNDING)


@given(DIMS, LENGTHS, SEEDS)
def test_white_loss_and_gradient_are_bptt_on_an_orthonormal_design(gaussian, normal, d, k, seed):
    design = orthonormal_design(normal, k, seed + 1)
    assert_loss_and_gradient_are_bptts(gaussian(d, seed=seed), normal(k, seed=seed), design)


@given(DIMS, LENGTHS, SEEDS, st.integers(1, 6))
def test_loss_and_gradient_with_covariance_are_bptt_on_any_sequences(gaussian, normal, d, k, seed,
                                                                     N):
    x = normal(N, k, seed=seed + 1)  # N < k makes the covariance singular
    assert_loss_and_gradient_are_bptts(gaussian(d, seed=seed), normal(k, seed=seed), x,
                                       second_moments(x))


@given(structured_rnns(), LENGTHS, SEEDS)
def test_gradient_is_autograds_through_matrix_powers(normal, rnn, k, seed):
    h_teacher = normal(k, seed=seed)

    def by_powers(A, B, C):
        return sum((C @ torch.linalg.matrix_power(A, j) @ B - h_teacher[j]).square().sum()
                   for j in range(k))

    expected = torch.autograd.functional.jacobian(by_powers, tuple(rnn))
    assert_close(tuple(population_gradient(rnn, h_teacher)), expected, **ROUNDING)


def test_sampled_loss_is_bptts_and_uses_simulate_and_time_order(gaussian, normal):
    rnn, x, y = gaussian(3), normal(6, 5), normal(6, seed=9)
    assert_close(sampled_loss(rnn, x, y), squared_error(rnn, x, y), **ROUNDING)
    last = simulate(rnn, x)[:, -1]
    assert_close(sampled_loss(rnn, x, y), (last - y).square().mean(), **ROUNDING)


def test_sampled_loss_is_the_loss_with_the_second_moments_of_the_sample(gaussian, normal):
    rnn, h_teacher, x = gaussian(3), normal(5), normal(4, 5)
    assert_close(population_loss(impulse_response(rnn, 5), h_teacher, covariance=second_moments(x)),
                 sampled_loss(rnn, x, labels(x, h_teacher)), **ROUNDING)


def test_hand_worked_loss_and_gradient():
    one = torch.ones(1, 1, dtype=torch.float64)
    rnn = LinearRNN(2 * one, 3 * one, 5 * one)  # h = (15, 30)
    assert population_loss([15.0, 30.0], [14.0, 28.0]).item() == 1 + 4
    # r = (1, 2), L = (c b - 14)^2 + (c a b - 28)^2
    gradient = population_gradient(rnn, [14.0, 28.0])
    assert [M.item() for M in gradient] == [2 * 2 * 15, 2 * 5 + 4 * 10, 2 * 3 + 4 * 6]
    S = [[2.0, 1.0], [1.0, 3.0]]
    assert population_loss([15.0, 30.0], [14.0, 28.0], covariance=S).item() == 2 + 2 * 2 + 3 * 4


def test_what_leaves_the_range_of_float64_is_an_error(gaussian):
    rnn, far = gaussian(2), torch.tensor([1e200, 0.0], dtype=torch.float64)
    x = torch.eye(2, dtype=torch.float64)
    for call in (lambda: population_loss(far, -far), lambda: sampled_loss(rnn, x, far)):
        with pytest.raises(ValueError, match="the loss overflows float64: it is inf"):
            call()
    with pytest.raises(ValueError, match="the gradient overflows float64: it holds"):
        population_gradient(rnn._replace(C=1e150 * rnn.C), far)


@given(structured_rnns(), LENGTHS, SEEDS)
def test_the_pass_of_training_is_both_public_functions(normal, rnn, k, seed):
    h_teacher, x = normal(k, seed=seed), normal(6, k, seed=seed + 1)
    for S in (None, x.mT @ x / 6):
        value, gradient = loss.loss_and_gradient(rnn, h_teacher, S)
        h = impulse_response(rnn, k)
        assert_close(value, population_loss(h, h_teacher, covariance=S), **ROUNDING)
        assert_close(gradient, population_gradient(rnn, h_teacher, covariance=S), **ROUNDING)


def test_gradient_vanishes_at_the_teacher(gaussian):
    rnn = gaussian(3)
    gradient = population_gradient(rnn, impulse_response(rnn, 6))
    assert max(M.abs().max() for M in gradient) <= 1e-14  # rounding: h may be summed in two orders


@given(st.integers(1, 3), SEEDS)
def test_gradient_is_covariant_under_a_change_of_basis(gaussian, normal, d, seed):
    """h(T rnn) = h(rnn), so the gradients are related by the transposed inverse map."""
    rnn, h_teacher = gaussian(d, seed=seed), normal(5, seed=seed)
    T = torch.eye(d, dtype=torch.float64) + 0.3 * normal(d, d, seed=seed).tanh() / d  # cond < 2
    G, other = (population_gradient(r, h_teacher) for r in (rnn, change_basis(rnn, T)))
    inverse = torch.linalg.inv(T)
    expected = LinearRNN(inverse.mT @ G.A @ T.mT, inverse.mT @ G.B, G.C @ T.mT)
    assert_close(other, expected, **ROUNDING)


def test_break_it_a_half_a_dropped_shift_and_input_order_are_seen(gaussian, normal, monkeypatch):
    rnn, h_teacher = gaussian(3), normal(5)
    white, x = orthonormal_design(normal, 5), normal(4, 5)
    assert_loss_and_gradient_are_bptts(rnn, h_teacher, white)
    with pytest.raises(AssertionError):  # time order in place of lag order
        assert_loss_and_gradient_are_bptts(rnn, h_teacher, x, second_moments(x.flip(-1)))
    with pytest.raises(AssertionError):  # the last lag does not count
        without_last = torch.diag(torch.tensor([1.0, 1, 1, 1, 0], dtype=torch.float64))
        assert_loss_and_gradient_are_bptts(rnn, h_teacher, white, without_last)
    weighted = loss._weighted
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(loss, "_weighted", lambda r, S: 0.5 * weighted(r, S))
        assert_loss_and_gradient_are_bptts(rnn, h_teacher, white)
    pad = torch.nn.functional.pad
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        # the residual that belongs to h_{i+j} where h_{i+j+1} should stand
        patch.setattr(torch.nn.functional, "pad", lambda g, ends: pad(g, (1, ends[1] - 1)))
        assert_loss_and_gradient_are_bptts(rnn, h_teacher, white)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.data())
def test_extrapolation_error_is_the_largest_unseen_gap(gaps, data):
    k = data.draw(st.integers(1, len(gaps) - 1))
    h = torch.tensor(gaps, dtype=torch.float64)
    assert extrapolation_error(h, 0 * h, k).item() == max(abs(gap) for gap in gaps[k:])
    assert extrapolation_error(0 * h, h, k).item() == max(abs(gap) for gap in gaps[k:])


def test_each_element_of_a_batch_equals_its_single_call(gaussian, normal):
    rnn, target, x = gaussian(3, 2, 2), normal(2, 2, 5), normal(2, 2, 6, 5)
    y, h = normal(2, 2, 6, seed=5), impulse_response(rnn, 5)
    S = x.mT @ x / 6
    whole = (population_loss(h, target), population_loss(h, target, covariance=S),
             sampled_loss(rnn, x, y), extrapolation_error(h, target, 2))
    G = population_gradient(rnn, target, covariance=S)
    for i in np.ndindex(2, 2):
        one = LinearRNN(*(M[i] for M in rnn))
        single = (population_loss(h[i], target[i]),
                  population_loss(h[i], target[i], covariance=S[i]),
                  sampled_loss(one, x[i], y[i]), extrapolation_error(h[i], target[i], 2))
        assert_close(tuple(value[i] for value in whole), single, **ROUNDING)
        assert_close(LinearRNN(*(M[i] for M in G)),
                     population_gradient(one, target[i], covariance=S[i]), **ROUNDING)


def test_one_rnn_meets_many_teachers_and_covariances(gaussian, normal):
    rnn, targets, x = gaussian(2), normal(3, 4), normal(3, 6, 4)
    S = x.mT @ x / 6
    G = population_gradient(rnn, targets, covariance=S)
    for i in range(3):
        assert_close(LinearRNN(*(M[i] for M in G)),
                     population_gradient(rnn, targets[i], covariance=S[i]), **ROUNDING)
    assert population_gradient(rnn, targets[0], covariance=S).A.shape == (3, 2, 2)
    assert population_loss(targets[:, None], targets).shape == (3, 3)
    assert sampled_loss(rnn, x, normal(6)).shape == (3,)


def test_inputs_are_not_modified(gaussian, normal):
    rnn, target, x, y = gaussian(3), normal(5), normal(6, 5), normal(6)
    S = x.mT @ x / 6
    copies = [M.clone() for M in (*rnn, target, x, y, S)]
    population_loss(target, target, covariance=S), extrapolation_error(target, target, 2)
    population_gradient(rnn, target, covariance=S), sampled_loss(rnn, x, y)
    assert all(map(torch.equal, (*rnn, target, x, y, S), copies))


def test_results_stay_on_the_device_of_the_input(gaussian, normal):
    rnn, h, x, y = gaussian(3), normal(5), normal(6, 5), normal(6)
    square = np.eye(5).tolist()

    def results():
        return (population_loss(h, 2 * h), population_loss(h, [0.0] * 5, covariance=square),
                *population_gradient(rnn, h), *population_gradient(rnn, [0.0] * 5),
                sampled_loss(rnn, x, y), sampled_loss(rnn, x.tolist(), y.tolist()),
                extrapolation_error(h, 2 * h, 1))

    plain = results()
    with torch.device("meta"):  # a factory that forgets the device would land here
        elsewhere = results()
    assert all(map(torch.equal, elsewhere, plain))


RNN = LinearRNN(torch.eye(2).double() / 2, torch.ones(2, 1).double(), torch.ones(1, 2).double())
PAIR = LinearRNN(*(torch.stack([M] * 2) for M in RNN))
H = torch.ones(3, dtype=torch.float64)
WRONG_COVARIANCES = [
    (torch.eye(2).double(), "covariance must be"), (torch.eye(3), "covariance must be float64"),
    (H, "covariance must have"), (1j * torch.eye(3).double(), "covariance must be float64"),
    (torch.ones(3, 3).double().tril(), "covariance must be symmetric"),
    (torch.diag(H - 2 * torch.tensor([0, 0, 1])), "covariance must be positive semidefinite"),
    (-1e-9 * torch.eye(3).double(), "covariance must be positive semidefinite"),
    (torch.nan * torch.eye(3).double(), "covariance must be finite"), ("white", "covariance"),
]


@pytest.mark.parametrize("S, argument", WRONG_COVARIANCES)
def test_wrong_covariances_are_refused(S, argument):
    with pytest.raises(ValueError, match=argument):
        population_loss(H, H, covariance=S)
    with pytest.raises(ValueError, match=argument):
        population_gradient(RNN, H, covariance=S)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_covariance_is_judged_at_1e_12_of_its_largest_entry(size):
    """Asymmetry of 1e-12, a negative eigenvalue of 3e-12 for 3 lags: a third is rounding."""
    one, corner = torch.eye(3).double(), torch.zeros(3, 3).double()
    corner[0, 1] = 1e-12
    for defect, complaint in ((corner, "symmetric"), (-torch.diag(3e-12 * H), "positive")):
        S = torch.diag(torch.tensor([1.0, 0, 0]).double()) if complaint == "positive" else one
        population_loss(H, H, covariance=size * (S + defect / 3))
        with pytest.raises(ValueError, match=f"covariance must be {complaint}"):
            population_loss(H, H, covariance=size * (S + 3 * defect))


def test_a_rank_one_and_a_zero_covariance_are_semidefinite():
    v = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    assert population_loss(H, 0 * H, covariance=v[:, None] * v).item() == 4.0  # (1 - 2 + 3)^2
    assert population_loss(H, 0 * H, covariance=torch.zeros(3, 3).double()).item() == 0


@pytest.mark.parametrize("call, argument", [
    (lambda: population_loss(H, H[:2]), "h and h_teacher"), (lambda: population_loss([], []), "h "),
    (lambda: population_loss(1.0, 1.0), "h must"), (lambda: population_loss(H, 1.0), "h_teacher"),
    (lambda: population_loss(H.float(), H), "h must be float64"),
    (lambda: population_loss(H, H.float()), "h_teacher must be float64"),
    (lambda: population_loss(H * torch.nan, H), "h must be finite"),
    (lambda: population_loss(H, H * torch.inf), "h_teacher must be finite"),
    (lambda: population_loss(H, H.to("meta")), "h_teacher must be on"),
    (lambda: population_loss(torch.ones(2, 3).double(), torch.ones(4, 3).double()),
     r"h \(2,\) and h_teacher \(4,\)"),
    (lambda: population_loss(torch.ones(2, 3).double(), H, covariance=[np.eye(3).tolist()] * 3),
     r"h \(2,\) and covariance \(3,\)"),
    (lambda: population_gradient(None, H), "rnn must"),
    (lambda: population_gradient(RNN._replace(C=RNN.B), H), "C must"),
    (lambda: population_gradient(RNN, []), "h_teacher"),
    (lambda: population_gradient(RNN, H.float()), "h_teacher must be float64"),
    (lambda: population_gradient(RNN, H * torch.nan), "h_teacher must be finite"),
    (lambda: population_gradient(PAIR, torch.ones(3, 3).double()),
     r"rnn \(2,\) and h_teacher \(3,\)"),
    (lambda: population_gradient(PAIR, H, covariance=[np.eye(3).tolist()] * 3), "covariance"),
    (lambda: sampled_loss(None, [[1.0]], [1.0]), "rnn must"),
    (lambda: sampled_loss(RNN, [1.0], [1.0]), "x must"),
    (lambda: sampled_loss(RNN, [[1.0]], 1.0), "y must"),
    (lambda: sampled_loss(RNN, [[1.0]], [1.0, 2.0]), "y must hold one label"),
    (lambda: sampled_loss(RNN, torch.ones(1, 1), [1.0]), "x must be float64"),
    (lambda: sampled_loss(RNN, [[1.0]], torch.ones(1)), "y must be float64"),
    (lambda: sampled_loss(RNN, [[float("inf")]], [1.0]), "x must be finite"),
    (lambda: sampled_loss(RNN, [[1.0]], [float("nan")]), "y must be finite"),
    (lambda: sampled_loss(PAIR, [[[1.0]]] * 3, [1.0]), r"rnn \(2,\) and x \(3,\)"),
    (lambda: sampled_loss(PAIR, [[1.0]], [[1.0]] * 3), r"y \(3,\)"),
    (lambda: population_loss([1e200], [0.0]), "the loss overflows float64: it is inf"),
    (lambda: population_gradient(RNN._replace(B=1e150 * RNN.B, C=1e150 * RNN.C), [0.0]),
     "the gradient overflows float64: it holds inf"),
    (lambda: sampled_loss(RNN, [[1e200]], [0.0]), "the loss overflows float64: it is inf"),
    (lambda: population_loss([1.0, True], H[:2]), "h must hold"),
    (lambda: population_loss(H[:2], [np.float32(1), 1.0]), "h_teacher must hold"),
    (lambda: extrapolation_error(H, H[:2], 1), "h and h_teacher"),
    (lambda: extrapolation_error(H.float(), H, 1), "h must be float64"),
    (lambda: extrapolation_error(H, H, 0), "train_length"),
    (lambda: extrapolation_error(H, H, 3), "train_length"),
    (lambda: extrapolation_error(H, H, 1.5), "train_length"),
    (lambda: extrapolation_error(H, H, True), "train_length"),
    (lambda: extrapolation_error(H, H, "1"), "train_length"),
])
def test_bad_arguments_are_refused(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()
