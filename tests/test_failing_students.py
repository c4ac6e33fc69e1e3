"""failing_student, null_measure, and the sharp dimension in exact arithmetic."""

from fractions import Fraction
from itertools import pairwise
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowdim.rnn import LinearRNN, impulse_response
from lowdim.teachers import (
    delay_teacher,
    failing_student,
    memoryless_teacher,
    modal_teacher,
    null_measure,
)

TEACHERS = [memoryless_teacher(-1.5), delay_teacher(2), modal_teacher([0.9, -0.5], [1.0, 0.7]),
            modal_teacher([0.8 + 0.3j, 0.8 - 0.3j, 0.2], [1 - 1j, 1 + 1j, -2.0])]


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("extra_samples", [0, 1, 4])
@pytest.mark.parametrize("extra_states", [0, 1, 3, 6])
def test_it_fits_every_trained_lag_and_misses_the_next(teacher, extra_samples, extra_states):
    n = teacher.A.shape[-1]
    k = 2 * n + extra_samples
    student = failing_student(teacher, k, k + 1 - n + extra_states, error=0.25)
    gap = impulse_response(student, k + 1) - impulse_response(teacher, k + 1)
    assert student.A.shape[-1] == k + 1 - n + extra_states
    # rounding, times the condition of the Hankel equations, which is below 1e3 here
    torch.testing.assert_close(gap[:k], torch.zeros_like(gap[:k]), rtol=0, atol=1e-11)
    torch.testing.assert_close(gap[k].item(), 0.25, rtol=0, atol=1e-11)


@pytest.mark.parametrize("gain, k, error", [(2.0, 2, 0.5), (-1.0, 5, 3.0), (0.1, 3, -0.2)])
def test_a_memoryless_teacher_gives_the_companion_matrix_with_one_corner(gain, k, error):
    student = failing_student(memoryless_teacher(gain), k, k, error)
    by_hand = torch.diag(torch.ones(k - 1, dtype=torch.float64), 1)
    by_hand[-1, 0] = error / gain  # h_k = a_0 h_0 = error, with h_0 = gain and zeros between
    torch.testing.assert_close(student.A, by_hand, rtol=1e-12, atol=1e-15)  # one division


@pytest.mark.parametrize("teacher", TEACHERS)
def test_beyond_k_states_it_is_a_stable_shift_register(teacher):
    k = 2 * teacher.A.shape[-1]
    student = failing_student(teacher, k, k + 1, error=1e6)
    assert not torch.linalg.matrix_power(student.A, k + 1).any()
    assert impulse_response(student, k + 3)[-2:].tolist() == [0, 0]


def test_a_batch_of_teachers_is_a_batch_of_students():
    teachers = modal_teacher([[0.9, -0.5], [0.3, 0.6]], [[1.0, 0.7], [2.0, -1.0]])
    batch = failing_student(teachers, 5, 4, error=0.1)
    for i in range(2):
        single = failing_student(LinearRNN(*(M[i] for M in teachers)), 5, 4, error=0.1)
        for together, alone in zip(batch, single, strict=True):
            torch.testing.assert_close(together[i], alone, rtol=1e-12, atol=1e-14)  # rounding


def test_the_device_of_the_teacher_is_kept():
    teacher = TEACHERS[2]
    with torch.device("meta"):  # a factory that forgets the teacher's device would land here
        student = failing_student(teacher, 5, 4, error=0.1)
        weights = null_measure(torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64, device="cpu"))
    assert {M.device.type for M in student} | {weights.device.type} == {"cpu"}


def test_a_shifted_error_is_noticed():
    teacher, k = TEACHERS[2], 5
    late = failing_student(teacher, k + 1, 5, error=0.25)  # wrong one lag later
    gap = impulse_response(late, k + 1) - impulse_response(teacher, k + 1)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(gap[k].item(), 0.25, rtol=0, atol=1e-11)


ONE = memoryless_teacher(1.0)
EIGHT = modal_teacher(torch.linspace(-0.9, 0.9, 8).double(), torch.ones(8).double())
HIDDEN = LinearRNN(torch.diag(torch.tensor([0.5, 0.2], dtype=torch.float64)),
                   torch.tensor([[1.0], [0.0]], dtype=torch.float64),
                   torch.ones(1, 2, dtype=torch.float64))  # its second state is never reached


