"""Which files of a Parquet log a reading needs, and what of the log's folder it leaves out.

Nothing that stands in the folder makes a service unreadable: what is no readable file of ours is named in a note and
left out, and so is a file of another service or another day than its folder's. What cannot be opened is not opened, so
a reading never waits. Rows that two files have count once.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from skew_ext.errors import LogError
from skew_ext.log.folders import day_folder_name, day_of, days_of, folder_names, is_folder, service_folders
from skew_ext.log.notes import LogNote
from skew_ext.log.parquet_copies import Places, copied_rows
from skew_ext.log.parquet_files import SUFFIX, LogFile, described, latest_of, listed, microseconds
from skew_ext.log.parquet_index import DayIndex, may_have
from skew_ext.log.query import LogQuery
from skew_ext.log.request_filter import hash_of
from skew_ext.schema import RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from skew_ext.log.parquet_index import Entry

_ATTEMPTS = 5
"""How often a reading starts again where files go under its hands: merged into others, whose rows are the same."""
_Found = TypeVar("_Found")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Selection:
    """The files to read, rows in them to leave out, and notes on what was not read."""

    files: list[LogFile]
    left_out: Places = field(default_factory=dict)
    notes: list[LogNote] = field(default_factory=list)


def select(log: Path, query: LogQuery) -> Selection:
    """Return the files that may have rows that fit.

    Raises
    ------
    FileNotFoundError
        Files went meanwhile: start again.
    OSError
        A folder of the log cannot be listed.
    """
    scan = _Scan(log, query)
    scan.run()
    files = scan.wanted()
    places, notes = copied_rows(files)
    unreadable = {note.file for note in notes if note.code == "unreadable"}
    return Selection([file for file in files if file.path not in unreadable], places, [*scan.notes, *notes])


def steadily(log: Path, read: Callable[[], _Found]) -> _Found:
    """Read from the log, and again where a file is gone; LogError if it cannot be read."""
    try:
        for _ in range(_ATTEMPTS - 1):
            with suppress(FileNotFoundError):
                return read()
        return read()
    except OSError as error:
        msg = f"the log at {log} cannot be read: {' '.join(str(error).split())}"
        raise LogError(msg) from None


def latest_start(log: Path, count: int, feature_service: str | None) -> datetime | None:
    """Return a time from which on the log has about `count` rows or more, as late as its files tell; None for all.

    Day by day, from the last one back: a log may hold years.
    """
    names = service_folders(log) if feature_service is None else folder_names(feature_service)
    found = {day for name in names for day, _ in days_of(log / name)}
    for day in sorted(found, reverse=True):
        told = [one for name in names for one in _latest(log / name / day_folder_name(day))]
        moment = latest_of(told, count)
        if moment is not None:
            return _EPOCH + timedelta(microseconds=moment)
        count -= sum(one.rows for one in told)
    return None


class _Latest(NamedTuple):
    """What is asked of a file to find the latest rows."""

    first: int | None
    rows: int
    latest: tuple[int | None, ...]


def _latest(folder: Path) -> Iterator[_Latest]:
    if not is_folder(folder):
        return
    index = DayIndex.load(folder)
    for name, stamp in listed(folder):
        entry = index.get(name, stamp)
        if entry is not None:
            yield _Latest(entry.first, entry.rows, entry.latest)
            continue
        file = described(f"{folder}/{name}")
        if isinstance(file, LogFile):
            yield _Latest(file.first, file.rows, file.about.latest)


def rows_by_owner(folder: Path, day: date) -> Counter[str]:
    """Count the rows of a day's folder, whatever it is called now, by what their files' names start with."""
    scan = _Scan(folder.parent.parent, LogQuery())
    scan.day(str(folder), day)
    files = scan.wanted()
    places, _ = copied_rows(files)
    counted: Counter[str] = Counter()
    for file in files:
        counted[owner_of(file)] += file.rows - len(places.get(file.path, ()))
    return counted


def owner_of(file: LogFile) -> str:
    """Return whose batch a file is of: what its name starts with."""
    return file.name.partition("-")[0]


class _Scan:
    """Goes through the folders that a query touches."""

    def __init__(self, log: Path, query: LogQuery) -> None:
        self._log = log
        self._query = query
        self._first = None if query.start is None else microseconds(query.start)
        self._end = None if query.end is None else microseconds(query.end)
        self._key = None if query.request_id is None else _hash(query.request_id)
        self.found: list[LogFile] = []
        self.notes: list[LogNote] = []

    def run(self) -> None:
        """Find the files of the services and days that the query touches."""
        for name in self._folder_names():
            folder = self._log / name
            if not is_folder(folder):
                if os.path.lexists(folder) and (self._query.feature_service is not None or folder.is_dir()):
                    self._note(str(folder), "no_file", "is no folder, or a link, and links are not followed")
                continue
            try:
                self._service(str(folder))
            except PermissionError as error:
                self._note(str(folder), "unreadable", f"cannot be read ({error.strerror})")

    def wanted(self) -> list[LogFile]:
        """Return the files that are neither another service's nor replaced by a merged one."""
        name = self._query.feature_service
        mine = [file for file in self.found if name is None or file.about.service == name]
        if name in RESERVED:
            lookups = [file for file in mine if not file.about.records]
            asked = self._query.records
            if asked is None:
                asked = not lookups and not is_folder(self._log / folder_names(str(name))[0])
            mine = [file for file in mine if file.about.records] if asked else lookups
        replaced = {f"{os.path.dirname(file.path)}/{one}" for file in mine for one in file.replaces}  # noqa: PTH120
        return sorted((file for file in mine if file.path not in replaced), key=lambda file: file.path)

    def day(self, folder: str, day: date | None) -> None:
        """Find the files of one day's folder."""
        index = DayIndex.load(folder)
        for name, stamp in listed(folder):
            entry = index.get(name, stamp)
            if entry is not None and self._outside(entry):
                continue
            file = None if entry is None else index.file(name, entry)
            path = f"{folder}/{name}"
            told = file or described(path)
            if isinstance(told, LogNote):
                self.notes.append(told)
            elif self._is_in_place(told, day) and not self._is_outside(told.first, told.last, told.ids):
                self.found.append(told)

    def _folder_names(self) -> Iterable[str]:
        name = self._query.feature_service
        if name is None:
            return service_folders(self._log)
        names = folder_names(name, records=self._query.records is True)
        return dict.fromkeys([*names, *([name] if name in RESERVED and self._query.records is None else [])])

    def _service(self, folder: str) -> None:
        with os.scandir(folder) as entries:
            names = sorted((each.name, each.is_dir(follow_symlinks=False)) for each in entries)
        for name, is_day_folder in names:
            day = day_of(name)
            if name.endswith(SUFFIX) and day is None and not name.startswith("."):
                self._note(f"{folder}/{name}", "misplaced", "stands in no day's folder")
            if day is None or not self._touches(day):
                continue
            if not is_day_folder:
                self._note(f"{folder}/{name}", "no_file", "is no folder, or a link, and links are not followed")
                continue
            try:
                self.day(f"{folder}/{name}", day)
            except PermissionError as error:
                self._note(f"{folder}/{name}", "unreadable", f"cannot be read ({error.strerror})")

    def _touches(self, day: date) -> bool:
        start, end = self._query.start, self._query.end
        return (start is None or start.date() <= day) and (end is None or day <= end.date())

    def _outside(self, entry: Entry) -> bool:
        if self._is_outside(entry.first, entry.last, None):
            return True
        return self._key is not None and not may_have(entry, self._key)

    def _is_outside(self, first: int | None, last: int | None, ids: tuple[str, str] | None) -> bool:
        if self._first is not None and last is not None and last < self._first:
            return True
        if self._end is not None and first is not None and first >= self._end:
            return True
        wanted = self._query.request_id
        return wanted is not None and ids is not None and not ids[0] <= wanted <= ids[1]

    def _is_in_place(self, file: LogFile, day: date | None) -> bool:
        """Say whether a file stands where its rows belong; note it where it does not."""
        about = file.about
        names = folder_names(about.service, records=about.records)
        here = os.path.basename(os.path.dirname(os.path.dirname(file.path)))  # noqa: PTH119, PTH120 - as above
        # Earlier versions, on a file system that takes upper and lower case for one, had two services in one folder.
        if here.casefold() not in {name.casefold() for name in names}:
            self._note(file.path, "misplaced", f"has rows of the feature service {about.service!r}, another folder's")
            return False
        if about.day is not None and about.day != day:
            self._note(file.path, "misplaced", f"has rows of {about.day}, another folder's")
            return False
        return True

    def _note(self, file: str, code: str, message: str) -> None:
        self.notes.append(LogNote(file, code, f"{message}: it was left out"))


def _hash(request_id: str) -> int | None:
    try:
        return hash_of(request_id)
    except (ValueError, TypeError):
        return None  # no text that a log can hold
