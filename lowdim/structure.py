"""Structure behind an impulse response: Hankel matrices, poles and weights."""

import torch
from torch import Tensor

from lowdim.inputs import require_finite, require_floats, require_length
from lowdim.rnn import LinearRNN, change_basis, impulse_response, require_rnn


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
    values = torch.linalg.svdvals(hankel(h, (h.shape[-1] + 1) // 2))
    return require_finite(values, "the Hankel singular values overflow float64: they hold")


def spectral_measure(rnn: LinearRNN) -> tuple[Tensor, Tensor]:
    """Nodes l_i and weights w_i with h_j = sum_i w_i l_i^j, for a symmetric A.

    With A = V diag(l) V^T, w_i = (C V)_i (V^T B)_i: nonnegative when B = C^T, signed otherwise.
    Shapes: (..., d) and (..., d), nodes ascending. Raises ValueError for a malformed rnn, an entry
    of A - A^T above 1e-12 max |A_ij|, or weights beyond float64. Source: the spectral theorem.
    """
    A, B, C = require_rnn(rnn)
    largest, defect = (matrix.abs().amax((-2, -1)) for matrix in (A, A - A.mT))
    if not (defect <= 1e-12 * largest).all():
        worst = (defect / largest).nan_to_num().max().item()
        raise ValueError(f"A must be symmetric to 1e-12, got |A - A^T| = {worst:.3g} max |A|")
    nodes, V = torch.linalg.eigh(A)
    weights = (C @ V).squeeze(-2) * (V.mT @ B).squeeze(-1)
    return nodes, require_finite(weights, "the weights overflow float64: they hold")


def balancedness(rnn: LinearRNN) -> Tensor:
    """Q = A A^T - A^T A + B B^T - C^T C, which gradient flow on a loss of h alone conserves.

    Shapes: (..., d, d), symmetric, in squared units of the parameters. Raises ValueError for a
    malformed rnn, or a Q beyond float64. Source: clm-conserved.
    """
    A, B, C = require_rnn(rnn)
    Q = A @ A.mT - A.mT @ A + B @ B.mT - C.mT @ C
    return require_finite(Q, "Q overflows float64: it holds")


def norm_balanced(rnn: LinearRNN) -> LinearRNN:
    """The similar triple of least |A|^2 + |B|^2 + |C|^2; it has Q = 0 and the same h.

    Unique up to an orthogonal change of basis (clm-kempf-ness), and found by Newton's method on
    the orbit until |Q| <= 1e-14 |theta|^2. Shapes: those of rnn. Raises ValueError for a malformed
    rnn, for one that is not minimal (require_minimal says what that means in float64), and where
    rounding changes h_j, j < 2d, by more than 1e-6 |C| |A|^j |B| (norms in the new basis).

    >>> half = torch.full((1, 1), 0.5, dtype=torch.float64)
    >>> [round(M.item(), 12) for M in norm_balanced(LinearRNN(half, 16 * half, 4 * half))]
    [0.5, 4.0, 4.0]
    """
    balanced, lags = require_minimal(rnn), 2 * rnn.A.shape[-1]
    gap = impulse_response(balanced, lags) - impulse_response(rnn, lags)
    A, B, C = (torch.linalg.matrix_norm(matrix, 2)[..., None] for matrix in balanced)
    scale = C * A ** torch.arange(lags, device=A.device) * B
    if not (gap.abs() <= 1e-6 * scale).all():
        worst = (gap.abs() / scale).nan_to_num().max().item()
        raise ValueError(f"rnn must stand in a better basis: its h, computed in it and in the "
                         f"norm-balanced one, differs by {worst:.3g} |C| |A|^j |B|")
    return balanced


def require_minimal(rnn: LinearRNN, name: str = "rnn") -> LinearRNN:
    """The norm-balanced triple, or a ValueError that says why rnn is not minimal in float64.

    A triple is minimal iff |theta|^2 has a least value on its orbit and curves upwards there along
    every symmetric X, that is, iff s(X) = |([X, A], XB, -CX)| > 0 at a triple with Q = 0. Here:
    s(X) > 1e-6 |theta| + 10 r for every symmetric X with |X| = 1, where r is what rounding did
    on the way: the norm of the gap between the triple carried along from step to step and the one
    that the accumulated change of basis makes of the given one. But for r this depends on h alone.
    It proves the triple returned minimal: along exp(uX) the slope of |theta|^2 is at least
    s^2 (1 - e^{-4u}) - 2 |Q|, and |Q| <= 1e-14 d |theta|^2 is below s^2 / 2 up to d = 50. Hankel
    singular values would not do: they fall to rounding for random systems of 20 states. A change
    of basis of condition above 1e12, and 150 steps without an end, are refused as well. Costs some
    tens of products d x d a step, and once the eigenvalues of a matrix of order d (d + 1) / 2:
    0.3 s in all at d = 30, 15 s at d = 100.
    """
    rnn = _in_one_unit(require_rnn(rnn))
    carried, T = _descend(rnn, name)
    afresh = change_basis(rnn, T)
    rounding = _norm(LinearRNN(*(M - N for M, N in zip(carried, afresh, strict=True))))
    balanced, _ = _descend(afresh, name)
    least, limit = _least_curvature(balanced), 1e-6 * _norm(balanced) + 10 * rounding
    if not (least > limit).all():
        raise ValueError(f"{name} must be minimal: in the norm-balanced basis the singular values "
                         f"of X -> ([X, A], XB, -CX) over symmetric X fall to {least.tolist()}, "
                         f"and must exceed {limit.tolist()}")
    return balanced


def _norm(rnn: LinearRNN) -> Tensor:
    return sum(matrix.square().sum((-2, -1)) for matrix in rnn).sqrt()


def _in_one_unit(rnn: LinearRNN) -> LinearRNN:
    """(A, tB, C/t) with max |tB| about max |C/t|: Newton steps alone take long over 1e±100.

    t is a power of two, so that nothing is rounded.
    """
    b, c = (matrix.abs().amax((-2, -1), keepdim=True).sqrt() for matrix in (rnn.B, rnn.C))
    t = torch.where((b > 0) & (c > 0), (c / b).log2().round().exp2(), 1)
    return rnn._replace(B=t * rnn.B, C=rnn.C / t)


def _descend(rnn: LinearRNN, name: str) -> tuple[LinearRNN, Tensor]:
    """The triple with |Q| <= 1e-14 |theta|^2, and the T that leads there."""
    d = rnn.A.shape[-1]
    T = torch.eye(d, dtype=rnn.A.dtype, device=rnn.A.device).expand(rnn.A.shape)
    for _ in range(150):
        if (balancedness(rnn).abs().amax((-2, -1)) <= 1e-14 * _norm(rnn).square()).all():
            return rnn, T
        grow, shrink = _step(rnn)
        rnn, T = LinearRNN(grow @ rnn.A @ shrink, grow @ rnn.B, rnn.C @ shrink), grow @ T
        sigma = torch.linalg.svdvals(T)
        if not (sigma[..., 0] < 1e12 * sigma[..., -1]).all():
            break
    worst = sigma.reshape(-1, d)[(sigma[..., -1] / sigma[..., 0]).argmin()]
    raise ValueError(f"{name} must be minimal: |A|^2 + |B|^2 + |C|^2 still falls after a change of "
                     f"basis with the singular values {worst.tolist()}")


def _step(rnn: LinearRNN) -> tuple[Tensor, Tensor]:
    """exp(sX) and exp(-sX) of one damped Newton step of |theta|^2 along its similarity orbit.

    To second order |exp(X) theta|^2 = |theta|^2 + 2 <theta, JX> + 2 |JX|^2 with the tangent
    JX = ([X, A], XB, -CX), so that X solves J*J X = -J* theta / 2 = -Q / 2. For the solution, and
    for what conjugate gradients have of it at any moment, <theta, JX> = -2 |JX|^2. Along exp(sX)
    the function is a sum of exponentials with rates in [-m, m], so that f''(s) <= f''(0) e^{ms}
    and f'(0) = -f''(0): it falls at least until s = log(1 + m) / m. That is the step.
    """
    rates, V = torch.linalg.eigh(_newton_direction(rnn))
    low, high = rates.clamp(max=0).amin(-1), rates.clamp(min=0).amax(-1)
    m = 2 * (high - low)[..., None]  # twice the largest of |x_i - x_j| and |x_i|
    s = torch.where(m > 0, torch.log1p(m) / m, 1)
    return tuple(V @ torch.diag_embed((sign * s * rates).exp()) @ V.mT for sign in (1, -1))


def _newton_direction(rnn: LinearRNN) -> Tensor:
    """An approximate solution of J*J X = -Q / 2, symmetric.

    J*J X = (XP + PX) / 2 - A X A^T - A^T X A with P = A A^T + A^T A + B B^T + C^T C. Conjugate
    gradients, preconditioned with its first part, which the eigenvectors of P invert, until the
    residual has fallen by 1e-4: near the least norm that is four digits a step.
    """
    A, B, C = rnn
    P = A @ A.mT + A.mT @ A + B @ B.mT + C.mT @ C
    p, V = torch.linalg.eigh(P)
    means, epsilon = (p[..., :, None] + p[..., None, :]) / 2, torch.finfo(p.dtype).eps
    # A mean below rounding belongs to states that are all but gone; tiny serves theta = 0.
    means = means.clamp(min=epsilon * p[..., -1:, None] + torch.finfo(p.dtype).tiny)
    X, residual = torch.zeros_like(A), -balancedness(rnn) / 2
    D = V @ (V.mT @ residual @ V / means) @ V.mT
    energy = first = _dot(residual, D)
    for _ in range(A.shape[-1] * (A.shape[-1] + 1) // 2):  # as many as unknowns
        image = (D @ P + P @ D) / 2 - A @ D @ A.mT - A.mT @ D @ A
        curvature = _dot(D, image)
        going = (energy > 1e-8 * first) & (curvature > epsilon * _dot(D, D @ P))
        if not going.any():
            break
        length = torch.where(going, energy / curvature, 0)
        X, residual = X + length * D, residual - length * image
        Z = V @ (V.mT @ residual @ V / means) @ V.mT
        energy, before = _dot(residual, Z), energy
        D = Z + torch.where(before > 0, energy / before, 0) * D
    return (X + X.mT) / 2


def _dot(X: Tensor, Y: Tensor) -> Tensor:
    return (X * Y).sum((-2, -1), keepdim=True)


def _least_curvature(rnn: LinearRNN) -> Tensor:
    """The least singular value of X -> ([X, A], XB, -CX) over the symmetric X."""
    A, B, C = (matrix[..., None, :, :] for matrix in rnn)
    d = A.shape[-1]
    i, j = torch.triu_indices(d, d, device=A.device)
    E = A.new_zeros(len(i), d, d)  # an orthonormal basis of the symmetric matrices
    E[range(len(i)), i, j] = E[range(len(i)), j, i] = torch.where(i == j, 1, 0.5**0.5).to(A)
    J = torch.cat([matrix.flatten(-2) for matrix in (E @ A - A @ E, E @ B, -C @ E)], -1)
    return torch.linalg.eigvalsh(J @ J.mT)[..., 0].clamp(min=0).sqrt()
