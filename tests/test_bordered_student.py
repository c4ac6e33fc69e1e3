"""bordered_student against fractions, and what it refuses."""

from fractions import Fraction
from math import prod

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.testing import assert_close

from lowdim.rnn import impulse_response
from lowdim.structure import spectral_measure
from lowdim.teachers import bordered_student, modal_teacher

NAN, INF = float("nan"), float("inf")
POLES, ROOTS = (Fraction(9, 10), Fraction(-1, 2)), (Fraction(1), Fraction(3, 4))


def slopes(poles):
    """p'(l_i), p the monic polynomial with these roots."""
    return [prod(x - y for y in poles if y != x) for x in poles]


def overshoot(poles, residues, t):
    """|t|^2 / sum_i 1 / (w_i p'(l_i)^2): the formula of clm-border."""
    pairs = zip(residues, slopes(poles), strict=True)
    return sum(x * x for x in t) / sum(1 / (w * s * s) for w, s in pairs)


def exact_response(poles, roots, t, S, length):
    """B^T A^j B in fractions, after a change of basis that leaves no square root.

    With q = u / N and T = diag(I, N I) the blocks of T A T^-1 are u t^T / N^2 and t u^T.
    """
    u = [1 / (b * s) for b, s in zip(roots, slopes(poles), strict=True)]
    N2 = sum(x * x for x in u)
    top = [[x * (i == j) for j in range(len(poles))] + [u[i] * y / N2 for y in t]
           for i, x in enumerate(poles)]
    A = top + [[t[i] * x for x in u] + list(S[i]) for i in range(len(t))]
    B = [*roots, *[Fraction(0)] * len(t)]
    h, state = [], B
    for _ in range(length):
        h.append(sum(b * x for b, x in zip(B, state, strict=True)))
        state = [sum(a * x for a, x in zip(row, state, strict=True)) for row in A]
    return h


def floats(values):
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


CASES = [
    (POLES, ROOTS, (Fraction(1, 3),), ((Fraction(1, 5),),)),
    (POLES, ROOTS, (Fraction(1), Fraction(-2)), ((Fraction(1, 2), 1), (1, Fraction(-3, 2)))),
    ((Fraction(0),), (Fraction(3),), (Fraction(1, 2),), ((Fraction(1),),)),
    ((Fraction(2), Fraction(-1), Fraction(1, 4)), (Fraction(1), Fraction(1, 2), Fraction(2)),
     (Fraction(0), Fraction(1, 10)), ((Fraction(0), Fraction(1)), (Fraction(1), Fraction(0)))),
]


@pytest.mark.parametrize("poles, roots, t, S", CASES)
def test_its_response_is_that_of_the_matrix_in_fractions(poles, roots, t, S):
    n, residues = len(poles), [root * root for root in roots]
    student = bordered_student(floats(poles), floats(residues), floats(t),
                               torch.stack([floats(row) for row in S]))
    exact = exact_response(poles, roots, t, S, 2 * n + 4)
    assert_close(impulse_response(student, 2 * n + 4), floats(exact), rtol=1e-13, atol=1e-14)
    moments = [sum(w * x**j for w, x in zip(residues, poles, strict=True))
               for j in range(2 * n + 1)]
    assert exact[:2 * n] == moments[:-1]
    assert exact[2 * n] - moments[-1] == overshoot(poles, residues, t)


@pytest.mark.parametrize("poles, roots, t, S", CASES)
def test_it_is_symmetric_balanced_and_has_a_nonnegative_measure(poles, roots, t, S):
    residues = [root * root for root in roots]
    student = bordered_student(floats(poles), floats(residues), floats(t),
                               torch.stack([floats(row) for row in S]))
    A, B, C = student
    assert torch.equal(A, A.mT) and torch.equal(B, C.mT)
    nodes, weights = spectral_measure(student)
    assert (weights >= 0).all() and len(nodes) == len(poles) + len(t)


numbers = st.integers(-12, 12).map(lambda i: i / 8)


@given(st.lists(numbers, min_size=1, max_size=4, unique=True), st.data())
def test_random_teachers_are_fitted_and_overshot(poles, data):
    n, m = len(poles), data.draw(st.integers(1, 3))
    residues = data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    t = data.draw(st.lists(numbers, min_size=m, max_size=m))
    assume(any(t))
    rows = data.draw(st.lists(st.lists(numbers, min_size=m, max_size=m), min_size=m, max_size=m))
    S = torch.tensor(rows, dtype=torch.float64)
    student = bordered_student(poles, residues, t, S + S.mT)
    gap = impulse_response(student, 2 * n + 1) - impulse_response(modal_teacher(poles, residues),
                                                                  2 * n + 1)
    assert gap[:-1].abs().max() <= 1e-10 * sum(residues) * 1.5**(2 * n)  # a few hundred roundings
    expected = overshoot([Fraction(x) for x in poles], [Fraction(w) for w in residues], t)
    assert_close(gap[-1].item(), float(expected), rtol=1e-6, atol=0)


