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
    reported (the largest, where all equal what was expected); expected: one number or that shape.
    Prints one line; raises AssertionError with the same words when it fails (NaN and infinity do),
    ValueError when the call could not fail or makes no sense: no or two kinds of bound, an empty,
    complex or boolean array, shapes that differ, a tolerance as wide as the expected value, a
    malformed label, an empty why.

    >>> check("clm-a/sum", 0.1 + 0.2, 0.3, rtol=1e-15, why="rounding of one addition")
    PASS clm-a/sum: 0.3 = 0.3 within 3e-16 (rounding of one addition)
    """
    _require_label(label, why)
    values = _real(measured, f"{label}: measured")
    if not np.isfinite(values).all():
        bad = values[~np.isfinite(values)]
        _verdict(False, f"{label}: {bad.size} of {values.size} not finite: {bad[0]} ({why})")
    if (expected is None) == (below is None and above is None):
        raise ValueError(f"{label}: give either expected, or below and/or above")
    rtol, atol = _number(rtol, f"{label}: rtol"), _number(atol, f"{label}: atol")
    if expected is None:
        if rtol or atol:
            raise ValueError(f"{label}: rtol and atol belong to expected")
        below, above = (None if bound is None else _number(bound, f"{label}: {name}")
                        for bound, name in ((below, "below"), (above, "above")))
        holds, line = _against_bounds(label, values, below, above)
    else:
        expected = _real(expected, f"{label}: expected")
        holds, line = _against_expected(label, values, expected, rtol, atol)
    shown = "largest" if holds and expected is not None else "worst"
    count = f"{shown} of {values.size}: " if values.size > 1 else ""
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
    inexact = (sympy.Float, sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)
    if left.has(*inexact) or right.has(*inexact):
        raise ValueError(f"{label}: an identity takes exact, finite expressions, not floats")
    gaps = [sympy.simplify(sympy.expand(gap)) for gap in left - right]
    wrong = [gap for gap in gaps if gap != 0]
    count = f": {len(gaps)} entries" if len(gaps) > 1 else ""
    _verdict(not wrong, f"{label}: {wrong[0] if wrong else 0} = 0 (SymPy, exact{count})")


def _against_bounds(label: str, values: np.ndarray, below: float | None,
                    above: float | None) -> tuple[bool, str]:
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
    if expected.ndim and expected.shape != values.shape:
        raise ValueError(f"{label}: expected must be one number or have the shape of measured, "
                         f"{values.shape}, got {expected.shape}")
    if not np.isfinite(expected).all() or rtol < 0 or atol < 0:
        raise ValueError(f"{label}: expected must be finite, and rtol and atol at least 0")
    values, expected = values.ravel(), np.broadcast_to(expected, values.shape).ravel()
    tolerance = atol + rtol * np.abs(expected)
    if expected.any() and not tolerance.max() < np.abs(expected).max():
        raise ValueError(f"{label}: rtol and atol make a tolerance as wide as the expected value")
    excess = np.abs(values - expected) - tolerance
    holds = bool((excess <= 0).all())
    # Among gaps of rounding size the worst differs from CPU to CPU: show the largest value then.
    i = np.argmax(np.abs(expected) if holds else excess)
    shown = 0.0 if holds and expected[i] == 0 else values[i]
    within = f"within {tolerance[i]:.2g}" if tolerance[i] else "exactly"
    return holds, f"{shown:.4g} = {expected[i]:.4g} {within}"


def _decade(value: float, bound: float) -> str:
    """The value to 4 digits, or as "<1e-9" when its size is under a hundredth of the bound.

    Under 1e-12 the decade is that of rounding, not of the result, so it is not shown: the line
    must be the same on every CPU.
    """
    size = abs(value)
    if not size < bound / 100:
        return f"{value:.4g}"
    floor = min(1e-12, bound / 100)
    decade = 10.0 ** (math.floor(math.log10(size)) + 1) if size >= floor else floor
    return f"<{decade:.4g}"


def _real(values: Any, name: str) -> np.ndarray:
    """values as a float64 array; torch tensors may sit on any device."""
    try:
        array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        if array.dtype.kind in "iufO" and array.size:
            return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be real numbers, at least one, got {values!r}: "
                     "check a quantity, not a truth value")


def _number(value: float, name: str) -> float:
    number = _real(value, name)
    if number.ndim or not np.isfinite(number):
        raise ValueError(f"{name} must be one finite number, got {value!r}")
    return float(number)


def _entries(expression: Any) -> sympy.Matrix:
    if isinstance(expression, sympy.MatrixBase):
        return sympy.Matrix(expression)
    expression = sympy.sympify(expression)
    if not isinstance(expression, sympy.Expr):
        raise ValueError(f"an identity takes expressions or matrices, got {expression!r}")
    return sympy.Matrix([[expression]])


def _require_label(label: str, why: str) -> None:
    if not isinstance(label, str) or not re.fullmatch(r"clm-[a-z0-9-]+/[a-z0-9-]+", label):
        raise ValueError(f"a label reads clm-<claim>/<what> in a-z, 0-9 and -, got {label!r}")
    if not isinstance(why, str) or not why.strip() or "\n" in why:
        raise ValueError(f"{label}: why must say in one line why this bound is right")


def _verdict(holds: bool, line: str) -> None:
    if not holds:
        raise AssertionError(f"FAIL {line}")
    print(f"PASS {line}")
