"""The verdicts: the exact words of each line, when it fails, and the calls that are refused."""

import contextlib
import io
import re
from fractions import Fraction

import numpy as np
import pytest
import sympy
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lowdim.checks import (
    BREAK_LABEL,
    CHECK_LINE,
    CLAIM,
    IDENTITY,
    PASS_LINE,
    VERDICTS,
    assert_identity,
    check,
)

pytestmark = pytest.mark.usefixtures("no_global_state")

NAN, INF = float("nan"), float("inf")
x, y = sympy.symbols("x y")
FINITE = st.floats(-1e6, 1e6)
THIRD, TINY, HUGE = Fraction(1, 3), Fraction(1, 10**30), 10**400


def holds(*arguments, **options):
    try:
        check("clm-a/b", *arguments, **{"why": "test"} | options)
    except AssertionError as error:
        assert str(error).startswith("FAIL clm-a/b: ") and str(error).endswith(" (test)")
        return False
    return True


@pytest.mark.parametrize("arguments, options, line", [
    ((0.75, 0.75), {}, "0.75 = 0.75 exactly"),
    ((0.1 + 0.2, 0.3), {"rtol": 1e-15}, "0.3 = 0.3 within 3e-16"),
    ((2, 3), {"atol": 1}, "2 = 3 within 1"),
    ((100.4, 100), {"rtol": 0.01, "atol": 1}, "100.4 = 100 within 2"),
    ((123456.7, 123456), {"atol": 5}, "1.235e+05 = 1.235e+05 within 5"),
    ((1e-17, 0), {"atol": 1e-12}, "0 = 0 within 1e-12"),  # rounding is not shown
    ((-0.0, 0), {}, "0 = 0 exactly"), ((0, -0.0), {}, "0 = 0 exactly"),
    ((-0.0,), {"above": -1}, "0 > -1"),
    (([1, -5, 2], [1, -5, 2]), {}, "largest of 3: -5 = -5 exactly"),
    (([[1.0, 1.1], [0.9, 1.0]], 1), {"atol": 0.2}, "largest of 4: 1 = 1 within 0.2"),
    (([1e-17, 1.0], [0, 1]), {"atol": 1e-9}, "largest of 2: 1 = 1 within 1e-09"),
    (([7], 7), {}, "7 = 7 exactly"),
    ((0.5,), {"below": 1}, "0.5 < 1"),
    ((0.01,), {"below": 1}, "0.01 < 1"),  # not under a hundredth
    ((0.0099,), {"below": 1}, "<0.01 < 1"),
    ((3e-10,), {"below": 1e-3}, "<1e-09 < 0.001"),
    ((1e-9,), {"below": 1}, "<1e-08 < 1"),  # strictly less, also at a power of ten
    ((2e-12,), {"below": 1e-3}, "<1e-11 < 0.001"),
    ((1e-12,), {"below": 1e-3}, "<1e-11 < 0.001"),
    ((9e-13,), {"below": 1e-3}, "<1e-12 < 0.001"),  # under the floor only the floor is shown
    ((1e-300,), {"below": 1e-3}, "<1e-12 < 0.001"),
    ((0.0,), {"below": 1e-3}, "<1e-12 < 0.001"),
    ((-1e-17,), {"below": 1e-3}, "<1e-12 < 0.001"),  # the sign of rounding is not shown
    ((1e-17,), {"below": 1e-13}, "<1e-15 < 1e-13"),
    ((-5,), {"below": 1}, "-5 < 1"), ((-0.6,), {"below": -0.5}, "-0.6 < -0.5"),
    ((-3.0,), {"below": 1000}, "<10 < 1000"), ((-3,), {"below": 1000}, "-3 < 1000"),
    ((-2,), {"below": 0}, "-2 < 0"),
    (([0.1, 0.5, 0.2],), {"below": 1}, "worst of 3: 0.5 < 1"),
    ((7.25,), {"above": 3}, "7.25 > 3"), (([5, 4, 9],), {"above": 3}, "worst of 3: 4 > 3"),
    ((1e-20,), {"above": 0}, "1e-20 > 0"),
    ((0.5,), {"above": 0, "below": 2}, "0.5 in (0, 2)"),
    (([0.5, 1.9, 1.0],), {"above": 0, "below": 2}, "worst of 3: 1.9 in (0, 2)"),
    (([0.05, 1.9, 1.0],), {"above": 0, "below": 2}, "worst of 3: 0.05 in (0, 2)"),
    ((Fraction(1, 3),), {"below": Fraction(1, 2)}, "0.3333 < 0.5"),
    ((sympy.Rational(1, 3), THIRD), {}, "0.3333 = 0.3333 in fractions"),
    ((sympy.QQ(1, 3), THIRD), {}, "0.3333 = 0.3333 in fractions"),
    ((THIRD - THIRD, 0), {}, "0 = 0 in fractions"),
    (([3, THIRD, sympy.Integer(2)], [3, THIRD, 2]), {}, "largest of 3: 3 = 3 in fractions"),
    ((sympy.Matrix([[1, 2]]) / 7, [[Fraction(1, 7), Fraction(2, 7)]]), {},
     "largest of 2: 0.2857 = 0.2857 in fractions"),
    ((sympy.Integer(4), sympy.sqrt(2)**4), {}, "4 = 4 in fractions"),
    ((np.array([2, 3]), sympy.Integer(3)), {"atol": 1}, "largest of 2: 2 = 3 within 1"),
    ((THIRD + TINY, THIRD), {"atol": TINY}, "0.3333 = 0.3333 within 1e-30"),
    ((THIRD + TINY, THIRD), {"rtol": 4 * TINY}, "0.3333 = 0.3333 within 1.3e-30"),
    ((THIRD + TINY,), {"above": THIRD}, "0.3333 > 0.3333"),
    ((THIRD - TINY,), {"below": THIRD}, "0.3333 < 0.3333"),
    ((Fraction(1, 10**15),), {"below": Fraction(1, 1000)}, "1e-15 < 0.001"),  # no rounding
    ((HUGE, HUGE), {}, "1.000e+400 = 1.000e+400 exactly"),
    ((HUGE + 1, HUGE), {"atol": 1}, "1.000e+400 = 1.000e+400 within 1"),
    ((-HUGE,), {"below": 1}, "-1.000e+400 < 1"),
    ((Fraction(-1, HUGE),), {"above": -1, "below": 0}, "-1.000e-400 in (-1, 0)"),
    ((np.array([2, 7], np.uint8), [2, 8]), {"atol": 1}, "largest of 2: 7 = 8 within 1"),
    ((np.float32(0.1), 0.1), {"atol": 2e-9}, "0.1 = 0.1 within 2e-09"),
    (([np.float32(0.5), torch.tensor(2)], [0.5, 2]), {}, "largest of 2: 2 = 2 exactly"),
    (([torch.ones(2), np.ones(2)], np.ones((2, 2))), {}, "largest of 4: 1 = 1 exactly"),
    ((0.1, Fraction(1, 10)), {}, "0.1 = 0.1 exactly"),  # beside a float all are floats
    ((sympy.Float(0.25), 0.25), {}, "0.25 = 0.25 exactly"),
    ((torch.tensor([1.0, 2.0], requires_grad=True), np.array([1, 2])), {},
     "largest of 2: 2 = 2 exactly"),
])
def test_a_passing_line_reads(capsys, arguments, options, line):
    check("clm-a/b-2", *arguments, **options, why="a reason")
    assert capsys.readouterr().out == f"PASS clm-a/b-2: {line} (a reason)\n"


