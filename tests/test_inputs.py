"""What every function asks of its arguments: nothing widened, nothing dropped."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
import torch

from lowdim.inputs import (
    require_broadcast,
    require_finite,
    require_floats,
    require_fractions,
    require_length,
    require_number,
    to_tensor,
)

pytestmark = pytest.mark.usefixtures("no_global_state")

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("values", [
    [1.0, 2.5], (1, 2.5), [1, np.float64(2.5)], [np.int64(1), 2.5], np.array([1.0, 2.5]),
    [torch.tensor(1.0, dtype=torch.float64), 2.5], torch.tensor([1.0, 2.5], dtype=torch.float64),
])
def test_numbers_of_full_width_become_a_float64_tensor(values):
    tensor = require_floats(values, "x", ndim=1)
    assert tensor.dtype == torch.float64 and tensor.tolist() == [1.0, 2.5]


def test_a_tensor_is_returned_as_it_is():
    x = torch.ones(2, dtype=torch.float64)
    assert require_floats(x, "x", ndim=1) is x and require_finite(x, "x") is x


@pytest.mark.parametrize("values, message", [
    ([0.1, np.float32(0.1)], "x must hold .* got np.float32"),
    ([np.float16(1)], "x must hold"), ([torch.tensor(0.1)], "x must hold"),
    ([[1.0], [np.complex64(1)]], "x must hold"),
    ([np.array([0.1], "f4")], "x must hold"),
    (torch.ones(2), "x must be float64, got torch.float32"),
    (np.ones(2, "f4"), "x must be float64"), (np.ones(2, int), "x must be float64"),
    ([True, 0.5], "x must hold .* got True"), (True, "x must hold"),
    ([np.True_, 0.5], "x must hold"), (np.True_, "x must hold"),
    (torch.tensor([True]), "x must be float64, got torch.bool"),
    ([1j], "x must be"), ([np.complex128(1j)], "x must hold"), ("1", "x must be"),
    (None, "x must be"), ([[1.0], [1.0, 2.0]], "x must be"), ([], "none of length 0"),
    (1.0, "x must have at least 1 axes"), ([1.0, NAN], "x must be finite, got nan"),
    ([INF], "x must be finite, got inf"), (torch.ones(2).double().to("meta"), "x must be on"),
])
def test_everything_else_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        require_floats(values, "x", ndim=1, like=torch.ones(1))


@pytest.mark.parametrize("value", [2, 2.0, np.float64(2), np.int64(2), torch.tensor(2.0).double()])
def test_one_number(value):
    assert require_number(value, "x").item() == 2.0


@pytest.mark.parametrize("value", [[2.0], [], True, None, NAN, -INF, "2", np.float32(2), 2j])
def test_what_is_not_one_number_is_refused(value):
    with pytest.raises(ValueError, match="x must"):
        require_number(value, "x")


@pytest.mark.parametrize("length", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_integers_of_every_kind_are_lengths(length):
    assert require_length(length, "k", least=3) == 3
    assert type(require_length(length, "k")) is int


@pytest.mark.parametrize("length", [2, 3.0, np.float64(3), True, np.True_, torch.tensor(True), "3",
                                    None, [3], torch.tensor(3.0), -3])
def test_what_is_no_length_is_refused(length):
    with pytest.raises(ValueError, match="k must be an integer >= 3, got"):
        require_length(length, "k", least=3)


@pytest.mark.parametrize("values", [
    [Fraction(1, 3), 2, 0.5, sympy.Rational(1, 7), np.int64(3), np.float64(0.1)],
    (1,), np.array([0.1, 0.2]), torch.tensor([0.1, 0.2], dtype=torch.float64)])
def test_rational_numbers_stay_exact(values):
    found = require_fractions(values, "x")
    assert found == [Fraction(str(v)) if isinstance(v, sympy.Rational) else Fraction(v)
                     for v in (values.tolist() if hasattr(values, "tolist") else values)]
    assert {type(x) for x in found} == {Fraction}


@pytest.mark.parametrize("values", [
    [], "12", 3, None, [True], ["1/2"], [sympy.sqrt(2)], [sympy.pi], [1j], [NAN], [INF], [10**400],
    [np.float32(0.1)], np.array([0.1], dtype=np.float32), torch.ones(2), torch.ones(2, 2).double(),
    torch.ones(0).double(), [[1, 2]]])
def test_what_is_no_list_of_rational_numbers_is_refused(values):
    with pytest.raises(ValueError, match="x must"):
        require_fractions(values, "x")


def test_as_many_rational_numbers_as_are_needed():
    assert require_fractions((1, 2), "x", 2) == [1, 2]
    with pytest.raises(ValueError, match=r"x must hold 2 numbers, .* got \[1\]"):
        require_fractions([1], "x", 2)


def test_complex_numbers_where_they_are_asked_for():
    assert to_tensor([1, 2j], "x", torch.complex128).tolist() == [1, 2j]
    with pytest.raises(ValueError, match="x must hold"):
        to_tensor([np.complex64(1)], "x", torch.complex128)


def test_batches_broadcast_or_are_named():
    assert require_broadcast(a=(2, 1), b=(3,)) == (2, 3)
    with pytest.raises(ValueError, match=r"a \(2,\) and b \(3,\)"):
        require_broadcast(a=(2,), b=(3,))


def test_lists_follow_the_device_of_like():
    like = torch.ones(1, dtype=torch.float64)
    with torch.device("meta"):
        assert require_floats([1.0], "x", ndim=1, like=like).device.type == "cpu"