@pytest.mark.parametrize("arguments, message", [
    ((ONE, 1, 4, 0.1), "train_length must be at least 2n"),
    ((TEACHERS[2], 3, 4, 0.1), "train_length must be at least 2n"),
    ((ONE, 2.0, 4, 0.1), "train_length must be an integer"),
    ((ONE, True, 4, 0.1), "train_length must be an integer"),
    ((ONE, 4, 3, 0.1), "dim must be at least k"),
    ((TEACHERS[2], 6, 4, 0.1), "dim must be at least k"),
    ((ONE, 4, 4.0, 0.1), "dim must be an integer"), ((ONE, 4, True, 0.1), "dim must be an integer"),
    ((ONE, 4, 4, 0.0), "error must not be zero"),
    ((ONE, 4, 4, float("nan")), "error must be finite"),
    ((ONE, 4, 4, [0.1, 0.2]), "error must be one number"), ((ONE, 4, 4, "x"), "error must be"),
    ((ONE, 4, 4, True), "error must hold"), ((ONE, 4, 4, np.float32(0.1)), "error must hold"),
    ((ONE, 4, 4, torch.tensor(0.1)), "error must be float64"),
    ((HIDDEN, 6, 6, 0.1), "teacher must be minimal"),
    ((None, 4, 4, 0.1), "rnn must be a LinearRNN"),
    ((LinearRNN(*(M.float() for M in ONE)), 4, 4, 0.1), "A must be float64"),
    # 1e-20 is lost beside h_k; of 1e-11 a hundred thousandth is; 1e300 overflows on the way to h_k.
    *[((TEACHERS[2], 5, 4, error), "dim and error must leave a student that float64 can hold")
      for error in (1e-20, 1e-11, -1e300, 1e308)],
    # Eight poles: the companion matrix of the shortest student has entries of 1e4, a pole of 78.
    *[((EIGHT, 16, dim, error), "dim and error must leave a student that float64 can hold")
      for dim, error in ((9, 0.25), (10, 0.25), (10, 1.0), (11, 30.0))],
])
def test_impossible_failures_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        failing_student(*arguments)


def test_a_pair_of_nearly_equal_poles_is_refused_where_norm_balanced_refuses_it():
    for gap, minimal in ((2.9e-6, False), (3.1e-6, True)):  # the threshold of require_minimal
        teacher = modal_teacher([0.5, 0.5 + gap], [1.0, 1.0])
        if minimal:
            failing_student(teacher, 4, 5, 0.1)
        else:
            with pytest.raises(ValueError, match="teacher must be minimal"):
                failing_student(teacher, 4, 5, 0.1)


def response(rnn, length):
    """y_0 … of a unit pulse by the recursion, in NumPy."""
    A, B, C = (M.numpy() for M in rnn)
    s, h = B, []
    for _ in range(length):
        h.append((C @ s).item())
        s = A @ s
    return np.array(h)


@given(st.integers(1, 9), st.integers(0, 3), st.integers(0, 4), st.integers(-12, 6))
def test_a_student_keeps_its_promise_or_is_refused(n, more_samples, more_states, decade):
    """The harder ones, with n poles in [-0.9, 0.9], are refused rather than returned wrong."""
    teacher = modal_teacher(np.linspace(-0.9, 0.9, n + 1)[1:].tolist(), [1.0] * n)
    k, error = 2 * n + more_samples, 10.0**decade
    try:
        student = failing_student(teacher, k, k + 1 - n + more_states, error)
    except ValueError as refusal:
        assert str(refusal).startswith("dim and error must leave")
        assert n > 3 or error < 1e-8 or error > 1e2
    else:
        gap = response(student, k + 1) - response(teacher, k + 1)
        # twice the promise: the two recursions round on their own
        assert abs(gap[:k]).max() <= 2e-10 * abs(response(teacher, k)).max()
        assert gap[k] == pytest.approx(error, rel=2e-6, abs=1e-15)


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=7, unique=True))
def test_a_null_measure_is_the_divided_difference_in_exact_fractions(nodes):
    exact = []
    for i, x in enumerate(nodes):
        product = Fraction(1)
        for j, y in enumerate(nodes):
            product *= 1 if i == j else x - y
        exact.append(1 / product)
    for m in range(len(nodes) - 1):
        assert sum(w * x**m for w, x in zip(exact, nodes, strict=True)) == 0
    total = sum(map(abs, exact)) * (1 if exact[0] > 0 else -1)
    expected = torch.tensor([float(w / total) for w in exact], dtype=torch.float64)
    # products of at most six exact differences, and one sum
    torch.testing.assert_close(null_measure([float(x) for x in nodes]), expected,
                               rtol=1e-13, atol=0)


