"""Which PostgreSQL type keeps which Arrow type, and PostgreSQL's epoch of 2000-01-01."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

EXACT = "__exact"
"""The column that keeps the cells of a row that PostgreSQL cannot hold as they were served."""
SECONDS, MICROSECONDS = pa.timestamp("s", tz="UTC"), pa.timestamp("us", tz="UTC")
PG_TYPES: dict[pa.DataType, str] = {
    pa.string(): "text",
    pa.binary(): "bytea",
    pa.int32(): "int4",
    pa.int64(): "int8",
    pa.float32(): "float4",
    pa.float64(): "float8",
    pa.bool_(): "bool",
    SECONDS: "timestamptz",
    MICROSECONDS: "timestamptz",
    pa.date32(): "date",
}
OIDS = {
    "text": 25,
    "bytea": 17,
    "int4": 23,
    "int8": 20,
    "float4": 700,
    "float8": 701,
    "bool": 16,
    "timestamptz": 1184,
    "date": 1082,
}
PG_EPOCH_DAYS = 10_957
PG_EPOCH_MICROSECONDS = 946_684_800_000_000
_LOWEST = PG_EPOCH_MICROSECONDS - 211_813_488_000_000_000
_INT64 = np.iinfo(np.int64)
TIMESTAMP_BOUNDS = {
    "s": (1_000_000, _LOWEST // 1_000_000, _INT64.max // 1_000_000),
    "us": (1, _LOWEST, _INT64.max),
}
"""For a unit: its microseconds, and the lowest and highest time that a timestamptz and 64 bits of microseconds hold."""


def pg_type(kind: pa.DataType) -> str:
    """Give the PostgreSQL type of a column of the log; lists are arrays."""
    return f"{PG_TYPES[kind.value_type]}[]" if pa.types.is_list(kind) else PG_TYPES[kind]


def catalog_text(name: str) -> str:
    r"""Give a name as the catalog keeps it: PostgreSQL has no NUL, so it is written \0, and a backslash \\."""
    return name.replace("\\", "\\\\").replace("\0", "\\0")
