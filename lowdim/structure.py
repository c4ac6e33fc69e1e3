"""Structure behind an impulse response: Hankel matrices, poles and weights."""

import torch
from torch import Tensor

from lowdim.rnn import LinearRNN, require_floats, require_length, require_rnn


def hankel(h: Tensor, rows: int) -> Tensor:
    """The Hankel matrix H_ij = h_{i+j} of a finite impulse response.

    Shapes: h (..., L) -> (..., rows, L - rows + 1). Its rank is the McMillan degree once both
    sides reach the degree (Kronecker). Raises ValueError unless 1 <= rows <= L.

    >>> hankel([1.0, 2.0, 3.0], 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    h = require_floats(h, "h", ndim=1)
    if require_length(rows, "rows") > h.shape[-1]:
        raise ValueError(f"rows must be at most the length of h, {h.shape[-1]}, got {rows}")
    return h.unfold(-1, h.shape[-1] - rows + 1, 1).clone()


def hankel_singular_values(h: Tensor) -> Tensor:
    """Singular values of hankel(h, (L+1)//2), descending: the finite section, not the operator.

    Shapes: h (..., L) -> (..., (L+1)//2), in the units of h. They do not depend on the state
    basis. Raises ValueError for h that is not float64, finite and non-empty.
    """
    h = require_floats(h, "h", ndim=1)
    return torch.linalg.svdvals(hankel(h, (h.shape[-1] + 1) // 2))


def spectral_measure(rnn: LinearRNN) -> tuple[Tensor, Tensor]:
    """Nodes l_i and weights w_i with h_j = sum_i w_i l_i^j, for a symmetric A.

    With A = V diag(l) V^T, w_i = (C V)_i (V^T B)_i: nonnegative when B = C^T, signed otherwise.
    Shapes: (..., d) and (..., d), nodes ascending. Raises ValueError for a malformed rnn or
    an entry of A - A^T above 1e-12 max |A_ij|. Source: the spectral theorem.
    """
    A, B, C = require_rnn(rnn)
    size, defect = (M.abs().amax((-2, -1)) for M in (A, A - A.mT))
    if not (defect <= 1e-12 * size).all():
        worst = (defect / size).nan_to_num().max().item()
        raise ValueError(f"A must be symmetric to 1e-12, got |A - A^T| = {worst:.3g} max |A|")
    nodes, V = torch.linalg.eigh(A)
    return nodes, (C @ V).squeeze(-2) * (V.mT @ B).squeeze(-1)