@pytest.mark.parametrize("arguments, options, line", [
    ((0.76, 0.75), {}, "0.76 = 0.75 exactly"), ((4.5, 3), {"atol": 1}, "4.5 = 3 within 1"),
    ((1e-11, 0), {"atol": 1e-12}, "1e-11 = 0 within 1e-12"),
    (([1, 2, 5, 4], [1, 2, 3, 4]), {}, "worst of 4: 5 = 3 exactly"),
    (([1, 90, 3], [1, 100, 4]), {"rtol": 0.2}, "worst of 3: 3 = 4 within 0.8"),
    ((1,), {"below": 1}, "1 < 1"), ((1,), {"above": 1}, "1 > 1"),  # bounds are strict
    (([0.5, 3, 2],), {"below": 1}, "worst of 3: 3 < 1"),
    (([0.5, -3, 2],), {"above": 1}, "worst of 3: -3 > 1"),
    ((0,), {"above": 0, "below": 2}, "0 in (0, 2)"),
    ((2,), {"above": 0, "below": 2}, "2 in (0, 2)"),
    (([1, 5, -2],), {"above": 0, "below": 2}, "worst of 3: 5 in (0, 2)"),
    ((INF,), {"below": 1}, "1 of 1 not finite: inf"), ((INF,), {"above": 1}, None),
    ((-INF,), {"above": 1}, "1 of 1 not finite: -inf"), ((INF, 1), {}, None),
    ((NAN, 1), {}, "1 of 1 not finite: nan"), ((NAN, 0), {"atol": 1}, None),
    (([1, NAN, 7], 1), {}, "1 of 3 not finite: nan"), ((NAN,), {"below": 1}, None),
    (([0.5, NAN, INF],), {"below": 1}, "2 of 3 not finite: nan"),
    (([1, NAN],), {"above": 0, "below": 2}, None),
    # where both sides print alike, the line says how far apart they are
    ((THIRD + TINY, THIRD), {}, "0.3333 = 0.3333 in fractions, off by 1e-30"),
    ((sympy.Rational(1, 3), THIRD + TINY), {}, "0.3333 = 0.3333 in fractions, off by 1e-30"),
    ((THIRD + TINY, THIRD), {"atol": TINY / 2}, "0.3333 = 0.3333 within 5e-31, off by 1e-30"),
    ((THIRD + TINY, THIRD), {"rtol": TINY}, "0.3333 = 0.3333 within 3.3e-31, off by 1e-30"),
    ((THIRD + TINY,), {"below": THIRD}, "0.3333 < 0.3333, off by 1e-30"),
    ((THIRD - TINY,), {"above": THIRD}, "0.3333 > 0.3333, off by 1e-30"),
    ((THIRD + TINY,), {"above": 0, "below": THIRD}, "0.3333 in (0, 0.3333), off by 1e-30"),
    ((THIRD,), {"below": THIRD}, "0.3333 < 0.3333"), ((0.5, THIRD), {}, "0.5 = 0.3333 exactly"),
    ((HUGE + 1, HUGE), {}, "1.000e+400 = 1.000e+400 exactly, off by 1"),
    ((2**53 + 1, 2**53), {}, "9.007e+15 = 9.007e+15 exactly, off by 1"),
    ((torch.tensor([2**53 + 1]),), {"below": 2**53 + 1}, "9.007e+15 < 9.007e+15"),
    (([2**63, -1], [2**63 + 1, -1]), {}, "worst of 2: 9.223e+18 = 9.223e+18 exactly, off by 1"),
    ((np.array([-2**63]), 2**63 - 1), {}, "-9.223e+18 = 9.223e+18 exactly"),
    ((123456.7, 123456), {"atol": 0.5}, "1.235e+05 = 1.235e+05 within 0.5, off by 0.7"),
    ((np.float32(0.1), 0.1), {}, "0.1 = 0.1 exactly, off by 1.5e-09"),
])
def test_a_failing_line_reads_and_prints_nothing(capsys, arguments, options, line):
    with pytest.raises(AssertionError) as caught:
        check("clm-a/b", *arguments, **options, why="a reason")
    assert str(caught.value).startswith("FAIL clm-a/b: ")
    assert line is None or str(caught.value) == f"FAIL clm-a/b: {line} (a reason)"
    assert capsys.readouterr().out == ""


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=5), st.floats(0, 0.9),
       st.floats(0, 1))
