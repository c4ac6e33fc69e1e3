"""Floating-point proposals for the moment problem: a linear program and the points it finds.

Nothing here is proved: lowdim.intervals makes exact bounds of what is proposed, and bad proposals
make wide ones.
"""

from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebvander
from scipy.optimize import OptimizeResult, least_squares, linprog

ROUNDS = 8
MESH = np.linspace(np.pi, 0, 2001)  # angles; their cosines resolve t^100, whose width at 1 is 0.14
BOX = 1e6  # bound on the coefficients of p: where no measure fits, the program has no other
NEGLIGIBLE = 1e-10  # the accuracy that is asked of the solver, where all moments are at most 1


class Proposal(NamedTuple):
    """A polynomial p = sum_j y_j T_j, the least of f - p and 0, and sets of points.

    Each set is (inside, ends): points of (-1, 1), and which of the ends -1 and 1 belong to it.
    """

    y: np.ndarray
    margin: float
    sets: list[tuple[np.ndarray, tuple[bool, bool]]]


def propose(f: Callable[[np.ndarray], np.ndarray], moments: np.ndarray, basis: np.ndarray,
            radius: np.ndarray) -> Proposal | None:
    """p <= f on [-1, 1], nearly, of the greatest integral that the moments guarantee.

    It is the dual solution of: least ∫ f dmu over measures mu >= 0 on finitely many points, whose
    Chebyshev moments are moments + basis @ delta with |delta_i| <= radius_i. After each round the
    points where p exceeds f most join the others (exchange, as in Remez' algorithm).
    Shapes: moments and radius (k,), basis (k, k), f (N,) -> (N,). None if the solver fails at once.
    """
    points, last = np.cos(MESH[::20]), None
    for _ in range(ROUNDS):
        found = _solve(f(points), points, moments, basis, radius)
        if found is None:
            break
        y = found.eqlin.marginals
        lowest, gap = _minima(lambda t, y=y: f(t) - chebvander(t, len(y) - 1) @ y)
        last = y, min(0.0, gap.min()), points, found.x[:len(points)]
        if gap.min() > -NEGLIGIBLE:
            break
        points = np.sort(np.append(points, lowest[gap < -NEGLIGIBLE]))
    return None if last is None else Proposal(*last[:2], _point_sets(*last[2:], moments))


def _solve(cost: np.ndarray, points: np.ndarray, moments: np.ndarray, basis: np.ndarray,
           radius: np.ndarray) -> OptimizeResult | None:
    """The program on these points; any moment may be missed, at BOX a unit."""
    k, miss = len(moments), np.eye(len(moments))
    A = np.hstack([chebvander(points, k - 1).T, basis, miss, -miss])
    cost = np.concatenate([cost, np.zeros(k), np.full(2 * k, BOX)])
    bounds = [(0, None)] * len(points) + [(-r, r) for r in radius] + [(0, None)] * (2 * k)
    for accuracy in (NEGLIGIBLE, 1e-8, 1e-6):  # HiGHS gives up (status 4) now and then
        options = {"primal_feasibility_tolerance": accuracy,
                   "dual_feasibility_tolerance": accuracy}
        found = linprog(cost, A_eq=A, b_eq=moments, bounds=bounds, method="highs-ds",
                        options=options)
        if found.status == 0:
            return found
    return None


def _minima(gap: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The local minima of gap, and their values: vertices of parabolas through three angles."""
    values = gap(np.cos(MESH))
    i = 1 + np.flatnonzero((values[1:-1] < values[:-2]) & (values[1:-1] <= values[2:]))
    before, at, after = values[i - 1], values[i], values[i + 1]
    step = (before - after) / (before - 2 * at + after) / 2
    vertices = np.cos(MESH[i] + step * (MESH[1] - MESH[0]))
    vertices = np.append(vertices, [-1.0, 1.0])
    return vertices, gap(vertices)


def _point_sets(points: np.ndarray, weights: np.ndarray,
                moments: np.ndarray) -> list[tuple[np.ndarray, tuple[bool, bool]]]:
    """The one, two, … heaviest places where the measure sits, each set fitted to the moments.

    Neighbours that carry mass stand for one place between them. A set ends before its places, two
    roots each inside and one at an end, are more than the k moments.
    """
    runs = [list(run) for full, run in groupby(range(len(points)), lambda i: weights[i] > 0)
            if full]
    places, sets = [], []
    for run in sorted(runs, key=lambda run: -weights[run].sum()):
        at_end = {-1.0, 1.0} & set(points[run])
        places.append(at_end.pop() if at_end else points[run] @ weights[run] / weights[run].sum())
        inside = np.array([t for t in places if abs(t) < 1])
        ends = [t for t in (-1.0, 1.0) if t in places]
        if 2 * len(inside) + len(ends) > len(moments):
            break
        sets.append((_fit(inside, ends, moments), (-1.0 in places, 1.0 in places)))
    return sets


def _fit(inside: np.ndarray, ends: list[float], moments: np.ndarray) -> np.ndarray:
    """The points inside, moved so that weights on them and on the ends give the moments."""
    n, degree = len(inside), len(moments) - 1
    if not n:
        return inside
    derivatives = chebder(np.eye(degree + 1))

    def matrix(t: np.ndarray) -> np.ndarray:
        return chebvander(np.append(t, ends), degree).T

    def jacobian(z: np.ndarray) -> np.ndarray:
        slopes = (chebvander(z[:n], degree - 1) @ derivatives).T
        return np.hstack([slopes * z[n:2 * n], matrix(z[:n])])

    weights = np.linalg.lstsq(matrix(inside), moments)[0]
    fitted = least_squares(lambda z: matrix(z[:n]) @ z[n:] - moments, np.append(inside, weights),
                           jac=jacobian, method="lm", xtol=1e-15, ftol=1e-15, max_nfev=20)
    return np.clip(np.nan_to_num(fitted.x[:n]), -1, 1)
