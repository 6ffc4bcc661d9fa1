"""One file of a Parquet log: how it is written, and what it says about its rows without their being read.

A file says in its schema's metadata (`skew.file`, JSON) whose rows it has: the service, the schema's hash, the day, and
for each writer the ranges of its sequence numbers. Times and request ids are in Parquet's own statistics. What a file
of an earlier version does not say is taken from its rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skew_ext.clock import as_utc
from skew_ext.log.notes import LogNote
from skew_ext.log.table import SYSTEM_FIELDS
from skew_ext.private_files import sync_folder
from skew_ext.schema import (
    FEATURE_SERVICE,
    LOG_DATE,
    LOG_TIMESTAMP,
    REQUEST_ID,
    ROW,
    SCHEMA,
    SEQUENCE,
    STATUS_SUFFIX,
    WRITER,
    are_records,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from skew_ext.schema import LogSchema

ABOUT = b"skew.file"
REPLACES = b"skew.replaces"
SUFFIX = ".parquet"
ASIDE = ".merged"
"""A folder in a day's one: files that were merged away, for readings that had chosen them before."""
_FORMAT = 1
_TOLD = (SCHEMA, FEATURE_SERVICE, LOG_DATE, LOG_TIMESTAMP, WRITER, SEQUENCE)
_NEEDED = {each.name: each.type for each in SYSTEM_FIELDS if each.name in (*_TOLD, REQUEST_ID, ROW)}
LATEST = (10, 100, 1000)
"""Of how many of its latest rows a file says since when they were served, so that the latest rows are found at once."""
_MOST_RANGES = 64
"""So many ranges of one writer's sequence numbers are told apart; more are told as one, from the first to the last."""

Spans = dict[str, list[tuple[int, int]]]
"""For each writer, ranges of its sequence numbers, first and last."""


class Stamp(NamedTuple):
    """What tells one state of a file from another, without opening it."""

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Return the stamp that a stat says."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class Group(NamedTuple):
    """A row group: its rows, and the first and last serving time in microseconds; None where they are not known."""

    rows: int
    first: int | None
    last: int | None


@dataclass(frozen=True)
class About:
    """Whose rows a file has. `day` and `schema` are None where it has several, which none of ours has.

    `batch` is the name that it was written under; empty where an earlier version wrote it, or another tool. `latest`:
    a time in microseconds from which on it has at least so many rows, for each of LATEST; None where it is not known.
    """

    service: str
    records: bool
    schema: str | None
    day: date | None
    rows: int
    spans: Spans = field(default_factory=dict)
    batch: str = ""
    latest: tuple[int | None, ...] = (None,) * len(LATEST)

    def encoded(self) -> bytes:
        """Return it as it stands in the file."""
        day = None if self.day is None else self.day.isoformat()
        return json.dumps({**vars(self), "day": day, "format": _FORMAT}, separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, content: bytes) -> About:
        """Read it from a file; ValueError, TypeError or KeyError where it is none of this version's."""
        told = json.loads(content)
        if told["format"] != _FORMAT:
            raise ValueError(told["format"])
        spans = {str(name): [(int(a), int(b)) for a, b in ranges] for name, ranges in told["spans"].items()}
        day = None if told["day"] is None else date.fromisoformat(told["day"])
        schema = None if told["schema"] is None else str(told["schema"])
        latest = tuple(None if moment is None else int(moment) for moment in told["latest"])
        if len(latest) != len(LATEST):
            raise ValueError(latest)
        service, records, batch = str(told["service"]), bool(told["records"]), str(told["batch"])
        return cls(service, records, schema, day, int(told["rows"]), spans, batch, latest)


@dataclass(frozen=True)
class LogFile:
    """A file of the log, and all that choosing files for a reading needs to know of it.

    `shape` is the same for files whose columns are the same; `ids` the smallest and the largest request id.
    """

    path: str
    about: About
    groups: tuple[Group, ...]
    shape: str
    ids: tuple[str, str] | None = None
    replaces: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return os.path.basename(self.path)  # noqa: PTH119 - a path is slow to make, and files are many

    @property
    def is_copy(self) -> bool:
        """Whether it may have been put there by somebody else: it has another name than it was written under."""
        return f"{self.about.batch}{SUFFIX}" != self.name

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.about.rows

    @property
    def first(self) -> int | None:
        """The first serving time in it, in microseconds."""
        found = [group.first for group in self.groups if group.rows]
        return None if None in found else min((one for one in found if one is not None), default=None)

    @property
    def last(self) -> int | None:
        """The last serving time in it, in microseconds."""
        found = [group.last for group in self.groups if group.rows]
        return None if None in found else max((one for one in found if one is not None), default=None)


@dataclass(frozen=True)
class Access:
    """Who may read what the log's files hold: their owner, or also a group; whatever the umask says."""

    file: int = 0o600
    folder: int = 0o700


OWNER, GROUP = Access(), Access(0o640, 0o750)


