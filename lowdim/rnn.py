"""Linear recurrent networks and their impulse response.

State is a column: s_{t+1} = A s_t + B x_t, y_t = C s_{t+1}, s_0 = 0, so that
y_t = sum_j h_j x_{t-j} with the impulse response (Markov parameters) h_j = C A^j B.
Leading axes are a batch: seeds, scales and teachers run at once.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class LinearRNN(NamedTuple):
    """The triple (A, B, C) of s_{t+1} = A s_t + B x_t, y_t = C s_{t+1}.

    Shapes: A (..., d, d), B (..., d, 1), C (..., 1, d), float64, one batch shape.
    """

    A: Tensor
    B: Tensor
    C: Tensor


def impulse_response(rnn: LinearRNN, length: int) -> Tensor:
    """h_j = C A^j B for j = 0 … length-1.

    Shapes: rnn with batch (...) -> (..., length). Raises ValueError for a malformed rnn or a
    length below 1. Source: the definition of Markov parameters (Kailath, Linear Systems, 1980).

    >>> half = torch.full((1, 1), 0.5, dtype=torch.float64)
    >>> impulse_response(LinearRNN(half, 2 * half, 6 * half), 4).tolist()
    [3.0, 1.5, 0.75, 0.375]
    """
    A, B, C = require_rnn(rnn)
    return (krylov(A, B, require_length(length)) @ C.mT).squeeze(-1)


def simulate(rnn: LinearRNN, x: Tensor) -> Tensor:
    """Outputs y_0 … y_{T-1} for the inputs x_0 … x_{T-1}, from the state s_0 = 0.

    Shapes: x (..., T) -> (..., T); the batch axes of rnn and x are broadcast together.
    Raises ValueError for a malformed rnn, or for x that is not float64, finite and non-empty.

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
    return torch.stack(y, -1)


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
    require_length(dim, "dim")
    if not isinstance(batch, tuple):
        raise ValueError(f"batch must be a tuple of lengths, got {batch!r}")
    for length in batch:
        require_length(length, "each axis of batch")
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {generator!r}")
    if not (isinstance(scale, int | float) and 0 <= scale < float("inf")):
        raise ValueError(f"scale must be a finite number >= 0, got {scale!r}")
    if structure not in STRUCTURES:
        raise ValueError(f"structure must be one of {STRUCTURES}, got {structure!r}")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*batch, *shape, generator=generator, device=generator.device,
                           dtype=torch.float64) * (scale / dim**0.5)

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
    seeds = list(seeds)
    if not seeds:
        raise ValueError("seeds must hold at least one seed")
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise ValueError(f"seeds must be integers in 0 … 2^63 - 1, got {seed!r}")
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


def require_floats(values: Tensor, name: str, *, ndim: int, like: Tensor | None = None) -> Tensor:
    """values as a float64 tensor with at least ndim axes, none of length 0, all finite.

    A nested list becomes a tensor on the device of like; a tensor is returned as it is and must
    be on that device. Raises ValueError, naming the argument, for anything else (float32 and
    complex included).
    """
    values = to_tensor(values, name, torch.float64, like=like)
    if values.dtype != torch.float64:
        raise ValueError(f"{name} must be float64, got {values.dtype}")
    if like is not None and values.device != like.device:
        raise ValueError(f"{name} must be on the device {like.device}, got {values.device}")
    if values.ndim < ndim or values.numel() == 0:
        raise ValueError(f"{name} must have at least {ndim} axes, none of length 0, "
                         f"got shape {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values[~torch.isfinite(values)][0].item()}")
    return values


def to_tensor(values: Tensor, name: str, dtype: torch.dtype, *,
              like: Tensor | None = None) -> Tensor:
    """values if a tensor, else a new tensor of dtype on the device of like.

    A NumPy array keeps its own dtype, so that float32 is seen and not silently widened. Raises
    ValueError, naming the argument, for what holds no numbers of that kind.
    """
    if isinstance(values, Tensor):
        return values
    dtype = None if hasattr(values, "dtype") else dtype
    try:
        return torch.tensor(values, dtype=dtype, device=None if like is None else like.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None


def require_length(length: int, name: str = "length", *, least: int = 1) -> int:
    """length itself, if it is an integer >= least.

    Raises ValueError, naming the argument, for anything else (booleans and floats included).
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {length!r}")
    return length


def require_broadcast(**batches: torch.Size) -> torch.Size:
    """The batch shape that all arguments, given by name, broadcast to.

    Raises ValueError, naming them, where they do not.
    """
    try:
        return torch.broadcast_shapes(*batches.values())
    except RuntimeError:
        shapes = " and ".join(f"{name} {tuple(shape)}" for name, shape in batches.items())
        raise ValueError(f"batch axes must broadcast together, got {shapes}") from None
