"""Columns on their way out: what the function returned, checked against its contract, as each caller wants it.

The type of an output never depends on the data: one that could hold a null is of a nullable type even when it holds
none.
"""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from reprlib import repr as shortened
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.errors import TransformError
from skew_ext.transform.scalars import check_times, from_values
from skew_ext.transform.types import Array, Column, ColumnType, null_of, objects

_PANDAS_NULLABLE = {"Int64": "Int64", "Int32": "Int32", "Bool": "boolean"}


def check_output(returned: Any, kind: ColumnType, rows: int, where: str) -> Column:
    """Give what a function returned for one output as a column of `kind`.

    Raises
    ------
    TransformError
        It is no array, of another length than the inputs, or of another dtype than declared.
    """
    if type(returned) is np.ndarray and kind.plain and returned.dtype == kind.dtype and returned.shape == (rows,):
        return Column(returned)
    if not isinstance(returned, np.ndarray) or returned.ndim != (2 if _is_matrix(returned, kind) else 1):
        raise TransformError(f"{where} is {_said(returned)}, not a one-dimensional numpy array")
    if len(returned) != rows:
        raise TransformError(f"{where} has {len(returned)} rows for {rows} input rows; give one value per row")
    null = np.ma.getmaskarray(returned) if isinstance(returned, np.ma.MaskedArray) else None
    values = np.asarray(returned)
    if values.dtype.kind == "S":
        raise TransformError(f"{where} is {values.dtype}, which loses NULs at the end; return an object array of bytes")
    if kind.dtype.kind == "O":
        return _checked_objects(values, null, kind, where)
    if values.dtype != kind.dtype:
        raise TransformError(f"{where} is {values.dtype}, declared {kind.name}; return it as {kind.dtype}")
    if kind.dtype.kind == "M":
        _check_times(values, where)
    if null is not None and kind.own_null:
        return Column(np.where(null, null_of(kind), values))
    return Column(values, null if null is not None and null.any() else None)


def _is_matrix(returned: Any, kind: ColumnType) -> bool:
    # Lists of one length, such as embeddings, may be one array with a list in each row.
    return kind.element is not None and isinstance(returned, np.ndarray) and returned.ndim > 1


def _said(returned: Any) -> str:
    return f"an array of {returned.ndim} dimensions" if isinstance(returned, np.ndarray) else type(returned).__name__


def _check_times(values: Array, where: str) -> None:
    try:
        check_times(values)
    except OverflowError as error:
        raise TransformError(f"{where}: {error}") from None


def _checked_objects(values: Array, null: npt.NDArray[np.bool_] | None, kind: ColumnType, where: str) -> Column:
    cells = list(values)
    if null is not None and null.ndim > 1:
        raise TransformError(f"{where} is a masked matrix; return an object array with None where a list is null")
    if null is not None:
        cells = [None if masked else cell for cell, masked in zip(cells, null.tolist(), strict=True)]
    if kind.element is not None:
        return Column(objects([None if cell is None else _checked_list(cell, kind.element, where) for cell in cells]))
    assert kind.holds is not None  # noqa: S101 - a column of objects says what it holds
    for cell in cells:
        if cell is not None and not isinstance(cell, kind.holds):
            said = f"return {kind.holds.__name__}, and None for null"
            raise TransformError(f"{where} holds {shortened(cell)}, declared {kind.name}; {said}")
    try:
        return from_values(cells, kind)
    except ValueError as error:
        raise TransformError(f"{where}: {error}") from None


def _checked_list(cell: Any, element: ColumnType, where: str) -> Array:
    if isinstance(cell, list) and element.dtype.kind == "O":
        cell = objects(cell)
    if not isinstance(cell, np.ndarray) or cell.ndim != 1:
        raise TransformError(f"{where} holds {_said(cell)}; return a one-dimensional array for each row, None for null")
    column = check_output(cell, element, len(cell), f"{where}, in a list,")
    if column.null is not None or any(value is None for value in (column.data if element.dtype.kind == "O" else ())):
        raise TransformError(f"{where} has a null in a list, which Feast's online lists cannot hold; leave it out")
    return column.data


