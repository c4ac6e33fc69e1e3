"""Teachers with a known impulse response, and students that fit a teacher and still fail."""

import torch
from torch import Tensor

from lowdim.inputs import (
    require_broadcast,
    require_finite,
    require_floats,
    require_length,
    require_number,
    to_tensor,
)
from lowdim.rnn import LinearRNN, impulse_response, krylov, require_rnn
from lowdim.structure import hankel, require_minimal


def modal_teacher(poles: Tensor, residues: Tensor) -> LinearRNN:
    """The minimal real system with h_j = sum_i residues_i poles_i^j.

    Real poles stand on the diagonal with |B_i| = |C_i| = sqrt|residue|; a conjugate pair
    r e^{±i theta} with residues |w| e^{±i psi} is the block r [[cos, -sin], [sin, cos]](theta),
    which contributes 2 |w| r^j cos(j theta + psi). Shapes: (..., n) each, or lists -> state
    dimension n. Raises ValueError for repeated poles, zero residues, a complex pole whose exact
    conjugate (with the conjugate residue) is missing, or sizes at which float64 keeps h_j, j <= 2n,
    no longer to 1e-9 sum_i |residues_i poles_i^j|. Source: partial fractions.

    >>> modal_teacher([0.5, -0.5], [4.0, -9.0]).C.tolist()
    [[2.0, -3.0]]
    """
    poles = _complex_vector(poles, "poles")
    residues = _complex_vector(residues, "residues", like=poles)
    if poles.shape != residues.shape:
        raise ValueError(f"poles and residues must have the same shape, got "
                         f"{tuple(poles.shape)} and {tuple(residues.shape)}")
    n, batch = poles.shape[-1], poles.shape[:-1]
    systems = [_modal(p, w) for p, w in zip(poles.reshape(-1, n), residues.reshape(-1, n),
                                            strict=True)]
    A, B, C = teacher = LinearRNN(*(torch.stack(blocks).reshape(*batch, *blocks[0].shape)
                                    for blocks in zip(*systems, strict=True)))
    modes = residues[..., None] * torch.linalg.vander(poles, N=2 * n + 1)
    gap, scale = (krylov(A, B, 2 * n + 1) @ C.mT).squeeze(-1) - modes.sum(-2), modes.abs().sum(-2)
    if not (scale.isfinite() & (gap.abs() <= 1e-9 * scale)).all():
        raise ValueError(f"poles and residues must be of sizes at which h_j, j <= 2n = {2 * n}, "
                         f"stays within float64")
    return teacher


def memoryless_teacher(gain: float) -> LinearRNN:
    """The system y_t = gain x_t: A = 0, |B| = |C| = sqrt|gain|, h = (gain, 0, 0, …).

    Shapes: state dimension 1, no batch. Raises ValueError for a gain that is zero or not finite.

    >>> [M.item() for M in memoryless_teacher(-4.0)]
    [0.0, 2.0, -2.0]
    """
    return delay_teacher(0, gain)


def delay_teacher(lag: int, gain: float = 1.0) -> LinearRNN:
    """The system y_t = gain x_{t-lag}: h = gain at that lag, zero at every other.

    A shift register of lag + 1 cells, |B| = |C| = sqrt|gain|; no smaller state will do, since the
    Hankel matrix of h has rank lag + 1. Shapes: state dimension lag + 1, no batch. Raises
    ValueError for lag < 0 or a gain that is zero or not finite.
    """
    lag, gain = require_length(lag, "lag", least=0), require_number(gain, "gain")
    if gain == 0:
        raise ValueError("gain must not be zero")
    A = torch.diag_embed(gain.new_ones(lag), offset=-1) if lag else gain.new_zeros(1, 1)
    B, C = gain.new_zeros(lag + 1, 1), gain.new_zeros(1, lag + 1)
    B[0, 0], C[0, -1] = gain.abs().sqrt(), gain.sign() * gain.abs().sqrt()
    return LinearRNN(A, B, C)


