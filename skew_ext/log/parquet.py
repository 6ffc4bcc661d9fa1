"""The embedded destination: Parquet files, a folder per feature service, a folder per day (UTC) within it.

A file's name is made of the batch that is in it, so a batch that is sent again after an unknown commit replaces
itself instead of doubling its rows.
"""

from __future__ import annotations

import os
import urllib.parse
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from skew_ext.errors import LogError
from skew_ext.log.decode import SYSTEM_FIELDS
from skew_ext.schema import LOG_DATE, LOG_TIMESTAMP, REQUEST_ID

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from skew_ext.log.query import LogQuery
    from skew_ext.schema import LogSchema

NO_SERVICE = "_by_reference"
"""The folder of lookups that were made by a list of references, not by a feature service."""


def service_folder(log: Path, feature_service: str) -> Path:
    """Give the folder of a feature service's log; a name that is no plain file name is percent-encoded."""
    name = urllib.parse.quote(feature_service, safe=" @+=,") if feature_service else NO_SERVICE
    return log / (name.replace(".", "%2E") if name.strip(".") == "" else name)


class ParquetDestination:
    """Writes batches below one folder. Files appear whole, under their final name, or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, table: pa.Table, schema: LogSchema, batch: str) -> None:
        """Store a batch of rows of one schema under the name `batch`; OSError if the folder cannot take it."""
        folder = service_folder(self.path, schema.feature_service)
        for date in pc.unique(table[LOG_DATE]).to_pylist():
            rows = table.filter(pc.equal(table[LOG_DATE], date))
            self._write_file(rows, folder / f"{LOG_DATE}={date.isoformat()}", batch)

    def read(self, query: LogQuery) -> pa.Table:
        """Give the rows that fit; columns that a file's schema does not have are null in its rows."""
        condition = _condition(query)
        tables = [_read(folder, condition) for folder in self._folders(query.feature_service)]
        found = [table for table in tables if table.num_rows]
        if not found:
            return pa.schema(SYSTEM_FIELDS).empty_table()
        return pa.concat_tables(found, promote_options="permissive")

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


def _read(folder: Path, condition: Any) -> pa.Table:
    files = sorted(str(file) for file in folder.rglob("*.parquet"))
    if not files:
        return pa.schema(SYSTEM_FIELDS).empty_table()
    try:
        schemas = {file: ds.dataset(file, format="parquet").schema for file in files}
        unified = pa.unify_schemas(list(schemas.values()), promote_options="permissive")
        return ds.dataset(files, format="parquet", schema=unified).to_table(filter=condition)
    except (pa.ArrowException, OSError) as error:
        msg = f"the log at {folder} cannot be read: {' '.join(str(error).split())}"
        raise LogError(msg) from None
