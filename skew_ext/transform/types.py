"""The types that a shared transform declares, and what null is in each.

One meaning of null holds in every mode. A type whose numpy dtype has a null of its own hands it to the function:
NaN in Float64 and Float32, NaT in UnixTimestamp, None in the types of objects and lists. Int64, Int32 and Bool have
none, so a row in which such an input is null never reaches the function: all its outputs are null, as SQL's strict
functions have it. A transform that must see a missing integer declares it Float64. On the way out NaN, NaT, None and
what is masked are null.

| declared | the function computes on an array of | a value of a row is |
| --- | --- | --- |
| Float64, Float32, Int64, Int32, Bool | that numpy dtype | float, int, bool |
| UnixTimestamp | datetime64[s] | an aware datetime in UTC, whole seconds (a fraction is cut off) |
| String, Bytes | objects: str, bytes | str, bytes |
| Uuid, Decimal | objects: uuid.UUID, decimal.Decimal | the same |
| Array(any of them) | objects: a one-dimensional array of the element's dtype for each row | a list |

A list has no nulls in it, since Feast's online lists have none; NaN in it is a number like any other. Feast's Map,
Json, Struct, Set and nested lists are no columns to compute on; ZonedTimestamp is an instant and a zone: declare two
inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.errors import TransformError, nearest

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ColumnType:
    """A declared type: Feast's name for it, the dtype that the function computes in, and Arrow's type.

    `own_null` tells whether the dtype has a null of its own (NaN, NaT, None); `holds` is the class of the values in a
    column of objects, and `element` the type of what a list holds.
    """

    name: str
    dtype: np.dtype[Any]
    arrow: pa.DataType
    own_null: bool
    holds: type | None = None
    element: ColumnType | None = None

    @cached_property
    def plain(self) -> bool:
        """Whether each value of the dtype is a value of the type: numbers and booleans."""
        return self.dtype.kind in "fib"

    @cached_property
    def inferred(self) -> bool:
        """Whether Arrow reads this type off a Python value of it."""
        return self.name in ("Float64", "Int64", "Bool", "String")


class Column(NamedTuple):
    """One column: its data, and where it is null (None: nowhere, or the dtype has its own null)."""

    data: Array
    null: npt.NDArray[np.bool_] | None = None


_OBJECT: Final = np.dtype(object)
_SCALARS: Final = (
    ColumnType("Float64", np.dtype(np.float64), pa.float64(), own_null=True),
    ColumnType("Float32", np.dtype(np.float32), pa.float32(), own_null=True),
    ColumnType("Int64", np.dtype(np.int64), pa.int64(), own_null=False),
    ColumnType("Int32", np.dtype(np.int32), pa.int32(), own_null=False),
    ColumnType("Bool", np.dtype(np.bool_), pa.bool_(), own_null=False),
    ColumnType("String", _OBJECT, pa.string(), own_null=True, holds=str),
    ColumnType("Bytes", _OBJECT, pa.binary(), own_null=True, holds=bytes),
    # Feast's UNIX_TIMESTAMP is whole seconds online, so nothing finer may reach the function anywhere.
    ColumnType("UnixTimestamp", np.dtype("datetime64[s]"), pa.timestamp("us", tz="UTC"), own_null=True),
    # Feast keeps these two as text offline.
    ColumnType("Uuid", _OBJECT, pa.string(), own_null=True, holds=UUID),
    ColumnType("Decimal", _OBJECT, pa.string(), own_null=True, holds=Decimal),
)


def _list_of(kind: ColumnType) -> ColumnType:
    return ColumnType(f"Array({kind.name})", _OBJECT, pa.list_(kind.arrow), own_null=True, element=kind)


COLUMN_TYPES: Final[Mapping[str, ColumnType]] = {
    kind.name: kind for kind in (*_SCALARS, *(_list_of(scalar) for scalar in _SCALARS))
}


def null_of(kind: ColumnType) -> Any:
    """Give the value that stands for null in a column of `kind`: its own null, or a zero under the mask."""
    if kind.dtype.kind == "f":
        return kind.dtype.type(np.nan)
    if kind.dtype.kind == "M":
        return np.datetime64("NaT", "s")
    return None if kind.dtype.kind == "O" else kind.dtype.type(0)


def is_null(value: Any) -> bool:
    """Say whether a Python value is null: None, NaN, NaT or pandas' NA."""
    # NaN and NaT are unlike themselves; pandas' NA says so by its name alone, since comparing it gives no truth.
    return value is None or type(value).__name__ == "NAType" or bool(value != value)  # noqa: PLR0124


def objects(values: Sequence[Any]) -> Array:
    """Give values as a column of objects, whatever they are: numpy would make a matrix of lists of one length."""
    array: Array = np.empty(len(values), dtype=_OBJECT)
    for row, value in enumerate(values):
        array[row] = value
    return array


def column_type(declared: object, column: str) -> ColumnType:
    """Give the type that `declared` names: a Feast type object, or its name ("Float64").

    Raises
    ------
    TransformError
        No shared transform can have a column of that type.
    """
    # Feast's type objects give their name as text, so that neither side needs to import the other.
    name = str(declared)
    if name not in COLUMN_TYPES:
        known = f"{', '.join(kind.name for kind in _SCALARS)}, and Array of each"
        message = f"type {name!r} of {column!r} is not one that a shared transform takes{nearest(name, COLUMN_TYPES)}"
        raise TransformError(f"{message}; they are: {known}")
    return COLUMN_TYPES[name]
