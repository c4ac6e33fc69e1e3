"""The narrowest interval that k samples of a nonnegative measure leave to a later moment."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from lowdim.inputs import require_fractions, require_length
from lowdim.positivity import Polynomial, chebyshev, divide_power, dot, excess
from lowdim.proposals import propose


def moment_interval(h: Any, J: int, *, support: Any = (-1, 1),
                    tol: Any) -> tuple[Fraction, Fraction]:
    """(low, high), which hold m_J = ∫ x^J dmu for every measure mu >= 0 that fits h.

    mu lives on support = (a, b), a < b any finite numbers, and |m_i - h_i| <= tol for i < k, with
    k = len(h). A polynomial p of degree < k with p(x) <= x^J + v on [a, b], v >= 0, proves

        m_J >= sum_i p_i h_i - tol sum_i |p_i| - v (h_0 + tol),

    since mu has mass at most h_0 + tol; -x^J gives the other side. Floats only propose p, by a
    linear program, or roots of x^J - p, as in Gauss, Radau and Lobatto quadrature. Then v and the
    bound are computed exactly, so the interval is right whatever the solver does; how narrow it is
    depends on the solver. From 0.03 to 0.5 s for k <= 12, J <= 100; later, faster than J^2.

    h: list or tensor of k Fractions, integers or float64, which are taken as exact; tol > 0, a and
    b: one of these. Raises ValueError for other arguments, and if the bounds cross, which proves
    that no measure fits h (if the least tol with a measure is a little larger, this may go unseen).
    Source: clm-interval; duality as in Krein & Nudelman (1977).

    >>> low, high = moment_interval([1, 0, Fraction(1, 4)], 4, tol=Fraction(1, 10**9))
    >>> round(float(low), 6), round(float(high), 6)  # atoms at -1/2 and 1/2, or at -1, 0 and 1
    (0.0625, 0.25)
    """
    h, J = require_fractions(h, "h"), require_length(J, "J", least=0)
    (a, b), (tol,) = require_fractions(support, "support", 2), require_fractions([tol], "tol", 1)
    if a >= b:
        raise ValueError(f"support must be (a, b) with a < b, got {support!r}")
    if tol <= 0:
        raise ValueError(f"tol must be positive, got {float(tol)}")
    # What the mass alone allows; in units of it and of the largest |x| every moment is at most 1.
    mass, unit = h[0] + tol, max(abs(a), abs(b))
    limits = [(mass * min(0, a**i, b**i), mass * max(0, a**i, b**i))
              for i in (*range(len(h)), J)]
    known = [(max(low, value - tol), min(high, value + tol))
             for (low, high), value in zip(limits, h, strict=False)]
    low, high = known[J] if J < len(h) else limits[-1]
    feasible = all(least <= most for least, most in known)
    if feasible and mass > 0:
        scales = [2 * mass * unit**i for i in range(len(h))]
        centre = [sum(ends) / scale for ends, scale in zip(known, scales, strict=True)]
        radius = [(most - least) / s for (least, most), s in zip(known, scales, strict=True)]
        slack = max(tol / mass, Fraction(1, 2**80)) / 2**20
        lower, upper = _unit_interval(centre, radius, J, a / unit, b / unit, slack)
        low, high = max(low, mass * unit**J * lower), min(high, mass * unit**J * upper)
    if not feasible or low > high:
        raise ValueError(f"h must be within tol = {float(tol):.3g} of the moments of a nonnegative "
                         f"measure on [{float(a):.6g}, {float(b):.6g}]: there is none")
    return low, high


def _unit_interval(h: Polynomial, radius: Polynomial, J: int, a: Fraction, b: Fraction,
                   slack: Fraction) -> tuple[Fraction, Fraction]:
    """moment_interval for mass at most 1, [a, b] in [-1, 1], and a tol of its own for each h_i."""
    middle, half = (a + b) / 2, (b - a) / 2
    basis = chebyshev(len(h), middle, half)
    moments = np.array([_clipped(dot(row, h)) for row in basis])
    columns = np.array([[_clipped(c) for c in row] for row in basis])
    radii = np.array([float(r) for r in radius])
    best = {1: Fraction(-1), -1: Fraction(-1)}  # lower bounds of m_J and of -m_J
    for sign in best:
        proposal = propose(lambda t, s=sign: s * (float(middle) + float(half) * t) ** J,
                           moments, columns, radii)
        if proposal is None:
            continue
        for inside, at_ends in proposal.sets:
            roots = [middle + half * Fraction(round(t * 2**30), 2**30) for t in inside] * 2
            roots += [end for end, present in zip((a, b), at_ends, strict=True) if present]
            for side, bound in _from_roots(roots, h, radius, J, a, b).items():
                best[side] = max(best[side], bound)
        y = [Fraction(float(c)) for c in proposal.y]
        p = [dot(y, column) for column in zip(*basis, strict=True)]
        value = _guaranteed(p, h, radius)
        if value + Fraction(float(proposal.margin)) > best[sign]:
            best[sign] = max(best[sign], value - excess(p, sign, J, a, b, slack))
    return best[1], -best[-1]


def _from_roots(roots: Sequence[Fraction], h: Polynomial, radius: Polynomial, J: int, a: Fraction,
                b: Fraction) -> dict[int, Fraction]:
    """Lower bounds of m_J (key 1) and -m_J (key -1), if prod (x - root) has one sign on [a, b].

    rho + least w <= x^J <= rho + most w serve where w has degree below k. At degree k the multiple
    of w >= 0 is left out if it helps, and counts by w <= (b - a)^k if it does not. Where samples
    say that ∫ w dmu < 0, no measure is left, and 2, above any moment, bounds both.
    """
    bounds, k = {}, len(h)
    w, rho, least, most = divide_power(J, roots, a, b)
    if len(w) <= k and _guaranteed([-c for c in w], h, radius) > 0:
        return {1: Fraction(2), -1: Fraction(2)}
    for sign, factor in ((1, least), (-1, -most)):
        p, v = [sign * c for c in rho], max(Fraction(0), -factor) * (b - a) ** k
        if len(w) <= k:
            p, v = [c + factor * d for c, d in zip([*p, Fraction(0)], w, strict=True)], Fraction(0)
        bounds[sign] = _guaranteed(p, h, radius) - v
    return bounds


def _guaranteed(p: Polynomial, h: Polynomial, radius: Polynomial) -> Fraction:
    """The least ∫ p dmu that |m_i - h_i| <= radius_i allows, for p with at most k coefficients."""
    return dot(p, h[:len(p)]) - dot([abs(c) for c in p], radius[:len(p)])


def _clipped(x: Fraction) -> float:
    """x as a float for the solver, to which 1e6 is as good as infinity where moments are at most 1.
    """
    return float(max(-10**6, min(10**6, x)))