def test_expected_holds_when_every_gap_is_within_tolerance(pairs, rtol, share):
    measured, expected = np.array(pairs).T
    atol = 0.09 * share * np.abs(expected).max()  # narrower than the expected value
    assume(atol + rtol * np.abs(expected).max() < np.abs(expected).max())
    wanted = all(abs(m - e) - (atol + rtol * abs(e)) <= 0
                 for m, e in zip(measured, expected, strict=True))
    assert holds(measured, expected, rtol=rtol, atol=atol) == wanted


@given(st.lists(FINITE, min_size=1, max_size=5), FINITE, FINITE)
def test_bounds_hold_when_every_element_is_strictly_inside(values, low, high):
    assert holds(values, below=high) == all(v < high for v in values)
    assert holds(values, above=low) == all(low < v for v in values)
    if low < high:
        assert holds(values, above=low, below=high) == all(low < v < high for v in values)


NEAR_ONE = st.builds(lambda n, m: 1 + n * TINY + m, st.integers(-3, 3), st.sampled_from([0, 0, 2]))
EXACT = st.one_of(st.integers(-9, 9), st.fractions(-2, 2), NEAR_ONE)


@given(st.lists(EXACT, min_size=1, max_size=4), EXACT, EXACT, st.integers(0, 3))
def test_exact_numbers_are_compared_as_python_compares_them(values, low, high, n):
    """At gaps of 1e-30, which no float shows: lists and object arrays, SymPy's numbers too."""
    for numbers in (values, np.array(values, dtype=object), [sympy.Rational(v) for v in values]):
        assert holds(numbers, high) == all(v == high for v in values)
        if high:
            wanted = all(abs(v - high) <= n * TINY * (1 + abs(high)) for v in values)
            assert holds(numbers, high, rtol=n * TINY, atol=n * TINY) == wanted
        assert holds(numbers, below=high) == all(v < high for v in values)
        assert holds(numbers, above=low) == all(low < v for v in values)
        if low < high:
            assert holds(numbers, above=low, below=high) == all(low < v < high for v in values)