def about_table(table: pa.Table, schema: LogSchema, batch: str) -> About:
    """Return what the file of a table of one schema and one day will say about it."""
    days = pc.unique(table[LOG_DATE]).to_pylist()
    day = days[0] if len(days) == 1 else None
    spans, latest = _spans(table), _latest(_times(table))
    return About(schema.feature_service, schema.records, schema.hash, day, table.num_rows, spans, batch, latest)


def joined(files: Sequence[LogFile], batch: str) -> About:
    """Return what a file says that has the rows of several files of one service; reads their serving times."""
    given = [file.about for file in files]
    spans: Spans = {}
    for about in given:
        for writer, ranges in about.spans.items():
            spans.setdefault(writer, []).extend(ranges)
    schemas, days = {one.schema for one in given}, {one.day for one in given}
    times = np.zeros(0, np.int64)
    for file in files:
        with pq.ParquetFile(file.path) as opened:
            times = _latest_times(np.concatenate([times, _times(opened.read(columns=[LOG_TIMESTAMP]))]))
    return About(
        given[0].service,
        given[0].records,
        schemas.pop() if len(schemas) == 1 else None,
        days.pop() if len(days) == 1 else None,
        sum(one.rows for one in given),
        {writer: _narrowed(ranges) for writer, ranges in spans.items()},
        batch,
        _latest(times),
    )


def latest_of(files: Collection[tuple[int | None, int, tuple[int | None, ...]]], count: int) -> int | None:
    """Return a time from which on files have at least so many rows, as late as they tell; None where they do not.

    Of each is given: the first time in it, its rows, and what it says of its latest.
    """
    whole = sorted(((first, rows) for first, rows, _ in files if first is not None), reverse=True)
    sums = accumulate(rows for _, rows in whole)
    reached = [first for (first, _), rows in zip(whole, sums, strict=True) if rows >= count]
    place = next((place for place, most in enumerate(LATEST) if most >= count), None)
    within = [] if place is None else [latest[place] for *_, latest in files]
    return max((one for one in (*reached[:1], *within) if one is not None), default=None)


def make_folder(folder: Path, log: Path, access: Access) -> None:
    """Make a folder of the log, those above it in the log included, with the mode that `access` says."""
    missing = []
    for one in (folder, *folder.parents):
        if one.exists():
            break
        missing.append(one)
    for one in reversed(missing):
        inside = one == log or log in one.parents
        with suppress(FileExistsError):
            one.mkdir(mode=access.folder if inside else 0o777)
            if inside:
                one.chmod(access.folder)
        sync_folder(one.parent)


@contextmanager
def appearing(path: Path, access: Access) -> Iterator[Any]:
    """Give a file to write to that appears whole under its name, or not at all, and is on disk when this ends."""
    temporary = temporary_of(path)
    with opened_new(temporary, access) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def temporary_of(path: Path) -> Path:
    """Return what a file is called until it is whole."""
    return path.with_name(f".{path.name.removesuffix(SUFFIX)}.tmp")


def opened_new(path: Path, access: Access) -> Any:
    """Open a new file to write to, in the place of one that is there; its mode is as `access` says."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, access.file)
    except FileExistsError:
        path.unlink()
        descriptor = os.open(path, flags, access.file)
    file = os.fdopen(descriptor, "wb")
    os.fchmod(file.fileno(), access.file)
    return file


def described(path: str) -> LogFile | LogNote:
    """Return what a file says about its rows; a note where it is no readable file of a log.

    Raises
    ------
    FileNotFoundError
        It is gone: merged into another one meanwhile.
    """
    strange = strange_file(path)
    if strange is not None:
        return strange
    try:
        with pq.ParquetFile(path) as opened:
            schema = opened.schema_arrow
            if any(name not in schema.names or schema.field(name).type != kind for name, kind in _NEEDED.items()):
                return LogNote(path, "foreign", "has not the columns of a log: it was left out")
            groups, ids = _statistics(opened.metadata)
            about = _about(opened, schema)
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever stands there may be anything, and stops nothing but itself
        return unreadable(path, error)
    if about is None:
        return LogNote(path, "foreign", "has rows of several feature services: it was left out")
    shape = hashlib.sha256(schema.remove_metadata().to_string().encode()).hexdigest()[:16]
    return LogFile(path, about, groups, shape, ids, tuple(replaced_by(schema)))


def opened_file(path: str) -> pq.ParquetFile:
    """Open a file that a reading has chosen, also where it was merged away meanwhile; else FileNotFoundError."""
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        return pq.ParquetFile(aside_of(path))


def aside_of(path: str) -> str:
    """Return where a file is kept for a while that was merged away."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{ASIDE}/{name}.gone"


def unreadable(path: str, error: Exception) -> LogNote:
    """Return the note of a file that cannot be read."""
    why = "it is empty" if not _size(path) else " ".join(str(error).split())
    return LogNote(path, "unreadable", f"cannot be read ({why}): it was left out")


def replaced_by(schema: pa.Schema) -> list[str]:
    """Return the names of the files that a file of this schema replaces."""
    with suppress(ValueError):
        names = json.loads((schema.metadata or {}).get(REPLACES, b"[]"))
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return []


