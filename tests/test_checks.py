"""The verdicts: the exact words of each line, when it fails, and the calls that are refused."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lowdim.checks import assert_identity, check

pytestmark = pytest.mark.usefixtures("no_global_state")

NAN, INF = float("nan"), float("inf")
x, y = sympy.symbols("x y")
FINITE = st.floats(-1e6, 1e6)


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
    ((-0.0, 0), {}, "0 = 0 exactly"),
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
    ((-3,), {"below": 1000}, "<10 < 1000"), ((-2,), {"below": 0}, "-2 < 0"),
    (([0.1, 0.5, 0.2],), {"below": 1}, "worst of 3: 0.5 < 1"),
    ((7.25,), {"above": 3}, "7.25 > 3"), (([5, 4, 9],), {"above": 3}, "worst of 3: 4 > 3"),
    ((1e-20,), {"above": 0}, "1e-20 > 0"),
    ((0.5,), {"above": 0, "below": 2}, "0.5 in (0, 2)"),
    (([0.5, 1.9, 1.0],), {"above": 0, "below": 2}, "worst of 3: 1.9 in (0, 2)"),
    (([0.05, 1.9, 1.0],), {"above": 0, "below": 2}, "worst of 3: 0.05 in (0, 2)"),
    ((Fraction(1, 3),), {"below": Fraction(1, 2)}, "0.3333 < 0.5"),
    ((sympy.Rational(1, 3), sympy.Rational(1, 3)), {}, "0.3333 = 0.3333 exactly"),
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
    (([0.5, NAN, INF],), {"below": 1}, "2 of 3 not finite: nan"), ((None, 1), {}, None),
    (([1, NAN],), {"above": 0, "below": 2}, None),
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
    ((10**400, 1), {}, "measured must"),
    ((torch.ones(2, dtype=torch.bfloat16), 1), {}, "measured must"),
    ((1, True), {}, "expected must"), ((1, 1j), {}, "expected must"), ((1, []), {}, "expected"),
    ((1, NAN), {}, "expected must be finite"), ((1, INF), {}, "expected must be finite"),
    ((1, [1, 2]), {}, "expected must be one number"), (([1, 2], [1, 2, 3]), {}, "expected must"),
    (([1, 2], [[1, 2]]), {}, "expected must be one number"), ((1, [[1]]), {}, "expected must"),
    (([1, 2], [[1]]), {}, "expected must be one number"),
    ((1, 1), {"atol": 1}, "as wide as"), ((1, 1), {"atol": 2}, "as wide as"),
    ((1, 1), {"rtol": 1}, "as wide as"), ((2.7, 1), {"rtol": 0.9, "atol": 0.9}, "as wide as"),
    (([1, 2], [1, -2]), {"atol": 2}, "as wide as"),
    (([1, 100], [1, 100]), {"rtol": 0.9, "atol": 20}, "as wide as"),
    ((1, 1), {"atol": -1}, "atol"), ((1, 1), {"rtol": -1}, "rtol"),
    *[((1, 1), {name: value}, name) for name in ("rtol", "atol")
      for value in (NAN, INF, None, "1", True, [0.1, 0.1], 1j)],
    *[((1,), {name: value}, name) for name in ("below", "above")
      for value in (NAN, INF, -INF, "1", True, [3, 3], 1j)],
    ((1,), {"below": 0, "above": 2}, "above must be less"),
    ((1,), {"below": 1, "above": 1}, "above must be less"),
    *[((1, 1), {"why": why}, "why") for why in ("", "  ", "two\nlines", None, 3)],
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


M = sympy.Matrix([[x, 1], [0, y]])


@pytest.mark.parametrize("sides, line", [
    (((x + 1)**2, x**2 + 2 * x + 1), "0 = 0 (SymPy, exact)"),
    ((sympy.sin(x)**2 + sympy.cos(x)**2 - 1,), "0 = 0 (SymPy, exact)"),
    ((sympy.Rational(1, 3), Fraction(1, 3)), "0 = 0 (SymPy, exact)"), ((2, 2), None),
    ((M * M.inv(), sympy.eye(2)), "0 = 0 (SymPy, exact: 4 entries)"),
    ((M - M,), "0 = 0 (SymPy, exact: 4 entries)"), ((M - M, sympy.S.Zero), None),
    ((sympy.ImmutableMatrix(M), M), "0 = 0 (SymPy, exact: 4 entries)"),
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
    ((M, M.T), r"FAIL clm-a/b: 1 = 0 \(SymPy, exact: 4 entries\)"), ((M,), "FAIL"),
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
    ((M, sympy.zeros(3, 3)), "must be equal"), ((M, x), "must be equal"),
    ((x, M), "must be equal"), ((M, M[:, 0]), "must be equal"), ((M, 1), "must be equal"),
    ((sympy.zeros(0, 0),), "not empty"), ((sympy.zeros(0, 2), sympy.zeros(0, 2)), "not empty"),
    ((None,), "takes expressions"), (([x], [x]), "takes expressions"),
    ((True, True), "takes expressions"), ((sympy.Eq(x, x + 0 * y),), "takes expressions"),
    ((sympy.Eq(x, y),), "takes expressions"), ((x, np.array([1, 2])), "takes expressions"),
    ((sympy.Array([1, 2]), sympy.Array([1, 2])), "takes expressions"),
])
def test_what_is_no_exact_identity_is_refused(sides, message):
    with pytest.raises(ValueError, match=message):
        assert_identity("clm-a/b", *sides)
