"""How fast is gradient descent: this trainer against a C loop, tensors, autograd and samples.

Run with `make bench`. Every contestant takes the same plain steps from the same starts, which is
checked first (all but the last, which follows a sampled loss). Machines differ and are shared, so
what counts is the ratio within a round: each line gives its median over the rounds, and the least
and the largest in brackets.
"""

import ctypes
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lowdim.flow import gradient_descent
from lowdim.rnn import LinearRNN, random_rnn

PROBLEMS = ((1, 10, 6), (10, 10, 6), (100, 10, 6), (1024, 10, 5), (100, 30, 12), (64, 40, 11))
ROUNDS = 7
SAMPLES = 1000
LR = 1e-3

Trainer = Callable[[LinearRNN, Tensor, int], LinearRNN]


def by_lowdim(rnn: LinearRNN, h_teacher: Tensor, steps: int) -> LinearRNN:
    """This book's trainer: exact gradient, compiled."""
    return gradient_descent(rnn, h_teacher, lr=LR, steps=steps, record_every=steps,
                            snapshots=False).last


def by_tensors(rnn: LinearRNN, h_teacher: Tensor, steps: int) -> LinearRNN:
    """The same exact gradient in batched tensors, the route of projected descent."""
    return gradient_descent(rnn, h_teacher, lr=LR, steps=steps, record_every=steps,
                            snapshots=False, project=lambda iterate: iterate).last


def by_autograd(rnn: LinearRNN, h_teacher: Tensor, steps: int) -> LinearRNN:
    """Automatic differentiation of the population loss."""
    def loss(A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        state, total = B, 0.0
        for target in h_teacher:
            total = total + ((C @ state).squeeze(-1).squeeze(-1) - target).square().sum()
            state = A @ state
        return total

    return _descend_by_autograd(loss, rnn, steps)


def by_samples(rnn: LinearRNN, h_teacher: Tensor, steps: int) -> LinearRNN:
    """Backpropagation through time on sampled sequences, as one would write it without the book."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, len(h_teacher), generator=generator, dtype=torch.float64)
    y = x.flip(-1) @ h_teacher

    def loss(A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        state = A.new_zeros(*A.shape[:-2], SAMPLES, A.shape[-1])
        for x_t in x.unbind(-1):
            state = state @ A.mT + x_t[:, None] * B.mT
        return ((state @ C.mT).squeeze(-1) - y).square().mean(-1).sum()

    return _descend_by_autograd(loss, rnn, steps)


def _descend_by_autograd(loss: Callable[..., Tensor], rnn: LinearRNN, steps: int) -> LinearRNN:
    for _ in range(steps):
        leaves = rnn.map(lambda M: M.detach().requires_grad_())
        gradient = torch.autograd.grad(loss(*leaves), tuple(leaves), materialize_grads=True)
        rnn = LinearRNN(*(M.detach() - LR * G for M, G in zip(leaves, gradient, strict=True)))
    return rnn


def compile_c() -> Trainer | None:
    """The loop of descent.c with the machine's own C compiler; None where there is none."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library, source = Path(folder) / "descent.so", Path(__file__).with_name("descent.c")
        subprocess.run([compiler, "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared",
                        "-fPIC", str(source), "-o", str(library)], check=True)
        descend = ctypes.CDLL(str(library)).descend
    array = np.ctypeslib.ndpointer(np.float64, flags="C")
    descend.argtypes = [ctypes.c_int] * 3 + [ctypes.c_long, ctypes.c_double] + [array] * 5
    descend.restype = None

    def by_c(rnn: LinearRNN, h_teacher: Tensor, steps: int) -> LinearRNN:
        batch, d, k = rnn.A.shape[0], rnn.A.shape[-1], len(h_teacher)
        last, losses = rnn.map(torch.clone), np.empty(batch)
        targets = np.tile(h_teacher.numpy(), (batch, 1))
        descend(batch, d, k, steps, LR, *(M.numpy() for M in last), targets, losses)
        return last

    return by_c


def seconds_a_step(train: Trainer, rnn: LinearRNN, h_teacher: Tensor, steps: int) -> float:
    """Wall-clock seconds of one step, over a run of `steps`."""
    start = time.perf_counter()
    train(rnn, h_teacher, steps)
    return (time.perf_counter() - start) / steps


def enough_steps(train: Trainer, rnn: LinearRNN, h_teacher: Tensor) -> int:
    """How many steps take about a tenth of a second, at least one."""
    steps = 1
    while (taken := steps * seconds_a_step(train, rnn, h_teacher, steps)) < 0.02:
        steps *= 4
    return max(1, round(steps * 0.1 / taken))


def spread(ratios: list[float]) -> str:
    """Median, least and largest."""
    median, low, high = (f(ratios) for f in (statistics.median, min, max))
    return f"{median:7.3g} [{low:.3g}, {high:.3g}]"


def compare(batch: int, d: int, k: int, others: dict[str, Trainer]) -> None:
    """Print one block: this trainer on one thread, the others beside it, and two threads."""
    torch.set_num_threads(1)
    rnn = random_rnn(d, scale=0.3, batch=(batch,), generator=torch.Generator().manual_seed(0))
    problem = rnn, 0.9 ** torch.arange(k, dtype=torch.float64)
    expected = by_lowdim(*problem, 5)
    for name, train in others.items():
        if train is not by_samples:
            torch.testing.assert_close(tuple(train(*problem, 5)), tuple(expected), rtol=1e-10,
                                       atol=1e-12, msg=name)  # rounding of five steps
    steps = {train: enough_steps(train, *problem) for train in (by_lowdim, *others.values())}
    rows: dict[str, list[float]] = {name: [] for name in (*others, "two threads")}
    ours = []
    for _ in range(ROUNDS):
        ours.append(seconds_a_step(by_lowdim, *problem, steps[by_lowdim]))
        for name, train in others.items():
            rows[name].append(seconds_a_step(train, *problem, steps[train]) / ours[-1])
        torch.set_num_threads(2)
        rows["two threads"].append(seconds_a_step(by_lowdim, *problem, steps[by_lowdim]) / ours[-1])
        torch.set_num_threads(1)
    print(f"batch {batch}, d = {d}, k = {k}: {1 / statistics.median(ours):.3g} steps a second")
    for name, ratios in rows.items():
        print(f"    {name:28} {spread(ratios)} times this trainer's time")


def main() -> None:
    """Print the blocks of all problems."""
    others: dict[str, Trainer] = {"a loop in C": compile_c()}
    if others["a loop in C"] is None:
        print("There is no C compiler here (cc, gcc or clang): the C loop is left out.")
        del others["a loop in C"]
    others |= {"tensors": by_tensors, "autograd on the loss": by_autograd,
               f"backprop on {SAMPLES} samples": by_samples}
    for problem in PROBLEMS:
        compare(*problem, others)


if __name__ == "__main__":
    main()
