"""Generated inputs, by declared type: nulls, NaN, infinities, -0.0, extremes, empty and long, and every Unicode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

from skew_ext.transform.types import ColumnType

Row = Mapping[str, Any]

_SPECIAL_FLOATS: Final = (0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf)
# pandas' nanoseconds, which many sources have, hold no more than these years.
_FIRST, _LAST = datetime(1700, 1, 1), datetime(2250, 1, 1)  # noqa: DTZ001 - Hypothesis adds the zone
_LONGEST_LIST: Final = 5
_MOST_ROWS: Final = 10


def values(kind: ColumnType) -> st.SearchStrategy[Any]:
    """Give a strategy of the values of a declared type, null not among them."""
    if kind.element is not None:
        return st.lists(values(kind.element), max_size=_LONGEST_LIST)
    return _SCALARS[kind.name]


def rows(kinds: Mapping[str, ColumnType]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Give a strategy of batches: a few rows, any value of which may be null."""
    columns = {name: st.one_of(values(kind), st.none()) for name, kind in kinds.items()}
    return st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=_MOST_ROWS)


def simpler(kind: ColumnType, value: Any) -> list[Any]:
    """Give values of a declared type that are simpler than `value`, the simplest first."""
    if kind.element is not None:
        plain: list[Any] = [None, [], value[:1]] if value else [None]
    else:
        plain = [None, *_SIMPLE[kind.name]]
    ranks = [repr(item) for item in plain]
    return plain[: ranks.index(repr(value))] if repr(value) in ranks else plain


def _integers(bits: int) -> st.SearchStrategy[int]:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    edges = [0, 1, -1, least, most, *((2**53 - 1, 2**53 + 1, -(2**53) - 1) if bits > 53 else ())]  # noqa: PLR2004
    return st.one_of(st.integers(-100, 100), st.integers(least, most), st.sampled_from(edges))


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


_SCALARS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "Float64": st.one_of(st.sampled_from(_SPECIAL_FLOATS), st.floats(-1e6, 1e6), st.floats()),
    "Float32": st.one_of(st.sampled_from(_SPECIAL_FLOATS), st.floats(width=32)),
    "Int64": _integers(64),
    "Int32": _integers(32),
    "Bool": st.booleans(),
    "String": st.one_of(st.text(), st.sampled_from(["", " ", "\x00", "é", "e\u0301", "ß", "İ", "😀"])),
    "Bytes": st.binary(max_size=20),
    "UnixTimestamp": st.datetimes(_FIRST, _LAST, timezones=st.just(timezone.utc)).map(_whole_second),
    "Uuid": st.uuids(),
    "Decimal": st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20),
}
_SIMPLE: Final[Mapping[str, list[Any]]] = {
    "Float64": [0.0, 1.0, -1.0, -0.0, math.nan, math.inf],
    "Float32": [0.0, 1.0, -1.0, -0.0, math.nan, math.inf],
    "Int64": [0, 1, -1],
    "Int32": [0, 1, -1],
    "Bool": [False, True],
    "String": ["", "a"],
    "Bytes": [b"", b"a"],
    "UnixTimestamp": [datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(2000, 1, 1, tzinfo=timezone.utc)],
    "Uuid": [UUID(int=0)],
    "Decimal": [Decimal(0), Decimal(1)],
}
