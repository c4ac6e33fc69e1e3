"""The training loss, its exact gradient, and the error beyond the training lengths.

The loss is a square of the gap r = h - h* between impulse responses: r^T S r, where S is the
second-moment matrix of the inputs in lag order, S_ij = E x_{t-i} x_{t-j}. White inputs have
S = 1, which is the default. There is no 1/2 and no 1/k.
"""

import torch
from torch import Tensor

from lowdim.inputs import require_broadcast, require_finite, require_floats, require_length
from lowdim.rnn import LinearRNN, impulse_response, krylov, require_rnn

OVERFLOW = "the loss overflows float64: it is"


def population_loss(h: Tensor, h_teacher: Tensor, *, covariance: Tensor | None = None) -> Tensor:
    """L = r^T S r with r = h - h_teacher; sum_j r_j^2 for white inputs (S = 1).

    Shapes: h and h_teacher (..., k), covariance S (..., k, k) -> (...). It is the expected
    squared error of the last output on sequences of length k (clm-white-loss). Raises ValueError
    for lengths that differ, an S that is not symmetric positive semidefinite, or a loss beyond the
    range of float64.
    """
    r = _residual(h, h_teacher)
    loss = (r * _weighted(r, require_covariance(covariance, r))).sum(-1)
    return require_finite(loss, OVERFLOW)


def population_gradient(rnn: LinearRNN, h_teacher: Tensor, *,
                        covariance: Tensor | None = None) -> LinearRNN:
    """The exact gradient of population_loss in (A, B, C), without automatic differentiation.

    With g = 2 S r, O_i = C A^i and K_j = A^j B: G_C = sum_j g_j K_j^T, G_B = sum_j g_j O_j^T and
    G_A = sum_{i,j} O_i^T g_{i+j+1} K_j^T, a Hankel matrix of the residuals (clm-gradient).
    Shapes: h_teacher (..., k); the result has those of rnn, broadcast with h_teacher's batch.
    Raises ValueError for malformed input, or a gradient beyond the range of float64.
    """
    rnn = require_rnn(rnn)
    h_teacher = require_floats(h_teacher, "h_teacher", ndim=1, like=rnn.A)
    batch = require_broadcast(rnn=rnn.A.shape[:-2], h_teacher=h_teacher.shape[:-1])
    S = require_covariance(covariance, h_teacher.expand(*batch, -1))
    gradient = loss_and_gradient(rnn, h_teacher, S)[1]
    return gradient.map(lambda G: require_finite(G, "the gradient overflows float64: it holds"))


def sampled_loss(rnn: LinearRNN, x: Tensor, y: Tensor) -> Tensor:
    """Mean over N sequences of (y^ - y)^2, with y^ the last output of rnn on the sequence.

    Shapes: x (..., N, k) in time order, y (..., N) -> (...), batches broadcast with rnn's.
    Raises ValueError for malformed input, numbers of sequences that differ, or a loss beyond the
    range of float64.
    """
    rnn = require_rnn(rnn)
    x = require_floats(x, "x", ndim=2, like=rnn.A)
    y = require_floats(y, "y", ndim=1, like=x)
    if x.shape[-2] != y.shape[-1]:
        raise ValueError(f"y must hold one label for each of the {x.shape[-2]} sequences of x, "
                         f"got {y.shape[-1]}")
    require_broadcast(rnn=rnn.A.shape[:-2], x=x.shape[:-2], y=y.shape[:-1])
    h = impulse_response(rnn, x.shape[-1])
    loss = ((x.flip(-1) @ h[..., None]).squeeze(-1) - y).square().mean(-1)
    return require_finite(loss, OVERFLOW)


def extrapolation_error(h: Tensor, h_teacher: Tensor, train_length: int) -> Tensor:
    """max |h_j - h*_j| over the lags k <= j < J that training never saw, J = h.shape[-1].

    Shapes: h and h_teacher (..., J) -> (...), in the units of h. Raises ValueError unless
    1 <= train_length < J.
    """
    r, train_length = _residual(h, h_teacher), require_length(train_length, "train_length")
    if train_length >= r.shape[-1]:
        raise ValueError(f"train_length must lie in 1 … {r.shape[-1] - 1} to leave lags unseen, "
                         f"got {train_length}")
    return r[..., train_length:].abs().amax(-1)


def loss_and_gradient(rnn: LinearRNN, h_teacher: Tensor,
                      S: Tensor | None) -> tuple[Tensor, LinearRNN]:
    """population_loss and population_gradient in one pass: the oracle of lowdim.descent_kernel.

    Shapes as there; inputs are not validated.
    """
    A, B, C = rnn
    k = h_teacher.shape[-1]
    K, Ob = krylov(A, B, k), krylov(A.mT, C.mT, k)  # rows A^j B and C A^i
    r = (K @ C.mT).squeeze(-1) - h_teacher
    g = 2 * _weighted(r, S)
    loss = 0.5 * (r * g).sum(-1)
    # G_A = Ob^T H K with H_ij = g_{i+j+1}: g_1 … g_{k-1} and zeros, in overlapping windows.
    padded = torch.nn.functional.pad(g[..., 1:], (0, k))
    H = padded.unfold(-1, k, 1).contiguous()
    return loss, LinearRNN(Ob.mT @ (H @ K), (g[..., None, :] @ Ob).mT, g[..., None, :] @ K)


def require_covariance(covariance: Tensor | None, h: Tensor) -> Tensor | None:
    """covariance itself, or None for white inputs, to weigh residuals like h (..., k).

    Raises ValueError unless it is (..., k, k), symmetric and positive semidefinite, both to 1e-12
    of its largest entry (rounding in X^T X / N is below 1e-14).
    """
    if covariance is None:
        return None
    S, k = require_floats(covariance, "covariance", ndim=2, like=h), h.shape[-1]
    require_broadcast(h=h.shape[:-1], covariance=S.shape[:-2])
    if S.shape[-2:] != (k, k):
        raise ValueError(f"covariance must be (..., {k}, {k}) for {k} lags, got {tuple(S.shape)}")
    largest = S.abs().amax((-2, -1))
    if not ((S - S.mT).abs().amax((-2, -1)) <= 1e-12 * largest).all():
        raise ValueError("covariance must be symmetric")
    if not (torch.linalg.eigvalsh(S)[..., 0] >= -1e-12 * k * largest).all():
        raise ValueError("covariance must be positive semidefinite")
    return S


def _residual(h: Tensor, h_teacher: Tensor) -> Tensor:
    h = require_floats(h, "h", ndim=1)
    h_teacher = require_floats(h_teacher, "h_teacher", ndim=1, like=h)
    if h.shape[-1] != h_teacher.shape[-1]:
        raise ValueError(f"h and h_teacher must have the same length, got {h.shape[-1]} "
                         f"and {h_teacher.shape[-1]}")
    require_broadcast(h=h.shape[:-1], h_teacher=h_teacher.shape[:-1])
    return h - h_teacher


def _weighted(r: Tensor, S: Tensor | None) -> Tensor:
    return r if S is None else (S @ r[..., None]).squeeze(-1)
