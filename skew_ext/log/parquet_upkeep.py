"""Looking after a Parquet log: small files of a day become large ones, and the day's index is kept.

A merged file appears whole, under a name of its own and with the names of the files that it replaces in its metadata;
then those are deleted. A reader of ours that sees both leaves out the replaced ones, and what a crash left is deleted
the next time. Only one's own files are merged: another spool's shipper may still send one of its own again, which
replaces the file of that name. What cannot be read, or be merged, is left as it is, and said.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skew_ext.log.folders import day_of, days
from skew_ext.log.parquet_copies import copied_rows
from skew_ext.log.parquet_files import (
    ABOUT,
    ASIDE,
    OWNER,
    REPLACES,
    SUFFIX,
    Access,
    LogFile,
    Stamp,
    appearing,
    aside_of,
    described,
    joined,
    listed,
)
from skew_ext.log.parquet_index import DayIndex, append, encoded, index_name, index_size, rewrite
from skew_ext.log.request_filter import build, hashes
from skew_ext.schema import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

logger = logging.getLogger("skew_ext.log")
LARGE_BYTES = 64 << 20
"""A file that is large enough; smaller ones are merged."""
ENOUGH = 8
"""So many files of a like size are merged, while a day goes on: each row is then written again a few times at most."""
_MOST_FILES = 512
_ROW_GROUP = 128 << 10
_MERGED = "merged"
ASIDE_SECONDS = 3600.0
"""How long a file that was merged away is kept for the readings that have chosen it before."""
_WASTE = 1 << 20
"""Bytes of entries of files that are gone, from which on an index is written anew."""


def merge_small_files(log: Path, owner: str, today: date, access: Access = OWNER) -> int:
    """Merge small files whose names start with `owner`; return how many there are fewer."""
    return Merging(log, access).merge(owner, today)


class Merging:
    """Merges the small files of a log, and remembers which days' folders have nothing new in them."""

    def __init__(self, log: Path, access: Access) -> None:
        self._log = log
        self._access = access
        self._settled: dict[tuple[str, str, bool], int] = {}

    def merge(self, owner: str, today: date, folders: Iterable[Path] | None = None) -> int:
        """Merge small files whose names start with `owner`, of all days or in these folders; return how many go.

        What goes wrong in one day's folder is said, and stops no other.
        """
        found = days(self._log) if folders is None else ((day_of(folder.name), folder) for folder in folders)
        return sum(self._day(folder, owner, over=day < today) for day, folder in found if day is not None)

    def _day(self, folder: Path, owner: str, *, over: bool) -> int:
        known = str(folder), owner, over
        try:
            changed = folder.stat().st_mtime_ns
            if self._settled.get(known) == changed:
                return 0
            fewer = _Day(folder, owner, self._access).merge(over=over)
            # One that has files aside will be looked at again, to delete them.
            if (folder / ASIDE).is_dir():
                self._settled.pop(known, None)
            else:
                self._settled[known] = folder.stat().st_mtime_ns if fewer else changed
        except FileNotFoundError:
            return 0  # pruned meanwhile
        except (OSError, pa.ArrowException) as error:
            logger.warning("cannot look after %s now: %s", folder, " ".join(str(error).split()))
            return 0
        return fewer