def failing_student(teacher: LinearRNN, train_length: int, dim: int, error: float) -> LinearRNN:
    """A student with h_j = h*_j for j < k = train_length and h_k = h*_k + error.

    Its state lists its next `dim` outputs: A shifts them up and appends sum_i a_i h_{j+i}, where
    a is the shortest solution of the Hankel equations that the k + 1 samples impose; for
    dim > k there are none, and the student is a FIR filter. Shapes: the teacher's batch; state
    dimension dim. Raises ValueError for a teacher that is not minimal (require_minimal), k < 2n,
    an error that is zero or not finite, dim < k + 1 - n, where no such student exists
    (clm-sharp-dimension), and where float64 does not hold it: the student's own response, computed
    as everywhere, is within 1e-10 max_{j<k} |h*_j| on the trained lags, and off by error (1 ± 1e-6)
    at lag k.
    """
    A, _, _ = require_rnn(teacher)
    n, k = A.shape[-1], require_length(train_length, "train_length")
    error = require_number(error, "error", like=A)
    if error == 0:
        raise ValueError("error must not be zero")
    if k < 2 * n:
        raise ValueError(f"train_length must be at least 2n = {2 * n}, got {k}")
    dim = require_length(dim, "dim")
    if dim < k + 1 - n:
        raise ValueError(f"dim must be at least k + 1 - n = {k + 1 - n} for a student that fits "
                         f"k = {k} samples of a teacher of degree {n} and fails, got {dim}")
    require_minimal(teacher, "teacher")
    h_teacher = impulse_response(teacher, k + 1)
    batch = h_teacher.shape[:-1]
    h = torch.cat((h_teacher[..., :k], h_teacher[..., k:] + error, A.new_zeros(*batch, dim)), -1)
    A = torch.diag(h.new_ones(dim - 1), 1).expand(*batch, dim, dim).clone()
    if dim <= k:
        equations = hankel(h[..., :k], k + 1 - dim)
        A[..., -1, :] = (torch.linalg.pinv(equations) @ h[..., dim:k + 1, None]).squeeze(-1)
    C = torch.eye(dim, dtype=h.dtype, device=h.device)[:1].expand(*batch, 1, dim).clone()
    student = LinearRNN(A, h[..., :dim, None].clone(), C)
    response = (krylov(student.A, student.B, k + 1) @ student.C.mT).squeeze(-1)
    _require_failure(response - h_teacher, h_teacher, error, "dim and error")
    return student


def bordered_student(poles: Tensor, residues: Tensor, t: Tensor, S: Tensor) -> LinearRNN:
    """A symmetric balanced student, right for j <= 2n - 1, and too large by e > 0 at lag 2n.

    A = [[diag(poles), q t^T], [t q^T, S]] and B = C^T = (sqrt(residues), 0), where q has norm 1 and
    q_i is proportional to 1 / (sqrt(residues_i) p'(poles_i)), p the monic polynomial with these
    poles; e = |t|^2 / sum_i 1 / (residues_i p'(poles_i)^2). Shapes: (n,), (n,), (..., m) and
    (..., m, m), where the batch axes of t and S broadcast -> state dimension n + m. Raises
    ValueError for repeated poles, residues that are not positive, t = 0 (the student would be the
    teacher), S not exactly symmetric, other shapes, and where float64 does not hold the student:
    its own response is within 1e-10 max_{j<2n} |h*_j| on the lags below 2n, and off by e (1 ± 1e-6)
    at lag 2n. Source: clm-border.

    >>> [M.tolist() for M in bordered_student([0.5], [4.0], [2.0], [[0.0]])]
    [[[0.5, 2.0], [2.0, 0.0]], [[2.0], [0.0]], [[2.0, 0.0]]]
    """
    poles = require_floats(poles, "poles", ndim=1)
    residues = require_floats(residues, "residues", ndim=1, like=poles)
    t = require_floats(t, "t", ndim=1, like=poles)
    S = require_floats(S, "S", ndim=2, like=poles)
    if poles.ndim > 1 or poles.shape != residues.shape:
        raise ValueError(f"poles and residues must be two vectors of the same length, got shapes "
                         f"{tuple(poles.shape)} and {tuple(residues.shape)}")
    if not (residues > 0).all():
        raise ValueError(f"residues must be positive, got {residues.tolist()}")
    n, m = len(poles), t.shape[-1]
    if S.shape[-2:] != (m, m) or not (S == S.mT).all():
        raise ValueError(f"S must be symmetric and {m} x {m} like t, got {S.tolist()}")
    if not (t != 0).any(-1).all():
        raise ValueError("t must not be zero: the student would be the teacher")
    batch = require_broadcast(t=t.shape[:-1], S=S.shape[:-2])
    roots = residues.sqrt()
    teacher = modal_teacher(poles, residues)
    q = null_measure(poles) / roots if n > 1 else torch.ones_like(poles)
    q = q / torch.linalg.vector_norm(q)
    gain = q @ (roots * poles ** (n - 1))  # gain^2 = 1 / sum_i 1 / (residues_i p'(poles_i)^2)
    A = poles.new_zeros(*batch, n + m, n + m)
    A[..., :n, :n], A[..., n:, n:] = teacher.A, S
    A[..., n:, :n] = t[..., :, None] * q
    A[..., :n, n:] = A[..., n:, :n].mT
    B = torch.cat((roots, roots.new_zeros(m)))[:, None].expand(*batch, n + m, 1).clone()
    h_teacher = impulse_response(teacher, 2 * n + 1)
    response = (krylov(A, B, 2 * n + 1) @ B).squeeze(-1)
    error = gain.square() * t.square().sum(-1)
    _require_failure(response - h_teacher, h_teacher, error, "poles, residues, t and S")
    return LinearRNN(A, B, B.mT.clone())


