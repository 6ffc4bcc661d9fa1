"""Columns on their way in: whatever a batch, a row or Feast hands over, as one array of the declared dtype.

The conversions are strict: a value that the declared type cannot hold exactly is an error, save that integers and
wider floats round to a declared float as IEEE 754 says, and times lose what is finer than a second. So a transform
never computes in another type than it declares.
"""

from __future__ import annotations

from decimal import InvalidOperation
from itertools import chain
from reprlib import repr as shortened
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.errors import TransformError
from skew_ext.transform.scalars import from_array, from_values
from skew_ext.transform.types import Array, Column, ColumnType, is_null, null_of, objects

_UNREADABLE = (TypeError, ValueError, OverflowError, InvalidOperation, pa.ArrowException)


def read_column(values: Any, kind: ColumnType, where: str) -> Column:
    """Give `values` (a sequence, numpy or Arrow array, or pandas Series) as a contiguous column of `kind`.

    `where` names the column in an error.

    Raises
    ------
    TransformError
        The values are not one column, or `kind` cannot hold one of them.
    """
    try:
        return _column(values, kind)
    except _UNREADABLE as error:
        why = str(error).partition("\n")[0]
        raise TransformError(f"{where} cannot be read as {kind.name}: {why}") from None


def _column(values: Any, kind: ColumnType) -> Column:
    if isinstance(values, (list, tuple)):
        return from_values(values, kind) if kind.element is None else _lists(list(values), kind.element)
    if isinstance(values, np.ndarray):
        return _from_numpy(values, kind)
    if getattr(values, "dtype", None) == np.dtype(object):
        return _from_numpy(np.asarray(values, dtype=object), kind)  # a pandas Series of Python values
    # Another pandas Series goes through Arrow, which knows each of pandas' nulls and keeps integers whole.
    arrow = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.Array.from_pandas(values)
    return _from_arrow(arrow, kind)


def _from_numpy(array: Array, kind: ColumnType) -> Column:
    if isinstance(array, np.ma.MaskedArray):
        null = np.ma.getmaskarray(array)
        return _masked(_column(np.asarray(array.filled() if array.dtype == object else array.data), kind), null, kind)
    if kind.element is not None and array.ndim > 0:
        return _lists(list(array), kind.element)  # a matrix is one list in each row
    if array.ndim != 1:
        raise ValueError(f"it has {array.ndim} dimensions, and a column has one")
    column = from_values(array.tolist(), kind) if array.dtype.kind == "O" else from_array(array, kind)
    return Column(np.ascontiguousarray(column.data), column.null)


def _masked(column: Column, null: npt.NDArray[np.bool_], kind: ColumnType) -> Column:
    if not null.any():
        return column
    if kind.own_null:
        data = column.data.copy()
        data[null] = null_of(kind)
        return Column(data)
    return Column(column.data, null if column.null is None else null | column.null)


def _from_arrow(values: Any, kind: ColumnType) -> Column:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_null(values.type):
        values = values.cast(kind.arrow)
    if kind.element is not None:
        return _arrow_lists(values, kind.element)
    if kind.holds is not None:
        return from_values(values.to_pylist(), kind)
    if not values.null_count or pa.types.is_floating(values.type) or pa.types.is_timestamp(values.type):
        return _column(_to_numpy(values), kind)
    # numpy would make floats, or objects, of integers and booleans with a null.
    null = values.is_null().to_numpy(zero_copy_only=False)
    return _masked(_column(_to_numpy(values.fill_null(pa.scalar(0).cast(values.type))), kind), null, kind)


def _to_numpy(values: Any) -> Array:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _lists(rows: list[Any], element: ColumnType) -> Column:
    """Read a list for each row: all elements at once, so that a long column is no slower than its elements."""
    present = [not (row is None or (not isinstance(row, (list, tuple, np.ndarray)) and is_null(row))) for row in rows]
    lists = [row for row, there in zip(rows, present, strict=True) if there]
    for row in lists:
        if not isinstance(row, (list, tuple, np.ndarray)) or np.ndim(row) > 1:
            raise TypeError(f"it holds {shortened(row)}, not a plain list")
    flat = _elements(lists, element)
    return _split(flat, [len(row) for row in lists], present)


def _elements(lists: list[Any], element: ColumnType) -> Array:
    dtypes = {row.dtype if isinstance(row, np.ndarray) else None for row in lists}
    if len(dtypes) == 1 and None not in dtypes and np.dtype(object) not in dtypes:
        return _without_null(_column(np.concatenate(lists), element), element)
    values = list(chain.from_iterable(row.tolist() if isinstance(row, np.ndarray) else row for row in lists))
    if any(value is None for value in values):
        raise ValueError(_NULL_ELEMENT)
    return _without_null(_column(values, element), element)


def _arrow_lists(values: Any, element: ColumnType) -> Column:
    if not any(is_list(values.type) for is_list in _LISTS):
        raise TypeError(f"it holds {values.type}, not lists")
    present = values.is_valid().to_pylist()
    lengths = [length for length in pc.list_value_length(values).to_pylist() if length is not None]
    elements = values.flatten()
    if elements.null_count:
        raise ValueError(_NULL_ELEMENT)
    return _split(_without_null(_column(elements, element), element), lengths, present)


_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_NULL_ELEMENT = "a list holds a null, and Feast's online lists cannot; leave the element out"


def _without_null(column: Column, element: ColumnType) -> Array:
    # NaN in a list is a number; what else stands for null is none that Feast could serve.
    missing = column.null if element.dtype.kind != "M" else np.isnat(column.data)
    if missing is not None and missing.any():
        raise ValueError(_NULL_ELEMENT)
    flat: Array = column.data.view()
    flat.flags.writeable = False
    return flat


def _split(flat: Array, lengths: list[int], present: list[bool]) -> Column:
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    pieces = iter([flat[end - length : end] for length, end in zip(lengths, ends, strict=True)])
    return Column(objects([next(pieces) if there else None for there in present]))
