"""One-line verdicts: each call prints PASS with what it measured, or raises with FAIL.

The ledger of the book is read off these lines, so their form is fixed:
``PASS clm-a/what: <measured> <relation> <bound> (<why>)``.
"""

import math
import re
from typing import Any

import numpy as np
import sympy


def check(label: str, measured: Any, expected: Any = None, *, below: float | None = None,
          above: float | None = None, rtol: float = 0.0, atol: float = 0.0, why: str) -> None:
    """Compare measured numbers with a value or a bound; print the verdict or raise it.

    Holds if |measured - expected| <= atol + rtol |expected|, or if above < measured < below (one
    side suffices). measured: a number or a real array of any shape, of which the worst element is
    reported; expected: one number or the same shape. Prints one line; raises AssertionError with
    the same words when it fails (NaN fails) and ValueError when the call could not fail or makes
    no sense: no or two kinds of bound, an empty, complex or boolean array, shapes that differ, a
    tolerance as wide as the expected value, a malformed label, an empty why.

    >>> check("clm-a/sum", 0.1 + 0.2, 0.3, rtol=1e-15, why="rounding of one addition")
    PASS clm-a/sum: 0.3 = 0.3 within 3e-16 (rounding of one addition)
    """
    _require_label(label, why)
    values = _real(measured, f"{label}: measured")
    if (expected is None) == (below is None and above is None):
        raise ValueError(f"{label}: give either expected, or below and/or above")
    if expected is None:
        if rtol or atol:
            raise ValueError(f"{label}: rtol and atol belong to expected")
        holds, line = _against_bounds(label, values, below, above)
    else:
        expected = _real(expected, f"{label}: expected")
        holds, line = _against_expected(label, values, expected, rtol, atol)
    count = f"worst of {values.size}: " if values.size > 1 else ""
    _verdict(holds, f"{label}: {count}{line} ({why})")


def assert_identity(label: str, lhs: Any, rhs: Any = 0) -> None:
    """Check with SymPy that lhs = rhs identically, entry by entry for matrices; print or raise.

    rhs = 0 stands for the zero of lhs's shape. Prints one line; raises AssertionError when an
    entry of lhs - rhs does not simplify to 0, and ValueError for floating-point numbers (they are
    not exact), empty matrices, shapes that differ or a malformed label.

    >>> x = sympy.Symbol("x")
    >>> assert_identity("clm-a/square", (x + 1)**2, x**2 + 2*x + 1)
    PASS clm-a/square: 0 = 0 (SymPy, exact)
    """
    _require_label(label, "SymPy")
    left, right = _entries(lhs), _entries(rhs)
    if rhs == 0 and left.shape != (1, 1):
        right = sympy.zeros(*left.shape)
    if left.shape != right.shape or 0 in left.shape:
        raise ValueError(f"{label}: lhs is {left.shape} and rhs is {right.shape}; "
                         "they must be equal, and not empty")
    if (left - right).has(sympy.Float, sympy.nan, sympy.zoo, sympy.oo):
        raise ValueError(f"{label}: an identity takes exact, finite expressions, not floats")
    gaps = [sympy.simplify(sympy.expand(gap)) for gap in left - right]
    wrong = [gap for gap in gaps if gap != 0]
    count = f": {len(gaps)} entries" if len(gaps) > 1 else ""
    _verdict(not wrong, f"{label}: {wrong[0] if wrong else 0} = 0 (SymPy, exact{count})")


def _against_bounds(label: str, values: np.ndarray, below: float | None,
                    above: float | None) -> tuple[bool, str]:
    for bound in (below, above):
        if bound is not None and not math.isfinite(bound):
            raise ValueError(f"{label}: a bound must be a finite number, got {bound}")
    if below is None:
        return bool((values > above).all()), f"{values.min():.4g} > {above:.4g}"
    if above is None:
        return bool((values < below).all()), f"{_decade(values.max(), below)} < {below:.4g}"
    if not above < below:
        raise ValueError(f"{label}: above must be less than below, got {above} and {below}")
    # the element nearest to either bound, or the farthest outside
    worst = values.flat[np.argmin(np.minimum(values - above, below - values))]
    return (bool(((above < values) & (values < below)).all()),
            f"{worst:.4g} in ({above:.4g}, {below:.4g})")


def _against_expected(label: str, values: np.ndarray, expected: np.ndarray, rtol: float,
                      atol: float) -> tuple[bool, str]:
    if not (expected.size == 1 or expected.shape == values.shape):
        raise ValueError(f"{label}: expected has {expected.size} elements, measured {values.size}")
    if not np.isfinite(expected).all() or not (0 <= rtol < 1 and 0 <= atol < math.inf):
        raise ValueError(f"{label}: expected, rtol (below 1) and atol must be finite, tol >= 0")
    values, expected = values.ravel(), np.broadcast_to(expected, values.shape).ravel()
    tolerance = atol + rtol * np.abs(expected)
    if expected.any() and not atol < np.abs(expected).max():
        raise ValueError(f"{label}: atol {atol:.4g} is as wide as the expected value")
    gap = np.abs(values - expected)
    worst = np.argmax(gap - tolerance)  # NaN wins: argmax returns the first NaN
    shown = 0.0 if gap[worst] <= tolerance[worst] and expected[worst] == 0 else values[worst]
    within = f" within {tolerance[worst]:.1g}" if tolerance[worst] else " exactly"
    return bool((gap <= tolerance).all()), f"{shown:.4g} = {expected[worst]:.4g}{within}"


def _decade(value: float, bound: float) -> str:
    """The value to 4 digits, or as "<1e-9" when it is under a hundredth of its bound.

    Under 1e-12 the decade is that of rounding, not of the result, so it is not shown: the line
    must be the same on every CPU.
    """
    if not value < bound / 100:
        return f"{value:.4g}"
    floor = min(1e-12, bound / 100)
    decade = 10.0 ** math.ceil(math.log10(value)) if value > floor else floor
    return f"<{decade:.4g}"


def _real(values: Any, name: str) -> np.ndarray:
    """values as a float64 array; torch tensors may sit on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype == bool or np.iscomplexobj(array) or array.size == 0:
        raise ValueError(f"{name} must be real numbers, at least one, got dtype {array.dtype} and "
                         f"shape {array.shape}: check a quantity, not a truth value")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be real numbers, got {values!r}") from None


def _entries(expression: Any) -> sympy.Matrix:
    if isinstance(expression, sympy.MatrixBase):
        return sympy.Matrix(expression)
    return sympy.Matrix([[sympy.sympify(expression)]])


def _require_label(label: str, why: str) -> None:
    if not re.fullmatch(r"clm-[a-z0-9-]+/[a-z0-9-]+", label):
        raise ValueError(f"a label reads clm-<claim>/<what> in a-z, 0-9 and -, got {label!r}")
    if not isinstance(why, str) or not why.strip() or "\n" in why:
        raise ValueError(f"{label}: why must say in one line why this bound is right")


def _verdict(holds: bool, line: str) -> None:
    if not holds:
        raise AssertionError(f"FAIL {line}")
    print(f"PASS {line}")
