"""The latest rows of the log, and those that come after them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from skew_ext.clock import utc_now
from skew_ext.log.destination import destination_from
from skew_ext.log.reading import read_rows
from skew_ext.repo import settings_of
from skew_ext.schema import LOG_TIMESTAMP, ROW, SEQUENCE, WRITER

if TYPE_CHECKING:
    from feast import FeatureStore

POLL_SECONDS = 1.0
_WINDOWS = (timedelta(minutes=10), timedelta(hours=6), timedelta(days=3), None)
"""How far back to look for the latest rows, wider and wider: a log may hold years."""
_LEAST_LOOK_BACK = timedelta(minutes=1)
_FLUSHES = 3


def latest_rows(store: FeatureStore, count: int, feature_service: str | None = None) -> pa.Table:
    """Give the latest `count` rows, in the order in which they were served."""
    rows = None
    for start in _starts(store, count, feature_service):
        rows = read_rows(store, feature_service, start)
        if rows.num_rows >= count:
            break
    assert rows is not None  # noqa: S101 - there is a window
    return rows.slice(max(0, rows.num_rows - count))


def _starts(store: FeatureStore, count: int, feature_service: str | None) -> Iterator[datetime | None]:
    """Give times from which on to look for so many rows, earlier and earlier."""
    destination = destination_from(settings_of(store).destination.model_dump(mode="json"))
    # Files say where to look; of PostgreSQL it is tried.
    told = getattr(destination, "latest_start", None)
    if told is not None:
        yield told(count, feature_service)
    now = utc_now()
    yield from (None if window is None else now - window for window in _WINDOWS)


def follow_log(
    store: FeatureStore, count: int, feature_service: str | None = None, *, wait: Callable[[float], None] = time.sleep
) -> Iterator[pa.Table]:
    """Give the latest `count` rows, and then, time and again, the rows that were stored meanwhile. It has no end.

    Rows come a flush interval after they were served, and not in order. So each look goes back three flush intervals
    (a minute at least) before the latest row there is; what comes later than that is not shown.
    """
    look_back = max(_LEAST_LOOK_BACK, timedelta(seconds=_FLUSHES * settings_of(store).flush_seconds))
    rows = latest_rows(store, count, feature_service)
    start = _from(rows, None, look_back)
    yield rows
    latest = max(_places(rows).values(), default=None)
    earlier = _places(read_rows(store, feature_service, start))
    # What is later than the latest row came between the two readings.
    seen = {place for place, at in earlier.items() if latest is not None and at <= latest}
    while True:
        wait(POLL_SECONDS)
        rows = read_rows(store, feature_service, start)
        places = _places(rows)
        fresh = [place not in seen for place in places]
        seen = set(places)
        if any(fresh):
            start = _from(rows, start, look_back)
            yield rows.filter(pa.array(fresh))


def _from(rows: pa.Table, before: datetime | None, look_back: timedelta) -> datetime | None:
    """Say where to look next; a clock that had jumped ahead must not hide what comes with the right time."""
    if not rows.num_rows:
        return before
    latest: datetime = rows[LOG_TIMESTAMP][-1].as_py()
    return min(latest, utc_now()) - look_back


def _places(rows: pa.Table) -> dict[tuple[str, int, int], datetime]:
    columns = (rows[name].to_pylist() for name in (WRITER, SEQUENCE, ROW, LOG_TIMESTAMP))
    return {(writer, sequence, row): at for writer, sequence, row, at in zip(*columns, strict=True)}
