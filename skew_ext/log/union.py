"""Rows of many feature sets as one table, also where a column had another type in another feature set.

Types of numbers, or of times, meet in one that holds every value exactly. Where there is none (a column that was text
and became a number), the column is read as text, as its field's metadata `skew.types` says: the log stays readable as
a whole, and a feature set by itself keeps its types.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from skew_ext.log.decode import MICROSECONDS, SYSTEM_FIELDS
from skew_ext.log.opaque import is_opaque, opened

MIXED = b"skew.types"
"""Metadata of a column that is text since its types have no other in common: the types that it had."""


def union(tables: Sequence[pa.Table]) -> pa.Table:
    """Put tables under one another; a column that a table lacks is null in its rows. No rows: the system columns."""
    if not any(table.num_rows for table in tables):
        return pa.schema(SYSTEM_FIELDS).empty_table()
    found: dict[str, list[tuple[pa.Field, pa.ChunkedArray]]] = {}
    for table in tables:
        for field, column in zip(table.schema, table.columns, strict=True):
            found.setdefault(field.name, []).append((field, column))
    schema = pa.schema(_field(name, *zip(*given, strict=True)) for name, given in found.items())
    return pa.concat_tables([_fit(table, schema) for table in tables])


def _field(name: str, fields: Sequence[pa.Field], columns: Sequence[pa.ChunkedArray]) -> pa.Field:
    types = list(dict.fromkeys(field.type for field in fields))
    if len(types) > 1:
        types = list(dict.fromkeys(each.type for each in columns if _tells_type(each))) or types[:1]
    common = types[0] if len(types) == 1 else _common(types)
    if common is None or not all(_holds(common, column) for column in columns):
        return pa.field(name, pa.string(), metadata={MIXED: ", ".join(sorted(map(str, types)))})
    metadata = next((field.metadata for field in fields if field.type == common), None)
    return pa.field(name, common, metadata=metadata)


def _common(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """Give the type of numbers or times that holds what all of these hold, or the list of it; None if there is none."""
    if all(pa.types.is_list(each) for each in types):
        element = _common([each.value_type for each in types])
        return None if element is None else pa.list_(element)
    if all(pa.types.is_timestamp(each) for each in types):
        return MICROSECONDS
    if all(pa.types.is_integer(each) for each in types):
        return pa.int64()
    return pa.float64() if all(pa.types.is_integer(each) or pa.types.is_floating(each) for each in types) else None


def _tells_type(column: pa.ChunkedArray) -> bool:
    """Say whether a column has a value in it: one of nulls alone, or of empty lists, takes any type."""
    if column.null_count == len(column):
        return False
    return not pa.types.is_list(column.type) or any(len(chunk.flatten()) for chunk in column.chunks)


def _holds(common: pa.DataType, column: pa.ChunkedArray) -> bool:
    """Say whether each value fits: an integer may be too large for the floating-point column that it shares."""
    if column.type == common or column.null_count == len(column):
        return True
    try:
        column.cast(common)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return pa.table([_column(table, field) for field in schema], schema=schema)


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    place = table.schema.get_field_index(field.name)
    if place < 0 or table[place].null_count == table.num_rows:
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    column = table[place]
    if column.type == field.type:
        return column
    return _text(column, table.schema.field(place)) if pa.types.is_string(field.type) else column.cast(field.type)


def _text(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    said = opened if is_opaque(field) else bytes.hex if pa.types.is_binary(field.type) else str
    texts = [None if value is None else str(said(value)) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, type=pa.string())])