def test_a_thousand_equidistant_nodes_have_binomial_weights():
    """Their products of differences are up to 999! in size."""
    expected = [(-1) ** i * comb(999, i) / 2**999 for i in range(1000)]
    torch.testing.assert_close(null_measure(torch.arange(1000).double()),
                               torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", [5e-324, 1e-200, -1e-3, 1e200, 8e307])
def test_the_unit_of_the_nodes_does_not_matter(scale):
    assert null_measure([0.0, scale, 2 * scale]).tolist() == [0.25, -0.5, 0.25]


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40, unique=True))
def test_the_moments_vanish_to_the_stated_rounding(nodes):
    try:
        weights = null_measure(nodes)
    except ValueError as refusal:
        closest = min(b - a for a, b in pairwise(sorted(nodes)))
        assert "falls below" in str(refusal) and closest < 1e-4
        return
    w, x = ([Fraction(number) for number in numbers] for numbers in (weights.tolist(), nodes))
    assert weights[0] > 0 and abs(weights.abs().sum().item() - 1) <= 1e-15 * len(nodes)
    for m in range(len(nodes) - 1):
        terms = [a * b**m for a, b in zip(w, x, strict=True)]
        assert abs(sum(terms)) <= 3 * len(nodes) * Fraction(1, 2**53) * sum(map(abs, terms))


@pytest.mark.parametrize("nodes, message", [
    ([], "nodes must have at least 1 axes"), ([1.0], "nodes must be at least two"),
    ([0.5, 0.5], "nodes must be at least two distinct"), ([1.0, 2.0, 1.0], "two distinct"),
    ([0.0, -0.0], "two distinct"), ([[0.0, 1.0]], "nodes must be at least two"),
    ([0.0, float("inf")], "nodes must be finite"),
    (None, "nodes must be"), (["a"], "nodes must be"),
    (torch.zeros(3), "nodes must be float64"), ([0.0, True], "nodes must hold"),
    ([0.0, np.float32(0.1)], "nodes must hold"), ([0.0, torch.tensor(0.1)], "nodes must hold"),
    ([-1e308, 1e308], "nodes must have finite differences"),
    (torch.arange(1100).double(), "nodes must be fewer or spread otherwise"),
    ([0.0, 1e-160, 1.0, 1e160], "nodes must be fewer or spread otherwise"),
])
def test_bad_nodes_are_refused(nodes, message):
    with pytest.raises(ValueError, match=message):
        null_measure(nodes)


def solvable(rows, right):
    """Whether rows a = right has a solution over the rationals, by Gaussian elimination."""
    system = [[*row, b] for row, b in zip(rows, right, strict=True)]
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in system if row[column]), None)
        if pivot is not None:
            system.remove(pivot)
            system = [[x - row[column] / pivot[column] * p for x, p in zip(row, pivot, strict=True)]
                      for row in system]
    return not any(row[-1] for row in system)


def has_dimension(samples, d):
    """Whether samples are the response of a system with d states: a recurrence of order d."""
    if d == 0:
        return not any(samples)
    equations = [samples[m:m + d] for m in range(len(samples) - d)]
    return solvable(equations, samples[d:])


def rational_teachers(n, count, length):
    """Responses of degree exactly n with small rational coefficients, repeated poles included."""
    generator, found = torch.Generator().manual_seed(n), []
    while len(found) < count:
        draw = torch.randint(-4, 5, (2 * n,), generator=generator).tolist()
        a, h = [Fraction(x, 4) for x in draw[:n]], [Fraction(x, 3) for x in draw[n:]]
        for j in range(length - n):
            h.append(sum((a[i] * h[j + i] for i in range(n)), Fraction(0)))
        if n == 0 or not has_dimension(h[:2 * n + 2], n - 1):
            found.append(h)
    return found


@pytest.mark.parametrize("n", range(4))
def test_the_sharp_dimension_holds_in_exact_arithmetic(n):
    """clm-sharp-dimension: for k >= 2n a failing student exists iff d >= k + 1 - n."""
    for h in rational_teachers(n, count=60, length=2 * n + 9):
        for k in range(max(1, 2 * n), 2 * n + 6):
            leaves = [[*h[:J], h[J] + c] for J, c in ((k, Fraction(1, 3)), (k, Fraction(-2)),
                                                      (k + 1, Fraction(1)), (k + 3, Fraction(1)))]
            exists = [any(has_dimension(samples, d) for samples in leaves)
                      for d in range(max(k - n, 0), k + 3 - n)]
            assert exists == [d >= k + 1 - n for d in range(max(k - n, 0), k + 3 - n)], (n, k)


def test_the_oracle_tells_apart_what_it_must():
    fibonacci = [Fraction(x) for x in (1, 1, 2, 3, 5, 8, 13)]
    assert [has_dimension(fibonacci, d) for d in range(4)] == [False, False, True, True]
    wrong = [*fibonacci[:-1], Fraction(12)]
    assert [has_dimension(wrong, d) for d in (2, 4, 5)] == [False, False, True]
    assert all(a + b == c for (a, b), c in zip(pairwise(fibonacci), fibonacci[2:], strict=False))
