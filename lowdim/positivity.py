"""Exact polynomials on an interval [a, b], and how they compare with x^J there.

A polynomial is the list of its rational coefficients, constant first.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import comb

import numpy as np

Polynomial = Sequence[Fraction]

BITS = 192  # excess counts in units of 2^-192: 60 halvings, each off by one, stay below any slack


def dot(p: Iterable[Fraction], q: Iterable[Fraction]) -> Fraction:
    """sum_i p_i q_i, of equal lengths.

    With the coefficients of a polynomial and moments: the integral of the polynomial.
    """
    return sum((c * d for c, d in zip(p, q, strict=True)), Fraction(0))


def chebyshev(k: int, middle: Fraction, half: Fraction) -> list[list[Fraction]]:
    """k coefficients each of T_j((x - middle) / half), j < k.

    >>> [[int(c) for c in row] for row in chebyshev(3, Fraction(0), Fraction(1))]
    [[1, 0, 0], [0, 1, 0], [-1, 0, 2]]
    """
    rows = [[Fraction(1)], [-middle / half, 1 / half]]
    while len(rows) < k:
        twice = [2 * c for c in _multiply(rows[1], rows[-1])]
        rows.append([c - d for c, d in zip(twice, [*rows[-2], 0, 0], strict=True)])
    return [[*row, *[Fraction(0)] * (k - len(row))] for row in rows[:k]]


def divide_power(J: int, roots: Sequence[Fraction], a: Fraction, b: Fraction
                 ) -> tuple[list[Fraction], list[Fraction], Fraction, Fraction]:
    """w, rho, least, most with rho + least w <= x^J <= rho + most w on [a, b].

    w = ±prod (x - root) has the sign that makes it >= 0 if the roots inside [a, b] are double, and
    x^J = q w + rho with rho of lower degree than w. Up to that sign q(x) is the divided difference
    of x^J at the roots and x. So q, q' and q'' are multiples of complete homogeneous polynomials,
    which are >= 0 if their degree is even (Hunter 1977): of odd degree q grows; of even degree it
    is convex, largest at an end, and above its tangent where q' all but vanishes. Only the choice
    of that point is left to floats. Nothing is claimed if w changes its sign.

    >>> w, rho, least, most = divide_power(4, [Fraction(0)] * 2, Fraction(-1), Fraction(1))
    >>> [int(c) for c in w], [int(c) for c in rho], int(least), int(most)  # 0 <= x^4 <= x^2
    ([0, 0, 1], [0, 0], 0, 1)
    """
    w = [Fraction(1)]
    for root in roots:
        w = _multiply(w, [-root, Fraction(1)])
    degree = len(roots)
    rho, quotient = [Fraction(i == J) for i in range(max(J + 1, degree))], []
    while len(rho) > degree:
        quotient.append(rho.pop())
        for i, c in enumerate(w[:-1]):
            rho[i - degree] -= quotient[-1] * c
    least, most = _quotient_range(quotient[::-1], a, b)
    if roots.count(b) % 2:
        return [-c for c in w], rho, -most, -least
    return w, rho, least, most


def _quotient_range(q: Polynomial, a: Fraction, b: Fraction) -> tuple[Fraction, Fraction]:
    at_a, at_b = evaluate(q, a), evaluate(q, b)
    if len(q) % 2 == 0 or len(q) == 1:
        return at_a, at_b
    slope = [i * c for i, c in enumerate(q)][1:]
    if evaluate(slope, a) >= 0 or evaluate(slope, b) <= 0:
        return min(at_a, at_b), max(at_a, at_b)
    rough, left, right = [float(c) for c in slope], float(a), float(b)
    for _ in range(60):
        middle = (left + right) / 2
        below = np.polynomial.polynomial.polyval(middle, rough) < 0
        left, right = (middle, right) if below else (left, middle)
    x = Fraction(left)
    return evaluate(q, x) - abs(evaluate(slope, x)) * (b - a), max(at_a, at_b)


def evaluate(p: Polynomial, x: Fraction) -> Fraction:
    """p(x), by Horner's rule.

    No coefficients are the polynomial 0.
    """
    value = Fraction(0)
    for c in reversed(p):
        value = value * x + c
    return value


def _multiply(p: Polynomial, q: Polynomial) -> list[Fraction]:
    product = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, c in enumerate(p):
        for j, d in enumerate(q):
            product[i + j] += c * d
    return product


def excess(p: Polynomial, sign: int, J: int, a: Fraction, b: Fraction,
           slack: Fraction) -> Fraction:
    """A number v >= 0 with p(x) <= sign x^J + v on all of [a, b].

    f = sign x^J - p lies above its least Bernstein coefficient (Farouki 2012). Cells are halved
    until this proves, up to slack and an eighth, that f is as high as 0 and its values at the ends
    of all cells seen; without these a cell with f < 0 would be halved for ever. Coefficients count
    units of 2^-192 and are rounded down. Needs |a|, |b| <= 1, and slack >= 2^-128.
    """
    cells = [_bernstein(p, sign, J, a, b)]
    seen, proved = min(0, cells[0][0], cells[0][-1]), 0
    while cells:
        f = cells.pop()
        if min(f) >= seen + seen // 8 - _floor(slack):
            proved = min(proved, *f)
            continue
        left, right = _halve(f)
        seen = min(seen, right[0])
        cells += [left, right]
    return Fraction(-proved, 1 << BITS)


def _bernstein(p: Polynomial, sign: int, J: int, a: Fraction, b: Fraction) -> list[int]:
    """Bernstein coefficients of sign x^J - p on [a, b], in units, rounded down.

    Those of x^i in degree n are its polar form: the mean of all products of i of the n numbers
    a, …, a, b, …, b, where b stands j times, j = 0, …, n.
    """
    n = max(J, len(p) - 1)
    powers_a, powers_b = ([x**i for i in range(n + 1)] for x in (a, b))

    def polar(i: int, j: int) -> Fraction:
        total = sum(comb(j, m) * comb(n - j, i - m) * powers_b[m] * powers_a[i - m]
                    for m in range(max(0, i + j - n), min(i, j) + 1))
        return total / comb(n, i)

    return [_floor(sign * polar(J, j) - sum(c * polar(i, j) for i, c in enumerate(p)))
            for j in range(n + 1)]


def _halve(f: list[int]) -> tuple[list[int], list[int]]:
    """Bernstein coefficients on the two halves (de Casteljau), each mean rounded down."""
    left, right = [], []
    while f:
        left.append(f[0])
        right.append(f[-1])
        f = [(c + d) >> 1 for c, d in pairwise(f)]
    return left, right[::-1]


def _floor(x: Fraction) -> int:
    return (x.numerator << BITS) // x.denominator
