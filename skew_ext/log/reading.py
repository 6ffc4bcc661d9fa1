"""Reading the log back, from whatever destination the repo's settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from skew_ext.clock import as_utc
from skew_ext.errors import LogError
from skew_ext.log.decode import SYSTEM_FIELDS
from skew_ext.log.parquet import service_folder
from skew_ext.repo import open_store, settings_of
from skew_ext.schema import LOG_DATE, LOG_TIMESTAMP, REQUEST_ID, ROW, SEQUENCE, WRITER

if TYPE_CHECKING:
    from datetime import datetime
    from os import PathLike
    from pathlib import Path

    from feast import FeatureStore

_ORDER = [(LOG_TIMESTAMP, "ascending"), (WRITER, "ascending"), (SEQUENCE, "ascending"), (ROW, "ascending")]


def read_log(
    repo: FeatureStore | str | PathLike[str],
    feature_service: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    request_id: str | None = None,
) -> pa.Table:
    """Give logged rows, one for each entity row of each lookup, in the order in which they were served.

    Parameters
    ----------
    repo
        A Feast repo's folder, or a feature store.
    feature_service
        Only lookups of this service; the empty string is lookups by a list of references; None is all.
    start, end
        Only rows served in [start, end). A naive time is taken as UTC.
    request_id
        Only rows of this request.

    Returns
    -------
    pyarrow.Table
        Feast's log columns and skew_ext's own; times in UTC with microseconds. Rows written under an earlier schema
        have nulls in columns that came later. No rows if nothing fits, also where nothing was ever logged.

    Raises
    ------
    RepoError, SettingsError
        `repo` cannot be opened, or its `skew:` settings do not fit.
    LogError
        The window is empty because its start is after its end, or the log cannot be read.
    """
    start, end = (None if moment is None else as_utc(moment) for moment in (start, end))
    if start is not None and end is not None and start > end:
        msg = f"the window starts at {start.isoformat()}, after its end at {end.isoformat()}: swap them"
        raise LogError(msg)
    folder = settings_of(open_store(repo)).destination.path
    folders = _folders(folder, feature_service)
    condition = _condition(start, end, request_id)
    tables = [table for table in (_read(folder, condition) for folder in folders) if table.num_rows]
    if not tables:
        return pa.schema(SYSTEM_FIELDS).empty_table()
    return pa.concat_tables(tables, promote_options="permissive").sort_by(_ORDER)


def _folders(log: Path, feature_service: str | None) -> list[Path]:
    if feature_service is not None:
        wanted = service_folder(log, feature_service)
        return [wanted] if wanted.is_dir() else []
    return sorted(folder for folder in log.iterdir() if folder.is_dir()) if log.is_dir() else []


def _condition(start: datetime | None, end: datetime | None, request_id: str | None) -> Any:
    conditions = []
    if start is not None:
        conditions += [pc.field(LOG_TIMESTAMP) >= _moment(start), pc.field(LOG_DATE) >= pa.scalar(start.date())]
    if end is not None:
        conditions += [pc.field(LOG_TIMESTAMP) < _moment(end), pc.field(LOG_DATE) <= pa.scalar(end.date())]
    if request_id is not None:
        conditions.append(pc.field(REQUEST_ID) == request_id)
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
