"""moment_interval, against measures built by hand, exact quadrature, and another linear program."""

import random
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import sympy
import torch
from scipy.optimize import linprog

from lowdim import intervals, proposals
from lowdim.moments import moment_interval
from lowdim.positivity import chebyshev, divide_power, evaluate, excess

pytestmark = pytest.mark.usefixtures("no_global_state")

UNIT = (Fraction(-1), Fraction(1))
SUPPORTS = [UNIT, UNIT, UNIT, (Fraction(0), Fraction(1)), (Fraction(-1), Fraction(0)),
            (Fraction(-2), Fraction(3, 2)), (Fraction(1, 3), Fraction(2)), (Fraction(10), 1000),
            (-0.1, 0.3)]


def atoms_and_weights(rng, a, b):
    """One to four atoms in [a, b]: at an end, at 0, equal or close to the one before, or anywhere.
    """
    atoms = []
    for _ in range(rng.randint(1, 4)):
        close = (atoms or [a])[-1] + (b - a) * Fraction(rng.choice([0, 1]), 10**rng.randint(2, 8))
        anywhere = a + (b - a) * Fraction(rng.randint(0, 99), 99)
        atom = rng.choice([a, b, Fraction(0), close, anywhere, anywhere, anywhere])
        atoms.append(min(b, max(a, atom)))
    return atoms, [Fraction(rng.randint(1, 30), 10**rng.choice([1, 1, 1, 4])) for _ in atoms]


def moment(atoms, weights, j):
    return sum(w * z**j for z, w in zip(atoms, weights, strict=True))


def random_case(seed, longest=12, farthest=30):
    rng = random.Random(seed)
    support = a, b = [Fraction(end) for end in rng.choice(SUPPORTS)]
    measure = atoms_and_weights(rng, a, b)
    k, J = rng.randint(1, longest), rng.randint(0, farthest)
    tol = Fraction(1, 10**rng.randint(2, 12))
    noise = [tol * rng.choice([-1, 1, Fraction(rng.randint(-9, 9), 9)]) for _ in range(k)]
    h = [moment(*measure, i) + error for i, error in enumerate(noise)]
    return SimpleNamespace(h=h, J=J, support=support, tol=tol, truth=moment(*measure, J),
                           measure=measure, k=k)


# The interval holds the truth ----------------------------------------------------------------


@pytest.mark.parametrize("start", range(0, 120, 10))
def test_the_moment_of_the_measure_is_inside(start):
    for seed in range(start, start + 10):
        case = random_case(seed)
        low, high = moment_interval(case.h, case.J, support=case.support, tol=case.tol)
        assert isinstance(low, Fraction) and isinstance(high, Fraction)
        assert low <= case.truth <= high, seed


def wild_proposal(rng, k, f):
    """What a broken solver might return; f less a positive number is what it would like to be."""
    y = np.array([rng.gauss(0, 10**rng.uniform(-3, 3)) for _ in range(k)])
    if rng.random() < 0.5:  # nearly right: the interpolant of f + 1e-3, which is too high somewhere
        t = np.cos(np.pi * (np.arange(k) + 0.5) / k)
        y = np.linalg.solve(np.polynomial.chebyshev.chebvander(t, k - 1), f(t) + 1e-3)
    sets = []
    for _ in range(4):
        inside = [rng.choice([-1.0, 1.0, 0.0, rng.uniform(-1, 1)])
                  for _ in range(rng.randint(0, 6))]
        ends = rng.random() < 0.5, rng.random() < 0.5
        if 0 < 2 * len(inside) + sum(ends) <= k:
            sets.append((np.array(inside), ends))
    return proposals.Proposal(y, 0.0, sets)


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_it_is_inside_whatever_the_solver_proposes(start, monkeypatch):
    for seed in range(start, start + 100):
        rng, case = random.Random(seed), random_case(seed, longest=8, farthest=15)
        monkeypatch.setattr(intervals, "propose", lambda f, m, basis, radius, rng=rng:
                            wild_proposal(rng, len(m), f))
        low, high = moment_interval(case.h, case.J, support=case.support, tol=case.tol)
        assert low <= case.truth <= high, seed


# The interval is narrow ----------------------------------------------------------------------


