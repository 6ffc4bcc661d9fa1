"""Scalar values as arrays of the declared dtypes: numbers, objects and times, from Python values and from numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from reprlib import repr as shortened
from types import NoneType
from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa

from skew_ext.transform.types import Array, Column, ColumnType, is_null, objects

EARLIEST, LATEST = -62_135_596_800, 253_402_300_799
"""The seconds of the years 1 to 9999: Feast and Python have no datetime beyond."""

_EXACT_FLOAT_INTEGERS: Final = 2.0**53
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FLOATS: Final = frozenset({float, NoneType})
_INTEGERS: Final = frozenset({int})
_BOOLEANS: Final = frozenset({bool})
_TIMES: Final = frozenset({datetime, NoneType})
_TEXTUAL: Final[dict[type, tuple[type, ...]]] = {UUID: (str,), Decimal: (str, int)}
"""What else a column of these may hold, to be read as one: Feast's offline stores keep them as text."""


def from_values(values: Sequence[Any], kind: ColumnType) -> Column:
    """Give Python values, None and NaN for null, as a column of `kind`.

    Raises
    ------
    TypeError, ValueError, OverflowError
        One is of another type, or cannot be held exactly.
    """
    return _READERS[kind.dtype.kind][0](values, kind)


def quick_reader(kind: ColumnType) -> Callable[[list[Any]], Array | None]:
    """Give what reads a list of just the Python type that Feast has for `kind`, as `from_values` does.

    It gives None for any other list, and for integers and booleans with a null.
    """
    types = _QUICK.get(kind.name)
    if types is None:
        return lambda _: None
    fits, dtype = types.issuperset, kind.dtype
    return lambda values: np.array(values, dtype=dtype) if fits(map(type, values)) else None


def from_array(array: Array, kind: ColumnType) -> Column:
    """Give a one-dimensional numpy array, not of objects, as a column of `kind`; see `from_values`."""
    return _READERS[kind.dtype.kind][1](array, kind)


def _floats(values: Sequence[Any], kind: ColumnType) -> Column:
    if not _FLOATS.issuperset(map(type, values)):
        values = [None if is_null(value) else _number(value) for value in values]
    return _rounded(np.array(values, dtype=np.float64), kind)


def _number(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"it holds {shortened(value)}")
    return float(value)


def _float_array(array: Array, kind: ColumnType) -> Column:
    if array.dtype.kind not in "fiu":
        raise TypeError(f"it holds {array.dtype}")
    # Through float64, as a row's integer goes: to float32 at once it would be rounded once instead of twice.
    return _rounded(array if array.dtype.kind == "f" else array.astype(np.float64), kind)


def _rounded(array: Array, kind: ColumnType) -> Column:
    if array.dtype == kind.dtype:
        return Column(array)
    with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, as IEEE 754 rounds it
        return Column(array.astype(kind.dtype, copy=False))


def _integers(values: Sequence[Any], kind: ColumnType) -> Column:
    if _INTEGERS.issuperset(map(type, values)):
        try:
            return Column(_in_range(np.array(values, dtype=np.int64), kind))
        except OverflowError:
            pass  # said below, with the value
    missing = [is_null(value) for value in values]
    whole = [0 if null else _whole_number(value, kind) for value, null in zip(values, missing, strict=True)]
    return Column(np.array(whole, dtype=kind.dtype), np.array(missing) if any(missing) else None)


def _integer_array(array: Array, kind: ColumnType) -> Column:
    if array.dtype.kind in "iu":
        return Column(_in_range(array, kind))
    if array.dtype.kind != "f":
        raise TypeError(f"it holds {array.dtype}")
    missing = np.isnan(array)
    integers = np.zeros(len(array), dtype=kind.dtype)
    integers[~missing] = _whole(array[~missing], kind)
    return Column(integers, missing if missing.any() else None)


def _in_range(array: Array, kind: ColumnType) -> Array:
    limits = np.iinfo(kind.dtype)
    if array.dtype != kind.dtype and len(array) and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise OverflowError(f"a value lies beyond {limits.min}..{limits.max}")
    return array.astype(kind.dtype, copy=False)


def _whole(floats: Array, kind: ColumnType) -> Array:
    # pandas turns integers with a null into floats: those come back whole, unless digits may have been lost.
    if not np.all(np.abs(floats) < _EXACT_FLOAT_INTEGERS) or not np.all(np.trunc(floats) == floats):
        raise ValueError("it holds floats that are not exact integers; give it as integers")
    return _in_range(floats.astype(np.int64), kind)


