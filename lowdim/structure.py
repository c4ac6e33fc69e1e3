"""Structure behind an impulse response: Hankel matrices, poles and weights."""

import torch
from torch import Tensor

from lowdim.inputs import require_floats, require_length
from lowdim.rnn import LinearRNN, require_rnn


def hankel(h: Tensor, rows: int) -> Tensor:
    """The Hankel matrix H_ij = h_{i+j} of a finite impulse response.

    Shapes: h (..., L) -> (..., rows, L - rows + 1). Its rank is the McMillan degree once both
    sides reach the degree (Kronecker). Raises ValueError unless 1 <= rows <= L.

    >>> hankel([1.0, 2.0, 3.0], 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    h = require_floats(h, "h", ndim=1)
    rows = require_length(rows, "rows")
    if rows > h.shape[-1]:
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


def balancedness(rnn: LinearRNN) -> Tensor:
    """Q = A A^T - A^T A + B B^T - C^T C, which gradient flow on a loss of h alone conserves.

    Shapes: (..., d, d), symmetric, in squared units of the parameters. Raises ValueError for a
    malformed rnn. Source: clm-conserved.
    """
    A, B, C = require_rnn(rnn)
    return A @ A.mT - A.mT @ A + B @ B.mT - C.mT @ C


def norm_balanced(rnn: LinearRNN) -> LinearRNN:
    """The similar triple of least |A|^2 + |B|^2 + |C|^2; it has Q = 0 and the same h.

    Unique up to an orthogonal change of basis (clm-kempf-ness), and found by Newton's method on
    the orbit until |Q| <= 1e-14 |theta|^2. Shapes: those of rnn. Raises ValueError for a malformed
    rnn, and for one that is not minimal: in the first basis found with |Q| <= 1e-4 |theta|^2, the
    least singular value of the pencils [A - l 1, B] and [A - l 1; C], over complex l, is at most
    1e-6 |theta|. (A few of these have a minimiser, such as A = B = C = 0; most have none.)

    >>> half = torch.full((1, 1), 0.5, dtype=torch.float64)
    >>> [round(M.item(), 12) for M in norm_balanced(LinearRNN(half, 16 * half, 4 * half))]
    [0.5, 4.0, 4.0]
    """
    rnn = _towards_balance(require_rnn(rnn), 1e-4)
    margin, limit = _distance_from_non_minimal(rnn), 1e-6 * _size(rnn).sqrt()
    if not (margin > limit).all():
        raise ValueError("rnn must be minimal: in the norm-balanced basis the least singular "
                         f"values of the pencils [A - l 1, B] and [A - l 1; C] are "
                         f"{margin.tolist()}, and must exceed 1e-6 |theta| = {limit.tolist()}")
    return _towards_balance(rnn, 1e-14)


def _size(rnn: LinearRNN) -> Tensor:
    return sum(M.square().sum((-2, -1)) for M in rnn)


def _towards_balance(rnn: LinearRNN, tolerance: float) -> LinearRNN:
    for _ in range(1000):
        rnn = _newton_step(rnn)
        defect = balancedness(rnn).abs().amax((-2, -1))
        if (defect <= tolerance * _size(rnn)).all():
            return rnn
    raise ValueError(f"rnn must be farther from non-minimal: |Q| stays at {defect.tolist()}")


def _newton_step(rnn: LinearRNN) -> LinearRNN:
    """One damped Newton step of |theta|^2 along its similarity orbit.

    To second order |exp(X) theta|^2 = |theta|^2 + 2 <theta, JX> + 2 |JX|^2 with the tangent
    JX = ([X, A], XB, -CX), so that X is a least-squares solution of JX = -theta/2. Along exp(sX)
    the function is a sum of exponentials with rates in [-M, M], so that f''(s) <= f''(0) e^{Ms}
    and f'(0) = -f''(0): it falls at least until s = log(1 + M) / M. That is the step.
    """
    A, B, C = (M[..., None, :, :] for M in rnn)
    i, j = torch.triu_indices(d := A.shape[-1], d, device=A.device)
    E = A.new_zeros(len(i), d, d)  # a basis of the symmetric matrices
    E[range(len(i)), i, j] = E[range(len(i)), j, i] = 1
    J = torch.cat([M.flatten(-2) for M in (E @ A - A @ E, E @ B, -C @ E)], -1)
    theta = torch.cat([M.flatten(-2) for M in rnn], -1)
    x = -0.5 * theta[..., None, :] @ torch.linalg.pinv(J, rtol=1e-12)
    rates, V = torch.linalg.eigh((x.mT[..., None] * E).sum(-3))
    low, high = rates.clamp(max=0).amin(-1), rates.clamp(min=0).amax(-1)
    M = 2 * (high - low)[..., None]  # twice the largest of |x_i - x_j| and |x_i|
    s = torch.where(M > 0, torch.log1p(M) / M, 1)
    grow = V @ torch.diag_embed((s * rates).exp()) @ V.mT
    shrink = V @ torch.diag_embed((-s * rates).exp()) @ V.mT
    return LinearRNN(grow @ rnn.A @ shrink, grow @ rnn.B, rnn.C @ shrink)


def _distance_from_non_minimal(rnn: LinearRNN) -> Tensor:
    """The least singular value over the pencils [A - l 1, B] and [A^T - l 1, C^T] (Hautus).

    From the eigenvalues l of A, which rounding moves far where they are defective, a few rounds
    of alternating minimisation: u the last left singular vector, then l = u^H A u.
    """
    A, B, C = rnn
    F, v = torch.stack((A, A.mT))[..., None, :, :], torch.stack((B, C.mT))[..., None, :, :]
    F, v = torch.complex(F, 0 * F), torch.complex(v, 0 * v)
    pole = torch.linalg.eigvals(A).expand(F.shape[:-3] + A.shape[-1:])[..., None, None]
    one = torch.eye(A.shape[-1], dtype=F.dtype, device=A.device)
    for _ in range(5):
        pencil = torch.cat((F - pole * one, v.expand(*pole.shape[:-2], *v.shape[-2:])), -1)
        U, sigma, _ = torch.linalg.svd(pencil, full_matrices=False)
        pole = U[..., -1:].mH @ F @ U[..., -1:]
    return sigma.amin((0, -2, -1))