def hermite(J, roots):
    """The polynomial of degree < len(roots) with x^J - p divisible by prod (x - root), by SymPy."""
    x = sympy.Symbol("x")
    divisor = sympy.prod([x - sympy.Rational(z.numerator, z.denominator) for z in roots])
    remainder = sympy.Poly(sympy.rem(x**J, sympy.expand(divisor), x), x).all_coeffs()[::-1]
    coefficients = [Fraction(int(c.p), int(c.q)) for c in remainder]
    return coefficients + [Fraction(0)] * (len(roots) - len(coefficients))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("side", ["low", "high"])
def test_it_ends_at_the_exact_optimum(seed, side):
    """Where p touches x^J on all atoms and no sample is on the side of p that it was measured on.

    x^J - p = W q with W = prod (x - z)^2 >= 0, or (x^2 - 1) times such a W, <= 0, and q >= 0 since
    J - k is even. Then p h - tol |p| = p m = m_J: no measure that fits does better.
    """
    rng = random.Random(seed)
    n, J, tol = rng.randint(1, 4), 2 * rng.randint(5, 15), Fraction(1, 10**rng.randint(2, 5))
    inside = [Fraction(z, 10) for z in rng.sample(range(-9, 10), n)]
    ends = [] if side == "low" else [Fraction(-1), Fraction(1)]
    atoms = inside + ends
    weights = [Fraction(rng.randint(3, 30), 10) for _ in atoms]
    p = hermite(J, [*inside, *inside, *ends])
    off = tol if side == "low" else -tol
    h = [moment(atoms, weights, i) + off * ((c > 0) - (c < 0)) for i, c in enumerate(p)]
    low, high = moment_interval(h, J, tol=tol)
    truth = moment(atoms, weights, J)
    assert low <= truth <= high
    # The solver is asked for 1e-10, and a last round of exchange may leave some 1e-7.
    assert (truth - low if side == "low" else high - truth) <= Fraction(1, 10**6) * sum(weights)


def canonical(h, J, ends):
    """m_J of the measure with the moments h whose atoms are the given ends and as few as can be.

    The atoms inside are the roots of the orthogonal polynomial P for prod |x - end| dmu; then
    m_J = sum_i rho_i h_i with rho = x^J mod prod (x - end) P, so that no root is needed.
    """
    x = sympy.Symbol("x")
    factor = sympy.Poly(sympy.prod([x - end for end in ends]), x)
    n = (len(h) - len(ends)) // 2
    monomials = [sympy.Poly(x**i, x) for i in range(n + 1)]

    def integral(p):
        return sum(c * sympy.Rational(h[i].numerator, h[i].denominator)
                   for (i,), c in p.terms() if c)

    gram = sympy.Matrix(n, n + 1, lambda i, j: integral(factor * monomials[i] * monomials[j]))
    lower = gram[:, :n].LUsolve(-gram[:, n])
    P = monomials[n] + sum((lower[i] * monomials[i] for i in range(n)), sympy.Poly(0, x))
    value = integral(sympy.Poly(x**J, x).rem(factor * P))
    return Fraction(int(value.p), int(value.q))


@pytest.mark.parametrize("k, J, low_ends, high_ends, support, tol, width", [
    (11, 21, [-1], [1], (-1, 1), Fraction(1, 10**12), 1.48614e-3),
    (5, 21, [-1], [1], (-1, 1), Fraction(1, 10**12), None),
    (12, 12, [], [-1, 1], (-1, 1), Fraction(1, 10**12), None),
    (12, 100, [], [-1, 1], (-1, 1), Fraction(1, 10**12), None),
    (11, 22, [0], [1], (0, 1), Fraction(1, 10**12), None),
    (11, 45, [0], [1], (0, 1), Fraction(1, 10**12), None),
    (8, 23, [], [0, 1], (0, 1), Fraction(1, 10**10), None),
])
def test_it_is_that_of_gauss_radau_and_lobatto(k, J, low_ends, high_ends, support, tol, width):
    h = [Fraction(1, j + 1) for j in range(k)]
    least, most = (canonical(h, J, ends) for ends in (low_ends, high_ends))
    low, high = moment_interval(h, J, support=support, tol=tol)
    assert low <= least < Fraction(1, J + 1) < most <= high
    # tol may cost sum |p_i|, up to 1e6, and the solver 1e-8 of the width.
    assert (least - low) + (high - most) <= 10**6 * tol + Fraction(1, 10**4) * (most - least)


