"""One-line verdicts: each call prints PASS with what it measured, or raises with FAIL.

The ledger of the book and the tests of its form read these lines, so their grammar stands here:
``PASS clm-a/what: <measured> <relation> <bound> (<why>)``.
"""

import math
import re
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
import sympy

# The grammar of claims, sources and checks, for everything that reads a chapter.
PROVED = {"prf:theorem", "prf:proposition", "prf:lemma", "prf:corollary"}  # these need a proof
CLAIMS = PROVED | {"prf:observation", "prf:conjecture"}  # the directives that state a claim
SOURCES = {"src-s1": "after S1", "src-s2": "after S2", "src-s3": "after S3",
           "src-classical": "classical", "src-book": "this book"}  # the class of a claim, in words
VERDICTS = {"check", "assert_identity"}  # the functions that print a PASS line
CLAIM = "clm-[a-z0-9-]+"  # the label of a claim
LABEL = rf"({CLAIM})/([a-z0-9-]+)"  # of a check: its claim, and what is checked
BREAK_LABEL = re.compile(rf"{CLAIM}/break-")  # a check that the claim fails without a hypothesis
CHECK_LINE = re.compile(rf"# check: ({CLAIM}(?:, {CLAIM})*)")  # the first line of a check cell
# Claim, what, measured (with relation and bound; an interval has parentheses of its own) and why.
PASS_LINE = re.compile(rf"^PASS {LABEL}: ([^(]*? in \([^)]*\)|[^(]*) \((.*)\)$", re.MULTILINE)
# What assert_identity measures, and check of equal fractions; equal counts of runs are neither.
IDENTITY = re.compile(r"0 = 0|.* in fractions")


def check(label: str, measured: Any, expected: Any = None, *, below: Real | None = None,
          above: Real | None = None, rtol: Real = 0.0, atol: Real = 0.0, why: str) -> None:
    """Compare measured numbers with a value or a bound; print the verdict or raise it.

    Holds if |measured - expected| <= atol + rtol |expected|, or if above < measured < below (one
    side suffices). measured: a real number, or an array or lists of any shape, of which the worst
    element is reported (the largest, where all equal what was expected); expected: one number or
    that shape.

    Integers and fractions (int, Fraction, SymPy's rationals, integer arrays) of any size are
    compared exactly where nothing else stands on either side; a float tolerance then counts as
    the binary fraction that it is, and equal fractions read "in fractions", not "exactly". Beside
    a float all become float64. SymPy's irrational numbers are refused: float(x) rounds them,
    assert_identity compares them.

    Prints one line; raises AssertionError with the same words when it fails (NaN and infinity
    do), and with the gap where 4 digits do not show it; ValueError when the call could not fail or
    makes no sense: no or two kinds of bound, an empty or complex array, a truth value anywhere,
    shapes that differ, a tolerance as wide as the expected value, a malformed label, an empty why.

    >>> check("clm-a/sum", 0.1 + 0.2, 0.3, rtol=1e-15, why="rounding of one addition")
    PASS clm-a/sum: 0.3 = 0.3 within 3e-16 (rounding of one addition)
    >>> check("clm-a/half", Fraction(1, 3) + Fraction(1, 6), Fraction(1, 2), why="by hand")
    PASS clm-a/half: 0.5 = 0.5 in fractions (by hand)
    """
    _require_label(label, why)
    values = _real(measured, f"{label}: measured")
    rtol, atol = _tolerance(rtol, f"{label}: rtol"), _tolerance(atol, f"{label}: atol")
    given = {"expected": expected, "below": below, "above": above}
    given = {name: _finite(side, f"{label}: {name}", one=name != "expected")
             for name, side in given.items() if side is not None}
    if not given or (expected is not None and len(given) > 1):
        raise ValueError(f"{label}: give either expected, or below and/or above")
    if expected is None and (rtol or atol):
        raise ValueError(f"{label}: rtol and atol belong to expected")
    values, rtol, atol, *sides = _alike(label, values, rtol, atol, *given.values())
    if not np.all(finite := np.abs(values) < np.inf):
        bad = values[~finite]
        _verdict(False, f"{label}: {bad.size} of {values.size} not finite: {bad[0]} ({why})")
    if expected is None:
        bounds = {name: side.item() for name, side in zip(given, sides, strict=True)}
        holds, line, worst = _against_bounds(label, values.ravel(), **bounds)
    else:
        holds, line, worst = _against_expected(label, values, *sides, rtol, atol)
    shown = "largest" if holds and expected is not None else "worst"
    count = f"{shown} of {values.size}: " if values.size > 1 else ""
    _verdict(holds, f"{label}: {count}{line}{'' if holds else _off_by(*worst)} ({why})")


