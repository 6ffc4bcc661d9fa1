"""What kind of feature a column is: which statistics can be made of it."""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa

from skew_ext.statistics.columns import Column

Kind = Literal["numeric", "categorical", "boolean", "datetime", "embedding", "other"]


def kind_between(reference: Column, served: Column) -> Kind:
    """Give the kind that both columns share; a column without any value takes the other one's kind.

    Booleans against numbers are numbers. Columns of two other kinds (numbers set against strings) are "other": their
    values cannot share bins.
    """
    kinds = {kind_of_type(reference.type), kind_of_type(served.type)}
    if len(kinds) > 1:
        columns = (reference, served)
        kinds = {kind_of_type(column.type) for column in columns if column.null_count < len(column)} or kinds
    if kinds == {"numeric", "boolean"}:
        return "numeric"
    return kinds.pop() if len(kinds) == 1 else "other"


def value_type(arrow_type: Any) -> Any:
    """Give the type of a column's values, whether dictionary-encoded or not."""
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type


def kind_of_type(arrow_type: Any) -> Kind:
    """Give the kind of columns of a type."""
    of = value_type(arrow_type)
    if pa.types.is_boolean(of):
        return "boolean"
    if pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_decimal(of):
        return "numeric"
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return "categorical"
    if pa.types.is_temporal(of) and not pa.types.is_interval(of):
        return "datetime"
    return "embedding" if _is_list(of) and pa.types.is_floating(of.value_type) else "other"


def _is_list(of: Any) -> bool:
    return bool(pa.types.is_list(of) or pa.types.is_large_list(of) or pa.types.is_fixed_size_list(of))