def test_the_width_that_was_measured_before():
    low, high = moment_interval([Fraction(1, j + 1) for j in range(11)], 22, tol=Fraction(1, 10**9))
    assert abs(high - low - Fraction(1903, 10**6)) < Fraction(1, 10**6)


@pytest.mark.parametrize("k", [5, 6, 8, 12])
@pytest.mark.parametrize("J", [12, 20, 21, 60])
def test_determinate_samples_leave_little(k, J):
    """Two atoms and k >= 5: one measure at tol = 0, and a width that shrinks with tol."""
    atoms, weights = [Fraction(9, 10), Fraction(2, 5)], [Fraction(1), Fraction(1, 2)]
    h = [moment(atoms, weights, i) for i in range(k)]
    for tol in (Fraction(1, 10**6), Fraction(1, 10**9), Fraction(1, 10**12)):
        low, high = moment_interval(h, J, tol=tol)
        assert low <= moment(atoms, weights, J) <= high
        assert high - low <= 5000 * tol  # K* of chapter 8: 962 at J = 20, on either side


def grid_interval(h, J, tol, points):
    """Another program, in monomials with inequalities: m_J of measures on points, so inside."""
    rows = np.vander(points, len(h), increasing=True).T
    limits = np.concatenate([h + tol, tol - h])
    found = [linprog(sign * points**J, A_ub=np.vstack([rows, -rows]), b_ub=limits, method="highs")
             for sign in (1, -1)]
    return found[0].fun, -found[1].fun


@pytest.mark.parametrize("k, J, tol", [(3, 8, 1e-2), (4, 9, 1e-3), (5, 20, 1e-3), (6, 13, 1e-4),
                                       (6, 14, 1e-2), (7, 30, 1e-3)])
def test_it_agrees_with_a_program_on_a_fine_grid(k, J, tol):
    h = np.array([0.9**i + 0.5 * 0.4**i for i in range(k)])
    low, high = moment_interval(h, J, tol=tol)
    least, most = grid_interval(h, J, tol, np.cos(np.linspace(0, np.pi, 4001)))
    # The grid is 8e-4 wide, so its bound is off by the curvature of x^J - p times 1e-7.
    assert least - 2e-5 <= low <= least + 1e-7 and most - 1e-7 <= high <= most + 2e-5


def test_a_trained_lag_is_within_tol_and_more_samples_do_not_widen():
    h = [Fraction(1, j + 1) for j in range(9)]
    intervals = [moment_interval(h[:k], 6, tol=Fraction(1, 10**4)) for k in range(1, 10)]
    for (low, high), (lower, higher) in zip(intervals[1:], intervals, strict=False):
        assert lower - Fraction(1, 10**6) <= low <= high <= higher + Fraction(1, 10**6)
    assert h[6] - Fraction(1, 10**4) <= intervals[-1][0]
    assert intervals[-1][1] <= h[6] + Fraction(1, 10**4)


def test_floats_tensors_and_arrays_count_as_exact():
    h, tol = [0.9**i for i in range(4)], 1e-6
    expected = moment_interval([Fraction(value) for value in h], 7, tol=Fraction(tol))
    for values in (torch.tensor(h, dtype=torch.float64), np.array(h), tuple(h)):
        assert moment_interval(values, 7, support=[-1.0, np.float64(1)], tol=tol) == expected
    big = moment_interval(np.array([2**62, 0]), 2, tol=1)
    assert big[1] >= 2**62


# No measure at all ---------------------------------------------------------------------------


def oscillating(radius, cosine, k):
    h = [Fraction(1), radius * cosine]
    while len(h) < k:
        h.append(2 * radius * cosine * h[-1] - radius**2 * h[-2])
    return h[:k]


def signed(k, negative):
    atoms = [Fraction(9, 10), Fraction(2, 5), Fraction(-1, 2)]
    return [moment(atoms, [Fraction(1), Fraction(1, 2), -negative], i) for i in range(k)]


