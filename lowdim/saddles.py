"""Where training pauses: fits of low degree, students padded with unused states, curvature.

A fit of degree p, padded with zero states, is a saddle of the loss in the larger dimension. The
chapter `06_one_pole_at_a_time` derives how fast descent leaves it.
"""

from itertools import product

import numpy as np
import torch
from numpy.polynomial import Polynomial
from scipy.optimize import least_squares
from torch import Tensor

from lowdim.inputs import require_floats, require_length
from lowdim.rnn import LinearRNN, impulse_response, require_rnn

# Where the search for a recurrence h_j = c_1 h_{j-1} + c_0 h_{j-2} starts: 49 points of its plane.
STARTS = tuple(product(np.linspace(-0.9, 0.9, 7), np.linspace(-1.8, 1.8, 7)))
REAL = 1e-9  # roots of a real polynomial with a smaller imaginary part count as real


def attach_states(rnn: LinearRNN, reading: Tensor, feeding: Tensor) -> LinearRNN:
    """The student with q more states, read through the couplings R and fed through F.

    In blocks: A = (A, R[1:]; F[:, 1:], 0), B = (B; F[:, :1]), C = (C, R[:1]); the first row of R
    leads to the output, the first column of F comes from the input. Shapes: rnn of dimension d
    without batch, reading (1 + d, q), feeding (q, 1 + d), q >= 1 -> dimension d + q. Raises
    ValueError for malformed input, a batch, or other shapes.

    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> read = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    >>> attach_states(LinearRNN(one, one, one), read, 10 * read.mT).A.tolist()
    [[1.0, 3.0], [30.0, 0.0]]
    """
    A, B, C = require_rnn(rnn)
    R = require_floats(reading, "reading", ndim=2, like=A)
    F = require_floats(feeding, "feeding", ndim=2, like=A)
    if A.ndim > 2:
        raise ValueError(f"rnn must have no batch axes, got A {tuple(A.shape)}")
    wanted = (1 + A.shape[-1], R.shape[-1])
    if R.shape != wanted or F.shape != wanted[::-1]:
        raise ValueError(f"reading must be (1 + d, q) and feeding (q, 1 + d) with d = {len(A)}, "
                         f"got {tuple(R.shape)} and {tuple(F.shape)}")
    top, bottom = torch.cat([A, R[1:]], 1), torch.cat([F[:, 1:], A.new_zeros(len(F), len(F))], 1)
    return LinearRNN(torch.cat([top, bottom]), torch.cat([B, F[:, :1]]), torch.cat([C, R[:1]], 1))


def pad_states(rnn: LinearRNN, count: int) -> LinearRNN:
    """The same response from count more states whose weights are all zero: attach_states with 0.

    Shapes: rnn of dimension d without batch -> dimension d + count. Raises ValueError for a
    malformed rnn, a batch, or a count below 1.
    """
    A = require_rnn(rnn).A
    reading = A.new_zeros(1 + A.shape[-1], require_length(count, "count"))
    return attach_states(rnn, reading, reading.mT)


def population_hessian(rnn: LinearRNN, h_teacher: Tensor) -> Tensor:
    """The Hessian of L = sum_j (h_j - h*_j)^2 in the entries of A, B, C, row by row, in that order.

    Shapes: rnn of dimension d without batch, h_teacher (k,) -> (d^2 + 2 d, d^2 + 2 d). By automatic
    differentiation of the response. Raises ValueError for malformed input or a batch.
    """
    rnn = require_rnn(rnn)
    h_teacher = require_floats(h_teacher, "h_teacher", ndim=1, like=rnn.A)
    if rnn.A.ndim > 2 or h_teacher.ndim > 1:
        raise ValueError("rnn and h_teacher must have no batch axes, got A "
                         f"{tuple(rnn.A.shape)} and h_teacher {tuple(h_teacher.shape)}")
    sizes = [matrix.numel() for matrix in rnn]

    def loss(weights: Tensor) -> Tensor:
        parts = zip(weights.split(sizes), rnn, strict=True)
        student = LinearRNN(*(part.view_as(matrix) for part, matrix in parts))
        return (impulse_response(student, len(h_teacher)) - h_teacher).square().sum()

    weights = torch.cat([matrix.detach().flatten() for matrix in rnn])
    return torch.autograd.functional.hessian(loss, weights)


