"""The embedded destination: Parquet files, a folder per feature service, a folder per day (UTC) within it.

A file's name is made of the batch that is in it, so a batch that is sent again after an unknown commit replaces
itself instead of doubling its rows.
"""

from __future__ import annotations

import os
import urllib.parse
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from skew_ext.schema import LOG_DATE

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

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

    def write(self, table: pa.Table, feature_service: str, batch: str) -> None:
        """Store a batch of rows of one schema under the name `batch`; OSError if the folder cannot take it."""
        folder = service_folder(self.path, feature_service)
        for date in pc.unique(table[LOG_DATE]).to_pylist():
            rows = table.filter(pc.equal(table[LOG_DATE], date))
            self._write_file(rows, folder / f"{LOG_DATE}={date.isoformat()}", batch)

    @staticmethod
    def _write_file(rows: pa.Table, folder: Path, batch: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = folder / f".{batch}.tmp"
        with temporary.open("wb") as file:
            pq.write_table(rows, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / f"{batch}.parquet")
