"""Triples of the structures at which numerical code goes wrong, as a strategy of Hypothesis."""

import torch
from hypothesis import strategies as st

from lowdim.rnn import LinearRNN

MINIMAL_KINDS = ("gaussian", "nilpotent", "defective", "ill-scaled")
NON_MINIMAL_KINDS = ("unreachable", "unobservable", "idle", "repeated", "zero")


def structured_triple(kind, d, seed):
    """A LinearRNN with entries as in gaussian(d), of the structure that its kind names.

    Each kind has its own place where numerical code goes wrong: eigenvalues that rounding moves far
    (nilpotent, defective: one Jordan block), states in units from 1e-2 to 1e2 after a rotation,
    states that no input reaches or no output sees or both (the second half of them), a multiple of
    the identity, and nothing at all. The minimal ones are so by a margin that float64 sees.
    """
    generator = torch.Generator().manual_seed(seed)
    A, B, C = (torch.randn(*shape, generator=generator, dtype=torch.float64)
               for shape in ((d, d), (d, 1), (1, d)))
    A, one, hidden = A * (0.5 / d**0.5), torch.eye(d, dtype=torch.float64), slice(d // 2, None)
    pole = A[0, 0].tanh() * one
    if kind == "nilpotent":
        A = A.triu(1) + one.roll(1, -1).triu(1)
    if kind == "defective":
        A, B, C = pole + 0.5 * one.roll(1, -1).triu(1), B + B.sign(), C + C.sign()
    if kind == "ill-scaled":
        T = torch.logspace(-2, 2, d, dtype=torch.float64)[:, None] * torch.linalg.qr(A).Q
        A, B, C = T @ A @ T.inverse(), T @ B, C @ T.inverse()
    if kind in ("unreachable", "idle"):
        A[hidden, :d // 2], B[hidden] = 0, 0
    if kind in ("unobservable", "idle"):
        A[:d // 2, hidden], C[:, hidden] = 0, 0
    if kind == "repeated":
        A = pole
    return LinearRNN(A, B, C) if kind != "zero" else LinearRNN(0 * A, 0 * B, 0 * C)


def structured_rnns(kinds=MINIMAL_KINDS + NON_MINIMAL_KINDS, *, least=1, most=5):
    """A strategy: triples of these kinds with least … most states, 100 seeds each."""
    return st.builds(structured_triple, st.sampled_from(kinds), st.integers(least, most),
                     st.integers(0, 99))
