"""Q, which gradient flow conserves, and the norm-balanced triple of a similarity orbit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from structured import MINIMAL_KINDS, NON_MINIMAL_KINDS, structured_rnns
from torch.testing import assert_close

from lowdim import structure
from lowdim.rnn import LinearRNN, change_basis, impulse_response
from lowdim.structure import balancedness, norm_balanced, require_minimal
from lowdim.teachers import delay_teacher, failing_student, memoryless_teacher, modal_teacher

pytestmark = pytest.mark.usefixtures("no_global_state")

ROUNDING = dict(rtol=1e-12, atol=1e-12)
SEEDS = st.integers(0, 99)


def squared_norm(rnn):
    return sum(M.square().sum((-2, -1)) for M in rnn)


def ill_scaled(normal, d, *batch, seed=0, decades=6):
    """A rotation, then state units from 1 to 10^decades: condition number 10^decades."""
    rotation = torch.linalg.qr(normal(*batch, d, d, seed=seed)).Q
    units = torch.logspace(-decades / 2, decades / 2, d, dtype=torch.float64)
    return torch.diag(units) @ rotation


def assert_balanced(rnn, original):
    """|Q| <= 1e-14 |theta|^2, as promised, and the response of the original."""
    assert (balancedness(rnn).abs().amax((-2, -1)) <= 1e-14 * squared_norm(rnn)).all()
    assert_close(impulse_response(rnn, 12), impulse_response(original, 12), rtol=1e-11, atol=1e-11)


def invariants(rnn):
    """Traces of words in A, A^T, and B^T M B, C M C^T, C M B: O(d) leaves all of them alone."""
    A, B, C = rnn
    words = (A, A @ A, A @ A.mT, A @ A @ A.mT, A @ A.mT @ A @ A.mT @ A)
    forms = [u.mT @ M @ v for M in (torch.eye(A.shape[-1], dtype=A.dtype), *words)
             for u, v in ((B, B), (C.mT, C.mT), (C.mT, B))]
    return torch.stack([torch.diagonal(M, dim1=-2, dim2=-1).sum(-1) for M in (*words, *forms)])


def orthogonal_between(first, second):
    """U with U (reachability matrix of first) = that of second, by least squares: not assumed O."""
    d = first.A.shape[-1]
    R, S = (torch.cat([torch.linalg.matrix_power(r.A, j) @ r.B for j in range(2 * d)], -1)
            for r in (first, second))
    return S @ torch.linalg.pinv(R)


@given(st.integers(1, 5), SEEDS)
def test_balancedness_entry_by_entry(gaussian, d, seed):
    A, B, C = rnn = gaussian(d, seed=seed)
    expected = (torch.einsum("il,jl->ij", A, A) - torch.einsum("li,lj->ij", A, A)
                + torch.outer(B[:, 0], B[:, 0]) - torch.outer(C[0], C[0]))
    assert_close(balancedness(rnn), expected, **ROUNDING)


def test_balancedness_by_hand():
    A, B, C = (torch.tensor(M, dtype=torch.float64) for M in ([[0, 1], [0, 0]], [[3], [0]],
                                                              [[0, 2]]))
    assert balancedness(LinearRNN(A, B, C)).tolist() == [[10, 0], [0, -5]]


@given(st.integers(1, 6), SEEDS)
def test_q_is_half_the_gradient_along_the_orbit(gaussian, d, seed):
    rnn = gaussian(d, seed=seed)
    X = torch.zeros(d, d, dtype=torch.float64, requires_grad=True)
    T, inverse = torch.linalg.matrix_exp(X), torch.linalg.matrix_exp(-X)
    squared_norm((T @ rnn.A @ inverse, T @ rnn.B, rnn.C @ inverse)).backward()
    assert_close(2 * balancedness(rnn), X.grad, **ROUNDING)


@pytest.mark.parametrize("d", [1, 2, 3, 6, 10])
@pytest.mark.parametrize("decades", [0, 6])
def test_random_batches_are_balanced_in_any_basis(gaussian, normal, d, decades):
    rnn = gaussian(d, 8)
    moved = change_basis(rnn, ill_scaled(normal, d, 8, decades=decades))
    assert_balanced(norm_balanced(moved), rnn)


@pytest.mark.parametrize("d", [20, 30])
def test_many_states_are_balanced_in_any_basis(gaussian, normal, d):
    rnn = gaussian(d)
    assert_balanced(norm_balanced(change_basis(rnn, ill_scaled(normal, d))), rnn)


@given(structured_rnns(most=6))
def test_a_step_lowers_the_norm_by_the_argument_of_its_docstring(rnn):
    """<theta, JX> = -2 |JX|^2 for what conjugate gradients return; |theta|^2 falls by the step."""
    A, B, C = rnn
    X = structure._newton_direction(rnn)
    JX = (X @ A - A @ X, X @ B, -C @ X)
    slope = sum((M * N).sum() for M, N in zip(rnn, JX, strict=True)).item()
    rounding = 1e-13 * squared_norm(rnn).item()
    assert torch.equal(X, X.mT) and slope <= 0
    assert slope == pytest.approx(-2 * squared_norm(JX).item(), rel=1e-9, abs=rounding)
    grow, shrink = structure._step(rnn)
    after = squared_norm((grow @ A @ shrink, grow @ B, C @ shrink)).item()
    # f'(u) <= f'(0) - f'(0) (e^{mu} - 1) / m, integrated to s = log(1 + m) / m; f'(0) = 2 slope.
    x = torch.linalg.eigvalsh(X)
    m = max(2 * (x.max().clamp(min=0) - x.min().clamp(max=0)).item(), 1e-4)  # less is rounding
    fall = 2 * slope * ((1 + m) * math.log1p(m) - m) / m**2
    assert after <= squared_norm(rnn).item() + (1 - 1e-3) * fall + rounding


@pytest.mark.parametrize("teacher", [
    modal_teacher([0.9 + 0.3j, 0.9 - 0.3j, -0.5], [1 + 2j, 1 - 2j, -0.3]),
    modal_teacher([0.9, 0.89], [1.0, -1.0]), delay_teacher(4, -3.0),
    failing_student(memoryless_teacher(1.0), 3, 3, 0.5),
], ids=["complex", "near", "delay", "failing"])
def test_teachers_are_balanced_in_any_basis(teacher, normal):
    moved = change_basis(teacher, ill_scaled(normal, teacher.A.shape[-1], decades=4))
    assert_balanced(norm_balanced(moved), teacher)


@settings(max_examples=60)  # 30 ms each
@given(structured_rnns(MINIMAL_KINDS))
def test_structured_systems_are_balanced(rnn):
    assert_balanced(norm_balanced(rnn), rnn)


@settings(max_examples=60)  # 30 ms each
@given(st.integers(1, 8), SEEDS, st.integers(-100, 100))
def test_units_of_input_and_output_do_not_matter(gaussian, d, seed, decades):
    A, B, C = rnn = gaussian(d, seed=seed)
    assert_balanced(norm_balanced(LinearRNN(A, B * 10.0**decades, C / 10.0**decades)), rnn)


# 200 minimisations by finite differences would take a minute.
@settings(max_examples=25)
@given(st.integers(1, 3), SEEDS)
def test_the_minimum_is_scipys(gaussian, d, seed):
    A, B, C = rnn = gaussian(d, seed=seed)

    def after(entries):
        T = torch.linalg.matrix_exp(torch.from_numpy(entries.reshape(d, d)))
        return squared_norm((T @ A @ T.inverse(), T @ B, C @ T.inverse())).item()

    least = minimize(after, np.zeros(d * d), method="BFGS").fun
    # BFGS on finite differences
    assert squared_norm(norm_balanced(rnn)).item() == pytest.approx(least, rel=1e-6)


@settings(max_examples=60)  # 60 ms each
@given(st.integers(1, 6), SEEDS)
def test_two_bases_lead_to_one_triple_up_to_a_rotation(gaussian, normal, d, seed):
    rnn = gaussian(d, seed=seed)
    first = norm_balanced(rnn)
    second = norm_balanced(change_basis(rnn, ill_scaled(normal, d, seed=seed, decades=2)))
    assert_close(invariants(first), invariants(second), rtol=1e-8, atol=1e-8)
    U = orthogonal_between(first, second)
    # The reachability matrices of these systems have condition numbers up to about 1e6.
    assert_close(U.mT @ U, torch.eye(d, dtype=torch.float64), rtol=0, atol=1e-6)
    assert_close(tuple(change_basis(first, U)), tuple(second), rtol=0, atol=1e-6)


def test_symmetric_balanced_systems_stay(normal):
    A, B = normal(4, 4), normal(4, 1)
    rnn = LinearRNN((A + A.mT) / 2, B, B.mT)
    assert_close(tuple(norm_balanced(rnn)), tuple(rnn), **ROUNDING)


@given(structured_rnns(most=3))
def test_the_curvature_is_the_hessian_of_the_norm_along_the_orbit(rnn):
    """d^2/ds^2 |exp(sX) theta|^2 = 4 |JX|^2, in coordinates where |X| is the Euclidean norm."""
    d = len(rnn.A)

    def after(entries):
        X = entries.new_zeros(d, d)
        X[*torch.triu_indices(d, d)] = entries
        X = (X + X.mT) / torch.where(torch.eye(d) == 1, 2, 2**0.5)
        grow, shrink = torch.linalg.matrix_exp(X), torch.linalg.matrix_exp(-X)
        return squared_norm((grow @ rnn.A @ shrink, grow @ rnn.B, rnn.C @ shrink))

    zero = torch.zeros(d * (d + 1) // 2, dtype=torch.float64)
    least = torch.linalg.eigvalsh(torch.autograd.functional.hessian(after, zero))[0].clamp(min=0)
    # roots of eigenvalues that are exact to 1e-15 of the largest
    scale = squared_norm(rnn).sqrt().item()
    assert structure._least_curvature(rnn).item() == pytest.approx(
        least.sqrt().item() / 2, rel=1e-6, abs=1e-7 * scale)


def triple(*entries):
    return LinearRNN(*(torch.as_tensor(M, dtype=torch.float64) for M in entries))


def chain(d, pole=0.0):
    """One Jordan block, driven in its first state and read in all: only that state is reached."""
    A = torch.diag(torch.ones(d - 1), 1) + pole * torch.eye(d)
    return triple(A, torch.eye(d)[:, :1], torch.ones(1, d))


def with_poles(rnn, *poles):
    """The sum of rnn and one mode of residue 1 for each pole."""
    A, B, C = rnn
    return LinearRNN(torch.block_diag(A, torch.diag(torch.tensor(poles, dtype=A.dtype))),
                     torch.cat((B, B.new_ones(len(poles), 1))),
                     torch.cat((C, C.new_ones(1, len(poles))), -1))


NEITHER = triple([[0.9, 0, 1], [0, -0.5, 0], [0, 0, 0]], [[1], [1], [0]], [[1, 1, 1]])
DEFECTIVE = triple([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [[0], [1], [0]], [[1, 1, 1]])
TWO_BLOCKS = triple([[0.5, 0], [0, 0.5]], [[1], [1]], [[1, 2]])
AS_GOOD_AS_ONE = triple([[0.5, 0], [0, 0.5 + 1e-9]], [[1], [1]], [[1, 1]])


@pytest.mark.parametrize("rnn", [
    triple([[0]], [[0]], [[0]]), triple([[0]], [[1]], [[0]]), triple([[0.5]], [[0]], [[1]]),
    TWO_BLOCKS, AS_GOOD_AS_ONE, DEFECTIVE, NEITHER,
    *[chain(d) for d in range(2, 17)], *[chain(d, 0.5) for d in range(2, 11)],
    *[with_poles(chain(d - 2), 0.9, -0.5) for d in (8, 10)],
], ids=lambda rnn: f"{len(rnn.A)} states")
def test_special_non_minimal_realisations_are_refused(rnn):
    """Rounding leads the long chains to triples with the same h, Q = 0, and another orbit."""
    for one in (rnn, LinearRNN(rnn.A.mT, rnn.C.mT, rnn.B.mT)):
        with pytest.raises(ValueError, match=r"rnn must be minimal: .* singular values"):
            norm_balanced(one)


# A refusal takes up to 150 steps, where a system that has a least norm takes about 20.
@settings(max_examples=40)
@given(structured_rnns(NON_MINIMAL_KINDS, least=2, most=8),
       st.sampled_from(["none", "left", "two"]))
def test_non_minimal_structures_are_refused_in_any_basis(normal, rnn, sides):
    """Units from 1e-3 to 1e3 after a rotation, and between two: there the entries are rounded."""
    T = {"none": torch.eye(d := len(rnn.A), dtype=torch.float64), "left": ill_scaled(normal, d),
         "two": torch.linalg.qr(normal(d, d, seed=1)).Q @ ill_scaled(normal, d)}[sides]
    with pytest.raises(ValueError, match=r"rnn must be minimal: .* singular values"):
        norm_balanced(change_basis(rnn, T))


@pytest.mark.parametrize("gap, minimal", [(2.9e-6, False), (3.1e-6, True)])
def test_the_threshold_is_a_millionth_of_the_norm(gap, minimal):
    """Poles gap apart, residues 1: X = ((1, -1), (-1, 1)) / 2 has |JX| = gap / sqrt 2, while
    |theta|^2 = 1/4 + 1/4 + 4, so that minimal means gap > 3.0e-6. The triple has Q = 0 already."""
    rnn = modal_teacher([0.5, 0.5 + gap], [1.0, 1.0])
    if minimal:
        assert_close(tuple(require_minimal(rnn)), tuple(rnn), **ROUNDING)
    else:
        with pytest.raises(ValueError, match=r"fall to .* and must exceed"):
            require_minimal(rnn)


def test_an_impulse_response_lost_to_rounding_is_refused(gaussian, normal):
    """Between two rotations the entries of a basis of condition 1e6 keep ten digits and no more."""
    refused = 0
    for seed in range(12):
        rnn = gaussian(6, seed=seed)
        T = torch.linalg.qr(normal(6, 6, seed=seed + 1)).Q @ ill_scaled(normal, 6, seed=seed)
        moved = change_basis(rnn, T)
        try:
            h = impulse_response(norm_balanced(moved), 12)
        except ValueError as error:
            assert str(error).startswith("rnn must stand in a better basis")  # minimal all the same
            refused += 1
        else:  # |B|, |C| < 10 and |A| < 2
            assert_close(h, impulse_response(moved, 12), rtol=0, atol=1e-2)
    assert 0 < refused < 12


def test_one_non_minimal_element_spoils_a_batch(gaussian):
    rnn = gaussian(3, 4)
    rnn.B[2] = 0
    with pytest.raises(ValueError, match="rnn must be minimal"):
        norm_balanced(rnn)


def test_each_element_of_a_batch_equals_its_single_call(gaussian):
    rnn = gaussian(3, 2, 3)
    balanced, Q = norm_balanced(rnn), balancedness(rnn)
    assert [M.shape for M in balanced] == [M.shape for M in rnn]
    for i in np.ndindex(2, 3):
        one = LinearRNN(*(M[i] for M in rnn))
        assert_close(Q[i], balancedness(one), **ROUNDING)
        # A batch runs until its last element is done; the others take steps of rounding size.
        assert_close(tuple(M[i] for M in balanced), tuple(norm_balanced(one)), rtol=1e-8, atol=1e-8)


def test_inputs_are_not_modified_and_results_do_not_share_their_memory(gaussian):
    for rnn in (gaussian(3), LinearRNN(*norm_balanced(gaussian(3)))):
        copies = [M.clone() for M in rnn]
        balancedness(rnn).zero_()
        for M in norm_balanced(rnn):
            M.zero_()
        assert all(map(torch.equal, rnn, copies))


def test_results_stay_on_the_device_of_the_input(gaussian):
    rnn = gaussian(3)
    plain = balancedness(rnn), *norm_balanced(rnn)
    with torch.device("meta"):  # a factory that forgets the device would land here
        elsewhere = balancedness(rnn), *norm_balanced(rnn)
    assert all(map(torch.equal, elsewhere, plain))


def test_break_it_a_wrong_sign_or_another_orbit_is_seen(gaussian, normal):
    A, B, C = rnn = gaussian(3)
    balanced = norm_balanced(rnn)
    flipped = balanced._replace(A=balanced.A * 1.001)
    with pytest.raises(AssertionError):
        assert_balanced(flipped, rnn)
    with pytest.raises(AssertionError):  # the sum of squares in place of their difference
        assert_close(balancedness(rnn), A @ A.mT - A.mT @ A + B @ B.mT + C.mT @ C, **ROUNDING)
    other = norm_balanced(gaussian(3, seed=1))
    with pytest.raises(AssertionError):
        assert_close(invariants(balanced), invariants(other), rtol=1e-8, atol=1e-8)


ONE, ROW = torch.ones(2, 1, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
SQUARE = torch.tensor([[0.5, 0.1], [0, 0.2]], dtype=torch.float64)


HUGE = LinearRNN(SQUARE * 1e200, ONE, ROW)


@pytest.mark.parametrize("function", [balancedness, norm_balanced, require_minimal])
@pytest.mark.parametrize("rnn, argument", [
    (LinearRNN(ROW, ONE, ROW), "A must have shape"), (LinearRNN(SQUARE, ROW, ROW), "B must"),
    (LinearRNN(SQUARE, ONE, ONE), "C must"), (LinearRNN(SQUARE.float(), ONE, ROW), "A must be flo"),
    (LinearRNN(SQUARE * torch.nan, ONE, ROW), "A must be finite"), (SQUARE, "rnn must be a Linear"),
    (LinearRNN(SQUARE, ONE.expand(3, 2, 1), ROW), "B must"), (None, "rnn must be a LinearRNN"),
    (LinearRNN(SQUARE, [[True], [1.0]], ROW), "B must hold"),
    (LinearRNN(SQUARE, ONE, [[np.float32(1), 1.0]]), "C must hold"), (HUGE, "Q overflows float64"),
])
def test_bad_arguments_are_refused(function, rnn, argument):
    with pytest.raises(ValueError, match=argument):
        function(rnn)