@given(st.floats(0, 1e3), st.floats(1e-14, 1e3))
def test_the_decade_shown_lies_between_the_value_and_its_bound(value, bound):
    assume(value < bound)
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", printed.append)
        check("clm-a/b", value, below=bound, why="test")
    shown = printed[0].split()[2]
    if value < bound / 100:
        # "%.4g" rounds a floor bound/100 at its fifth digit
        assert shown[0] == "<" and value <= float(shown[1:]) * 1.0001
        assert float(shown[1:]) <= bound / 10 * 1.0001
    else:
        assert float(shown) == pytest.approx(value, rel=1e-3)


def test_break_it_one_wrong_element_among_many_is_seen():
    right = np.linspace(1, 2, 50)
    assert holds(right, right, rtol=1e-12)
    for i in (0, 25, 49):
        wrong = right.copy()
        wrong[i] *= 1 + 1e-9
        assert not holds(wrong, right, rtol=1e-12)
        assert not holds(np.where(np.arange(50) == i, NAN, right), right, rtol=1e-12)
    with pytest.raises(AssertionError, match="FAIL"):
        assert_identity("clm-a/b", sympy.Matrix([[x, 0], [0, x]]), sympy.Matrix([[x, 0], [y, x]]))


@pytest.mark.parametrize("arguments, options, message", [
    ((1,), {}, "give either expected"), ((1, 1), {"below": 2}, "give either expected"),
    ((1, 1), {"above": 0}, "give either expected"),
    ((1,), {"below": 2, "rtol": 0.1}, "belong to expected"),
    ((1,), {"above": 0, "atol": 0.1}, "belong to expected"),
    (([], 1), {}, "measured must"), (([],), {"below": 1}, "measured must"),
    ((1j, 1), {}, "measured must"), ((np.array([1, 2j]), 1), {}, "measured must"),
    ((torch.tensor([1j]), 1), {}, "measured must"), ((sympy.I, 1), {}, "measured must"),
    ((True, 1), {}, "measured must"), ((np.array([True]), 1), {}, "measured must"),
    ((torch.tensor(True),), {"above": 0}, "measured must"), ((x, 1), {}, "measured must"),
    (("1", 1), {}, "measured must"),
    (({1.0}, 1), {}, "measured must"), (([[1], [1, 2]], 1), {}, "measured must"),
    ((HUGE, 0.5), {}, "beyond all floats"), ((HUGE,), {"below": 1e300}, "beyond all floats"),
    ((0.5, HUGE), {}, "beyond all floats"), (([HUGE, 0.5], 1), {}, "measured must"),
    ((sympy.sqrt(2), sympy.sqrt(2)), {}, "measured must"), ((1, sympy.pi), {}, "expected must"),
    ((1,), {"below": sympy.sqrt(2)}, "below must"), ((sympy.oo,), {"above": 0}, "measured must"),
    ((sympy.nan, 1), {}, "measured must"), ((None, 1), {}, "measured must"),
    *[((truth, 1), {"atol": 0.5}, "measured must") for truth in (
        [True, 0.5], [[1.0, False]], (1, True), np.bool_(True), [np.bool_(True), 1.0],
        np.array([True, 0.5], dtype=object), np.array([np.bool_(True)], dtype=object),
        [torch.tensor(True), 0.5], [torch.tensor([True]), torch.tensor([0.5])],
        [np.array([True]), np.array([0.5])], [np.array(True), 0.5], sympy.true, [sympy.true, 1])],
    (([0.5, "1"], 1), {}, "measured must"), (([0.5, None], 1), {}, "measured must"),
    ((np.ones(2, np.longdouble), 1), {}, "measured must"),
    ((np.array([1], "m8[ns]"), 1), {}, "measured must"),
    ((1, [1, True]), {}, "expected must"), ((1, 1), {"atol": np.bool_(True)}, "atol must"),
    ((0.5, HUGE), {"atol": 1}, "beyond"), ((1.0, 1), {"atol": HUGE}, "beyond"),
    ((torch.ones(2, dtype=torch.bfloat16), 1), {}, "measured must"),
    ((1, True), {}, "expected must"), ((1, 1j), {}, "expected must"), ((1, []), {}, "expected"),
    ((1, NAN), {}, "expected must be finite"), ((1, INF), {}, "expected must be finite"),
    ((1, [1, 2]), {}, "expected must be one number"), (([1, 2], [1, 2, 3]), {}, "expected must"),
    (([1, 2], [[1, 2]]), {}, "expected must be one number"), ((1, [[1]]), {}, "expected must"),
    (([1, 2], [[1]]), {}, "expected must be one number"),
    ((1, 1), {"atol": 1}, "as wide as"), ((1, 1), {"atol": 2}, "as wide as"),
    ((1, 1), {"rtol": 1}, "as wide as"), ((2.7, 1), {"rtol": 0.9, "atol": 0.9}, "as wide as"),
    (([1, 2], [1, -2]), {"atol": 2}, "as wide as"), (([0, 1], [0, 1]), {"atol": 5}, "as wide as"),
    (([1, 100], [1, 100]), {"rtol": 0.9, "atol": 20}, "as wide as"),
    ((1, 1), {"atol": -1}, "atol"), ((1, 1), {"rtol": -1}, "rtol"),
    *[((1, 1), {name: value}, name) for name in ("rtol", "atol")
      for value in (NAN, INF, None, "1", True, [0.1, 0.1], 1j)],
    *[((1,), {name: value}, name) for name in ("below", "above")
      for value in (NAN, INF, -INF, "1", True, [3, 3], 1j)],
    ((1,), {"below": 0, "above": 2}, "above must be less"),
    ((1,), {"below": 1, "above": 1}, "above must be less"),
    *[((1, 1), {"why": why}, "why") for why in
      ("", "  ", "two\nlines", "a\rb", "a\u2028b", "end\n", None, 3)],
])
def test_checks_that_make_no_sense_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        check("clm-a/b", *arguments, **{"why": "test"} | options)


