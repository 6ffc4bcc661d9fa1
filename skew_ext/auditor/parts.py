"""The log of a window in parts of bounded size, so that an audit's memory does not grow with the log.

Parquet files are read a few row groups at a time, a table of PostgreSQL a stretch of time at a time, and only the
columns that an audit needs. Other destinations are read at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skew_ext.clock import as_utc
from skew_ext.errors import LogError
from skew_ext.log.destination import destination_from
from skew_ext.log.folders import service_folder
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.query import LogQuery
from skew_ext.log.union import union
from skew_ext.schema import LOG_DATE, LOG_TIMESTAMP, MODEL_VERSION, TIMESTAMP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from skew_ext.log.destination import Destination
    from skew_ext.settings import SkewSettings

PART_ROWS = 170_000
"""Rows that are retrieved and compared at once; up to five such parts are held, on their way."""


@dataclass(frozen=True)
class Window:
    """Which rows of the log are audited: of a service, served in [start, end), by a model version if one is named."""

    feature_service: str
    start: datetime
    end: datetime
    model_version: str | None = None

    @property
    def query(self) -> LogQuery:
        """What the destination is asked."""
        return LogQuery(self.feature_service, self.start, self.end, records=False)


@dataclass(frozen=True)
class _RowGroup:
    first: datetime | None
    last: datetime | None
    file: Path
    index: int
    rows: int

    def within(self, window: Window) -> bool:
        """Whether all of its rows were served in the window."""
        return self.first is not None and self.last is not None and window.start <= self.first <= self.last < window.end

    def outside(self, window: Window) -> bool:
        """Whether none of its rows was."""
        return (self.last is not None and self.last < window.start) or (
            self.first is not None and self.first >= window.end
        )


def log_parts(
    settings: SkewSettings, window: Window, columns: Collection[str], rows: int | None = None
) -> Iterator[pa.Table]:
    """Give the window's rows, `rows` (PART_ROWS) at a time and about in the order of serving; no table is empty.

    Only those of `columns` that the log has are in them.

    Raises
    ------
    LogError
        The log cannot be read.
    """
    rows, wanted = rows or PART_ROWS, {*columns, LOG_TIMESTAMP, MODEL_VERSION}
    destination = destination_from(settings.destination.model_dump(mode="json"))
    waiting: list[pa.Table] = []
    for read in _tables(destination, window, wanted, rows):
        table = sharing_times(read)
        waiting.append(table if window.model_version is None else _of_version(table, window.model_version))
        if sum(one.num_rows for one in waiting) >= rows:
            *full, rest = _slices(waiting, rows)
            yield from full
            waiting = [rest]
    yield from _slices(waiting, rows)


def sharing_times(table: pa.Table) -> pa.Table:
    """Give the table with event times that are the same for several features in memory once.

    Those of a view's features nearly always are, and stand beside one another.
    """
    columns = {name: table[name] for name in table.column_names}
    before = None
    for name in (name for name in columns if name.endswith(TIMESTAMP_SUFFIX)):
        if before is not None and columns[name].equals(before):
            columns[name] = before
        before = columns[name]
    return pa.table(columns, schema=table.schema)


def _slices(tables: list[pa.Table], rows: int) -> list[pa.Table]:
    """Cut tables into ones of `rows` rows each, save the last."""
    table = union([one for one in tables if one.num_rows])
    return [table.slice(start, rows) for start in range(0, table.num_rows, rows)]


def _of_version(table: pa.Table, version: str) -> pa.Table:
    return table.filter(pc.equal(table[MODEL_VERSION], version))


def _tables(destination: Destination, window: Window, wanted: Collection[str], rows: int) -> Iterator[pa.Table]:
    if isinstance(destination, ParquetDestination):
        yield from _parquet(service_folder(destination.path, window.feature_service), window, wanted, rows)
        return
    # PostgreSQL says how many rows there are when; what does not is read at once.
    parted = getattr(destination, "stretches", None)
    for query in [window.query] if parted is None else parted(window.query, rows):
        table = destination.read(query)
        yield table.select([name for name in table.column_names if name in wanted])


def _parquet(folder: Path, window: Window, wanted: Collection[str], rows: int) -> Iterator[pa.Table]:
    try:
        groups = [group for file in parquet_files(folder, window) for group in _row_groups(file)]
        groups = sorted((group for group in groups if not group.outside(window)), key=_order)
        for chosen in _bundles(groups, rows):
            yield union([_read(file, list(some), window, wanted) for file, some in itertools.groupby(chosen, _file)])
    except (pa.ArrowException, OSError) as error:
        msg = f"the log at {folder} cannot be read: {' '.join(str(error).split())}"
        raise LogError(msg) from None


def parquet_files(folder: Path, window: Window) -> list[Path]:
    """Give the files of the days that the window touches, by their folders' names."""
    first, last = (f"{LOG_DATE}={moment.date().isoformat()}" for moment in (window.start, window.end))
    return sorted(file for file in folder.rglob("*.parquet") if first <= file.parent.name <= last)


def _row_groups(file: Path) -> Iterator[_RowGroup]:
    metadata = pq.read_metadata(file)
    # Our own columns stand last.
    place = next(
        (at for at in reversed(range(metadata.num_columns)) if metadata.schema.column(at).path == LOG_TIMESTAMP), None
    )
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        known = None if place is None else group.column(place).statistics
        first, last = (known.min, known.max) if known is not None and known.has_min_max else (None, None)
        yield _RowGroup(_moment(first), _moment(last), file, index, group.num_rows)


def _moment(value: Any) -> datetime | None:
    return as_utc(value) if isinstance(value, datetime) else None


def _order(group: _RowGroup) -> tuple[bool, Any, str, int]:
    return group.first is not None, group.first, str(group.file), group.index


def _file(group: _RowGroup) -> Path:
    return group.file


def _bundles(groups: list[_RowGroup], rows: int) -> Iterator[list[_RowGroup]]:
    """Put row groups together until they have `rows` rows."""
    bundle: list[_RowGroup] = []
    for group in groups:
        if bundle and sum(one.rows for one in bundle) + group.rows > rows:
            yield bundle
            bundle = []
        bundle.append(group)
    if bundle:
        yield bundle


def _read(file: Path, groups: list[_RowGroup], window: Window, wanted: Collection[str]) -> pa.Table:
    with pq.ParquetFile(file) as opened:
        names = [name for name in opened.schema_arrow.names if name in wanted]
        table = opened.read_row_groups([group.index for group in groups], columns=names)
    if all(group.within(window) for group in groups):
        return table
    served = table[LOG_TIMESTAMP]
    start, end = (pa.scalar(moment, served.type) for moment in (window.start, window.end))
    return table.filter(pc.and_(pc.greater_equal(served, start), pc.less(served, end)))
