"""The log of a window in parts of bounded size, so that an audit's memory does not grow with the log.

Parquet files are read a few row groups at a time, a table of PostgreSQL a stretch of time at a time, and only the
columns that an audit needs. Other destinations are read at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.errors import LogError
from skew_ext.log.destination import destination_from
from skew_ext.log.notes import notes_of
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_files import opened_file, unreadable
from skew_ext.log.parquet_reading import without_rows
from skew_ext.log.parquet_scan import select, steadily
from skew_ext.log.query import LogQuery
from skew_ext.log.table import MICROSECONDS
from skew_ext.log.union import union
from skew_ext.schema import LOG_TIMESTAMP, MODEL_VERSION, TIMESTAMP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from pathlib import Path

    from skew_ext.log.destination import Destination
    from skew_ext.log.notes import LogNote
    from skew_ext.log.parquet_copies import Places
    from skew_ext.log.parquet_files import LogFile
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
    """A row group of a file; `offset` is the place of its first row in the file."""

    first: int | None
    last: int | None
    file: LogFile
    index: int
    rows: int
    offset: int

    def within(self, start: int, end: int) -> bool:
        """Say whether all of its rows were served in [start, end), in microseconds."""
        return self.first is not None and self.last is not None and start <= self.first <= self.last < end

    def outside(self, start: int, end: int) -> bool:
        """Say whether none of its rows was."""
        return (self.last is not None and self.last < start) or (self.first is not None and self.first >= end)


def log_parts(
    settings: SkewSettings,
    window: Window,
    columns: Collection[str],
    rows: int | None = None,
    notes: list[LogNote] | None = None,
) -> Iterator[pa.Table]:
    """Give the window's rows, `rows` (PART_ROWS) at a time and about in the order of serving; no table is empty.

    Only those of `columns` that the log has are in them. What of the log is left out is put into `notes` as it is
    found: all of it when the last part has been given.

    Raises
    ------
    LogError
        The log cannot be read.
    """
    rows, wanted = rows or PART_ROWS, {*columns, LOG_TIMESTAMP, MODEL_VERSION}
    destination = destination_from(settings.destination.model_dump(mode="json"))
    waiting: list[pa.Table] = []
    for read in _tables(destination, window, wanted, rows, [] if notes is None else notes):
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


def _tables(
    destination: Destination, window: Window, wanted: Collection[str], rows: int, notes: list[LogNote]
) -> Iterator[pa.Table]:
    if isinstance(destination, ParquetDestination):
        yield from _parquet(destination.path, window, wanted, rows, notes)
        return
    # PostgreSQL says how many rows there are when; what does not is read at once.
    parted = getattr(destination, "stretches", None)
    for query in [window.query] if parted is None else parted(window.query, rows):
        table = destination.read(query)
        notes += notes_of(table)
        yield table.select([name for name in table.column_names if name in wanted])


def _parquet(log: Path, window: Window, wanted: Collection[str], rows: int, notes: list[LogNote]) -> Iterator[pa.Table]:
    selection = steadily(log, lambda: select(log, window.query))
    notes += selection.notes
    read = _Reader(window, wanted, selection.left_out, notes)
    groups = sorted((group for file in selection.files for group in _row_groups(file)), key=_order)
    for chosen in _bundles([group for group in groups if not group.outside(read.start, read.end)], rows):
        tables = [read.groups(file, list(some)) for file, some in itertools.groupby(chosen, _file)]
        yield union([table for table in tables if table is not None])


def _row_groups(file: LogFile) -> Iterator[_RowGroup]:
    offset = 0
    for index, group in enumerate(file.groups):
        yield _RowGroup(group.first, group.last, file, index, group.rows, offset)
        offset += group.rows


def _order(group: _RowGroup) -> tuple[bool, Any, str, int]:
    return group.first is not None, group.first, group.file.path, group.index


def _file(group: _RowGroup) -> LogFile:
    return group.file


def _bundles(groups: list[_RowGroup], rows: int) -> Iterator[list[_RowGroup]]:
    """Put row groups together until they have `rows` rows."""
    bundle: list[_RowGroup] = []
    held = 0
    for group in groups:
        if bundle and held + group.rows > rows:
            yield bundle
            bundle, held = [], 0
        bundle.append(group)
        held += group.rows
    if bundle:
        yield bundle


class _Reader:
    """Reads row groups; a file that turns out to be damaged is noted, and left out from then on."""

    def __init__(self, window: Window, wanted: Collection[str], left_out: Places, notes: list[LogNote]) -> None:
        self._bounds = [pa.scalar(moment, MICROSECONDS) for moment in (window.start, window.end)]
        self.start, self.end = (int(bound.value) for bound in self._bounds)
        self._wanted = wanted
        self._left_out = left_out
        self._notes = notes
        self._damaged: set[str] = set()

    def groups(self, file: LogFile, groups: list[_RowGroup]) -> pa.Table | None:
        """Return the rows of some of a file's groups that were served in the window; None where it is damaged."""
        if file.path in self._damaged:
            return None
        try:
            with opened_file(file.path) as opened:
                names = [name for name in opened.schema_arrow.names if name in self._wanted]
                return pa.concat_tables([self._rows(opened, group, names) for group in groups])
        except FileNotFoundError:
            msg = f"the log changed while it was read: {file.path} is gone; read it again"
            raise LogError(msg) from None
        except Exception as error:  # noqa: BLE001 - a damaged file stops nothing but itself
            self._damaged.add(file.path)
            self._notes.append(unreadable(file.path, error))
            return None

    def _rows(self, opened: Any, group: _RowGroup, names: list[str]) -> pa.Table:
        table: pa.Table = opened.read_row_group(group.index, columns=names)
        places = self._left_out.get(group.file.path)
        if places is not None:
            here = places[(places >= group.offset) & (places < group.offset + group.rows)]
            table = without_rows(table, here - group.offset)
        if group.within(self.start, self.end):
            return table
        served, (start, end) = table[LOG_TIMESTAMP], self._bounds
        return table.filter(pc.and_(pc.greater_equal(served, start), pc.less(served, end)))