def curvatures(rnn: LinearRNN, h_teacher: Tensor) -> Tensor:
    """The eigenvalues of population_hessian, rising.

    Shapes and errors are those of population_hessian -> (d^2 + 2 d,).
    """
    return torch.linalg.eigvalsh(population_hessian(rnn, h_teacher))


def best_fit(h_teacher: Tensor, degree: int, *, sign: float = 0.0) -> LinearRNN:
    """The response of degree at most 1 or 2 that is nearest to h_teacher, without descent.

    For one pole a the best residue leaves |h*|^2 - (h*.v)^2 / |v|^2 with v_j = a^j, a quotient of
    polynomials in a: its stationary points are roots. sign = +1 or -1 asks for a residue of that
    sign. For two poles, real or a complex pair, the residues are projected out (Golub and Pereyra,
    1973) and the recurrence is sought from 49 starts; sign must be 0. Shapes: h_teacher (k,) with
    k > 2 degree. Raises ValueError for malformed input, another degree, or a sign that no
    stationary fit has. Nothing ensures that a best fit exists: a pole may escape to infinity.

    >>> fit = best_fit(torch.tensor([2.0, 1.0, 0.5, 0.25], dtype=torch.float64), 1)
    >>> round(fit.A.item(), 6), round((fit.C @ fit.B).item(), 6)
    (0.5, 2.0)
    """
    h = require_floats(h_teacher, "h_teacher", ndim=1)
    degree = require_length(degree, "degree")
    if degree > 2 or h.ndim > 1 or len(h) <= 2 * degree:
        raise ValueError("degree must be 1 or 2 and h_teacher must hold more than 2 degree "
                         f"samples, got degree {degree} and shape {tuple(h.shape)}")
    if sign not in (-1, 0, 1) or (sign and degree == 2):
        raise ValueError(f"sign must be -1, 0 or 1, and 0 for degree 2, got {sign}")
    found = _one_pole(h.cpu().numpy(), sign) if degree == 1 else _two_poles(h.cpu().numpy())
    return LinearRNN(*(h.new_tensor(matrix) for matrix in found))


def _one_pole(h: np.ndarray, sign: float) -> tuple:
    reading = Polynomial(h)  # h . v as a function of the pole, v_j = pole^j
    square = Polynomial([1, *[0, 1] * (len(h) - 1)])  # v . v
    stationary = (2 * reading.deriv() * square - reading * square.deriv()).roots()
    poles = stationary[abs(stationary.imag) < REAL].real
    poles = poles[reading(poles) * sign >= 0]
    if not len(poles):
        raise ValueError(f"sign must be that of a stationary fit with one pole, got {sign}")
    pole = poles[(reading(poles) ** 2 / square(poles)).argmax()]
    residue = reading(pole) / square(pole)
    root = abs(residue) ** 0.5
    return [[pole]], [[root]], [[np.copysign(root, residue)]]


def _two_poles(h: np.ndarray) -> tuple:
    searches = [least_squares(_misfit, start, args=(h,), xtol=1e-15, ftol=1e-15)
                for start in STARTS]
    recurrence = min(searches, key=lambda search: search.cost).x
    first, second = (_misfit(recurrence, h) + h)[:2]
    return [[0, 1], [*recurrence]], [[first], [second]], [[1, 0]]


def _misfit(recurrence: np.ndarray, h: np.ndarray) -> np.ndarray:
    """What the nearest solution of h_j = c_0 h_{j-2} + c_1 h_{j-1} misses."""
    solutions = np.eye(len(h), 2)  # a column for each pair of first terms
    for j in range(2, len(h)):
        solutions[j] = recurrence @ solutions[j - 2:j]
    return solutions @ np.linalg.lstsq(solutions, h)[0] - h