def assert_identity(label: str, lhs: Any, rhs: Any = 0) -> None:
    """Check with SymPy that lhs = rhs identically, entry by entry for matrices; print or raise.

    rhs = 0 stands for the zero of lhs's shape. Prints one line; raises AssertionError when an
    entry of lhs - rhs does not simplify to 0, and ValueError for floating-point numbers (they are
    not exact), truth values, empty matrices, shapes that differ or a malformed label.

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


def _against_bounds(label: str, values: np.ndarray, below: Any = None,
                    above: Any = None) -> tuple[bool, str, tuple]:
    """Whether it holds, its line, and the worst value with the bounds that it is held against."""
    if below is None:
        worst = values.min()
        return bool(worst > above), f"{_shown(worst)} > {_shown(above)}", (worst, above)
    if above is None:
        worst = values.max()
        return bool(worst < below), f"{_decade(worst, below)} < {_shown(below)}", (worst, below)
    if not above < below:
        raise ValueError(f"{label}: above must be less than below, got {above} and {below}")
    # the element nearest to either bound, or the farthest outside
    worst = values[np.argmin(np.minimum(values - above, below - values))]
    return (bool(((above < values) & (values < below)).all()),
            f"{_shown(worst)} in ({_shown(above)}, {_shown(below)})", (worst, above, below))


def _against_expected(label: str, values: np.ndarray, expected: np.ndarray, rtol: np.ndarray,
                      atol: np.ndarray) -> tuple[bool, str, tuple]:
    """Whether it holds, its line, and the value that it shows with the one that was expected."""
    if expected.ndim and expected.shape != values.shape:
        raise ValueError(f"{label}: expected must be one number or have the shape of measured, "
                         f"{values.shape}, got {expected.shape}")
    if rtol < 0 or atol < 0:
        raise ValueError(f"{label}: rtol and atol must be at least 0")
    values, expected = values.ravel(), np.broadcast_to(expected, values.shape).ravel()
    tolerance = atol + rtol * np.abs(expected)
    if expected.any() and not tolerance.max() < np.abs(expected).max():
        raise ValueError(f"{label}: rtol and atol make a tolerance as wide as the expected value")
    excess = np.abs(values - expected) - tolerance
    holds = bool((excess <= 0).all())
    # Among gaps of rounding size the worst differs from CPU to CPU: show the largest value then.
    i = np.argmax(np.abs(expected) if holds else excess)
    shown = 0 if holds and expected[i] == 0 else values[i]
    fractions = values.dtype == object and any(isinstance(number, Fraction)
                                               for number in (*values, *expected))
    equal = "in fractions" if fractions else "exactly"
    within = f"within {_shown(tolerance[i], 2)}" if tolerance[i] else equal
    return holds, f"{_shown(shown)} = {_shown(expected[i])} {within}", (values[i], expected[i])


def _off_by(value: Any, *bounds: Any) -> str:
    """How far off the value is, where it prints like a bound that it is not."""
    gaps = [abs(value - bound) for bound in bounds
            if value != bound and _shown(value) == _shown(bound)]
    return f", off by {_shown(gaps[0], 2)}" if gaps else ""


def _shown(number: Any, digits: int = 4) -> str:
    """The leading digits, also of integers and fractions that are no float in size."""
    try:
        near = float(number)
    except OverflowError:
        near = 0.0
    return f"{near:.{digits}g}" if near else str(sympy.Rational(number).n(digits))


def _decade(value: Any, bound: Any) -> str:
    """The value to 4 digits; of a float under a hundredth of the bound a decade, as "<1e-9".

    Under 1e-12 the decade is that of rounding, not of the result, so it is not shown: the line
    must be the same on every CPU.
    """
    if not isinstance(value, float) or not abs(value) < bound / 100:
        return _shown(value)
    floor = min(1e-12, bound / 100)
    decade = 10.0 ** (math.floor(math.log10(abs(value))) + 1) if abs(value) >= floor else floor
    return f"<{_shown(decade)}"


def _real(values: Any, name: str) -> np.ndarray:
    """values as an array of int and Fraction objects where all are exact, of float64 elsewhere."""
    try:
        if hasattr(values, "detach"):  # a torch tensor, on any device
            values = np.asarray(values.detach().cpu())
        array = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
        if array.dtype.kind in "iuO":
            numbers = [_number(value) for value in array.flat]
            exact = not any(isinstance(number, float) for number in numbers)
            array = np.array(numbers, dtype=object if exact else float).reshape(array.shape)
        elif array.dtype.char not in "efd":  # half to double precision
            raise TypeError
        if array.size:
            return array if array.dtype == object else array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be floats, integers or fractions, at least one, got {values!r}")


def _number(value: Any) -> int | float | Fraction:
    if hasattr(value, "tolist"):  # a NumPy scalar, or an array or tensor without axes
        value = value.tolist()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if hasattr(value, "denominator") and not isinstance(value, bool):  # Fraction, SymPy's too
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, sympy.Float):
        return float(value)
    raise TypeError(f"{value!r} is no real number")


def _finite(value: Any, name: str, *, one: bool = True) -> np.ndarray:
    array = _real(value, name)
    if not np.all(np.abs(array) < np.inf) or (one and array.ndim):
        raise ValueError(f"{name} must be finite{' and one number' * one}, got {value!r}")
    return array


def _tolerance(value: Any, name: str) -> np.ndarray:
    """As an exact number, which makes no floats of exact numbers beside it."""
    return np.array(Fraction(_finite(value, name).item()), dtype=object)


def _alike(label: str, *arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays as they are where all are exact, as float64 elsewhere."""
    exact = all(array.dtype == object for array in arrays)
    try:
        return list(arrays) if exact else [array.astype(np.float64) for array in arrays]
    except OverflowError as error:
        raise ValueError(f"{label}: a number beyond all floats stands beside a float") from error


def _entries(expression: Any) -> sympy.Matrix:
    is_matrix = isinstance(expression, sympy.MatrixBase)
    entries = list(expression) if is_matrix else [sympy.sympify(expression)]
    if not all(isinstance(entry, sympy.Expr) for entry in entries):
        raise ValueError(f"an identity takes expressions or matrices, got {expression!r}")
    return sympy.Matrix(expression) if is_matrix else sympy.Matrix(entries)


def _require_label(label: str, why: str) -> None:
    if not isinstance(label, str) or not re.fullmatch(LABEL, label):
        raise ValueError(f"a label reads clm-<claim>/<what> in a-z, 0-9 and -, got {label!r}")
    if not isinstance(why, str) or not why.strip() or why.splitlines() != [why]:
        raise ValueError(f"{label}: why must say in one line why this bound is right")


def _verdict(holds: bool, line: str) -> None:
    if not holds:
        raise AssertionError(f"FAIL {line}")
    print(f"PASS {line}")
