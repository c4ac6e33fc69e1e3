"""Students near zero: their starts, what they lack of the teacher, and the path that leaves zero.

The formulas are those of chapter 5. Poles are the teacher's, lambda_1 … lambda_n, and
p(x) = prod_i (x - lambda_i).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from lowdim.inputs import require_floats, require_length, require_number
from lowdim.rnn import LinearRNN, impulse_response, krylov, require_rnn


class MirrorParts(NamedTuple):
    """A = S + K, B = (u + v) / 2 and C^T = (u - v) / 2.

    Shapes: S symmetric and K antisymmetric (..., d, d), u and the imbalance v (..., d, 1).
    """

    S: Tensor
    K: Tensor
    u: Tensor
    v: Tensor


class SquareConstants(NamedTuple):
    """imbalance = lim |v| / alpha, and up - down = lim r_2 / alpha^2, as alpha -> 0.

    Shapes (...), one entry a draw; all are nonnegative.
    """

    imbalance: Tensor
    up: Tensor
    down: Tensor


def mirror_parts(rnn: LinearRNN) -> MirrorParts:
    """S = (A + A^T) / 2, K = (A - A^T) / 2, u = B + C^T and v = B - C^T (eq-parts).

    Shapes: rnn with batch (...) -> S, K (..., d, d) and u, v (..., d, 1). Raises ValueError for a
    malformed rnn.
    """
    A, B, C = require_rnn(rnn)
    return MirrorParts((A + A.mT) / 2, (A - A.mT) / 2, B + C.mT, B - C.mT)


def weight_norm(rnn: LinearRNN) -> Tensor:
    """|theta|, the root of |A|^2 + |B|^2 + |C|^2.

    Shapes: rnn with batch (...) -> (...). Raises ValueError for a malformed rnn.
    """
    return sum(matrix.square().sum((-2, -1)) for matrix in require_rnn(rnn)).sqrt()


def at_scales(rnn: LinearRNN, scales: Tensor, cases: int = 1) -> LinearRNN:
    """scales[a] * rnn for each scale a, the same for each of the cases.

    Shapes: rnn with batch (...), scales (P,) -> batch (P, cases, ...). Raises ValueError for a
    malformed rnn, scales that are not P finite numbers, cases < 1.
    """
    rnn = require_rnn(rnn)
    scales = require_floats(scales, "scales", ndim=1, like=rnn.A)
    if scales.ndim != 1:
        raise ValueError(f"scales must have one axis, got shape {tuple(scales.shape)}")
    cases, ones = require_length(cases, "cases"), (1,) * (rnn.A.ndim + 1)
    factors = scales.reshape(-1, *ones)
    return rnn.map(lambda matrix: (factors * matrix).expand(-1, cases, *matrix.shape))


def see_first(lags: Sequence[int] | Tensor, k: int) -> Tensor:
    """Diagonal covariances: in case i the loss is that of the first lags[i] of k lags.

    Shape (cases, 1, k, k), for a batch (..., cases, seeds). Raises ValueError for k < 1, no case,
    or a number of lags outside 1 … k.
    """
    k = require_length(k, "k")
    lags = [require_length(lag, "each of lags") for lag in torch.as_tensor(lags).tolist()]
    if not lags or max(lags) > k:
        raise ValueError(f"lags must be numbers in 1 … {k}, at least one, got {lags}")
    seen = torch.arange(k) < torch.tensor(lags)[:, None]
    return torch.diag_embed(seen.double())[:, None]


def passage_step(sizes: Tensor, level: Tensor | float) -> Tensor:
    """The step at which sizes first reach the level, to a fraction, interpolated in the logarithm.

    Shapes: positive sizes (R, ...), one record a step from step 0 on, level broadcast with (...)
    -> (...). Raises ValueError where sizes are at the level from the start, or never.
    """
    sizes = require_floats(sizes, "sizes", ndim=1)
    level = require_floats(level, "level", ndim=0).expand(sizes.shape[1:])
    reached = sizes >= level
    if not (sizes > 0).all() or reached[0].any() or not reached.any(0).all():
        raise ValueError("sizes must be positive, start below the level and reach it")
    first = reached.int().argmax(0)
    after, before = (sizes.gather(0, (first - i)[None])[0] for i in (0, 1))
    return first - torch.log(after / level) / torch.log(after / before)


def response_jacobian(rnn: LinearRNN, k: int) -> Tensor:
    """Row j holds the gradient of h_j in all entries of A, B and C, by automatic differentiation.

    Shapes: rnn with batch (...) -> (..., k, d^2 + 2d). Raises ValueError for a malformed rnn or
    k < 1.
    """
    rnn, k = require_rnn(rnn), require_length(k, "k")

    def lags(A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        return (krylov(A, B, k) @ C.mT).squeeze(-1)

    batch = rnn.A.shape[:-2]
    flat = (matrix.reshape(-1, *matrix.shape[-2:]) for matrix in rnn)
    parts = torch.func.vmap(torch.func.jacrev(lags, argnums=(0, 1, 2)))(*flat)
    return torch.cat([part.flatten(2) for part in parts], -1).reshape(*batch, k, -1)


def defect_products(rnn: LinearRNN, poles: Sequence[complex], length: int) -> Tensor:
    """m_s = C p(A) A^s p(A) B for s = 0 … length-1 (clm-two-defects).

    Shapes: rnn with batch (...) -> (..., length). Raises ValueError for a malformed rnn, no pole,
    poles without their conjugates, length < 1 or products beyond the range of float64.
    """
    A, B, C = require_rnn(rnn)
    p = _polynomial(poles)
    return impulse_response(LinearRNN(A, _apply(p, A, B), _apply(p, A.mT, C.mT).mT), length)


def loss_floor(rnn: LinearRNN, poles: Sequence[complex], k: int) -> Tensor:
    """m^T (T T^T)^-1 m, which the loss on k > 2n lags is never below (clm-loss-floor).

    The rows of T (k - 2n, k) are the coefficients of p^2, ascending, each row shifted by one.
    Shapes: rnn with batch (...) -> (...). Raises ValueError as defect_products does, and for
    k <= 2n.
    """
    square, k = _polynomial([*poles, *poles])[::-1], require_length(k, "k")
    if (rows := k + 1 - len(square)) < 1:
        raise ValueError(f"k must be larger than twice the {len(poles)} poles, got {k}")
    T = torch.stack([torch.nn.functional.pad(torch.tensor(square.copy()), (i, rows - 1 - i))
                     for i in range(rows)])
    m = defect_products(rnn, poles, rows)[..., None]
    return (m * torch.linalg.solve(T @ T.mT, m)).sum((-2, -1))


def leading_path(w: float, pole: float) -> np.ndarray:
    """The rank-one path of gradient flow that leaves zero, for h*_j = w pole^j and k = 2 (eq-path).

    Rows a, b and ln chi, (3, points), from b = 1e-5 to the end (pole, sqrt(w)); the last entry of
    ln chi = -2 int a r_1 dt is that of clm-alpha-squared-constant. Time grows like 1/w^2. Raises
    ValueError unless w >= 0.01, or where the path does not arrive.
    """
    w, pole = (float(require_number(x, name)) for x, name in ((w, "w"), (pole, "pole")))
    if not w >= 0.01:
        raise ValueError(f"w must be at least 0.01, got {w}")

    def velocity(_: float, point: np.ndarray) -> tuple[float, float, float]:
        a, b, _ = point
        r_0, r_1 = b**2 - w, a * b**2 - w * pole
        return -2 * r_1 * b**2, -2 * b * (r_0 + r_1 * a), -2 * a * r_1

    start, span = [pole * 5e-11, 1e-5, 0.0], (0.0, max(120.0, 20 / w**2))
    path = solve_ivp(velocity, span, start, rtol=1e-10, atol=1e-13).y
    if not np.allclose(path[:2, -1], (pole, w**0.5), rtol=0, atol=1e-6):
        raise ValueError(f"the path for w = {w} and pole = {pole} does not arrive")
    return path


def square_constants(w: float, pole: float, rnn: LinearRNN) -> SquareConstants:
    """What gradient flow from alpha * rnn leaves, as alpha -> 0 (clm-alpha-squared-constant).

    For h*_j = w pole^j and k = 2. Shapes: rnn with batch (...) -> (...). Raises ValueError for a
    malformed rnn, u = 0, and as leading_path does.
    """
    S, K, u, _ = mirror_parts(rnn)
    length = u.norm(dim=-2, keepdim=True)
    if not (length > 0).all():
        raise ValueError("rnn must have B + C^T different from zero")
    e, chi = u / length, float(np.exp(leading_path(w, pole)[2, -1]))
    sigma, kappa = (part.norm(dim=(-2, -1)) for part in (S @ e - e @ (e.mT @ S @ e), K @ e))
    down = (w + pole**2) ** 2 / w * (chi * kappa) ** 2
    return SquareConstants(2 * abs(pole) / w**0.5 * chi * kappa, w * (sigma / chi) ** 2, down)


def _polynomial(poles: Sequence[complex]) -> np.ndarray:
    """The coefficients of prod (x - pole), descending."""
    if not len(poles):
        raise ValueError("poles must hold at least one pole")
    coefficients = np.poly(poles)
    if np.iscomplexobj(coefficients):
        raise ValueError(f"poles must come with their conjugates, got {list(poles)}")
    return coefficients.astype(float)


def _apply(p: np.ndarray, A: Tensor, v: Tensor) -> Tensor:
    """p(A) v by Horner's rule."""
    result = p[0] * v
    for coefficient in p[1:]:
        result = A @ result + coefficient * v
    return result
