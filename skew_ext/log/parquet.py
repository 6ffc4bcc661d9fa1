"""The embedded destination: Parquet files, a folder per feature service, a folder per day (UTC) within it.

A file's name is made of the batch that is in it, so a batch that is sent again after an unknown commit replaces
itself instead of doubling its rows.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skew_ext.errors import RefusedError
from skew_ext.log.folders import day_folder_name, service_folder
from skew_ext.log.notes import LogNote
from skew_ext.log.parquet_files import (
    ABOUT,
    OWNER,
    SUFFIX,
    About,
    Access,
    Stamp,
    about_table,
    appearing,
    described,
    make_folder,
    opened_new,
)
from skew_ext.log.parquet_index import append, encoded
from skew_ext.log.parquet_prune import Limits, prune, pruned_rows
from skew_ext.log.parquet_reading import read_files
from skew_ext.log.parquet_scan import latest_start, owner_of, select, steadily
from skew_ext.log.parquet_upkeep import Merging
from skew_ext.log.query import LogQuery
from skew_ext.log.request_filter import build, hashes
from skew_ext.log.upkeep import Upkeep
from skew_ext.schema import LOG_DATE, REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime
    from pathlib import Path

    from skew_ext.schema import LogSchema

logger = logging.getLogger("skew_ext.log")
_MEBIBYTE = 1 << 20
MANY = 32
"""So many new files in a day's folder are merged without waiting for the shipper to be idle."""


class ParquetDestination:
    """Writes batches below one folder. Files appear whole, under their final name, or not at all."""

    def __init__(
        self, path: Path, *, keep_days: int | None = None, max_bytes: int | None = None, access: Access = OWNER
    ) -> None:
        self.path = path
        self._keep_days = keep_days
        self._max_bytes = max_bytes
        self._access = access
        self._refused = ""
        self._merging = Merging(path, access)
        self._written: Counter[Path] = Counter()

    def write(self, table: pa.Table, schema: LogSchema, batch: str) -> None:
        """Store a batch of rows of one schema under the name `batch`.

        Raises
        ------
        OSError
            The folder cannot take it.
        RefusedError
            Parquet has no form for one of its values; or the folder takes other rows, and not these.
        """
        folder = service_folder(self.path, schema.feature_service, records=schema.records)
        days = {
            folder / day_folder_name(day): table.filter(pc.equal(table[LOG_DATE], day))
            for day in pc.unique(table[LOG_DATE]).to_pylist()
        }
        try:
            self._write_days(days, schema, batch)
        except OSError as error:
            _undo(days, batch)
            if not self._takes(table.nbytes):
                raise
            logger.warning("%d rows of %r cannot be stored, though others can: %s", table.num_rows, folder.name, error)
            try:  # what they failed by may have passed meanwhile
                self._write_days(days, schema, batch)
            except OSError as again:
                _undo(days, batch)
                raise RefusedError(str(again), whole=True) from None

    def read(self, query: LogQuery) -> pa.Table:
        """Return the rows that fit; columns that a file's schema does not have are null in its rows.

        What of the log was left out is in the metadata of the table's schema; see `skew_ext.log.notes`.
        """
        return read_files(self.path, query)

    def latest_start(self, count: int, feature_service: str | None) -> datetime | None:
        """Return a time from which on there are about `count` rows or more; None for the log's beginning."""
        return steadily(self.path, lambda: latest_start(self.path, count, feature_service))

    def count_rows(self, owner: str) -> dict[str, dict[date, int]]:
        """Count the rows of `owner`'s batches that are there now, by feature service and day."""
        selection = steadily(self.path, lambda: select(self.path, LogQuery()))
        counted: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
        for file in selection.files:
            if owner_of(file) == owner and file.about.day is not None:
                rows = file.rows - len(selection.left_out.get(file.path, ()))
                counted[file.about.service][file.about.day] += rows
        return {service: dict(days) for service, days in counted.items()}

    def _takes(self, size: int) -> bool:
        """Return whether the log's folder takes another file of about this size now."""
        trial = self.path / f".trial-{secrets.token_hex(8)}.tmp"
        try:
            make_folder(self.path, self.path, self._access)
            with opened_new(trial, self._access) as file:
                # What a file system would compress, or keep as a hole, would show nothing.
                content = secrets.token_bytes(min(size, _MEBIBYTE))
                for start in range(0, size, _MEBIBYTE):
                    file.write(content[: size - start])
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with suppress(OSError):
                trial.unlink()
        return True

    @property
    def wants_upkeep(self) -> bool:
        """Whether so many files were written to a day's folder that they are better merged now than later."""
        return any(files >= MANY for files in self._written.values())

    def maintain(self, owner: str, today: date, *, quick: bool = False) -> Upkeep:
        """Merge small files of `owner`'s, and delete the days that are not kept; `quick` merges what is new alone."""
        written, self._written = self._written, Counter()
        if quick:
            return Upkeep(merged=self._merging.merge(owner, today, sorted(written)))
        done = self.prune(today)
        done.pruned_ever = dict(pruned_rows(self.path, owner).reasons)
        done.merged = self._merging.merge(owner, today)
        if done.refused and done.refused != self._refused:
            logger.warning("%s; see `skew log prune --trust-clock`", done.refused)
        self._refused = done.refused
        return done

    def prune(self, today: date, *, dry_run: bool = False, trust_clock: bool = False) -> Upkeep:
        """Delete the days that are not kept; with `dry_run`, only count their rows."""
        limits = Limits(self._keep_days, self._max_bytes, trust_clock)
        return prune(self.path, today, limits, self._access, dry_run=dry_run)

    def pruned_days(self, owner: str) -> Counter[date]:
        """Return how many rows of `owner`'s batches were ever pruned, by day."""
        return Counter(pruned_rows(self.path, owner).days)

    def _write_days(self, days: Mapping[Path, pa.Table], schema: LogSchema, batch: str) -> None:
        try:
            for folder, rows in days.items():
                self._write_day(rows, schema, folder, batch)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            _undo(days, batch)
            raise RefusedError(" ".join(str(error).split())) from None

    def _write_day(self, rows: pa.Table, schema: LogSchema, folder: Path, batch: str) -> None:
        about = about_table(rows, schema, batch)
        kept = {**(rows.schema.metadata or {}), ABOUT: about.encoded()}
        make_folder(folder, self.path, self._access)
        path = folder / f"{batch}{SUFFIX}"
        if _is_stored(path, about):
            return
        with appearing(path, self._access) as file:
            pq.write_table(rows.replace_schema_metadata(kept), file, compression="zstd")
        self._written[folder] += 1
        told = described(str(path))
        if not isinstance(told, LogNote):
            entry = encoded(told, Stamp.of(path.lstat()), build(hashes(rows[REQUEST_ID])))
            append(folder, batch.partition("-")[0], [entry], self._access)


def _is_stored(path: Path, about: About) -> bool:
    """Return whether a batch's file is there, whole: one that is sent again is not written again.

    It may have more rows than what is sent: what a damaged segment no longer gives was stored before.
    """
    try:
        found = described(str(path))
    except FileNotFoundError:
        return False
    return not isinstance(found, LogNote) and found.about.batch == about.batch and found.rows >= about.rows


def _undo(days: Iterable[Path], batch: str) -> None:
    """Delete what was stored of a batch: what fails or is refused is stored in full another time, or set aside."""
    for folder in days:
        with suppress(FileNotFoundError, NotADirectoryError):
            (folder / f"{batch}{SUFFIX}").unlink()