@pytest.mark.parametrize("h, tol", [
    ([-1, 0], Fraction(1, 2)),
    ([Fraction(-1, 10), Fraction(3, 10)], Fraction(1, 10)),  # mass 0 at most, and a mean
    ([1, 2], Fraction(1, 10)),  # a pole above 1
    ([1, Fraction(1, 2), Fraction(1, 5)], Fraction(1, 100)),  # a variance below 0
    (signed(8, Fraction(1, 10)), Fraction(1, 1000)),
    (signed(5, Fraction(1, 10**7)), Fraction(1, 10**12)),
    (signed(12, Fraction(1, 10**9)), Fraction(1, 10**12)),
    (oscillating(Fraction(9, 10), Fraction(4, 5), 3), Fraction(1, 100)),
    (oscillating(Fraction(1, 2), Fraction(4, 5), 4), Fraction(1, 100)),
    (oscillating(Fraction(9, 10), Fraction(-3, 5), 8), Fraction(1, 10**6)),
])
@pytest.mark.parametrize("J", [0, 2, 9, 20])
def test_an_empty_set_is_proved_and_refused(h, tol, J):
    with pytest.raises(ValueError, match=r"nonnegative measure on \[-1, 1\]: there is none"):
        moment_interval(h, J, tol=tol)


def test_the_measure_zero_is_a_measure():
    assert moment_interval([Fraction(-1, 10), 0], 3, tol=Fraction(1, 10)) == (0, 0)
    low, high = moment_interval([0, 0], 3, tol=Fraction(1, 10))
    assert low <= 0 <= high <= Fraction(11, 100)


def test_the_support_matters():
    h, tol = [1, Fraction(-1, 2)], Fraction(1, 100)
    assert moment_interval(h, 3, tol=tol)
    with pytest.raises(ValueError, match=r"on \[0, 1\]"):
        moment_interval(h, 3, support=(0, 1), tol=tol)


# The solver fails ----------------------------------------------------------------------------


def test_looser_tolerances_serve_where_the_solver_gives_up(monkeypatch):
    tried, h = [], [1, Fraction(1, 2), Fraction(1, 3)]
    expected = moment_interval(h, 6, tol=Fraction(1, 10**6))

    def stubborn(*args, options, **settings):
        tried.append(options["dual_feasibility_tolerance"])
        if tried[-1] < 1e-8:
            return SimpleNamespace(status=4)
        return linprog(*args, options=options, **settings)

    monkeypatch.setattr(proposals, "linprog", stubborn)
    low, high = moment_interval(h, 6, tol=Fraction(1, 10**6))
    assert set(tried) == {1e-10, 1e-8}
    assert max(abs(low - expected[0]), abs(high - expected[1])) < Fraction(1, 10**5)


def test_without_a_solver_the_mass_still_bounds(monkeypatch):
    monkeypatch.setattr(proposals, "linprog", lambda *args, **settings: SimpleNamespace(status=4))
    assert moment_interval([1, 0], 3, tol=Fraction(1, 10)) == (Fraction(-11, 10), Fraction(11, 10))
    assert moment_interval([1, 0], 1, tol=Fraction(1, 10)) == (Fraction(-1, 10), Fraction(1, 10))


# Its exact parts -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_excess_is_the_greatest_excess_and_no_less(seed):
    """Beside the values on a fine grid, which are at most the greatest, exactly."""
    rng = random.Random(seed)
    a, b = rng.choice([(Fraction(-1), Fraction(1)), (Fraction(0), Fraction(1)),
                       (Fraction(-1), Fraction(-1, 3)), (Fraction(-1, 2), Fraction(1))])
    J, sign, slack = rng.randint(0, 30), rng.choice([1, -1]), Fraction(1, 10**9)
    p = [Fraction(rng.randint(-99, 99), 50) for _ in range(rng.randint(1, 8))]
    v = excess(p, sign, J, a, b, slack)
    xs = [a + (b - a) * Fraction(i, 1000) for i in range(1001)]
    seen = max(0, *(evaluate(p, x) - sign * x**J for x in xs))
    assert seen <= v <= seen * Fraction(8, 7) + Fraction(1, 1000)  # f'' < 4000: 1e-6 / 8 of it


def test_excess_finds_a_peak_between_cells():
    """p = 1/1000 - (x - z)^2 stands above 0 on a short stretch only."""
    z = Fraction(271, 1000)
    p = [Fraction(1, 1000) - z * z, 2 * z, Fraction(-1)]
    v = excess([*p, 0, 0], 1, 40, *UNIT, Fraction(1, 10**12))
    assert Fraction(1, 1000) - z**40 <= v <= Fraction(8, 7 * 1000)


def test_excess_needs_no_repair_where_p_only_touches():
    for J in (4, 20, 80):
        p = hermite(J, [Fraction(1, 3)] * 2 + [Fraction(-1, 2)] * 2)
        assert 0 <= excess(p, 1, J, *UNIT, Fraction(1, 10**12)) <= Fraction(1, 10**12)


