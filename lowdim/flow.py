"""Full-batch gradient descent on the population loss, many runs as one batch.

On the CPU each run is compiled (lowdim.descent_kernel); elsewhere, and where the iterates are
projected, the batch steps as tensors. Both are the same iteration and agree to rounding.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowdim.descent_kernel import DIVERGED, REACHED, RUNNING, descend
from lowdim.inputs import require_floats, require_length
from lowdim.loss import loss_and_gradient, require_covariance
from lowdim.rnn import LinearRNN, require_rnn

REASONS = np.array(["steps", "loss_tol", "diverged"])  # by status


class Trace(NamedTuple):
    """What gradient_descent recorded: the start first, the end last, R records in all.

    step (R,) integer steps; time (R, *batch) flow time lr * step, which stops when a run does;
    loss (R, *batch); snapshots, a LinearRNN with leading axes (R, *batch), or None where they
    were not asked for; reason, a NumPy array of the batch shape: "loss_tol", "steps" or
    "diverged"; last, the LinearRNN where each run ended.
    """

    step: Tensor
    time: Tensor
    loss: Tensor
    snapshots: LinearRNN | None
    reason: np.ndarray
    last: LinearRNN


def gradient_descent(rnn: LinearRNN, h_teacher: Tensor, *, lr: float | Tensor, steps: int,
                     record_every: int, loss_tol: float | Tensor = 0.0,
                     covariance: Tensor | None = None,
                     project: Callable[[LinearRNN], LinearRNN] | None = None,
                     snapshots: bool = True) -> Trace:
    """Plain gradient descent theta <- theta - lr * grad L, from rnn, on the exact loss.

    Shapes: h_teacher (k,) or (*batch, k); lr and loss_tol numbers or tensors over the batch;
    covariance (k, k) or (*batch, k, k), white inputs without it. The batch is that of rnn.
    project maps the iterate after each step; without snapshots only losses are recorded. A run
    ends with loss <= loss_tol, after `steps` steps, or when its next loss or iterate is not
    finite; it is then frozen, a diverged run at its last finite iterate. Compiled runs use as many
    threads as torch.get_num_threads(), whose number changes no result. Raises ValueError for
    malformed input, lr <= 0, an initial loss not finite, or a projection of another shape or type.
    """
    rnn = require_rnn(rnn).map(Tensor.detach)
    h_teacher = _over_batch(h_teacher, "h_teacher", rnn, 1)
    S = require_covariance(covariance, h_teacher)
    S = None if S is None else _over_batch(S, "covariance", rnn, 2)
    lr, loss_tol = _over_batch(lr, "lr", rnn, 0), _over_batch(loss_tol, "loss_tol", rnn, 0)
    if not (lr > 0).all():
        raise ValueError(f"lr must be positive, got {lr.min().item()}")
    steps = require_length(steps, "steps", least=0)
    record_every = require_length(record_every, "record_every")
    if not (loss_tol >= 0).all():
        raise ValueError(f"loss_tol must be >= 0, got {loss_tol.min().item()}")

    problem = _Problem(h_teacher, S, lr, loss_tol)
    counts = [min(record_every, steps - step) for step in range(0, steps, record_every)]
    if project is None and rnn.A.device.type == "cpu":
        return _record(_compiled_runs(rnn, problem, counts), lr, counts, snapshots)
    return _record(_tensor_runs(rnn, problem, counts, project), lr, counts, snapshots)


class _Problem(NamedTuple):
    """What a run minimises and how; every entry over the batch."""

    h_teacher: Tensor
    S: Tensor | None
    lr: Tensor
    loss_tol: Tensor


class _Runs(NamedTuple):
    """A batch on its way: where each run stands, the steps that it has made, and its status."""

    rnn: LinearRNN
    loss: Tensor
    taken: Tensor
    status: Tensor


def _record(runs: Iterator[_Runs], lr: Tensor, counts: list[int], snapshots: bool) -> Trace:
    """The trace of runs that yield the start and then, count by count, where they have got to."""
    now, step = next(runs), 0
    records = _Records()
    records.add(now, step, snapshots)
    for count in counts:
        if not (now.status == RUNNING).any():
            break
        now = next(runs)
        going = (now.status == RUNNING).any()
        before, step = step, step + count if going else int(now.taken.max())
        if step > before:
            records.add(now, step, snapshots)
    step, taken, loss, *matrices = records.finish(lr.device)
    return Trace(step, lr * taken, loss, LinearRNN(*matrices) if snapshots else None,
                 np.asarray(REASONS[now.status.cpu().numpy()]), now.rnn.map(torch.clone))


class _Records:
    """Rows appended to arrays on the host, which grow in place: at most an eighth too long."""

    def __init__(self) -> None:
        self.rows, self.arrays = 0, []

    def add(self, now: _Runs, step: int, snapshots: bool) -> None:
        values = (torch.tensor(step, device="cpu"), now.taken, now.loss, *now.rnn[:3 * snapshots])
        row = [value.cpu().numpy() for value in values]
        if not self.arrays:
            self.arrays = [np.empty((0, *value.shape), value.dtype) for value in row]
        if self.rows == len(self.arrays[0]):
            self._resize(self.rows + self.rows // 8 + 8)
        for array, value in zip(self.arrays, row, strict=True):
            array[self.rows] = value
        self.rows += 1

    def finish(self, device: torch.device) -> list[Tensor]:
        self._resize(self.rows)
        return [torch.from_numpy(array).to(device) for array in self.arrays]

    def _resize(self, rows: int) -> None:
        for array in self.arrays:
            array.resize((rows, *array.shape[1:]), refcheck=False)  # no view of it is ever kept


def _compiled_runs(rnn: LinearRNN, problem: _Problem, counts: list[int]) -> Iterator[_Runs]:
    batch, d, k = rnn.A.shape[:-2], rnn.A.shape[-1], problem.h_teacher.shape[-1]

    def flat(values: Tensor, *shape: int) -> np.ndarray:
        return np.array(values.reshape(-1, *shape).numpy(), order="C")  # a copy, written in place

    A, B, C = flat(rnn.A, d, d), flat(rnn.B, d), flat(rnn.C, d)
    h_teacher, lr, loss_tol = flat(problem.h_teacher, k), flat(problem.lr), flat(problem.loss_tol)
    S = np.empty((len(A), 0, 0)) if problem.S is None else flat(problem.S, k, k)
    loss, taken, status = np.empty(len(A)), np.zeros_like(lr, int), np.full_like(lr, RUNNING, int)
    now = _Runs(LinearRNN(*(torch.from_numpy(M).reshape(N.shape)
                            for M, N in zip((A, B, C), rnn, strict=True))),
                *(torch.from_numpy(values).reshape(batch) for values in (loss, taken, status)))

    def advance(which: np.ndarray, steps: int) -> None:
        descend(A, B, C, h_teacher, S, lr, loss_tol, steps, loss, taken, status, which)

    advance(np.arange(len(A)), 0)
    _require_finite_start(now.loss)
    yield now
    with ThreadPoolExecutor(threads := torch.get_num_threads()) as pool:
        for count in counts:
            going = np.flatnonzero(status == RUNNING)
            # Several parts a thread, since runs end at different steps; one where work is little.
            work = len(going) * count * k * d**2
            parts = np.array_split(going, max(1, min(len(going), 4 * threads, work // 10**5)))
            run_all = pool.map if threads > 1 else map
            list(run_all(advance, parts, [count] * len(parts)))
            yield now


def _tensor_runs(rnn: LinearRNN, problem: _Problem, counts: list[int],
                 project: Callable[[LinearRNN], LinearRNN] | None) -> Iterator[_Runs]:
    loss, gradient = loss_and_gradient(rnn, problem.h_teacher, problem.S)
    _require_finite_start(loss)
    status = torch.where(loss <= problem.loss_tol, REACHED, RUNNING)
    now = _Runs(rnn, loss, torch.zeros_like(status), status)
    yield now
    for count in counts:
        for _ in range(count):
            if not (now.status == RUNNING).any():
                break
            now, gradient = _tensor_step(now, gradient, problem, project)
        yield now


def _tensor_step(now: _Runs, gradient: LinearRNN, problem: _Problem,
                 project: Callable[[LinearRNN], LinearRNN] | None) -> tuple[_Runs, LinearRNN]:
    """One step of the running elements; the others keep every entry."""
    lr = problem.lr[..., None, None]
    new = LinearRNN(*(M - lr * G for M, G in zip(now.rnn, gradient, strict=True)))
    if project is not None:
        new = _require_like(project(new), now.rnn)
    loss, new_gradient = loss_and_gradient(new, problem.h_teacher, problem.S)
    finite = torch.isfinite(loss)
    for matrix in new:
        finite = finite & torch.isfinite(matrix).all(-1).all(-1)
    running = now.status == RUNNING
    moves = running & finite
    ended = torch.where(loss <= problem.loss_tol, REACHED, RUNNING)
    status = torch.where(moves, ended, torch.where(running, DIVERGED, now.status))
    if not moves.all():
        new, new_gradient = _where(moves, new, now.rnn), _where(moves, new_gradient, gradient)
        loss = torch.where(moves, loss, now.loss)
    return _Runs(new, loss, now.taken + moves, status), new_gradient


def _where(mask: Tensor, new: LinearRNN, old: LinearRNN) -> LinearRNN:
    return LinearRNN(*(torch.where(mask[..., None, None], n, o)
                       for n, o in zip(new, old, strict=True)))


def _require_finite_start(loss: Tensor) -> None:
    if not torch.isfinite(loss).all():
        raise ValueError("the loss of rnn is not finite at the start")


def _require_like(projected: LinearRNN, rnn: LinearRNN) -> LinearRNN:
    """The projected iterate, if its matrices are of the kind of rnn's; infinite ones may be."""
    kinds = [[(M.shape, M.dtype, M.device) if isinstance(M, Tensor) else None for M in triple]
             for triple in (projected if isinstance(projected, tuple) else (), rnn)]
    if kinds[0] != kinds[1]:
        raise ValueError("project must return an rnn of the shapes and the device that it was "
                         f"given, in float64, got {kinds[0]}")
    return LinearRNN(*projected)


def _over_batch(value: Tensor | float, name: str, rnn: LinearRNN, ndim: int) -> Tensor:
    value, batch = require_floats(value, name, ndim=ndim, like=rnn.A), rnn.A.shape[:-2]
    lead = value.shape[:value.ndim - ndim]
    try:
        return value.expand((*batch, *value.shape[len(lead):]))
    except RuntimeError:
        raise ValueError(f"{name} has leading axes {tuple(lead)}, which must broadcast to the "
                         f"batch of rnn, {tuple(batch)}") from None