LABELS = ["", "clm-a", "clm-/b", "clm-a/", "clm-a/b/c", "a/b", "clm-A/b", "clm-a/b_c", "clm-a/b\n",
          "clm-a/b c", " clm-a/b", "clm-a/é", None, 3]


@pytest.mark.parametrize("label", LABELS)
def test_malformed_labels_are_refused(label):
    with pytest.raises(ValueError, match="label"):
        check(label, 1, 1, why="test")
    with pytest.raises(ValueError, match="label"):
        assert_identity(label, x, x)


def test_a_wide_tolerance_is_allowed_around_zero_only():
    assert holds(3, 0, atol=5) and holds([0.5, 100], [0, 100], atol=1)


def test_measured_arrays_are_not_modified():
    values, expected = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    assert holds(values, expected) and holds(values, below=3)
    assert values.tolist() == expected.tolist() == [1, 2]


PAIR = sympy.Matrix([[x, 1], [0, y]])


@pytest.mark.parametrize("sides, line", [
    (((x + 1)**2, x**2 + 2 * x + 1), "0 = 0 (SymPy, exact)"),
    ((sympy.sin(x)**2 + sympy.cos(x)**2 - 1,), "0 = 0 (SymPy, exact)"),
    ((sympy.Rational(1, 3), Fraction(1, 3)), "0 = 0 (SymPy, exact)"), ((2, 2), None),
    ((PAIR * PAIR.inv(), sympy.eye(2)), "0 = 0 (SymPy, exact: 4 entries)"),
    ((PAIR - PAIR,), "0 = 0 (SymPy, exact: 4 entries)"), ((PAIR - PAIR, sympy.S.Zero), None),
    ((sympy.ImmutableMatrix(PAIR), PAIR), "0 = 0 (SymPy, exact: 4 entries)"),
    ((sympy.Matrix([[x - x, 0, 0]]),), "0 = 0 (SymPy, exact: 3 entries)"),
    ((sympy.Matrix([x]), x), "0 = 0 (SymPy, exact)"),
])
def test_an_identity_prints(capsys, sides, line):
    assert_identity("clm-a/b", *sides)
    out = capsys.readouterr().out
    assert out.startswith("PASS clm-a/b: ") and (line is None or out == f"PASS clm-a/b: {line}\n")