def _whole_number(value: Any, kind: ColumnType) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"it holds {shortened(value)}")
    if isinstance(value, (float, np.floating)):
        return int(_whole(np.asarray([value]), kind)[0])
    limits = np.iinfo(kind.dtype)
    if not limits.min <= value <= limits.max:
        raise OverflowError(f"{value} lies beyond {limits.min}..{limits.max}")
    return int(value)


def _booleans(values: Sequence[Any], _: ColumnType) -> Column:
    if _BOOLEANS.issuperset(map(type, values)):
        return Column(np.array(values, dtype=np.bool_))
    missing = [is_null(value) for value in values]
    for value, null in zip(values, missing, strict=True):
        if not null and not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"it holds {shortened(value)}")
    known = [not null and bool(value) for value, null in zip(values, missing, strict=True)]
    return Column(np.array(known, dtype=np.bool_), np.array(missing) if any(missing) else None)


def _boolean_array(array: Array, _: ColumnType) -> Column:
    if array.dtype.kind != "b":
        raise TypeError(f"it holds {array.dtype}")
    return Column(array)


def _objects(values: Sequence[Any], kind: ColumnType) -> Column:
    assert kind.holds is not None  # noqa: S101 - a column of objects says what it holds
    if kind.holds is Decimal or not {kind.holds, NoneType}.issuperset(map(type, values)):
        values = [None if is_null(value) else _object(value, kind.holds) for value in values]
    if kind.holds is str:
        "".join([value for value in values if value]).encode()  # neither Feast nor Arrow keeps a lone surrogate
    return Column(objects(values))


def _object(value: Any, holds: type) -> Any:
    if isinstance(value, holds):
        return value if type(value) is holds else holds(value)
    if type(value) in _TEXTUAL.get(holds, ()):
        try:
            return holds(value)
        except ArithmeticError:
            pass  # decimal's word for what is no number
    raise TypeError(f"it holds {shortened(value)}")


def _object_array(array: Array, kind: ColumnType) -> Column:
    # numpy's fixed-width strings; its bytes lose NULs at the end.
    if array.dtype.kind != "U":
        raise TypeError(f"it holds {array.dtype}")
    return _objects(array.tolist(), kind)


def _times(values: Sequence[Any], kind: ColumnType) -> Column:
    if len(values) > 1 and _TIMES.issuperset(map(type, values)):
        # Arrow, too, takes a naive time as UTC.
        micros = pa.array(values, pa.timestamp("us", tz="UTC")).to_numpy(zero_copy_only=False)
        return _time_array(micros, kind)
    missing = [is_null(value) for value in values]
    seconds = [0 if null else _seconds(value) for value, null in zip(values, missing, strict=True)]
    times = _time_array(np.array(seconds, dtype=np.int64), kind)
    times.data[np.array(missing, dtype=np.bool_)] = np.datetime64("NaT", "s")
    return times


def _time_array(array: Array, kind: ColumnType) -> Column:
    if array.dtype.kind not in "Miu":
        raise TypeError(f"it holds {array.dtype}")
    times = array.astype(np.int64 if array.dtype.kind == "u" else array.dtype, copy=False).astype(kind.dtype)
    check_times(times)
    return Column(times)


def check_times(times: Array) -> None:
    """Raise OverflowError if one of `times` (datetime64[s]) lies beyond the years that a datetime can hold."""
    known = times[~np.isnat(times)].view(np.int64)
    if len(known) and (known.min() < EARLIEST or known.max() > LATEST):
        raise OverflowError("a time lies beyond the years 1 to 9999, which no datetime can hold")


def _seconds(value: Any) -> int:
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[s]").astype(np.int64))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if not isinstance(value, datetime):
        raise TypeError(f"it holds {shortened(value)}")
    # A naive time is UTC, as Feast takes it.
    since = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - _EPOCH
    return since.days * 86_400 + since.seconds


_QUICK: Final = {"Float64": _FLOATS, "Bool": _BOOLEANS}
"""The types whose values numpy reads exactly: Float32 can overflow with a warning, an integer with an error."""

_Reader = Callable[[Any, ColumnType], Column]
_READERS: Final[dict[str, tuple[_Reader, _Reader]]] = {
    "f": (_floats, _float_array),
    "i": (_integers, _integer_array),
    "b": (_booleans, _boolean_array),
    "O": (_objects, _object_array),
    "M": (_times, _time_array),
}
"""By the kind of the declared dtype: from Python values, and from a numpy array."""
