"""The gap of a monomial to polynomials of lower degree: closed forms, exact bounds, a program."""

from fractions import Fraction
from math import comb, prod

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, linprog

from lowdim.moments import polynomial_gap

pytestmark = pytest.mark.usefixtures("no_global_state")

ROUNDING = 1e-11  # what the docstring promises
CASES = [(7, 5), (10, 5), (9, 6), (20, 7), (21, 10), (22, 20), (40, 20), (61, 30), (90, 8), (91, 8)]


def walk_tail(J, k):
    """P(|Y_J| >= k) for the simple random walk, counted."""
    return Fraction(sum(comb(J, i) for i in range(J + 1) if abs(2 * i - J) >= k), 2**J)


def exact_lower_bound(nodes, J):
    """|sum w_i x_i^J| for weights with sum |w_i| = 1 that kill len(nodes) - 1 moments.

    By duality no polynomial of lower degree than these moments is closer to x^J than that.
    """
    x = [Fraction(float(node)) for node in nodes]
    weights = [1 / prod(a - b for b in x if b != a) for a in x]
    return abs(sum(w * a**J for w, a in zip(weights, x, strict=True))) / sum(map(abs, weights))


def alternation(J, k):
    """Exchange on a grid, by interpolation in all of [-1, 1]: alternation nodes, largest error."""
    grid = np.cos(np.linspace(0, np.pi, 40_001))
    size = k + 1 + (J - k) % 2  # one more where J and k differ in parity
    nodes = np.cos(np.linspace(np.pi, 0, size))
    for _ in range(12):
        system = np.c_[np.polynomial.chebyshev.chebvander(nodes, size - 2),
                       (-1.0) ** np.arange(size)]
        fit = np.linalg.solve(system, nodes**J)[:-1]
        error = grid**J - np.polynomial.chebyshev.chebval(grid, fit)
        turns = 1 + np.flatnonzero(np.diff(np.sign(error[error != 0])))
        runs = np.split(np.flatnonzero(error != 0), turns)
        nodes = np.sort(grid[[run[abs(error[run]).argmax()] for run in runs]])
        assert len(nodes) == size
    return nodes, abs(error).max()


@pytest.mark.parametrize("J, k", CASES)
def test_exact_weights_bound_it_from_below_and_a_polynomial_from_above(J, k):
    nodes, upper = alternation(J, k)
    lower = exact_lower_bound(nodes, J)
    gap = polynomial_gap(J, k)
    # between grid points the error grows by (J h)^2 / 8 of itself (Bernstein), h = pi / 40,000
    assert float(lower) * (1 - ROUNDING) <= gap <= upper * (1 + 1e-5) + 1e-14
    # nodes off by 1e-4 of their distance cost 1e-8, second order
    assert gap == pytest.approx(float(lower), rel=1e-6, abs=0)


@pytest.mark.parametrize("J, k", [(J, k) for J in (3, 6, 11, 30) for k in (1, 2, 3, 5, 8)])
def test_a_linear_program_on_a_grid_finds_the_same(J, k):
    grid = np.cos(np.linspace(0, np.pi, 1001))
    powers, ones = np.polynomial.chebyshev.chebvander(grid, k - 1), np.ones((len(grid), 1))
    above = np.c_[powers, -ones], np.c_[-powers, -ones]
    program = linprog(np.r_[np.zeros(k), 1], A_ub=np.r_[above],
                      b_ub=np.r_[grid**J, -(grid**J)], bounds=(None, None))
    # between grid points the error exceeds its values there by at most (J h)^2 / 8, h = pi / 1000
    assert polynomial_gap(J, k) == pytest.approx(program.fun, rel=2e-3, abs=1e-7)


