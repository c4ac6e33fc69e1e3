"""The inner loop of gradient descent, compiled: one run at a time, in arrays that stay in cache.

A step of a small network is a few hundred multiplications, less than the cost of one call into a
tensor library. Here a whole stretch of steps is one call, each run stops at its own end, and the
gradient comes from the adjoint of the recursion K_{j+1} = A K_j, in O(k d^2) a step. The first
call on a machine compiles, for seconds; the result is cached beside this file.
"""

import numpy as np
from numba import njit

RUNNING, REACHED, DIVERGED = 0, 1, 2

# Sums may be reordered and fused, so that the processor adds several terms at once. Infinity and
# NaN keep their meaning: a diverging run is known by them.
compiled = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})


@compiled
def descend(A: np.ndarray, B: np.ndarray, C: np.ndarray, h_teacher: np.ndarray, S: np.ndarray,
            lr: np.ndarray, loss_tol: np.ndarray, steps: int, loss: np.ndarray,
            taken: np.ndarray, status: np.ndarray, which: np.ndarray) -> None:
    """At most `steps` steps, in place, of each run of the batch that `which` names.

    Shapes: A (N, d, d), B and C (N, d), h_teacher (N, k), S (N, k, k) or, for white inputs,
    (N, 0, 0), the others (N,), which a vector of indices; all contiguous. Adds to `taken` the
    steps that were made. A run ends REACHED with loss <= loss_tol, or DIVERGED when its next loss
    is not finite, and keeps its last finite iterate. Nothing is validated. Source: clm-gradient.
    """
    for run in which:
        loss[run], made, status[run] = _one_run(A[run], B[run], C[run], h_teacher[run], S[run],
                                                lr[run], loss_tol[run], steps)
        taken[run] += made


@compiled
def _one_run(A, B, C, h_teacher, S, lr, loss_tol, steps):
    k, d = len(h_teacher), len(B)
    K, P = np.empty((k, d)), np.empty((k, d))  # rows K_j = A^j B, and P_j = dL/dK_j
    r, g = np.empty(k), np.empty(k)  # r = h - h*, and g = dL/dh
    here, there = (A, B, C), (np.empty((d, d)), np.empty(d), np.empty(d))
    loss, made, status = _forward(A, B, C, h_teacher, S, K, r, g), 0, RUNNING
    while made < steps and loss > loss_tol:
        _step(here[0], here[1], here[2], there[0], there[1], there[2], K, P, g, lr)
        next_loss = _forward(there[0], there[1], there[2], h_teacher, S, K, r, g)
        if not np.isfinite(next_loss):
            status = DIVERGED
            break
        here, there, loss, made = there, here, next_loss, made + 1
    A[:], B[:], C[:] = here
    return loss, made, REACHED if loss <= loss_tol else status


# Loops over single entries, not slices: a view of a row costs more than the row's arithmetic.


@compiled
def _forward(A, B, C, h_teacher, S, K, r, g):
    """Fills K, r and g = 2 S r, and returns the loss r^T S r."""
    k, d = K.shape
    for i in range(d):
        K[0, i] = B[i]
    for j in range(1, k):
        for i in range(d):
            total = 0.0
            for m in range(d):
                total += A[i, m] * K[j - 1, m]
            K[j, i] = total
    for j in range(k):
        total = -h_teacher[j]
        for i in range(d):
            total += C[i] * K[j, i]
        r[j] = total
    loss = 0.0
    for i in range(k):
        total = r[i]
        if len(S):
            total = 0.0
            for j in range(k):
                total += S[i, j] * r[j]
        g[i] = 2 * total
        loss += r[i] * total
    return loss


@compiled
def _step(A, B, C, new_A, new_B, new_C, K, P, g, lr):
    """new = old - lr grad L: G_A = sum_j P_{j+1} K_j^T, G_B = P_0, G_C = sum_j g_j K_j^T."""
    k, d = K.shape
    for j in range(k - 1, -1, -1):
        for i in range(d):
            P[j, i] = g[j] * C[i]
        if j < k - 1:
            for m in range(d):
                factor = P[j + 1, m]
                for i in range(d):
                    P[j, i] += factor * A[m, i]
    for i in range(d):
        for m in range(d):
            new_A[i, m] = A[i, m]
        for j in range(k - 1):
            factor = lr * P[j + 1, i]
            for m in range(d):
                new_A[i, m] -= factor * K[j, m]
        new_B[i] = B[i] - lr * P[0, i]
        total = 0.0
        for j in range(k):
            total += g[j] * K[j, i]
        new_C[i] = C[i] - lr * total
