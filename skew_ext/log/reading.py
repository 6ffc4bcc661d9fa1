"""Reading the log back, from whatever destination the repo's settings name."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from skew_ext.clock import as_utc
from skew_ext.errors import LogError
from skew_ext.log.destination import destination_from
from skew_ext.log.notes import SkewLogWarning, notes_of, notes_text
from skew_ext.log.query import LogQuery
from skew_ext.repo import open_store, settings_of
from skew_ext.schema import LOG_TIMESTAMP, ROW, SEQUENCE, WRITER

if TYPE_CHECKING:
    from datetime import datetime
    from os import PathLike

    import pyarrow as pa
    from feast import FeatureStore

_ORDER = [(LOG_TIMESTAMP, "ascending"), (WRITER, "ascending"), (SEQUENCE, "ascending"), (ROW, "ascending")]


def read_log(  # noqa: PLR0913 - the public contract
    repo: FeatureStore | str | PathLike[str],
    feature_service: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    request_id: str | None = None,
    *,
    records: bool | None = None,
) -> pa.Table:
    """Return logged rows, one for each entity row of each lookup, in the order in which they were served.

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
    records
        Where `feature_service` is `_inference`, `_prediction` or `_label`: True is what `ServingLogger` logged, False
        the lookups of a feature service that has this name, None the lookups if there are any.

    Returns
    -------
    pyarrow.Table
        Feast's log columns and skew_ext's own; times in UTC with microseconds. Rows written under an earlier schema
        have nulls in columns that came later. No rows if nothing fits, also where nothing was ever logged. Files that
        could not be read, or whose rows another file has too, are told in a `SkewLogWarning`, and stand as a JSON list
        under `skew.notes` in the metadata of the table's schema.

    Raises
    ------
    RepoError, SettingsError
        `repo` cannot be opened, or its `skew:` settings do not fit.
    LogError
        The window is empty because its start is after its end, or the log cannot be read.
    """
    rows = read_rows(repo, feature_service, start, end, request_id, records=records)
    notes = notes_of(rows)
    if notes:
        warnings.warn(f"the log was not read in full: {notes_text(notes)}", SkewLogWarning, stacklevel=2)
    return rows


def read_rows(  # noqa: PLR0913 - as `read_log`
    repo: FeatureStore | str | PathLike[str],
    feature_service: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    request_id: str | None = None,
    *,
    records: bool | None = None,
) -> pa.Table:
    """Read as `read_log` does, without a warning: what was left out is in the table's notes alone."""
    start, end = (None if moment is None else as_utc(moment) for moment in (start, end))
    if start is not None and end is not None and start > end:
        msg = f"the window starts at {start.isoformat()}, after its end at {end.isoformat()}: swap them"
        raise LogError(msg)
    settings = settings_of(open_store(repo))
    destination = destination_from(settings.destination.model_dump(mode="json"))
    rows = destination.read(LogQuery(feature_service, start, end, request_id, records))
    return rows.sort_by(_ORDER)