def null_measure(nodes: Tensor) -> Tensor:
    """Signed weights on the nodes that the first len(nodes) - 1 moments do not see.

    w_i = c / prod_{j != i} (x_i - x_j), the weights of a divided difference, with c such that
    sum |w_i| = 1 and w_0 > 0: sum_i w_i x_i^m = 0 for m < N - 1, where N = len(nodes). Each weight
    is exact to 3N roundings, so that the m-th moment is at most 3N 2^-53 sum_i |w_i x_i^m|.
    Shapes: (N,) -> (N,). Raises ValueError unless there are at least two nodes, all distinct,
    whose differences are finite, and for weights so unequal that one falls below float64.

    >>> null_measure([0.0, 1.0, 2.0]).tolist()
    [0.25, -0.5, 0.25]
    """
    nodes = require_floats(nodes, "nodes", ndim=1)
    if nodes.ndim > 1 or len(nodes) < 2 or len(nodes.unique()) < len(nodes):
        raise ValueError(f"nodes must be at least two distinct numbers, got {nodes.tolist()}")
    gaps = nodes[:, None] - nodes + torch.eye(len(nodes), dtype=nodes.dtype, device=nodes.device)
    require_finite(gaps, "nodes must have finite differences, got")
    # Products of many gaps leave the range of float64, so their exponents are summed apart.
    mantissas, exponents = torch.frexp(gaps)
    products, exponents = torch.ones_like(nodes), exponents.sum(-1)
    for mantissa in mantissas.unbind(-1):
        products, carry = torch.frexp(products * mantissa)
        exponents = exponents + carry
    weights = torch.ldexp(1 / products, exponents.amin() - exponents)
    weights = weights / (weights.abs().sum() * weights[0].sign())
    if not (weights.abs() >= torch.finfo(nodes.dtype).tiny).all():
        raise ValueError(f"nodes must be fewer or spread otherwise: a weight on {len(nodes)} nodes "
                         f"falls below {torch.finfo(nodes.dtype).tiny:.3g} of their sum")
    return weights


def _require_failure(gap: Tensor, h_teacher: Tensor, error: Tensor, names: str) -> None:
    """The promise of both students that fail, for gap = h - h* on the lags 0 … k: see there."""
    trained = gap[..., :-1].abs().amax(-1) / h_teacher[..., :-1].abs().amax(-1)
    missed = (gap[..., -1] - error).abs() / error.abs()
    if not ((trained <= 1e-10) & (missed <= 1e-6)).all():
        raise ValueError(f"{names} must leave a student that float64 can hold: it misses "
                         f"the trained lags by {trained.max():.3g} of the largest, and the error "
                         f"{error.abs().min():.3g} by {missed.max():.3g} of it")


def _modal(poles: Tensor, residues: Tensor) -> LinearRNN:
    if len(set(poles.tolist())) < len(poles):
        raise ValueError(f"poles must be distinct, got {poles.tolist()}")
    if (residues == 0).any():
        raise ValueError(f"residues must be nonzero, got {residues.tolist()}")
    modes = dict(zip(poles.tolist(), residues.tolist(), strict=True))
    for pole, residue in modes.items():
        if modes.get(pole.conjugate()) != residue.conjugate():
            raise ValueError(f"pole {pole} with residue {residue} needs its exact conjugate")
    roots = residues.abs().sqrt()
    # A real residue keeps an exact sign: complex division would round it, and |B_i| = |C_i| break.
    phase = torch.where(residues.imag == 0, residues.real.sign(), residues / residues.abs())
    A, B, C = torch.diag(poles.real), roots[:, None].clone(), (phase.real * roots)[None].clone()
    order = poles.tolist()
    for i, pole in enumerate(order):
        if pole.imag > 0:
            j = order.index(pole.conjugate())
            A[j, i], A[i, j] = pole.imag, -pole.imag
            B[i, 0], B[j, 0] = 2**0.5 * roots[i], 0
            C[0, i], C[0, j] = 2**0.5 * roots[i] * torch.stack((phase[i].real, -phase[i].imag))
    return LinearRNN(A, B, C)


def _complex_vector(values: Tensor, name: str, like: Tensor | None = None) -> Tensor:
    """values (..., n), real or complex, as complex128 on their own device."""
    values = to_tensor(values, name, torch.complex128, like=like)
    if values.dtype == torch.complex128:
        for part in (values.real, values.imag):
            require_floats(part, name, ndim=1, like=like)
        return values
    return require_floats(values, name, ndim=1, like=like).to(torch.complex128)