class _Day:
    """One day's folder of one service, and the files in it that are one's own."""

    def __init__(self, folder: Path, owner: str, access: Access) -> None:
        self._folder = folder
        self._owner = owner
        self._access = access
        self._entries: list[bytes] = []

    def merge(self, *, over: bool) -> int:
        """Merge what there is to merge, and bring the index up to date."""
        for temporary in self._folder.glob(f".{self._owner}-*.tmp"):
            temporary.unlink(missing_ok=True)
        self._delete_aside()
        found = self._files()
        replaced = {name for file in found for name in file.replaces}
        for name in replaced & {file.name for file in found}:
            (self._folder / name).unlink(missing_ok=True)
        copied, notes = copied_rows([file for file in found if file.name not in replaced])
        for note in notes:
            logger.warning("left alone: %s", note)
        groups: dict[tuple[object, ...], list[LogFile]] = defaultdict(list)
        for file in found:
            size = self._stamps[file.name].size
            if file.name not in replaced and file.path not in copied and size < LARGE_BYTES:
                # While the day goes on, files are merged with others of their own size: each doubling three times.
                like = 0 if over else size.bit_length() // 3
                groups[file.shape, file.about.service, file.about.records, file.about.day, like].append(file)
        least = 2 if over else ENOUGH
        fewer = sum(
            self._merge_or_say(run) for group in groups.values() for run in self._runs(group) if len(run) >= least
        )
        self._keep_index()
        return fewer

    def _files(self) -> list[LogFile]:
        """Describe one's own files, in the order in which they were written; note new ones for the index."""
        index = DayIndex.load(self._folder)
        self._stamps: dict[str, Stamp] = {}
        found = []
        for name, stamp in listed(self._folder):
            mine = name.startswith(f"{self._owner}-")
            entry = index.get(name, stamp)
            if entry is not None and not mine:
                continue
            file = None if entry is None else index.file(name, entry)
            if file is None or stamp is None:
                with suppress(FileNotFoundError):
                    file = self._indexed(name, stamp)
            if isinstance(file, LogFile) and stamp is not None and mine:
                self._stamps[name] = stamp
                found.append(file)
        return sorted(found, key=lambda file: (self._stamps[file.name].modified, file.name))

    def _indexed(self, name: str, stamp: Stamp | None) -> LogFile | None:
        """Describe a file that has no entry, and make its entry."""
        told = described(str(self._folder / name))
        if not isinstance(told, LogFile) or stamp is None:
            logger.warning("left alone: %s", told)
            return None
        try:
            with pq.ParquetFile(told.path) as opened:
                keys = hashes(opened.read(columns=[REQUEST_ID])[REQUEST_ID])
        except FileNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged file stops nothing but itself
            logger.warning("left alone: %s cannot be read: %s", told.path, " ".join(str(error).split()))
            return None
        self._entries.append(encoded(told, stamp, build(keys)))
        return told

    def _runs(self, files: Sequence[LogFile]) -> Iterator[list[LogFile]]:
        run: list[LogFile] = []
        size = 0
        for file in files:
            run.append(file)
            size += self._stamps[file.name].size
            if size >= LARGE_BYTES or len(run) >= _MOST_FILES:
                yield run
                run, size = [], 0
        if run:
            yield run

    def _merge_or_say(self, files: Sequence[LogFile]) -> int:
        try:
            return self._merge(files)
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            # One of them may be damaged: the others are merged without it.
            good = [file for file in files if _is_readable(file)]
            if 1 < len(good) < len(files):
                return self._merge_or_say(good)
            logger.warning("cannot merge in %s now: %s", self._folder, " ".join(str(error).split()))
            return 0

    def _merge(self, files: Sequence[LogFile]) -> int:
        names = [file.name for file in files]
        digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
        name = f"{self._owner}-{_MERGED}-{digest}"
        path = self._folder / f"{name}{SUFFIX}"
        schema = pq.read_schema(files[0].path)
        about = joined(files, name).encoded()
        schema = schema.with_metadata({**(schema.metadata or {}), REPLACES: json.dumps(names).encode(), ABOUT: about})
        keys = []
        with appearing(path, self._access) as target, pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for table in _pieces(files):
                keys.append(hashes(table[REQUEST_ID]))
                writer.write_table(table.replace_schema_metadata(schema.metadata))
        told, stamp = described(str(path)), Stamp.of(path.lstat())
        if isinstance(told, LogFile):
            entry = encoded(told, stamp, build(np.unique(np.concatenate(keys))))
            append(self._folder, self._owner, [*self._entries, entry], self._access)
            self._entries.clear()
        for file in files:
            self._keep_aside(file.path)
            Path(file.path).unlink(missing_ok=True)
        return len(files) - 1

    def _keep_aside(self, path: str) -> None:
        """Keep what is merged away for a while under a name that no reading lists: an audit may be in the midst."""
        aside = Path(aside_of(path))
        with suppress(OSError):  # a file system without links, and a reading that starts again
            if not aside.parent.is_dir():
                aside.parent.mkdir(mode=self._access.folder)
                aside.parent.chmod(self._access.folder)
            os.link(path, aside)

    def _delete_aside(self) -> None:
        before = time.time() - ASIDE_SECONDS
        with suppress(FileNotFoundError), os.scandir(self._folder / ASIDE) as found:
            for each in found:
                if each.stat(follow_symlinks=False).st_ctime < before:
                    Path(each.path).unlink(missing_ok=True)
            with suppress(OSError):  # as long as there is one that is younger
                (self._folder / ASIDE).rmdir()

    def _keep_index(self) -> None:
        """Put what is new into one's own index; write it anew where most of it is of files that are gone."""
        if self._entries:
            append(self._folder, self._owner, self._entries, self._access)
        size = index_size(self._folder, self._owner)
        if size < _WASTE:
            return
        index = DayIndex.load(self._folder, [index_name(self._owner)])
        kept = {name: entry for name, stamp in listed(self._folder) if (entry := index.get(name, stamp)) is not None}
        if sum(len(entry.whole) for entry in kept.values()) < size // 2:
            rewrite(self._folder, self._owner, (bytes(entry.whole) for entry in kept.values()), self._access)


def _is_readable(file: LogFile) -> bool:
    try:
        for _ in _pieces([file]):
            pass
    except (OSError, pa.ArrowException) as error:
        logger.warning("left alone: %s cannot be read: %s", file.path, " ".join(str(error).split()))
        return False
    return True


def _pieces(files: Sequence[LogFile]) -> Iterator[pa.Table]:
    """Give the files' rows in pieces of a row group each, so that memory is bounded."""
    waiting: list[pa.Table] = []
    rows = 0
    for file in files:
        with pq.ParquetFile(file.path) as opened:
            for group in range(opened.num_row_groups):
                waiting.append(opened.read_row_group(group))
                rows += waiting[-1].num_rows
                if rows >= _ROW_GROUP:
                    yield pa.concat_tables(waiting)
                    waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
