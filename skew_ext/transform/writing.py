"""Columns on their way out: what the function returned, checked against its contract, as each caller wants it.

The type of an output never depends on the data: one that could hold a null is of a nullable type even when it holds
none.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.errors import TransformError
from skew_ext.transform.types import Array, Column, ColumnType

_PANDAS_NULLABLE = {"Int64": "Int64", "Int32": "Int32", "Bool": "boolean"}


def check_output(returned: Any, kind: ColumnType, rows: int, where: str) -> Column:
    """Give what a function returned for one output as a column of `kind`.

    Raises
    ------
    TransformError
        It is no array, of another length than the inputs, or of another dtype than declared.
    """
    if not isinstance(returned, np.ndarray) or returned.ndim != 1:
        raise TransformError(f"{where} is {type(returned).__name__}, not a one-dimensional numpy array")
    if len(returned) != rows:
        raise TransformError(f"{where} has {len(returned)} rows for {rows} input rows; give one value per row")
    null = np.ma.getmaskarray(returned) if isinstance(returned, np.ma.MaskedArray) else None
    values = np.asarray(returned)
    if kind.name == "String":
        return Column(_strings(values, null, where))
    if values.dtype != kind.dtype:
        raise TransformError(f"{where} is {values.dtype}, declared {kind.name}; return it as {kind.dtype}")
    if null is not None and kind.own_null:
        return Column(np.where(null, null_of(kind), values))
    return Column(values, null if null is not None and null.any() else None)


def _strings(values: Array, null: npt.NDArray[np.bool_] | None, where: str) -> Array:
    texts = np.empty(len(values), dtype=object)
    for row, value in enumerate(values.tolist()):
        masked = null is not None and null[row]
        if not masked and value is not None and not isinstance(value, str):
            raise TransformError(f"{where} holds {value!r}, declared String; return strings, and None for null")
        texts[row] = None if masked or value is None else str(value)
    return texts


def null_of(kind: ColumnType) -> Any:
    """Give the value that stands for null in a column of `kind`: its own null, or a zero under the mask."""
    if kind.dtype.kind == "f":
        return kind.dtype.type(np.nan)
    if kind.dtype.kind == "M":
        return np.datetime64("NaT", "s")
    return None if kind.dtype.kind == "O" else kind.dtype.type(0)


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
    if kind.dtype.kind == "M":
        return pa.array(column.data).cast(pa.timestamp("us")).cast(kind.arrow)
    mask = np.isnan(column.data) if kind.dtype.kind == "f" else column.null
    return pa.array(column.data, type=kind.arrow, mask=mask)


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
    if kind.dtype.kind == "f":
        return [None if value != value else value for value in values]  # noqa: PLR0124 - only NaN is unlike itself
    if kind.dtype.kind == "M":
        return [value and _aware(value) for value in values]
    if column.null is None:
        return values
    return [None if null else value for value, null in zip(values, column.null.tolist(), strict=True)]


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=timezone.utc)


class ColumnList(list[Any]):
    """A column as a list of Python values, which Arrow reads back with the declared type.

    Feast's python mode takes the list online as it is, and offline makes an Arrow table of it: there it would guess
    the type from the values, and find none in a column of nulls.
    """

    def __init__(self, column: Column, kind: ColumnType) -> None:
        super().__init__(to_python(column, kind))
        self._column = column
        self._kind = kind

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:  # noqa: A002 - Arrow's protocol
        array = to_arrow(self._column, self._kind)
        return array if type is None else array.cast(type)
