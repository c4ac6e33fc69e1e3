"""What every module asks of its arguments: number formats, shapes, lengths, broadcasting.

Each function returns its argument in the form that the caller computes with, or raises a
ValueError that names the argument, what it got and what it needs. Nothing is silently widened,
clipped or dropped.
"""

import operator
import sys
from collections.abc import Iterator
from fractions import Fraction
from numbers import Rational
from typing import Any

import torch
from torch import Tensor

# The formats that a list may hold: what float32 has dropped would never come back.
WIDE = {"float64", "int64", "int32", "int16", "int8", "uint8"}


def require_floats(values: Any, name: str, *, ndim: int, like: Tensor | None = None) -> Tensor:
    """values as a float64 tensor with at least ndim axes, none of length 0, all finite.

    A number or a nested list becomes a tensor on the device of like; a tensor is returned as it
    is and must be on that device. Raises ValueError, naming the argument, for anything else:
    float32, complex numbers and truth values included, in a list as well.
    """
    values = to_tensor(values, name, torch.float64, like=like)
    if values.dtype != torch.float64:
        raise ValueError(f"{name} must be float64, got {values.dtype}")
    if like is not None and values.device != like.device:
        raise ValueError(f"{name} must be on the device {like.device}, got {values.device}")
    if values.ndim < ndim or values.numel() == 0:
        raise ValueError(f"{name} must have at least {ndim} axes, none of length 0, "
                         f"got shape {tuple(values.shape)}")
    return require_finite(values, f"{name} must be finite, got")


def require_number(value: Any, name: str, *, like: Tensor | None = None) -> Tensor:
    """value as a float64 tensor without axes, finite.

    Raises ValueError, naming the argument, for several numbers and for what require_floats refuses.
    """
    number = require_floats(value, name, ndim=0, like=like)
    if number.ndim:
        raise ValueError(f"{name} must be one number, got {tuple(number.shape)} of them")
    return number


def require_finite(values: Tensor, complaint: str) -> Tensor:
    """values themselves, if none is infinite or NaN.

    Raises ValueError with the complaint and the first that is: of arguments, and of results that
    leave the range of float64.
    """
    finite = torch.isfinite(values)
    if not finite.all():
        raise ValueError(f"{complaint} {values[~finite][0].item()}")
    return values


def to_tensor(values: Any, name: str, dtype: torch.dtype, *,
              like: Tensor | None = None) -> Tensor:
    """values if a tensor, else a new tensor of dtype on the device of like.

    A NumPy array keeps its own dtype, so that float32 is seen and not silently widened. Raises
    ValueError, naming the argument, for what holds no numbers of that kind, and for a list with a
    truth value or a number of a narrow format in it.
    """
    if isinstance(values, Tensor):
        return values
    array = getattr(values, "ndim", 0) > 0
    for leaf in () if array else _leaves(values):
        kind = str(getattr(leaf, "dtype", "float64")).removeprefix("torch.")
        if isinstance(leaf, bool) or kind not in WIDE | {str(dtype).removeprefix("torch.")}:
            raise ValueError(f"{name} must hold {dtype} numbers, got {leaf!r}")
    device = None if like is None else like.device
    try:
        return torch.tensor(values, dtype=None if array else dtype, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None


def require_length(length: Any, name: str = "length", *, least: int = 1) -> int:
    """length as an int, if it is an integer >= least, of Python's, NumPy's or any other kind.

    Raises ValueError, naming the argument, for anything else (truth values and floats included).
    """
    try:
        integer = operator.index(length)
    except TypeError:
        integer = None
    truth_value = isinstance(length, bool) or getattr(length, "dtype", None) == torch.bool
    if integer is None or truth_value or integer < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {length!r}")
    return integer


def require_fractions(values: Any, name: str, length: int | None = None) -> list[Fraction]:
    """The numbers of a list, array or tensor with one axis as Fractions, without rounding.

    They may be Fractions or other Rationals (SymPy's too), integers, or float64, which are taken as
    exact; float64 holds the size of each. Raises ValueError, naming the argument, for anything
    else, and unless there are length of them (None: at least one).
    """
    if getattr(values, "ndim", 0) == 1:
        kind = str(values.dtype).removeprefix("torch.")
        values = values.tolist() if kind in WIDE else f"an array of {kind}"
    if not isinstance(values, list | tuple) or not values or length not in (None, len(values)):
        count = "numbers" if length is None else f"{length} number{'s' * (length > 1)}"
        raise ValueError(f"{name} must hold {count}, Fractions, integers or float64, "
                         f"got {values!r}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Rational | float):
            raise ValueError(f"{name} must hold Fractions, integers or float64, got {value!r}")
        if not abs(value) <= sys.float_info.max:
            raise ValueError(f"{name} must be finite and within float64, got {value}")
    # NumPy's integers would overflow inside a Fraction.
    return [Fraction(value) if isinstance(value, float)
            else Fraction(int(value.numerator), int(value.denominator)) for value in values]


def require_broadcast(**batches: torch.Size) -> torch.Size:
    """The batch shape that all arguments, given by name, broadcast to.

    Raises ValueError, naming them, where they do not.
    """
    try:
        return torch.broadcast_shapes(*batches.values())
    except RuntimeError:
        shapes = " and ".join(f"{name} {tuple(shape)}" for name, shape in batches.items())
        raise ValueError(f"batch axes must broadcast together, got {shapes}") from None


def _leaves(values: Any) -> Iterator[Any]:
    if isinstance(values, list | tuple):
        for inner in values:
            yield from _leaves(inner)
    else:
        yield values
