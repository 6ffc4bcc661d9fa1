"""What an audit is given: the logged rows of the window, and the training set's columns."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skew_ext.auditor.key_sample import KeySample, checked_sample, choose_keys
from skew_ext.auditor.parts import Window, log_parts
from skew_ext.clock import as_utc
from skew_ext.errors import AuditError, LogError, SettingsError, SpoolError, nearest
from skew_ext.log.notes import notes_text
from skew_ext.log.parquet_scan import select, steadily
from skew_ext.repo import settings_of
from skew_ext.schema import (
    LOG_TIMESTAMP,
    MODEL_VERSION,
    REQUEST_ID,
    ROW,
    STATUS_SUFFIX,
    TIMESTAMP_SUFFIX,
    TRANSFORMS,
)
from skew_ext.settings import ParquetSettings
from skew_ext.shipping.stats import log_stats
from skew_ext.shipping.verify import missing_rows
from skew_ext.statistics import as_arrow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date, timedelta

    import pandas as pd
    from feast import FeatureStore

    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.log.notes import LogNote
    from skew_ext.log.parquet_scan import Selection


def checked_window(service: str, start: datetime, end: datetime, model_version: str | None) -> Window:
    """Give the window in UTC; AuditError if it is the wrong way round."""
    start, end = as_utc(start), as_utc(end)
    if start >= end:
        msg = f"the window [{start.isoformat()}, {end.isoformat()}) is empty: give a start before its end"
        raise AuditError(msg)
    return Window(service, start, end, model_version)


class WindowLog:
    """The rows of a window that an audit reads: all of them, or those of a sample of the entity keys."""

    def __init__(
        self, store: FeatureStore, views: Sequence[ViewPlan], window: Window, sample: float | None = None
    ) -> None:
        self._store = store
        self.window = window
        self.columns = _columns(views)
        """The columns of the log that an audit needs."""
        self._settings = settings_of(store)
        self._keys = sorted({key for view in views for key in view.join_keys.values()})
        self._features = [view.column(name) for view in views for name in view.features]
        self._sample = checked_sample(sample)
        self._chosen: KeySample | None = None
        self.left_out: list[LogNote] = []
        """What of the log's folder was not read: complete when the parts have been."""

    def parts(self) -> Iterator[pa.Table]:
        """Give the rows, in parts of bounded size."""
        if self._sample is not None:
            keys = log_parts(self._settings, self.window, [*self._keys, REQUEST_ID])
            self._chosen = choose_keys(keys, self._keys, self._sample)
        self.left_out.clear()
        for part in log_parts(self._settings, self.window, self.columns, notes=self.left_out):
            rows = part if self._chosen is None else self._chosen.of(part)
            if rows.num_rows:
                yield rows

    def before(self, further: timedelta, nearer: timedelta, columns: Collection[str]) -> Iterator[pa.Table]:
        """Give what was served so long before the window, by any model, with some of the columns; in parts likewise."""
        most = self.window.start - datetime.min.replace(tzinfo=timezone.utc)  # there is no time before
        start, end = (self.window.start - min(back, most) for back in (further, nearer))
        return log_parts(self._settings, Window(self.window.feature_service, start, end), columns)

    @property
    def sampled(self) -> bool:
        """Whether only a sample of the entity keys is audited."""
        return self._sample is not None

    def parquet_files(self) -> Selection | None:
        """Return the files of a Parquet log that have the window's rows; None where the log is elsewhere."""
        settings = self._settings.destination
        if not isinstance(settings, ParquetSettings):
            return None
        selection = steadily(settings.path, lambda: select(settings.path, self.window.query))
        self.left_out = selection.notes
        return selection

    def require(self, rows: int, logged: Collection[str]) -> None:
        """Raise AuditError if there were no rows, or if none of the service's features was `logged` in them."""
        if not rows:
            left_out = f"; of the log's folder, {notes_text(self.left_out)}" if self.left_out else ""
            gone = sum(stored - there for _, stored, there in self.missing())
            lost = f"; {gone:,} rows that were stored are gone from the log's folder" if gone else ""
            raise AuditError(_no_rows(self._store, self.window) + left_out + lost)
        if self._features and not logged:
            msg = (
                f"the log has lookups of {self.window.feature_service!r}, and none of its features "
                f"({', '.join(self._features[:3])}...): it is the log of another project or of another service of this "
                "name; name the right one under skew.destination"
            )
            raise AuditError(msg)

    def missing(self) -> list[tuple[date, int, int]]:
        """Return the days of the window of which stored rows are gone: the day, the rows stored, those there now."""
        try:
            gone = missing_rows(self._settings) or []
        except (SpoolError, SettingsError, LogError):
            return []  # there is no spool here: the log was shipped by another machine
        first, last = self.window.start.date(), self.window.end.date()
        service = self.window.feature_service
        return [
            (one.day, one.stored, one.there)
            for one in gone
            if one.feature_service == service and first <= one.day <= last
        ]

    def notes(self) -> list[str]:
        """Say what of the window was not read."""
        notes = [] if self._chosen is None else [self._chosen.note()]
        waiting = waiting_in_spool(self._store)
        if waiting:
            notes.append(f"{waiting:,} served rows wait in the spool and were not audited: run `skew ship --drain`")
        return notes


def _columns(views: Sequence[ViewPlan]) -> set[str]:
    """Give the columns of the log that an audit of these views needs."""
    needed = {REQUEST_ID, LOG_TIMESTAMP, MODEL_VERSION, TRANSFORMS, ROW}
    for view in views:
        needed |= set(view.join_keys.values())
        if view.on_demand:
            needed |= set(view.view.get_request_data_schema())
        for name in view.features:
            needed |= {view.column(name) + suffix for suffix in ("", TIMESTAMP_SUFFIX, STATUS_SUFFIX)}
    return needed


def waiting_in_spool(store: FeatureStore) -> int:
    """Give the rows that still wait in the spool; 0 where there is none."""
    try:
        return log_stats(settings_of(store).spool).in_spool
    except SpoolError:
        return 0


def training_columns(training_set: pd.DataFrame | pa.Table | None, features: list[str]) -> dict[str, Any]:
    """Give the training set's column of each feature, named `view__feature` or by the feature alone.

    Raises
    ------
    AuditError
        It has no rows, or none of the features; the nearest name is suggested.
    """
    if training_set is None:
        return {}
    names = training_set.column_names if isinstance(training_set, pa.Table) else [str(c) for c in training_set.columns]
    if not len(training_set):
        raise AuditError("the training set has no rows: give the one that the model was trained on")
    found = {}
    for feature in features:
        for name in (feature, feature.partition("__")[2]):
            if name in names:
                # Column by column: one of mixed types, which Arrow has no type for, must not stop the others.
                of = training_set[name]
                found[feature] = of if isinstance(training_set, pa.Table) else as_arrow(of)
                break
    if not found:
        hint = nearest(features[0], names) if features else ""
        msg = f"the training set has no column {features[0]!r}{hint}, nor any other feature of the service"
        raise AuditError(msg)
    return found


def _no_rows(store: FeatureStore, window: Window) -> str:
    version = "" if window.model_version is None else f" by model version {window.model_version!r}"
    waiting = waiting_in_spool(store)
    hint = (
        f"{waiting:,} rows still wait in the spool: run `skew ship --drain`"
        if waiting
        else "serve through SkewProvider or LoggedFeatureStore, or audit another window"
    )
    span = f"[{window.start.isoformat()}, {window.end.isoformat()})"
    return f"the log has no rows of {window.feature_service!r}{version} in {span}; {hint}"