@pytest.mark.parametrize("sides, message", [
    ((x, y), r"FAIL clm-a/b: x - y = 0 \(SymPy, exact\)"), ((x,), "FAIL clm-a/b: x = 0"),
    ((sympy.sqrt(x**2), x), "FAIL"),  # holds for x >= 0 only
    ((PAIR, PAIR.T), r"FAIL clm-a/b: 1 = 0 \(SymPy, exact: 4 entries\)"), ((PAIR,), "FAIL"),
    ((sympy.eye(2), sympy.ones(2, 2)), "FAIL clm-a/b: -1 = 0"),
    ((sympy.Rational(1, 3), sympy.Rational(333333333333333333, 10**18)), "FAIL"),
])
def test_a_wrong_identity_fails_and_prints_nothing(capsys, sides, message):
    with pytest.raises(AssertionError, match=message):
        assert_identity("clm-a/b", *sides)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("sides, message", [
    ((0.5, sympy.Rational(1, 2)), "exact"), ((0.5 * x, x / 2), "exact"), ((0.5, 0.5), "exact"),
    ((x, 1.0 * x), "exact"), ((x**0.5, sympy.sqrt(x)), "exact"), ((x - x, 0.0), "exact"),
    ((sympy.Matrix([[0.5 * x, 0]]), sympy.Matrix([[x / 2, 0]])), "exact"),
    *[((value, value), "exact") for value in (sympy.nan, sympy.oo, -sympy.oo, sympy.zoo, INF)],
    ((PAIR, sympy.zeros(3, 3)), "must be equal"), ((PAIR, x), "must be equal"),
    ((x, PAIR), "must be equal"), ((PAIR, PAIR[:, 0]), "must be equal"),
    ((PAIR, 1), "must be equal"),
    ((sympy.zeros(0, 0),), "not empty"), ((sympy.zeros(0, 2), sympy.zeros(0, 2)), "not empty"),
    ((None,), "takes expressions"), (([x], [x]), "takes expressions"),
    ((True, True), "takes expressions"), ((sympy.Eq(x, x + 0 * y),), "takes expressions"),
    ((sympy.Eq(x, y),), "takes expressions"), ((sympy.true, 1), "takes expressions"),
    ((x, np.array([1, 2])), "takes expressions"),
    ((sympy.Array([1, 2]), sympy.Array([1, 2])), "takes expressions"),
])
def test_what_is_no_exact_identity_is_refused(sides, message):
    with pytest.raises(ValueError, match=message):
        assert_identity("clm-a/b", *sides)


def test_a_matrix_of_truth_values_is_refused():
    with pytest.warns(sympy.utilities.exceptions.SymPyDeprecationWarning):
        truths = sympy.Matrix([[True, x]])
    with pytest.raises(ValueError, match="takes expressions"):
        assert_identity("clm-a/b", truths, truths)


# The grammar --------------------------------------------------------------------------------

SLUG = st.from_regex(r"[a-z0-9-]+", fullmatch=True)
WHY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text("()ab 1<=>,:", min_size=1), st.just("as in (i), not in (0, 1) (twice)"),
).filter(lambda why: why.strip() and why.splitlines() == [why])
NUMBER = st.one_of(EXACT, FINITE, st.floats(1e-300, 1e300), st.just(HUGE))


