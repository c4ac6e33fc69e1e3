"""How fast is one step of gradient descent: the exact gradient against automatic differentiation.

Run with `make bench`. Prints steps per second and their ratio, medians over interleaved rounds;
both compute the same step on the same batch, which is checked first.
"""

import statistics
import time

import torch
from torch import Tensor

from lowdim.flow import gradient_descent
from lowdim.rnn import LinearRNN, random_rnn


def by_autograd(rnn: LinearRNN, h_teacher: Tensor, lr: float, steps: int) -> LinearRNN:
    """Gradient descent by backpropagation through the recurrence for h, step by step."""
    for _ in range(steps):
        A, B, C = (M.detach().requires_grad_() for M in rnn)
        s, loss = B, 0.0
        for target in h_teacher:
            loss = loss + ((C @ s).squeeze(-1).squeeze(-1) - target).square().sum()
            s = A @ s
        gradient = torch.autograd.grad(loss, (A, B, C), materialize_grads=True)
        rnn = LinearRNN(*(M.detach() - lr * G for M, G in zip((A, B, C), gradient, strict=True)))
    return rnn


def by_lowdim(rnn: LinearRNN, h_teacher: Tensor, lr: float, steps: int) -> LinearRNN:
    """The same descent with the exact gradient."""
    trace = gradient_descent(rnn, h_teacher, lr=lr, steps=steps, record_every=steps)
    return LinearRNN(*(M[-1] for M in trace.snapshots))


def seconds(run: object, *arguments: object) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - start


def main(steps: int = 300, rounds: int = 7) -> None:
    """Print one line per problem size."""
    torch.set_num_threads(1)
    print("batch   d   k   exact steps/s   autograd steps/s   ratio")
    for batch, d, k in ((1, 4, 6), (10, 10, 6), (10, 10, 20), (100, 30, 12)):
        rnn = random_rnn(d, scale=0.3, batch=(batch,), generator=torch.Generator().manual_seed(0))
        problem = rnn, 0.9 ** torch.arange(k, dtype=torch.float64), 1e-3
        for ours, theirs in zip(by_lowdim(*problem, 5), by_autograd(*problem, 5), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)  # rounding, 5 steps
        times = [(seconds(by_lowdim, *problem, steps), seconds(by_autograd, *problem, steps))
                 for _ in range(rounds)]
        exact, autograd = (steps / statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(b / a for a, b in times)
        print(f"{batch:5d} {d:3d} {k:3d} {exact:15.0f} {autograd:18.0f} {ratio:7.2f}")


if __name__ == "__main__":
    main()
