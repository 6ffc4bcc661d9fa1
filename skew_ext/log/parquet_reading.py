"""Reading rows out of the files of a Parquet log that a scan has chosen."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from skew_ext.log.notes import LogNote, with_notes
from skew_ext.log.parquet_files import LogFile, unreadable
from skew_ext.log.parquet_scan import select, steadily
from skew_ext.log.union import union
from skew_ext.schema import LOG_TIMESTAMP, REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from skew_ext.log.query import LogQuery

_MOMENT = pa.timestamp("us", tz="UTC")
_FORMAT = ds.ParquetFileFormat()
_FILES = fs.LocalFileSystem()


def read_files(log: Path, query: LogQuery) -> pa.Table:
    """Return the rows that fit, and in the table's metadata what was left out; LogError if nothing can be read."""
    return steadily(log, lambda: _read(log, query))


def _read(log: Path, query: LogQuery) -> pa.Table:
    selection = select(log, query)
    condition, notes = _condition(query), list(selection.notes)
    alike: dict[str, list[LogFile]] = defaultdict(list)
    tables = []
    for file in selection.files:
        places = selection.left_out.get(file.path)
        if places is None:
            # Files of one schema at a time: a feature that changed its type must not make the log unreadable.
            alike[file.shape].append(file)
        else:
            tables += _alone(file, condition, notes, places)
    for files in alike.values():
        tables += _together(files, condition, notes)
    return with_notes(union([table for table in tables if table.num_rows]), notes)


def _together(files: Sequence[LogFile], condition: Any, notes: list[LogNote]) -> list[pa.Table]:
    """Read files of the same columns; where one of them is damaged, each by itself."""
    try:
        paths = [file.path for file in files]
        schema = pq.read_schema(paths[0])
        found = ds.FileSystemDataset.from_paths(paths, schema=schema, format=_FORMAT, filesystem=_FILES)
        return [found.to_table(filter=condition).replace_schema_metadata(None)]
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file stops nothing but itself
        if len(files) > 1:
            return [table for file in files for table in _together([file], condition, notes)]
        notes.append(unreadable(files[0].path, error))
        return []


def _alone(file: LogFile, condition: Any, notes: list[LogNote], places: NDArray[np.int64]) -> list[pa.Table]:
    """Read a file without some of its rows."""
    try:
        with pq.ParquetFile(file.path) as opened:
            table = without_rows(opened.read(), places)
        return [(table if condition is None else table.filter(condition)).replace_schema_metadata(None)]
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - likewise
        notes.append(unreadable(file.path, error))
        return []


def without_rows(table: pa.Table, places: NDArray[np.int64]) -> pa.Table:
    """Return a table without the rows at some places."""
    keep = np.ones(table.num_rows, dtype=bool)
    keep[places] = False
    return table.filter(pa.array(keep))


def _condition(query: LogQuery) -> Any:
    conditions = []
    if query.start is not None:
        conditions.append(pc.field(LOG_TIMESTAMP) >= _moment(query.start))
    if query.end is not None:
        conditions.append(pc.field(LOG_TIMESTAMP) < _moment(query.end))
    if query.request_id is not None:
        conditions.append(pc.field(REQUEST_ID) == query.request_id)
    combined = None
    for condition in conditions:
        combined = condition if combined is None else combined & condition
    return combined


def _moment(value: datetime) -> pa.Scalar:
    return pa.scalar(value, type=_MOMENT)