def strange_file(path: str) -> LogNote | None:
    """Say what is wrong with a file that must not be opened: to open a pipe is to wait for its other end."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return LogNote(path, "no_file", "is a link, and links are not followed: it was left out")
    if not stat.S_ISREG(found.st_mode):
        return LogNote(path, "no_file", f"is no file but {_kind(found.st_mode)}: it was left out")
    if found.st_size == 0:
        return LogNote(path, "unreadable", "cannot be read (it is empty): it was left out")
    return None


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for check, name in kinds if check(mode)), "a device")


def _size(path: str) -> int:
    with suppress(OSError):
        return os.lstat(path).st_size
    return 1


def _about(opened: pq.ParquetFile, schema: pa.Schema) -> About | None:
    told = (schema.metadata or {}).get(ABOUT)
    rows = int(opened.metadata.num_rows)
    if told is not None:
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            about = About.decoded(told)
            # Another tool that put files together may have kept the metadata of one of them.
            if about.rows == rows:
                return about
    return _read_about(opened, schema, rows)


def _read_about(opened: pq.ParquetFile, schema: pa.Schema, rows: int) -> About | None:
    """Find out from the rows what the file does not say."""
    table = opened.read(columns=list(_TOLD))
    services = pc.unique(table[FEATURE_SERVICE]).to_pylist()
    if len(services) > 1:
        return None
    service = services[0] or "" if services else ""
    features = {name.removesuffix(STATUS_SUFFIX) for name in schema.names if name.endswith(STATUS_SUFFIX)}
    schemas, days = pc.unique(table[SCHEMA]).to_pylist(), pc.unique(table[LOG_DATE]).to_pylist()
    return About(
        service,
        are_records(service, {name.partition("__")[0] for name in features}),
        schemas[0] if len(schemas) == 1 else None,
        days[0] if len(days) == 1 else None,
        rows,
        _spans(table),
        latest=_latest(_times(table)),
    )


def _spans(table: pa.Table) -> Spans:
    found = table.select([WRITER, SEQUENCE]).group_by(WRITER).aggregate([(SEQUENCE, "min"), (SEQUENCE, "max")])
    columns = (found[name].to_pylist() for name in (WRITER, f"{SEQUENCE}_min", f"{SEQUENCE}_max"))
    return {
        writer: [(first, last)] for writer, first, last in zip(*columns, strict=True) if writer and first is not None
    }


def _times(table: pa.Table) -> NDArray[np.int64]:
    times: NDArray[np.int64] = table[LOG_TIMESTAMP].drop_null().cast(pa.int64()).to_numpy()
    return times


def _latest_times(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return as many of the latest times as a file says something of, in order."""
    kept = min(len(times), LATEST[-1])
    latest: NDArray[np.int64] = np.sort(np.partition(times, len(times) - kept)[len(times) - kept :] if kept else times)
    return latest


def _latest(times: NDArray[np.int64]) -> tuple[int | None, ...]:
    times = _latest_times(times)
    return tuple(int(times[-count]) if len(times) >= count else None for count in LATEST)


def _narrowed(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order, those that touch made one; one for all where there would be too many."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged if len(merged) <= _MOST_RANGES else [(merged[0][0], merged[-1][1])]


def _statistics(metadata: Any) -> tuple[tuple[Group, ...], tuple[str, str] | None]:
    """Return the row groups, and the smallest and the largest request id, from Parquet's own statistics."""
    # Our own columns stand last.
    places = {metadata.schema.column(at).path: at for at in range(metadata.num_columns)}
    groups, ids = [], []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        times = _bounds(group.column(places[LOG_TIMESTAMP]))
        first, last = (None, None) if times is None else map(microseconds, times)
        groups.append(Group(int(group.num_rows), first, last))
        ids.append(_bounds(group.column(places[REQUEST_ID])))
    known = [one for one in ids if one is not None]
    if len(known) < len(ids) or not all(isinstance(one, str) for pair in known for one in pair):
        return tuple(groups), None
    return tuple(groups), (min(a for a, _ in known), max(b for _, b in known)) if known else None


def _bounds(column: Any) -> tuple[Any, Any] | None:
    known = column.statistics if column.is_stats_set else None
    return (known.min, known.max) if known is not None and known.has_min_max else None


def microseconds(moment: Any) -> int | None:
    """Return a moment in microseconds since the epoch."""
    if not isinstance(moment, datetime):
        return None
    since = as_utc(moment) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_EPOCH = as_utc(datetime(1970, 1, 1))  # noqa: DTZ001 - made aware


def listed(folder: Path | str) -> Iterator[tuple[str, Stamp | None]]:
    """Return what is in a day's folder under the name of a Parquet file; without a stamp where it is no plain file."""
    with os.scandir(folder) as found:
        for each in found:
            if each.name.endswith(SUFFIX) and not each.name.startswith("."):
                with suppress(FileNotFoundError):
                    state = each.stat(follow_symlinks=False)
                    yield each.name, Stamp.of(state) if stat.S_ISREG(state.st_mode) else None
