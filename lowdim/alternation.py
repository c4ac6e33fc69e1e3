"""Best uniform approximation of x^J by polynomials of lower degree, by alternation (Remez)."""

from collections.abc import Callable
from math import comb

import numpy as np

from lowdim.inputs import require_length


def polynomial_gap(J: int, k: int) -> float:
    """E = min over polynomials p, deg p < k, of max |x^J - p(x)| on [-1, 1].

    Two measures >= 0 on [-1, 1] of mass M with the same first k moments differ by at most 2 M E in
    the J-th, and some pair does. E = 0 for J < k, 2^{1-J} for J = k, and at most P(|Y_J| >= k) for
    the simple random walk Y. It grows with J within a parity, not from J to J + 1. Relative error
    below 1e-11, also where E is tiny (that of float64 below 1e-300). Raises ValueError unless
    J >= 0 and k >= 1 are integers. Source: clm-random-walk, clm-horizon-attained.

    >>> polynomial_gap(3, 4), polynomial_gap(2, 1), polynomial_gap(5, 5)
    (0.0, 0.5, 0.0625)
    """
    J, k = require_length(J, "J", least=0), require_length(k, "k")
    if J < k:
        return 0.0
    # x^J = sum_m P(|Y_J| = m) T_m: p takes all terms with m < k, and E is the gap of the others.
    first = k + (J - k) % 2
    m = np.arange(first, J - 1, 2)
    tail = np.cumprod([1.0, *(J - m) / (J + m + 2)])  # P(|Y_J| = m) / P(|Y_J| = first)
    size = comb(J, (J + first) // 2) / 2 ** (J - 1)
    return size * _gap_of_tail(tail[tail > 1e-25], first)


def _gap_of_tail(tail: np.ndarray, first: int) -> float:
    """The gap of sum_i tail_i T_{first + 2i} to polynomials of lower degree: Remez's exchange.

    With x = cos t and by parity all are sums of cosines on [0, pi/2]. The error has one zero
    between neighbours of a reference on which it alternates, one extremum between neighbouring
    zeros, and one beyond the last zero (Descartes' rule of signs, in x).
    """
    waves = np.r_[np.arange(first % 2, first, 2), first + 2 * np.arange(len(tail))]
    rank = first // 2  # waves below first
    t = np.pi * np.arange(rank + 1) / first  # the extrema of T_first
    signs, gap = (-1.0) ** np.arange(rank + 1), 0.0
    while True:
        low, high = np.split(np.cos(np.outer(t, waves)), [rank], axis=1)
        *fit, level = np.linalg.solve(np.c_[low, signs], high @ tail)
        if level <= gap * (1 + 1e-14):  # the level on a reference rises to the gap
            return float(max(level, gap))
        gap, error = level, np.r_[np.negative(fit), tail]
        zeros = _root(lambda t, error=error: np.cos(np.outer(t, waves)) @ error, t[:-1], t[1:])
        t[1:] = _root(lambda t, error=error: np.sin(np.outer(t, waves)) @ (waves * error),
                      zeros, np.r_[zeros[1:], np.pi / 2])


def _root(f: Callable[[np.ndarray], np.ndarray], left: np.ndarray,
          right: np.ndarray) -> np.ndarray:
    """Where f changes its sign between left and right, or right if it does not: by bisection."""
    positive = f(left) > 0
    for _ in range(27):  # a node off by 1e-8 costs 1e-16
        middle = (left + right) / 2
        same = (f(middle) > 0) == positive
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return right
