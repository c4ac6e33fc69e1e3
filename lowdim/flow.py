"""Full-batch gradient descent on the population loss, many runs as one batch."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowdim.inputs import require_floats, require_length
from lowdim.loss import loss_and_gradient, require_covariance
from lowdim.rnn import LinearRNN, require_rnn


class Trace(NamedTuple):
    """What gradient_descent recorded: the start first, the end last, R records in all.

    step (R,) integer steps; time (R, *batch) flow time eta * step, which stops when a run does;
    loss (R, *batch); snapshots, a LinearRNN with leading axes (R, *batch); reason, a NumPy array
    of the batch shape: "loss_tol", "steps" or "diverged".
    """

    step: Tensor
    time: Tensor
    loss: Tensor
    snapshots: LinearRNN
    reason: np.ndarray

    @property
    def last(self) -> LinearRNN:
        """Where each run ended: snapshots.at(-1)."""
        return self.snapshots.at(-1)


def gradient_descent(rnn: LinearRNN, h_teacher: Tensor, *, lr: float | Tensor, steps: int,
                     record_every: int, loss_tol: float | Tensor = 0.0,
                     covariance: Tensor | None = None,
                     project: Callable[[LinearRNN], LinearRNN] | None = None) -> Trace:
    """Plain gradient descent theta <- theta - lr * grad L, from rnn, on the exact loss.

    Shapes: h_teacher (k,) or (*batch, k); lr and loss_tol numbers or tensors over the batch;
    covariance (k, k) or (*batch, k, k), white inputs without it. The batch is that of rnn.
    project maps the iterate after each step. A run ends with loss <= loss_tol, after `steps` steps,
    or when its next loss is not finite; it is then frozen, a diverged run at its last finite
    iterate. Raises ValueError for malformed input, lr <= 0, or an initial loss not finite.
    """
    rnn = require_rnn(rnn)
    h_teacher = _over_batch(h_teacher, "h_teacher", rnn, 1)
    S = require_covariance(covariance, h_teacher)
    S = None if S is None else _over_batch(S, "covariance", rnn, 2)
    lr, loss_tol = _over_batch(lr, "lr", rnn, 0), _over_batch(loss_tol, "loss_tol", rnn, 0)
    if not (lr > 0).all():
        raise ValueError(f"lr must be positive, got {lr.min().item()}")
    require_length(steps, "steps", least=0)
    require_length(record_every, "record_every")
    if not (loss_tol >= 0).all():
        raise ValueError(f"loss_tol must be >= 0, got {loss_tol.min().item()}")

    loss, gradient = loss_and_gradient(rnn, h_teacher, S)
    if not torch.isfinite(loss).all():
        raise ValueError("the loss of rnn is not finite at the start")
    running, diverged = loss > loss_tol, torch.zeros_like(loss, dtype=torch.bool)
    last = torch.zeros_like(loss, dtype=torch.int64)
    records = [(0, last, loss, rnn)]
    for step in range(1, steps + 1):
        if not running.any():
            break
        new = LinearRNN(*(M - lr[..., None, None] * G for M, G in zip(rnn, gradient, strict=True)))
        if project is not None:
            new = LinearRNN(*project(new))
            if any(n.shape != M.shape for n, M in zip(new, rnn, strict=True)):
                raise ValueError("project must return an rnn of the shapes that it was given")
        new_loss, new_gradient = loss_and_gradient(new, h_teacher, S)
        moves = running & torch.isfinite(new_loss)  # infinite parameters make an infinite or NaN
        if not moves.all():
            diverged = diverged | (running & ~moves)
            new = _where(moves, new, rnn)
            new_gradient = _where(moves, new_gradient, gradient)
            new_loss = torch.where(moves, new_loss, loss)
        rnn, loss, gradient = new, new_loss, new_gradient
        last = last + moves
        running = moves & (loss > loss_tol)
        if step % record_every == 0:
            records.append((step, last, loss, rnn))
    end = int(last.max())
    records = [record for record in records if record[0] < end] + [(end, last, loss, rnn)]
    step, last, loss, snapshots = zip(*records, strict=True)
    reason = np.where(diverged.cpu(), "diverged", np.where(running.cpu(), "steps", "loss_tol"))
    return Trace(torch.tensor(step, device=lr.device), lr * torch.stack(last), torch.stack(loss),
                 LinearRNN(*(torch.stack(M) for M in zip(*snapshots, strict=True))), reason)


def _where(mask: Tensor, new: LinearRNN, old: LinearRNN) -> LinearRNN:
    return LinearRNN(*(torch.where(mask[..., None, None], n, o)
                       for n, o in zip(new, old, strict=True)))


def _over_batch(value: Tensor | float, name: str, rnn: LinearRNN, ndim: int) -> Tensor:
    value, batch = require_floats(value, name, ndim=ndim, like=rnn.A), rnn.A.shape[:-2]
    lead = value.shape[:value.ndim - ndim]
    try:
        return value.expand((*batch, *value.shape[len(lead):]))
    except RuntimeError:
        raise ValueError(f"{name} has leading axes {tuple(lead)}, which must broadcast to the "
                         f"batch of rnn, {tuple(batch)}") from None
