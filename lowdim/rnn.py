"""Linear recurrent networks and their impulse response.

State is a column: s_{t+1} = A s_t + B x_t, y_t = C s_{t+1}, s_0 = 0, so that
y_t = sum_j h_j x_{t-j} with the impulse response (Markov parameters) h_j = C A^j B.
Leading axes are a batch: seeds, scales and teachers run at once.
"""

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowdim.inputs import require_broadcast, require_finite, require_floats, require_length


class LinearRNN(NamedTuple):
    """The triple (A, B, C) of s_{t+1} = A s_t + B x_t, y_t = C s_{t+1}.

    Shapes: A (..., d, d), B (..., d, 1), C (..., 1, d), float64, one batch shape.
    """

    A: Tensor
    B: Tensor
    C: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> "LinearRNN":
        """The triple of function(A), function(B) and function(C).

        Shapes: what function makes of them; nothing is validated.
        """
        return LinearRNN(*(function(matrix) for matrix in self))

    def at(self, index: Any) -> "LinearRNN":
        """One element of the batch, or a slice of it: rnn.at(-1), rnn.at((0, 2)), rnn.at(mask).

        index is what a tensor of the batch shape takes. Raises IndexError for one that reaches
        into the matrices.
        """
        index = index if isinstance(index, tuple) else (index,)
        beyond = () if any(i is Ellipsis for i in index) else (Ellipsis,)
        return self.map(lambda matrix: matrix[(*index, *beyond, slice(None), slice(None))])


def impulse_response(rnn: LinearRNN, length: int) -> Tensor:
    """h_j = C A^j B for j = 0 … length-1.

    Shapes: rnn with batch (...) -> (..., length). Raises ValueError for a malformed rnn, a length
    below 1, or a response that leaves the range of float64. Source: the definition of Markov
    parameters (Kailath, Linear Systems, 1980).

    >>> half = torch.full((1, 1), 0.5, dtype=torch.float64)
    >>> impulse_response(LinearRNN(half, 2 * half, 6 * half), 4).tolist()
    [3.0, 1.5, 0.75, 0.375]
    """
    A, B, C = require_rnn(rnn)
    h = (krylov(A, B, require_length(length)) @ C.mT).squeeze(-1)
    return require_finite(h, "the impulse response overflows float64: it holds")


def simulate(rnn: LinearRNN, x: Tensor) -> Tensor:
    """Outputs y_0 … y_{T-1} for the inputs x_0 … x_{T-1}, from the state s_0 = 0.

    Shapes: x (..., T) -> (..., T); the batch axes of rnn and x are broadcast together.
    Raises ValueError for a malformed rnn, for x that is not float64, finite and non-empty, or for
    outputs that leave the range of float64.

    >>> delay = LinearRNN(*(torch.tensor(M, dtype=torch.float64)
    ...                     for M in ([[0, 0], [1, 0]], [[1], [0]], [[0, 1]])))
    >>> simulate(delay, torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)).tolist()
    [0.0, 5.0, 6.0]
    """
    A, B, C = require_rnn(rnn)
    x = require_floats(x, "x", ndim=1, like=A)
    batch = require_broadcast(rnn=A.shape[:-2], x=x.shape[:-1])
    s, y = A.new_zeros(*batch, A.shape[-1], 1), []
    for x_t in x.unbind(-1):
        s = A @ s + B * x_t[..., None, None]
        y.append((C @ s)[..., 0, 0])
    return require_finite(torch.stack(y, -1), "the outputs overflow float64: they hold")


STRUCTURES = ("general", "symmetric", "symmetric_balanced", "diagonal")


def random_rnn(dim: int, *, scale: float, batch: tuple[int, ...] = (), structure: str = "general",
               generator: torch.Generator) -> LinearRNN:
    """A Gaussian initialisation: entries of A, B and C are N(0, scale^2 / dim).

    With G such a matrix, A = G ("general"), (G + G^T)/sqrt(2) ("symmetric"; its diagonal has
    twice the variance), the same with C = B^T ("symmetric_balanced"), or diagonal with
    N(0, scale^2) entries ("diagonal"). Shapes: A (*batch, dim, dim) and so on, on the
    generator's device. Raises ValueError for dim < 1, scale < 0, an empty or malformed batch, an
    unknown structure or no generator.
    """
    dim = require_length(dim, "dim")
    if not isinstance(batch, tuple):
        raise ValueError(f"batch must be a tuple of lengths, got {batch!r}")
    batch = tuple(require_length(length, "each axis of batch") for length in batch)
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {generator!r}")
    number = isinstance(scale, Real) and not isinstance(scale, bool)
    if not (number and 0 <= scale < float("inf")):
        raise ValueError(f"scale must be a finite number >= 0, got {scale!r}")
    if structure not in STRUCTURES:
        raise ValueError(f"structure must be one of {STRUCTURES}, got {structure!r}")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*batch, *shape, generator=generator, device=generator.device,
                           dtype=torch.float64) * (float(scale) / dim**0.5)

    A, B, C = normal(dim, dim), normal(dim, 1), normal(1, dim)
    if structure.startswith("symmetric"):
        A = (A + A.mT) / 2**0.5
    if structure == "symmetric_balanced":
        C = B.mT.clone()
    if structure == "diagonal":
        A = torch.diag_embed(A.diagonal(dim1=-2, dim2=-1) * dim**0.5)
    return LinearRNN(A, B, C)