def test_t_and_S_may_be_batches():
    t = torch.tensor([[[0.5, 0.0]], [[0.25, -0.5]]], dtype=torch.float64)
    S = torch.stack((torch.zeros(2, 2), torch.eye(2), torch.ones(2, 2))).double()
    batch = bordered_student([0.9, -0.5], [1.0, 0.7], t, S)
    assert [tuple(M.shape) for M in batch] == [(2, 3, 4, 4), (2, 3, 4, 1), (2, 3, 1, 4)]
    for i in range(2):
        for j in range(3):
            alone = bordered_student([0.9, -0.5], [1.0, 0.7], t[i, 0], S[j])
            assert all(map(torch.equal, batch.at((i, j)), alone))


def test_its_tensors_are_its_own():
    S = torch.zeros(1, 1, dtype=torch.float64)
    student = bordered_student([0.5], [1.0], [1.0], S)
    S += 1
    student.C.zero_()
    assert student.A[1, 1] == 0 and student.B[0, 0] == 1


def test_the_border_along_another_direction_is_noticed():
    """q with the signs of p' dropped is not orthogonal to B: already h_2 is off."""
    teacher = modal_teacher([0.9, -0.5], [1.0, 0.7])
    student = bordered_student([0.9, -0.5], [1.0, 0.7], [0.5], [[0.0]])
    A = student.A.clone()
    A[2, :2], A[:2, 2] = A[2, :2].abs(), A[:2, 2].abs()
    gap = impulse_response(student._replace(A=A), 5) - impulse_response(teacher, 5)
    with pytest.raises(AssertionError):
        assert_close(gap[:4], torch.zeros_like(gap[:4]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("poles, residues, t, S, argument", [
    ([0.5, 0.5], [1.0, 1.0], [1.0], [[0.0]], "poles must be distinct"),
    ([0.5], [0.0], [1.0], [[0.0]], "residues must be positive"),
    ([0.5, 0.1], [1.0, -1.0], [1.0], [[0.0]], "residues must be positive"),
    ([0.5, 0.1], [1.0], [1.0], [[0.0]], "poles and residues must be two vectors"),
    ([[0.5]], [[1.0]], [1.0], [[0.0]], "poles and residues must be two vectors"),
    ([0.5], [1.0], [0.0], [[0.0]], "t must not be zero"),
    ([0.5], [1.0], [[1.0], [0.0]], [[0.0]], "t must not be zero"),
    ([0.5], [1.0], [NAN], [[0.0]], "t must be finite"),
    ([0.5], [1.0], [INF], [[0.0]], "t must be finite"),
    ([0.5], [1.0], 1.0, [[0.0]], "t must have at least 1"),
    ([0.5], [1.0], [], [[0.0]], "t must have at least 1"),
    ([0.5], [1.0], [1.0], [0.0], "S must have at least 2"),
    ([0.5], [1.0], [1.0, 2.0], [[0.0]], "S must be symmetric and 2 x 2"),
    ([0.5], [1.0], [1.0, 2.0], [[0.0, 1.0], [1.0 + 1e-15, 0.0]], "S must be symmetric"),
    ([0.5], [1.0], [1.0], [[NAN]], "S must be finite"),
    ([0.5], [1.0], torch.ones(2, 1).double(), torch.ones(3, 1, 1).double(), "batch axes must"),
    ([NAN], [1.0], [1.0], [[0.0]], "poles must be finite"),
    ([0.5j], [1.0], [1.0], [[0.0]], "poles must"),
    ([0.5], [True], [1.0], [[0.0]], "residues must hold"),
    (torch.tensor([0.5]), [1.0], [1.0], [[0.0]], "poles must be float64"),
    ([0.5], [1.0], torch.tensor([1.0]), [[0.0]], "t must be float64"),
    # An overshoot of 1e-20 is lost in rounding; a state that forgets nothing swamps the samples.
    ([0.5], [1.0], [1e-10], [[0.0]], "float64 can hold"),
    ([0.9, -0.5, 0.1], [1.0] * 3, [1.0], [[1e30]], "float64 can hold"),
])
def test_bad_borders_are_refused(poles, residues, t, S, argument):
    with pytest.raises(ValueError, match=argument):
        bordered_student(poles, residues, t, S)