@st.composite
def calls(draw):
    """A call that passes: (whether it is an identity, the call as a function of label and why)."""
    kind = draw(st.sampled_from(["equal", "near", "below", "above", "inside", "identity"]))
    value, count = draw(NUMBER), draw(st.integers(1, 3))
    if kind == "identity":
        return True, lambda label, why: assert_identity(label, sympy.eye(count) * x / x,
                                                        sympy.eye(count))
    room = 1 if isinstance(value, int | Fraction) else abs(value) + 1
    options = {"equal": {"expected": value}, "near": {"expected": value or 1, "rtol": 0.5},
               "below": {"below": value + room}, "above": {"above": value - room},
               "inside": {"above": value - room, "below": value + room}}[kind]
    values = [value or 1 if kind == "near" else value] * count
    return kind == "equal" and isinstance(value, Fraction), lambda label, why: check(
        label, values, **options, why=why)


def printed(call, *arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        call(*arguments)
    return out.getvalue()


@given(SLUG, SLUG, WHY, calls())
@settings(max_examples=200)
def test_every_line_that_is_printed_is_read_back(claim, what, why, made):
    identity, call = made
    line = printed(call, f"clm-{claim}/{what}", why)
    if "(SymPy, exact" in line:
        why = line.split(" (", 1)[1][:-2]
    head, tail = f"PASS clm-{claim}/{what}: ", f" ({why})\n"
    assert line.startswith(head) and line.endswith(tail) and line.count("\n") == 1
    measured = line[len(head):-len(tail)]
    read = (f"clm-{claim}", what, measured, why)
    assert PASS_LINE.findall(f"other\n{line}{line}other") == [read, read]
    assert bool(IDENTITY.fullmatch(measured)) == identity


@pytest.mark.parametrize("line", [
    "FAIL clm-a/b: 1 = 2 exactly (x)", " PASS clm-a/b: 1 = 1 exactly (x)", "PASS clm-a: 1 (x)",
    "PASS clm-a/b: 1 = 1 exactly", "PASS clm-A/b: 1 = 1 exactly (x)", "PASS thm-a/b: 1 = 1 (x)",
    "PASS clm-a/b: 1 = 1 exactly (x) and more", "PASS clm-a/b c: 1 = 1 exactly (x)",
])
def test_other_lines_are_no_verdicts(line):
    assert PASS_LINE.findall(line) == []


@pytest.mark.parametrize("arguments, identity", [
    ((THIRD + THIRD, 2 * THIRD), True), ((THIRD - THIRD, 0), True), ((sympy.Integer(2), 2), True),
    ((2, Fraction(2)), True), ((7, 7), False), ((0, 0), False), ((0.0, 0.0), False),
    ((0.5, Fraction(1, 2)), False),
    (([0, 0, 0], 0), False), (([THIRD, 1], [THIRD, 1]), True),
])
def test_fractions_make_an_identity_and_counts_of_runs_do_not(arguments, identity):
    for why in ("x", "0 = 0 (SymPy, exact)", "in fractions", "runs in fractions"):
        line = printed(lambda why=why: check("clm-a/b", *arguments, why=why))
        assert bool(IDENTITY.fullmatch(PASS_LINE.findall(line)[0][2])) == identity
    if identity:  # within a tolerance, or under a bound, fractions prove an inequality only
        for options in ({"expected": 2 * THIRD, "atol": TINY}, {"below": 1}, {"above": 0}):
            line = printed(lambda options=options: check("clm-a/b", 2 * THIRD, **options, why="x"))
            assert not IDENTITY.fullmatch(PASS_LINE.findall(line)[0][2])


def test_the_words_of_a_check_cell_are_read():
    assert CHECK_LINE.fullmatch("# check: clm-a, clm-b-2, clm-c")[1] == "clm-a, clm-b-2, clm-c"
    for line in ("# check: clm-A", "# check clm-a", "# check: clm-a clm-b", "# check: clm-a/b"):
        assert not CHECK_LINE.fullmatch(line)
    assert BREAK_LABEL.match("clm-a/break-it:") and not BREAK_LABEL.match("clm-a/it-break-s:")
    assert re.fullmatch(CLAIM, "clm-a-1") and not re.fullmatch(CLAIM, "clm-a/b")
    assert {check.__name__, assert_identity.__name__} == VERDICTS