@pytest.mark.parametrize("J", [1, 2, 3, 10, 53, 300, 1000])
def test_chebyshev_and_degrees_that_parity_adds_for_nothing(J):
    assert polynomial_gap(J, J) == pytest.approx(2.0 ** (1 - J), rel=ROUNDING, abs=0)
    if J > 2:
        assert polynomial_gap(J, J - 1) == pytest.approx(2.0 ** (1 - J), rel=ROUNDING, abs=0)
    assert polynomial_gap(J, J + 1) == 0 and polynomial_gap(J, 10 * J) == 0


@pytest.mark.parametrize("half", [2, 3, 8, 50, 5000])
def test_constants_lines_and_parabolas(half):
    """t^a has the best line t - c, 2c = max(t - t^a); x^J, J odd, the best c x by a root."""
    J = 2 * half
    assert polynomial_gap(J, 1) == polynomial_gap(J, 2) == pytest.approx(0.5, rel=ROUNDING)
    assert polynomial_gap(J + 1, 1) == pytest.approx(1, rel=ROUNDING)
    t = half ** (-1 / (half - 1))
    for k in (3, 4):
        assert polynomial_gap(J, k) == pytest.approx((t - t**half) / 2, rel=ROUNDING)
    J = J + 1

    def excess(c):  # at the interior extremum of c x - x^J, over the error at 1
        return c * (c / J) ** (1 / (J - 1)) * (1 - 1 / J) - (1 - c)

    c = brentq(excess, 0.1, 1, xtol=1e-15, rtol=1e-15)
    for k in (2, 3):
        assert polynomial_gap(J, k) == pytest.approx(1 - c, rel=ROUNDING)


def test_the_walk_bounds_it_from_above_and_aliasing_from_below():
    """On the extrema of T_N alternating weights see T_m, m = N, 3N, …, and no other of its parity.

    So with N = k or k + 1 of the parity of J the gap is at least sum P(|Y_J| = N, 3N, …).
    """
    for J in range(1, 41):
        for k in range(1, J + 1):
            N = k + (J - k) % 2
            alias = sum(walk_tail(J, m) - walk_tail(J, m + 1) for m in range(N, J + 1, 2 * N))
            gap = polynomial_gap(J, k)
            assert float(alias) * (1 - ROUNDING) <= gap <= float(walk_tail(J, k)) * (1 + ROUNDING)


def test_it_grows_within_a_parity_falls_with_k_and_is_not_monotone_in_J():
    gaps = np.array([[polynomial_gap(J, k) for k in range(1, 12)] for J in range(40)])
    assert (np.diff(gaps, axis=1) <= 1e-12).all()
    assert (gaps[2:] - gaps[:-2] >= -1e-12).all()
    assert gaps[5, 4] > gaps[6, 4] < gaps[7, 4]  # k = 5


def test_break_it_the_exact_bound_refuses_a_wrong_power_or_length():
    for J, k in CASES:
        lower = float(exact_lower_bound(alternation(J, k)[0], J))
        for wrong in (polynomial_gap(J + 2, k), polynomial_gap(J, k + 2), polynomial_gap(J + 1, k)):
            assert wrong != pytest.approx(lower, rel=1e-3)


def test_integers_of_every_kind_give_a_float():
    for J, k in ((np.int64(7), np.int32(5)), (torch.tensor(7), torch.tensor(5))):
        assert polynomial_gap(J, k) == polynomial_gap(7, 5)
    assert all(type(polynomial_gap(J, 5)) is float for J in (4, 5, 8, 30))


@pytest.mark.parametrize("J, k, argument", [
    (-1, 3, "J must be"), (2.0, 3, "J must be"), (True, 3, "J must be"), (None, 3, "J must be"),
    ("5", 3, "J must be"), (5, 0, "k must be"), (5, -2, "k must be"), (5, 2.5, "k must be"),
    (5, False, "k must be"), (5, None, "k must be"), (float("nan"), 3, "J must be"),
    (5, float("inf"), "k must be"), (torch.tensor([5, 6]), 3, "J must be"),
])
def test_bad_calls_name_the_argument(J, k, argument):
    with pytest.raises(ValueError, match=argument):
        polynomial_gap(J, k)
