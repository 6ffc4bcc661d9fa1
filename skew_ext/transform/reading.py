"""Columns on their way in: whatever a batch, a row or Feast hands over, as one array of the declared dtype.

The conversions are strict: a value that the declared type cannot hold exactly is an error, save that integers and
wider floats round to a declared float as IEEE 754 says. So a transform never computes in another type than it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.errors import TransformError
from skew_ext.transform.types import Array, Column, ColumnType

_EXACT_FLOAT_INTEGERS: Final = 2.0**53
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def read_column(values: Any, kind: ColumnType, where: str) -> Column:
    """Give `values` (a sequence, numpy or Arrow array, or pandas Series) as a contiguous column of `kind`.

    `where` names the column in an error.

    Raises
    ------
    TransformError
        The values are not one column, or `kind` cannot hold one of them.
    """
    try:
        array, null = _as_numpy(values, kind)
        if array.ndim != 1:
            raise TransformError(f"{where} has {array.ndim} dimensions; a shared transform takes plain columns")
        column = _READERS[kind.name](array, kind)
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise TransformError(f"{where} cannot be read as {kind.name}: {error}") from None
    return Column(np.ascontiguousarray(column.data), _either(column.null, null))


def _as_numpy(values: Any, kind: ColumnType) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    if isinstance(values, (list, tuple)):
        return _from_sequence(values, kind), None
    if isinstance(values, np.ma.MaskedArray):
        return _from_masked(values, kind)
    if isinstance(values, np.ndarray):
        return values, None
    # A pandas Series goes through Arrow, which knows each of pandas' nulls and keeps integers whole.
    arrow = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.Array.from_pandas(values)
    return _from_arrow(arrow, kind)


def _from_sequence(values: Sequence[Any], kind: ColumnType) -> Array:
    if kind.dtype.kind in "OM":
        # numpy would cut trailing NULs off strings, and guess a unit for times.
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    array = np.asarray(values)
    return array if len(values) else array.astype(kind.dtype)


def _from_masked(values: Any, kind: ColumnType) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    null = np.ma.getmaskarray(values)
    if kind.own_null:
        return _with_none(values.astype(object), null), None
    return values.filled(kind.dtype.type(0)), null


def _from_arrow(values: Any, kind: ColumnType) -> tuple[Array, npt.NDArray[np.bool_] | None]:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_null(values.type):
        values = values.cast(kind.arrow)
    if not values.null_count or not (pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
        return values.to_numpy(zero_copy_only=False), None
    if kind.dtype.kind == "f":
        return values.cast(kind.arrow, safe=False).to_numpy(zero_copy_only=False), None
    null = values.is_null().to_numpy(zero_copy_only=False)
    return values.fill_null(pa.scalar(0).cast(values.type)).to_numpy(zero_copy_only=False), null


def _either(first: npt.NDArray[np.bool_] | None, second: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_] | None:
    if first is None or second is None:
        return first if second is None else second
    return first | second


def _floats(array: Array, kind: ColumnType) -> Column:
    if array.dtype.kind in "fiu":
        with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, as IEEE 754 rounds it
            return Column(array.astype(kind.dtype, copy=False))
    if array.dtype.kind != "O":
        raise TypeError(f"it holds {array.dtype}")
    missing = _missing(array)
    for value in array[~missing]:
        if isinstance(value, (str, bytes, bool, np.bool_)):
            raise TypeError(f"it holds {value!r}")
    floats = np.full(len(array), np.nan, dtype=kind.dtype)
    floats[~missing] = array[~missing].astype(kind.dtype)
    return Column(floats)


def _integers(array: Array, kind: ColumnType) -> Column:
    if array.dtype.kind in "iu":
        return Column(_in_range(array, kind))
    if array.dtype.kind not in "fO":
        raise TypeError(f"it holds {array.dtype}")
    missing = _missing(array)
    integers = np.zeros(len(array), dtype=kind.dtype)
    present = array[~missing]
    if array.dtype.kind == "f":
        integers[~missing] = _whole(present, kind)
    else:
        integers[~missing] = [_whole_number(value, kind) for value in present]
    return Column(integers, missing if missing.any() else None)


def _in_range(array: Array, kind: ColumnType) -> Array:
    limits = np.iinfo(kind.dtype)
    if len(array) and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise OverflowError(f"a value lies beyond {limits.min}..{limits.max}")
    return array.astype(kind.dtype, copy=False)


def _whole(floats: Array, kind: ColumnType) -> Array:
    # pandas turns integers with a null into floats: those come back whole, unless digits may have been lost.
    if not np.all(np.abs(floats) < _EXACT_FLOAT_INTEGERS) or not np.all(np.trunc(floats) == floats):
        raise ValueError("it holds floats that are not exact integers; give it as integers")
    return _in_range(floats.astype(np.int64), kind)


def _whole_number(value: Any, kind: ColumnType) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"it holds {value!r}")
    if isinstance(value, (float, np.floating)):
        return int(_whole(np.asarray([value]), kind)[0])
    limits = np.iinfo(kind.dtype)
    if not limits.min <= value <= limits.max:
        raise OverflowError(f"{value} lies beyond {limits.min}..{limits.max}")
    return int(value)


def _booleans(array: Array, _: ColumnType) -> Column:
    if array.dtype.kind == "b":
        return Column(array)
    missing = _missing(array)
    for value in array[~missing]:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"it holds {value!r}")
    booleans = np.zeros(len(array), dtype=np.bool_)
    booleans[~missing] = array[~missing].astype(np.bool_)
    return Column(booleans, missing if missing.any() else None)


def _strings(array: Array, _: ColumnType) -> Column:
    if array.dtype.kind == "U":
        return Column(array.astype(object))
    missing = _missing(array)
    for value in array[~missing]:
        if not isinstance(value, str):
            raise TypeError(f"it holds {value!r}")
    return Column(_with_none(array, missing))


def _timestamps(array: Array, kind: ColumnType) -> Column:
    if array.dtype.kind == "M":
        return Column(array.astype(kind.dtype))
    if array.dtype.kind in "iu":
        return Column(array.astype(np.int64).astype(kind.dtype))
    if array.dtype.kind != "O":
        raise TypeError(f"it holds {array.dtype}")
    missing = _missing(array)
    seconds = np.full(len(array), np.datetime64("NaT", "s"), dtype=kind.dtype)
    seconds[~missing] = np.array([_seconds(value) for value in array[~missing]], dtype=np.int64).astype(kind.dtype)
    return Column(seconds)


def _seconds(value: Any) -> int:
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[s]").astype(np.int64))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if not isinstance(value, datetime):
        raise TypeError(f"it holds {value!r}")
    # A naive time is UTC, as Feast takes it.
    since = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - _EPOCH
    return since.days * 86_400 + since.seconds


def _with_none(array: Array, null: npt.NDArray[np.bool_]) -> Array:
    texts = np.array(array, dtype=object)
    texts[null] = None
    return texts


def _missing(array: Array) -> npt.NDArray[np.bool_]:
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind != "O":
        return np.zeros(len(array), dtype=np.bool_)
    return np.fromiter((_is_null(value) for value in array), dtype=np.bool_, count=len(array))


def _is_null(value: Any) -> bool:
    # NaN and NaT are unlike themselves; pandas' NA says so by its name alone, since comparing it gives no truth.
    return value is None or type(value).__name__ == "NAType" or bool(value != value)  # noqa: PLR0124


_READERS: Final[dict[str, Callable[[Array, ColumnType], Column]]] = {
    "Float64": _floats,
    "Float32": _floats,
    "Int64": _integers,
    "Int32": _integers,
    "Bool": _booleans,
    "String": _strings,
    "UnixTimestamp": _timestamps,
}
