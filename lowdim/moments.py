"""What the first k samples of a nonnegative measure on [-1, 1] say of its later moments.

Floating point only chooses where to look (nodes, test polynomials); every inequality that is
returned was evaluated in fractions.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from math import comb, lcm
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal
from torch import Tensor

from lowdim.alternation import polynomial_gap
from lowdim.inputs import require_fractions, require_length
from lowdim.intervals import moment_interval
from lowdim.rnn import LinearRNN, require_rnn
from lowdim.structure import spectral_measure

__all__ = ["Certificate", "certificate", "exact_response", "moment_interval", "polynomial_gap",
           "stability_constant"]


class Certificate(NamedTuple):
    """What certificate returns: bounds for the lags 0 … horizon, or the reason why there are none.

    low <= h* <= high and |h - h*| <= bound, as Fractions; status is "certified" or "refused".
    """

    low: tuple[Fraction, ...]
    high: tuple[Fraction, ...]
    bound: tuple[Fraction, ...]
    status: str
    reason: str


def stability_constant(n: int, J: int) -> float:
    """tau_{2n+1}(J) = sum_{j <= 2n} 2^j C(J - 2n - 1 + j, j), which bounds the error at lag J.

    If a measure with n atoms and any other, both nonnegative and on [-1, 1], differ by at most
    delta in the moments 0 … 2n, then by at most tau delta in moment J. A number without unit.
    Raises ValueError for n < 1, J <= 2n, or a value beyond float64. Source: clm-moment-stability.

    >>> stability_constant(1, 3), stability_constant(2, 20)
    (7.0, 69121.0)
    """
    n = require_length(n, "n")
    J = require_length(J, "J", least=2 * n + 1)
    try:
        return float(sum(2**j * comb(J - 2 * n - 1 + j, j) for j in range(2 * n + 1)))
    except OverflowError:
        raise ValueError(f"n and J must give a constant within float64, got {n} and {J}") from None


def certificate(student: LinearRNN, h_teacher: Sequence[Any] | Tensor, horizon: int, *,
                degree: int, sample_error: Any = 0,
                nodes: str | Sequence[Any] | None = None) -> Certificate:
    """Bounds on the student's error at the lags 0 … horizon, for every teacher that fits.

    A teacher fits if h*_j = int x^j dT with T >= 0 on [-1, 1] and its samples j < k are within
    sample_error of the k numbers of h_teacher. Then low_j <= h*_j <= high_j and
    |h_j - h*_j| <= bound_j. Nothing is asked of the student, whose h_j is evaluated exactly. For
    s <= degree nodes z the square P = prod (x - z_i)^2 divides x^j = q P + rho, and q lies between
    q(-1) and q(1) for odd j, between 0 and the larger of them for even j. So the samples, through
    int (rho + q_low P) dT and int (rho + q_high P) dT, bound int x^j dT. All nodes at hand are
    used: near the teacher's atoms they make the bounds tight, elsewhere loose, never wrong.

    Shapes: student without batch; h_teacher (k,), of Fractions, integers, or floats, which are
    taken as exact. (The float samples of a teacher with few atoms are those of another measure, or
    of none: give Fractions, or a sample_error of 2^-48 max |h|.) nodes: "student", the poles of
    largest weight of its symmetric part; "samples", their Gauss nodes; rational numbers, at most
    degree of them, of which each s takes the first s; None, both. status is "certified", or
    "refused" with the reason and no bounds: if 2 degree + 1 > k, or if an exact square or an empty
    interval shows that no such teacher exists. Raises ValueError for malformed arguments. Source:
    clm-certificate.

    >>> from lowdim.teachers import modal_teacher
    >>> certificate(modal_teacher([0.5], [1.0]), [1, 0.5, 0.25], 3, degree=1).bound[3]
    Fraction(0, 1)
    """
    response = exact_response(student, require_length(horizon, "horizon", least=0) + 1)
    samples, degree = require_fractions(h_teacher, "h_teacher"), require_length(degree, "degree")
    (error,) = require_fractions([sample_error], "sample_error", 1)
    if error < 0:
        raise ValueError(f"sample_error must not be negative, got {sample_error!r}")
    families = _families(nodes, student, samples, degree)
    if 2 * degree + 1 > len(samples):
        return _refused(f"degree {degree} needs {2 * degree + 1} samples, got {len(samples)}")
    if square := _refuting_square(samples, error):
        return _refused(f"no measure >= 0 on [-1, 1] has these samples: {square}")
    low, high = [], []
    sides = zip(*(_sides(z, samples, error, len(response)) for z in families), strict=True)
    for j, lag in enumerate(sides):
        known = [(samples[j] - error, samples[j] + error)] if j < len(samples) else []
        lows, highs = zip(*lag, *known, strict=True)
        low.append(max(lows))
        high.append(min(highs))
        if low[j] > high[j]:
            return _refused(f"no measure >= 0 on [-1, 1] has these samples: its moment {j} would "
                            f"lie above {_shown(low[j])} and below {_shown(high[j])}")
    bound = (max(h - lo, hi - h) for h, lo, hi in zip(response, low, high, strict=True))
    return Certificate(tuple(low), tuple(high), tuple(bound), "certified", "")


def exact_response(rnn: LinearRNN, length: int) -> list[Fraction]:
    """h_j = C A^j B, j < length, of the very numbers that float64 holds, without rounding.

    Shapes: rnn without batch -> length Fractions. Raises ValueError for a malformed rnn or one
    with a batch.
    """
    A, B, C = matrices = require_rnn(rnn)
    if A.ndim > 2:
        raise ValueError(f"the student must be one, without batch axes, got {tuple(A.shape[:-2])}")
    ratios = [[[x.as_integer_ratio() for x in row] for row in M.tolist()] for M in matrices]
    units = [lcm(*(q for row in M for _, q in row)) for M in ratios]  # powers of two
    A, B, C = (np.array([[p * (unit // q) for p, q in row] for row in M], dtype=object)
               for M, unit in zip(ratios, units, strict=True))
    response, unit = [], units[1] * units[2]
    for _ in range(length):
        response.append(Fraction((C @ B).item(), unit))
        B, unit = A @ B, unit * units[0]
    return response


def _shown(x: Fraction) -> str:
    return f"{Decimal(x.numerator) / x.denominator:.4g}"  # of any size


def _refused(reason: str) -> Certificate:
    return Certificate((), (), (), "refused", reason)


def _sides(nodes: Sequence[Fraction], samples: list[Fraction], error: Fraction,
           length: int) -> Iterator[tuple[Fraction, Fraction]]:
    """The sides between which int x^j dT lies, j < length, from the square with these double roots.

    From x^j = q P + rho follows x^{j+1} = (x q + lead) P + (x rho - lead P), where lead is the
    coefficient of rho at x^{2s-1}; of q the values at -1 and 1 are enough.
    """
    P = [Fraction(1)]
    for z in (z for z in nodes for _ in range(2)):
        P = [a - z * b for a, b in zip([0, *P], [*P, 0], strict=True)]
    rho = [Fraction(i == 0) for i in range(len(P) - 1)]
    left = right = Fraction(not rho)
    for j in range(length):
        low, high = (left, right) if j % 2 else (Fraction(0), max(left, right))
        below, above = ([r + q * p for r, p in zip([*rho, 0], P, strict=True)] for q in (low, high))
        yield _integral(below, samples, -error), _integral(above, samples, error)
        lead = rho[-1] if rho else 0
        rho = [r - lead * p for r, p in zip([0, *rho[:-1]], P[:-1], strict=True)] if rho else rho
        left, right = lead - left, lead + right


def _integral(polynomial: Sequence[Fraction], samples: list[Fraction],
              slack: Fraction) -> Fraction:
    """int polynomial dT from the samples of T, and slack for each unit of its coefficients."""
    return (sum(c * m for c, m in zip(polynomial, samples, strict=False))
            + slack * sum(map(abs, polynomial)))


def _families(nodes: str | Sequence[Any] | None, student: LinearRNN, samples: list[Fraction],
              degree: int) -> list[list[Fraction]]:
    """The sets of nodes to try: none, and s = 1 … degree of them from each source."""
    if nodes is not None and not isinstance(nodes, str):
        given = require_fractions(nodes, "nodes")
        if len(given) > degree:
            raise ValueError(f"nodes must be at most degree = {degree}, got {len(given)}")
        return [given[:s] for s in range(len(given) + 1)]
    if nodes not in (None, "student", "samples"):
        raise ValueError(f"nodes must be 'student', 'samples', rationals or None, got {nodes!r}")
    families = [[]]
    if nodes != "samples":
        A, u = student.A / 2 + student.A.mT / 2, student.B / 2 + student.C.mT / 2
        u = u / u.abs().max().clamp(min=1e-300)  # only the order of the weights counts
        poles, weights = spectral_measure(LinearRNN(A, u, u.mT))
        poles = _rounded(poles[weights.argsort(descending=True)].tolist())
        families += [poles[:s] for s in range(1, min(degree, len(poles)) + 1)]
    if nodes != "student":
        families += _gauss_nodes(samples[:2 * degree])
    return families


def _rounded(nodes: Sequence[float]) -> list[Fraction]:
    """Fractions near the nodes, of few digits, no farther out than the measure can reach."""
    return [Fraction(min(max(z, -1), 1)).limit_denominator(10**6) for z in nodes]


def _gauss_nodes(samples: list[Fraction]) -> list[list[Fraction]]:
    """The nodes of the Gauss quadratures with 1, 2, … points, as far as the samples have them.

    Chebyshev's algorithm for the Jacobi coefficients in fractions: row[i] is the integral of
    x^{r+i} against the r-th monic orthogonal polynomial. On [-1, 1] no coefficient exceeds 1;
    samples whose coefficients exceed 2 are of no use here.
    """
    families, alphas, betas = [], [], []
    above, row, beta = [Fraction(0)] * len(samples), samples, Fraction(0)
    while len(row) > 1 and row[0] > 0:
        alpha = row[1] / row[0] - (above[1] / above[0] if alphas else 0)
        if max(abs(alpha), beta) > 2:
            break
        alphas.append(float(alpha))
        nodes = eigvalsh_tridiagonal(alphas, np.sqrt(betas)) if betas else alphas
        families.append(_rounded(nodes))
        below = [row[i + 2] - alpha * row[i + 1] - beta * above[i + 2] for i in range(len(row) - 2)]
        beta = below[0] / row[0] if below else beta
        betas.append(float(beta))
        above, row = row, below
    return families


def _refuting_square(samples: list[Fraction], error: Fraction) -> str:
    """An exact proof that no measure >= 0 on [-1, 1] has these samples, in words, or nothing.

    It is a polynomial w g^2 >= 0 on [-1, 1] whose integral the samples make negative: w one of
    1, 1 - x^2, 1 + x, 1 - x, and g the eigenvector of the lowest eigenvalue of its moment matrix.
    """
    scale = max(map(abs, samples))
    scaled = np.array([m / scale if scale else m for m in samples], dtype=float)
    weights = {"": [1], "(1 - x^2) ": [1, 0, -1], "(1 + x) ": [1, 1], "(1 - x) ": [1, -1]}
    for name, w in weights.items():
        if len(w) > len(samples):
            continue
        moments = np.convolve(scaled, w[::-1], "valid")
        size = (len(moments) + 1) // 2
        g = np.linalg.eigh(moments[np.add.outer(range(size), range(size))])[1][:, 0]
        g = np.array([Fraction(x) for x in g])
        square = np.convolve(np.convolve(g, g), w).tolist()
        if (integral := _integral(square, samples, error)) < 0:
            return f"int {name}g^2 dT would be {_shown(integral)} for a polynomial g"
    return ""