@pytest.mark.parametrize("seed", range(80))
def test_powers_lie_between_what_the_roots_make(seed):
    rng = random.Random(seed)
    a, b = rng.choice([(Fraction(-1), Fraction(1)), (Fraction(1, 4), Fraction(1)),
                       (Fraction(-1), Fraction(1, 2))])
    inside = [rng.choice([a, b, Fraction(rng.randint(-9, 9), 9)]) for _ in range(rng.randint(0, 3))]
    roots = [*inside, *inside, *rng.choice([[], [a], [b], [a, b]])]
    J = rng.randint(0, 15)
    w, rho, least, most = divide_power(J, roots, a, b)
    for i in range(101):
        x = a + (b - a) * Fraction(i, 100)
        assert evaluate(w, x) >= 0
        gap = x**J - evaluate(rho, x)
        assert least * evaluate(w, x) <= gap <= most * evaluate(w, x)
    if len(roots) <= J:  # and no closer bounds do: they are reached, or all but reached
        ratios = [(x**J - evaluate(rho, x)) / evaluate(w, x)
                  for x in (a + (b - a) * Fraction(i, 997) for i in range(998)) if evaluate(w, x)]
        scale = max(map(abs, ratios)) + 1
        assert min(ratios) - least <= scale / 50 and most - max(ratios) <= scale / 50


def test_chebyshev_is_numpys():
    rows = chebyshev(7, Fraction(1, 4), Fraction(3, 4))
    for j, row in enumerate(rows):
        expected = np.polynomial.Chebyshev.basis(j, domain=[-0.5, 1]).convert(
            kind=np.polynomial.Polynomial).coef
        assert np.allclose([float(c) for c in row], np.pad(expected, (0, 6 - j)), rtol=1e-12)
    assert evaluate(rows[3], Fraction(5, 8)) == 4 * Fraction(1, 2)**3 - 3 * Fraction(1, 2)


# Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("change, said", [
    ({"h": []}, "h must hold numbers"),
    ({"h": 1.0}, "h must hold numbers"),
    ({"h": "half"}, "h must hold numbers"),
    ({"h": [[1, 2]]}, "h must hold Fractions, integers or float64, got \\[1, 2\\]"),
    ({"h": [1, "2"]}, "got '2'"),
    ({"h": [1, True]}, "got True"),
    ({"h": [1, 1j]}, "got 1j"),
    ({"h": [1, None]}, "got None"),
    ({"h": [1, float("nan")]}, "h must be finite and within float64, got nan"),
    ({"h": [1, float("inf")]}, "h must be finite and within float64, got inf"),
    ({"h": torch.ones(3)}, "h must hold numbers.*float32"),
    ({"h": np.ones(3, dtype=np.float32)}, "h must hold numbers.*float32"),
    ({"h": [np.float32(1)]}, "h must hold Fractions"),
    ({"h": torch.ones(2, 2, dtype=torch.float64)}, "h must hold numbers"),
    ({"h": torch.ones(2, dtype=torch.bool)}, "h must hold numbers.*bool"),
    ({"J": -1}, "J must be an integer >= 0, got -1"),
    ({"J": 2.0}, "J must be an integer >= 0, got 2.0"),
    ({"J": True}, "J must be an integer >= 0"),
    ({"support": (1, -1)}, "support must be .a, b. with a < b"),
    ({"support": (1, 1)}, "support must be .a, b. with a < b"),
    ({"support": (0, 1, 2)}, "support must hold 2 numbers"),
    ({"support": 1}, "support must hold 2 numbers"),
    ({"support": (-1, float("inf"))}, "support must be finite"),
    ({"tol": 0}, "tol must be positive"),
    ({"tol": -1e-3}, "tol must be positive"),
    ({"tol": float("nan")}, "tol must be finite"),
    ({"tol": "small"}, "tol must hold Fractions"),
    ({"tol": None}, "tol must hold Fractions"),
])
def test_bad_input_is_refused(change, said):
    good = {"h": [1, Fraction(1, 2)], "J": 3, "support": (-1, 1), "tol": Fraction(1, 1000)}
    assert moment_interval(good.pop("h"), good.pop("J"), **good)
    call = {"h": [1, Fraction(1, 2)], "J": 3, **good} | change
    with pytest.raises(ValueError, match=said):
        moment_interval(call.pop("h"), call.pop("J"), **call)