def scatter(column: Column, kind: ColumnType, absent: npt.NDArray[np.bool_]) -> Column:
    """Put the rows of `column` back where `absent` is False, and null where it is True."""
    values = np.full(len(absent), null_of(kind), dtype=kind.dtype)
    values[~absent] = column.data
    if kind.own_null:
        return Column(values)
    null = absent.copy()
    if column.null is not None:
        null[~absent] = column.null
    return Column(values, null)


def to_numpy(column: Column, kind: ColumnType) -> Array:
    """Give a column as numpy: masked where the dtype has no null of its own."""
    if kind.own_null:
        return column.data
    mask = np.zeros(len(column.data), dtype=np.bool_) if column.null is None else column.null
    masked: Array = np.ma.MaskedArray(column.data, mask=mask)
    return masked


def to_arrow(column: Column, kind: ColumnType) -> pa.Array:
    """Give a column as Arrow: null where it is null."""
    if kind.element is not None:
        return _arrow_lists(column.data, kind)
    return _arrow(column, kind, np.isnan(column.data) if kind.dtype.kind == "f" else column.null)


def _arrow(column: Column, kind: ColumnType, null: npt.NDArray[np.bool_] | None) -> pa.Array:
    if kind.dtype.kind == "M":
        return pa.array(column.data).cast(pa.timestamp("us")).cast(kind.arrow)
    if kind.holds in (UUID, Decimal):
        return pa.array([None if value is None else str(value) for value in column.data], type=kind.arrow)
    return pa.array(column.data, type=kind.arrow, mask=null)


def _arrow_lists(rows: Array, kind: ColumnType) -> pa.Array:
    assert kind.element is not None  # noqa: S101 - a list says what it holds
    there = [row for row in rows if row is not None]
    flat = np.concatenate([np.empty(0, dtype=kind.element.dtype), *there])
    offsets = np.cumsum([0, *(0 if row is None else len(row) for row in rows)], dtype=np.int32)
    absent = pa.array([row is None for row in rows], pa.bool_())
    # NaN in a list is a number: no mask.
    return pa.ListArray.from_arrays(pa.array(offsets), _arrow(Column(flat), kind.element, None), mask=absent)


def to_pandas(column: Column, kind: ColumnType, index: Any) -> Any:
    """Give a column as a pandas Series: of a nullable dtype where the numpy dtype has no null of its own."""
    import pandas as pd  # noqa: PLC0415 - a caller with a DataFrame has it loaded; others need not

    if kind.dtype.kind == "M":
        times = pd.Series(column.data.astype("datetime64[us]"), index=index)
        return times.dt.tz_localize("UTC")
    series = pd.Series(column.data, index=index, dtype=_PANDAS_NULLABLE.get(kind.name, kind.dtype))
    return series if column.null is None else series.mask(column.null)


def to_python(column: Column, kind: ColumnType) -> list[Any]:
    """Give a column as Python values: None where it is null, and times as aware datetimes in UTC."""
    values: list[Any] = column.data.tolist()
    if kind.element is not None:
        return [None if row is None else _list_values(row) for row in values]
    if kind.dtype.kind == "f":
        return [None if value != value else value for value in values]  # noqa: PLR0124 - only NaN is unlike itself
    if kind.dtype.kind == "M":
        return [None if value is None else _aware(value) for value in values]
    if column.null is None:
        return values
    return [None if null else value for value, null in zip(values, column.null.tolist(), strict=True)]


def _list_values(row: Array) -> list[Any]:
    values: list[Any] = row.tolist()
    return [_aware(value) for value in values] if row.dtype.kind == "M" else values


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=timezone.utc)


def to_list(column: Column, kind: ColumnType) -> list[Any]:
    """Give a column as a list of Python values that Arrow reads back with the declared type."""
    if kind.inferred:
        values = to_python(column, kind)
        if values and values[0] is not None:  # Arrow finds the type by itself
            return values
    return ColumnList(column, kind)


class ColumnList(list[Any]):
    """A column as a list of Python values, which Arrow reads back with the declared type.

    Feast's python mode takes the list online as it is, and offline makes an Arrow table of it: there it would guess
    the type from the values, and find none in a column of nulls.
    """

    def __init__(self, column: Column, kind: ColumnType) -> None:
        super().__init__(to_python(column, kind))
        self._made_of = column, kind

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:  # noqa: A002 - Arrow's protocol
        array = to_arrow(*self._made_of)
        return array if type is None else array.cast(type)