def seeded_rnns(dim: int, seeds: Iterable[int], *, scale: float,
                structure: str = "general") -> LinearRNN:
    """One random_rnn for each seed, stacked: the student of a seed depends on that seed alone.

    So seeds can be added or dropped without changing the others' students. Shapes: A
    (len(seeds), dim, dim) and so on. Raises ValueError for no seeds, a seed that is not an
    integer in 0 … 2^63 - 1, and for what random_rnn refuses.

    >>> three, two = (seeded_rnns(4, range(n), scale=1.0) for n in (3, 2))
    >>> torch.equal(three.A[:2], two.A)
    True
    """
    seeds = [require_length(seed, "each of the seeds", least=0) for seed in seeds]
    if not seeds:
        raise ValueError("seeds must hold at least one seed")
    if max(seeds) >= 2**63:
        raise ValueError(f"seeds must be integers in 0 … 2^63 - 1, got {max(seeds)}")
    rnns = [random_rnn(dim, scale=scale, structure=structure,
                       generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return LinearRNN(*(torch.stack(M) for M in zip(*rnns, strict=True)))


def change_basis(rnn: LinearRNN, T: Tensor) -> LinearRNN:
    """The similar triple (T A T^-1, T B, C T^-1): another state basis, the same h.

    Shapes: T (..., d, d), broadcast with the batch of rnn. Raises ValueError for a malformed
    rnn, and for T of the wrong shape or numerically singular.
    """
    A, B, C = require_rnn(rnn)
    T = require_floats(T, "T", ndim=2, like=A)
    if T.shape[-2:] != A.shape[-2:]:
        raise ValueError(f"T must be {tuple(A.shape[-2:])} like A, got {tuple(T.shape[-2:])}")
    batch = require_broadcast(rnn=A.shape[:-2], T=T.shape[:-2])
    if not (torch.linalg.cond(T) < 1 / torch.finfo(T.dtype).eps).all():
        raise ValueError("T must be invertible, got a matrix that is singular in float64")
    A, B, C = T @ A, T @ B, C.expand(*batch, *C.shape[-2:])
    return LinearRNN(torch.linalg.solve(T, A, left=False), B,
                     torch.linalg.solve(T, C, left=False))


def krylov(A: Tensor, v: Tensor, length: int) -> Tensor:
    """Rows v, A v, …, A^{length-1} v: with B, the controllability matrix transposed.

    Shapes: A (..., d, d), v (..., d, 1) -> (..., length, d). Inputs are not validated.
    """
    vectors = [v]
    for _ in range(length - 1):
        vectors.append(A @ vectors[-1])
    return torch.cat(vectors, -1).mT


def require_rnn(rnn: LinearRNN) -> LinearRNN:
    """The rnn, its entries as tensors, or a ValueError that says what is malformed and how.

    Shapes and number format are those of LinearRNN; all entries must be finite.
    """
    if not isinstance(rnn, LinearRNN):
        raise ValueError(f"rnn must be a LinearRNN, got {type(rnn).__name__}")
    A = require_floats(rnn.A, "A", ndim=2)
    B, C = (require_floats(M, name, ndim=2, like=A) for M, name in ((rnn.B, "B"), (rnn.C, "C")))
    d = A.shape[-1]
    for M, name, shape in ((A, "A", (d, d)), (B, "B", (d, 1)), (C, "C", (1, d))):
        if M.shape[-2:] != shape or M.shape[:-2] != A.shape[:-2]:
            raise ValueError(f"{name} must have shape {(*A.shape[:-2], *shape)} for an A with "
                             f"{d} columns and this batch, got {tuple(M.shape)}")
    return LinearRNN(A, B, C)
