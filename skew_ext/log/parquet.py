"""The embedded destination: Parquet files, a folder per feature service, a folder per day (UTC) within it.

A file's name is made of the batch that is in it, so a batch that is sent again after an unknown commit replaces
itself instead of doubling its rows.
"""

from __future__ import annotations

import logging
import os
import secrets
import urllib.parse
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from skew_ext.errors import LogError, RefusedError
from skew_ext.log.parquet_upkeep import merge_small_files, prune, replaced_by
from skew_ext.log.union import union
from skew_ext.schema import LOG_DATE, LOG_TIMESTAMP, REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from pathlib import Path

    from skew_ext.log.query import LogQuery
    from skew_ext.log.upkeep import Upkeep
    from skew_ext.schema import LogSchema

logger = logging.getLogger("skew_ext.log")
_ATTEMPTS = 5
NO_SERVICE = "_by_reference"
"""The folder of lookups that were made by a list of references, not by a feature service."""


def service_folder(log: Path, feature_service: str) -> Path:
    """Give the folder of a feature service's log; a name that is no plain file name is percent-encoded."""
    name = urllib.parse.quote(feature_service, safe=" @+=,") if feature_service else NO_SERVICE
    return log / (name.replace(".", "%2E") if name.strip(".") == "" else name)


class ParquetDestination:
    """Writes batches below one folder. Files appear whole, under their final name, or not at all."""

    def __init__(self, path: Path, *, keep_days: int | None = None, max_bytes: int | None = None) -> None:
        self.path = path
        self._keep_days = keep_days
        self._max_bytes = max_bytes

    def write(self, table: pa.Table, schema: LogSchema, batch: str) -> None:
        """Store a batch of rows of one schema under the name `batch`.

        Raises
        ------
        OSError
            The folder cannot take it.
        RefusedError
            Parquet has no form for one of its values.
        """
        folder = service_folder(self.path, schema.feature_service)
        days = {
            folder / f"{LOG_DATE}={date.isoformat()}": table.filter(pc.equal(table[LOG_DATE], date))
            for date in pc.unique(table[LOG_DATE]).to_pylist()
        }
        try:
            self._write_days(days, batch)
        except OSError as error:
            self._undo(days, batch)
            if not self._takes(table.nbytes):
                raise
            logger.warning("%d rows of %r cannot be stored, though others can: %s", table.num_rows, folder.name, error)
            try:  # what they failed by may have passed meanwhile
                self._write_days(days, batch)
            except OSError as again:
                self._undo(days, batch)
                raise RefusedError(str(again), whole=True) from None

    def _write_days(self, days: Mapping[Path, pa.Table], batch: str) -> None:
        try:
            for day, rows in days.items():
                self._write_file(rows, day, batch)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            self._undo(days, batch)
            raise RefusedError(" ".join(str(error).split())) from None

    @staticmethod
    def _undo(days: Mapping[Path, pa.Table], batch: str) -> None:
        """Delete what was stored of a batch: what fails or is refused is stored in full another time, or set aside."""
        for day in days:
            with suppress(FileNotFoundError, NotADirectoryError):
                (day / f"{batch}.parquet").unlink()

    def _takes(self, size: int) -> bool:
        """Return whether the log's folder takes another file of about this size now."""
        trial = self.path / f".trial-{secrets.token_hex(8)}"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with trial.open("wb") as file:
                file.write(bytes(size))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with suppress(OSError):
                trial.unlink()
        return True

    def read(self, query: LogQuery) -> pa.Table:
        """Give the rows that fit; columns that a file's schema does not have are null in its rows."""
        tables = [_read(folder, query) for folder in self._folders(query.feature_service)]
        return union([table for table in tables if table.num_rows])

    def maintain(self, owner: str, today: date) -> Upkeep:
        """Merge small files of `owner`'s, and delete the days that are not kept."""
        done = self.prune(today)
        done.merged = merge_small_files(self.path, owner, today)
        return done

    def prune(self, today: date, *, dry_run: bool = False) -> Upkeep:
        """Delete the days that are not kept; with `dry_run`, only count their rows."""
        return prune(self.path, today, keep_days=self._keep_days, max_bytes=self._max_bytes, dry_run=dry_run)

    def _folders(self, feature_service: str | None) -> list[Path]:
        if feature_service is not None:
            wanted = service_folder(self.path, feature_service)
            return [wanted] if wanted.is_dir() else []
        return sorted(folder for folder in self.path.iterdir() if folder.is_dir()) if self.path.is_dir() else []

    @staticmethod
    def _write_file(rows: pa.Table, folder: Path, batch: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = folder / f".{batch}.tmp"
        with temporary.open("wb") as file:
            pq.write_table(rows, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / f"{batch}.parquet")


def _condition(query: LogQuery) -> Any:
    start, end = query.start, query.end
    conditions = []
    if start is not None:
        conditions += [pc.field(LOG_TIMESTAMP) >= _moment(start), pc.field(LOG_DATE) >= pa.scalar(start.date())]
    if end is not None:
        conditions += [pc.field(LOG_TIMESTAMP) < _moment(end), pc.field(LOG_DATE) <= pa.scalar(end.date())]
    if query.request_id is not None:
        conditions.append(pc.field(REQUEST_ID) == query.request_id)
    combined = None
    for condition in conditions:
        combined = condition if combined is None else combined & condition
    return combined


def _moment(value: datetime) -> pa.Scalar:
    return pa.scalar(value, type=pa.timestamp("us", tz="UTC"))


def _files(folder: Path, query: LogQuery) -> list[str]:
    """Give the files of the days that the window touches, by their folders' names: no other file is opened."""
    first = f"{LOG_DATE}={query.start.date().isoformat()}" if query.start is not None else ""
    last = f"{LOG_DATE}={query.end.date().isoformat()}" if query.end is not None else "~"
    return sorted(str(file) for file in folder.rglob("*.parquet") if first <= file.parent.name <= last)


def _read(folder: Path, query: LogQuery) -> pa.Table:
    for _ in range(_ATTEMPTS):
        # A file that is gone was merged into another one meanwhile: what is there now is the same rows.
        with suppress(FileNotFoundError):
            return _read_now(folder, query)
    return _read_now(folder, query)


def _read_now(folder: Path, query: LogQuery) -> pa.Table:
    condition = _condition(query)
    try:
        schemas = {file: pq.read_schema(file) for file in _files(folder, query)}
        replaced = {name for schema in schemas.values() for name in replaced_by(schema)}
        # Files of one schema at a time: a feature that changed its type must not make the log unreadable.
        alike: dict[pa.Schema, list[str]] = defaultdict(list)
        for file, schema in schemas.items():
            if os.path.basename(file) not in replaced:  # noqa: PTH119 - a path is slow to make, and files are many
                alike[schema.remove_metadata()].append(file)
        return union([ds.dataset(files, format="parquet").to_table(filter=condition) for files in alike.values()])
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        msg = f"the log at {folder} cannot be read: {' '.join(str(error).split())}"
        raise LogError(msg) from None
