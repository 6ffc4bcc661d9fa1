"""The truth about a synthetic world, cell by cell, told by a plain model of it that asks no code of the audit."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from skew_ext.testing.views import Row

ROUNDING_UNITS = 4


class TrueCell(NamedTuple):
    """A served cell that is not what training gets, and the cause that made it so."""

    request_id: str
    row: int
    feature: str
    cause: str


def training_row(rows: Sequence[Row], at: datetime, ttl: timedelta) -> Row | None:
    """Give the row that a point-in-time join finds: the latest event by `at`, of those the latest created.

    `rows` are a key's rows, in order of event and created time.
    """
    place = bisect_right(rows, at, key=lambda row: row.event) - 1
    if place < 0 or (ttl and rows[place].event < at - ttl):
        return None
    return rows[place]


def differ(served: Mapping[str, Any], training: Mapping[str, Any]) -> Iterable[str]:
    """Give the names under which the two have values that differ by more than rounding."""
    return [name for name, value in served.items() if not alike(value, training.get(name))]


def alike(left: Any, right: Any) -> bool:
    """Say whether two values are the same up to rounding; null and NaN are each the same as themselves."""
    if left is None or right is None:
        return left is right
    if isinstance(left, set):
        return left == set(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, float) and isinstance(right, float):
        near = abs(left - right) <= ROUNDING_UNITS * math.ulp(max(abs(left), abs(right)))
        return near or left == right or (math.isnan(left) and math.isnan(right))
    return bool(left == right)
