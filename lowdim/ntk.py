"""Wide random RNNs and their tangent kernel over lags.

A wide RNN is h_j = m^{-(j+1)/2} C W^j F with Gaussian entries of variances nu_W, nu_F, nu_C. The
triple z = (A, B, C) = (W, F, C)/sqrt(m) is a LinearRNN with the same kernel and the response
h/sqrt(m): a wide RNN is a student of lowdim.flow whose teacher is small by sqrt(m).
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lowdim.inputs import (
    require_broadcast,
    require_finite,
    require_floats,
    require_length,
    require_number,
)
from lowdim.loss import require_covariance
from lowdim.rnn import LinearRNN, impulse_response, krylov, require_rnn


class WideRNN(NamedTuple):
    """The weights of h_j = m^{-(j+1)/2} C W^j F.

    Shapes: W (..., m, m), F (..., m, 1), C (..., 1, m), float64, one batch shape.
    """

    W: Tensor
    F: Tensor
    C: Tensor


def kernel_weights(length: int, *, nu_W: float, nu_F: float = 1.0, nu_C: float = 1.0) -> Tensor:
    """rho_j = (nu_F + nu_C) nu_W^j + j nu_F nu_C nu_W^{j-1}: the diagonal of the infinite kernel.

    Shape: (length,). Raises ValueError for a length below 1 or a negative variance. Source: S3
    (Emami et al. 2021).

    >>> kernel_weights(4, nu_W=0.5).tolist()
    [2.0, 2.0, 1.5, 1.0]
    """
    nu_W, nu_F, nu_C = _variances(nu_W, nu_F, nu_C)
    j = torch.arange(require_length(length), dtype=torch.float64)
    rho = (nu_F + nu_C) * nu_W**j + j * nu_F * nu_C * nu_W ** (j - 1).clamp(min=0)
    return require_finite(rho, "the kernel weights overflow float64: they hold")


def wide_rnn(m: int, *, nu_W: float, nu_F: float = 1.0, nu_C: float = 1.0,
             batch: tuple[int, ...] = (), generator: torch.Generator) -> WideRNN:
    """Gaussian weights: the entries of W, F and C are N(0, nu_W), N(0, nu_F) and N(0, nu_C).

    Shapes: W (*batch, m, m) and so on, on the generator's device. Raises ValueError for m < 1, a
    negative variance, an empty or malformed batch, or no generator.
    """
    m, variances = require_length(m, "m"), _variances(nu_W, nu_F, nu_C)
    if not isinstance(batch, tuple):
        raise ValueError(f"batch must be a tuple of lengths, got {batch!r}")
    batch = tuple(require_length(length, "each axis of batch") for length in batch)
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator, got {generator!r}")
    return WideRNN(*(nu.sqrt().item() * torch.randn(*batch, *shape, generator=generator,
                                                    device=generator.device, dtype=torch.float64)
                     for nu, shape in zip(variances, ((m, m), (m, 1), (1, m)), strict=True)))


def seeded_wide_rnns(m: int, seeds: Iterable[int], *, nu_W: float, nu_F: float = 1.0,
                     nu_C: float = 1.0, batch: tuple[int, ...] = ()) -> WideRNN:
    """One wide_rnn (or a batch of them) for each seed, stacked: a seed's weights are its own.

    Shapes: W (len(seeds), *batch, m, m) and so on. Raises ValueError for no seeds, a seed that is
    not an integer in 0 … 2^63 - 1, and for what wide_rnn refuses.
    """
    seeds = [require_length(seed, "each of the seeds", least=0) for seed in seeds]
    if not seeds or max(seeds) >= 2**63:
        raise ValueError(f"seeds must hold integers in 0 … 2^63 - 1, at least one, got {seeds}")
    nets = [wide_rnn(m, nu_W=nu_W, nu_F=nu_F, nu_C=nu_C, batch=batch,
                     generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return WideRNN(*(torch.stack(weights) for weights in zip(*nets, strict=True)))


def infinite_rnn(letters: int, *, nu_W: float, nu_F: float = 1.0, nu_C: float = 1.0) -> LinearRNN:
    """The limit of small_form(wide_rnn(m)) as m -> infinity, cut off at words of `letters` letters.

    Its states are the words in two letters, empty word first, once under B and once under C. A puts
    letter 1 before a word, or takes a leading 2 away, times nu_W^{1/2}; A^T does the same with 1
    and 2 exchanged. For every product w of at most 2 letters + 1 factors A and A^T the numbers
    B^T w B, C w C^T and C w B are the limits in probability of those of the wide networks.
    Shapes: d = 2 (2^{letters+1} - 1) states. Raises ValueError for letters < 1, or a negative
    variance. Source: the circular element on the full Fock space (Voiculescu 1991).

    >>> infinite_rnn(1, nu_W=4.0).A[:3, :3].tolist()  # the words "", "1" and "2"
    [[0.0, 0.0, 2.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    nu_W, nu_F, nu_C = _variances(nu_W, nu_F, nu_C)
    w = torch.arange(2 ** require_length(letters, "letters") - 1)  # words that take a letter more
    words = 2 * len(w) + 1  # number w becomes 2 w + 1 with a 1 before it, and 2 w + 2 with a 2
    half = torch.zeros(words, words, dtype=torch.float64)
    half[2 * w + 1, w] = half[w, 2 * w + 2] = nu_W.sqrt()
    B, C = half.new_zeros(2 * words, 1), half.new_zeros(1, 2 * words)
    B[0, 0], C[0, words] = nu_F.sqrt(), nu_C.sqrt()
    return LinearRNN(torch.block_diag(half, half), B, C)


def small_form(wide: WideRNN) -> LinearRNN:
    """The triple z = (A, B, C) = (W, F, C)/sqrt(m), with the same kernel and response h/sqrt(m).

    Gradient descent on h* in (W, F, C) is gradient descent on h*/sqrt(m) in z, with the same step:
    clm-dial. Shapes: those of wide. Raises ValueError for malformed weights.
    """
    if not isinstance(wide, WideRNN):
        raise ValueError(f"wide must be a WideRNN, got {type(wide).__name__}")
    try:
        rnn = require_rnn(LinearRNN(*wide))
    except ValueError as error:
        raise ValueError(f"wide is malformed; (W, F, C) read as (A, B, C): {error}") from None
    return rnn.map(lambda matrix: matrix / rnn.A.shape[-1] ** 0.5)


def wide_response(wide: WideRNN, length: int) -> Tensor:
    """h_j = m^{-(j+1)/2} C W^j F for j = 0 … length-1.

    Shape: (..., length). Raises ValueError for malformed weights, a length below 1, or a response
    that leaves the range of float64.

    >>> two = WideRNN(*(torch.full(shape, 2.0, dtype=torch.float64)
    ...                 for shape in ((4, 4), (4, 1), (1, 4))))
    >>> wide_response(two, 3).tolist()  # C F = 16, each W multiplies by 8, each lag divides by 2
    [8.0, 32.0, 128.0]
    """
    rnn = small_form(wide)
    h = rnn.A.shape[-1] ** 0.5 * impulse_response(rnn, length)
    return require_finite(h, "the impulse response overflows float64: it holds")


def rnn_ntk(wide: WideRNN, length: int) -> Tensor:
    """The tangent kernel of (h_0 … h_{length-1}) in (W, F, C): <grad h_i, grad h_j>.

    Shape: (..., length, length). Raises ValueError for malformed weights or a length below 1.
    Source: the kernel of small_form(wide), which it equals.
    """
    return impulse_response_ntk(small_form(wide), length)


def impulse_response_ntk(rnn: LinearRNN, length: int) -> Tensor:
    """The tangent kernel of (h_0 … h_{length-1}) in (A, B, C): <grad h_i, grad h_j>.

    With the Gram matrices P of the vectors A^b B and R of the vectors (A^T)^a C^T it is
    P + R + (R ** P shifted by one row and one column), where ** is the two-dimensional convolution.
    Shape: (..., length, length). Raises ValueError for a malformed rnn, a length below 1, or a
    kernel beyond the range of float64. Source: clm-kernel-formula.

    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> impulse_response_ntk(LinearRNN(one, one, one), 3).tolist()  # 2 + i j
    [[2.0, 2.0, 2.0], [2.0, 3.0, 4.0], [2.0, 4.0, 6.0]]
    """
    A, B, C = require_rnn(rnn)
    length = require_length(length)
    reach, look = krylov(A, B, length), krylov(A.mT, C.mT, length)
    P, R = reach @ reach.mT, look @ look.mT
    kernel = P + R
    kernel[..., 1:, 1:] += _convolution(R, P)[..., :-1, :-1]
    return require_finite(kernel, "the kernel overflows float64: it holds")


def kernel_descent(h0: Tensor, target: Tensor, weights: Tensor, *, lr: float | Tensor, steps: int,
                   gram: Tensor | None = None) -> Tensor:
    """h <- h - 2 lr P S (h - target): gradient descent with a kernel P that does not move.

    weights holds the diagonal of P if it has one axis (kernel_weights), else whole kernels; gram
    is the inputs' second-moment matrix S, white inputs without it. Shapes: h0 and target (..., T),
    weights (T,) or (..., T, T), gram (..., T, T), lr (...) -> (steps+1, ..., T), the start first.
    The leading axes are broadcast together. Raises ValueError for malformed input, lr <= 0, or a
    descent that leaves the range of float64.

    >>> kernel_descent([0.0, 0.0], [1.0, 1.0], [2.0, 1.0], lr=0.25, steps=2).tolist()
    [[0.0, 0.0], [1.0, 0.5], [1.0, 0.75]]
    """
    h0 = require_floats(h0, "h0", ndim=1)
    target = require_floats(target, "target", ndim=1, like=h0)
    weights = require_floats(weights, "weights", ndim=1, like=h0)
    T, steps = h0.shape[-1], require_length(steps, "steps", least=0)
    if not {*target.shape[-1:], *weights.shape[-2:]} <= {T}:
        raise ValueError(f"target must end in {T} lags and weights be ({T},) or (..., {T}, {T}) "
                         f"like h0, got {tuple(target.shape)} and {tuple(weights.shape)}")
    try:
        S = require_covariance(gram, h0)
    except ValueError as error:
        raise ValueError(f"gram: {error}") from None
    lr = require_floats(lr, "lr", ndim=0, like=h0)
    if not (lr > 0).all():
        raise ValueError(f"lr must be positive, got {lr.min().item()}")
    P = weights.diag() if weights.ndim == 1 else weights
    S = torch.eye(T, dtype=P.dtype, device=P.device) if S is None else S
    batch = require_broadcast(h0=h0.shape[:-1], target=target.shape[:-1], weights=P.shape[:-2],
                              gram=S.shape[:-2], lr=lr.shape)
    step = 2 * lr[..., None, None] * (P @ S)
    path = [h0.expand(*batch, T)]
    for _ in range(steps):
        gap = path[-1] - target
        path.append(path[-1] - (step @ gap[..., None]).squeeze(-1))
    return require_finite(torch.stack(path), "the descent overflows float64: it holds")


def _convolution(R: Tensor, P: Tensor) -> Tensor:
    """sum over a <= i, b <= j of R[a, b] P[i-a, j-b], for i, j < T; both (..., T, T)."""
    T, total = R.shape[-1], torch.zeros_like(R)
    padded = torch.nn.functional.pad(R, (T - 1, 0))
    for a in range(T):
        toeplitz = padded[..., a, :].unfold(-1, T, 1).flip(-2)  # at (c, j): R[a, j-c]
        total[..., a:, :] += P[..., : T - a, :] @ toeplitz
    return total


def _variances(*values: float) -> list[Tensor]:
    """The variances nu_W, nu_F, nu_C as tensors; ValueError for one that is negative."""
    names = ("nu_W", "nu_F", "nu_C")
    variances = [require_number(nu, name) for nu, name in zip(values, names, strict=True)]
    for nu, name in zip(variances, names, strict=True):
        if nu < 0:
            raise ValueError(f"{name} must be a variance >= 0, got {nu.item()}")
    return variances
