"""The types that a shared transform declares, and what null is in each.

One meaning of null holds in every mode. A type whose numpy dtype has a null of its own hands it to the function:
NaN in Float64 and Float32, NaT in UnixTimestamp, None in String. Int64, Int32 and Bool have none, so a row in which
such an input is null never reaches the function: all its outputs are null, as SQL's strict functions have it. A
transform that must see a missing integer declares it Float64. On the way out NaN, NaT, None and what is masked are
null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.errors import TransformError, nearest

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ColumnType:
    """A declared type: Feast's name for it, the dtype that the function computes in, and Arrow's type.

    `own_null` tells whether the dtype has a null of its own (NaN, NaT, None).
    """

    name: str
    dtype: np.dtype[Any]
    arrow: pa.DataType
    own_null: bool


class Column(NamedTuple):
    """One column: its data, and where it is null (None: nowhere, or the dtype has its own null)."""

    data: Array
    null: npt.NDArray[np.bool_] | None = None


COLUMN_TYPES: Final[Mapping[str, ColumnType]] = {
    kind.name: kind
    for kind in (
        ColumnType("Float64", np.dtype(np.float64), pa.float64(), own_null=True),
        ColumnType("Float32", np.dtype(np.float32), pa.float32(), own_null=True),
        ColumnType("Int64", np.dtype(np.int64), pa.int64(), own_null=False),
        ColumnType("Int32", np.dtype(np.int32), pa.int32(), own_null=False),
        ColumnType("Bool", np.dtype(np.bool_), pa.bool_(), own_null=False),
        ColumnType("String", np.dtype(object), pa.string(), own_null=True),
        # Feast's UNIX_TIMESTAMP is whole seconds online, so nothing finer may reach the function anywhere.
        ColumnType("UnixTimestamp", np.dtype("datetime64[s]"), pa.timestamp("us", tz="UTC"), own_null=True),
    )
}


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
        known = ", ".join(COLUMN_TYPES)
        message = f"type {name!r} of {column!r} is not one that a shared transform takes{nearest(name, COLUMN_TYPES)}"
        raise TransformError(f"{message}; they are: {known}")
    return COLUMN_TYPES[name]
