"""The labels: as a frame hands them in, or as `ServingLogger.log_label` has logged them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.errors import TrainingSetError, nearest
from skew_ext.frames import Frame, column, column_names, in_one_piece, listed, times, without_nan
from skew_ext.log.reading import read_log
from skew_ext.schema import LABEL, LOG_TIMESTAMP, REQUEST_ID, ROW, TIMESTAMP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from feast import FeatureStore

    from skew_ext.training.lookups import Lookups

WHAT = "the labels"
REQUEST = "request_id"
PLACE = "row"
LOGGED = "model__label"
_LOG_NAMES = {REQUEST: REQUEST_ID, PLACE: ROW}


@dataclass(frozen=True)
class LabelNames:
    """How the columns of the labels are called."""

    label: str = "label"
    about: str = "event_timestamp"
    observed_at: str = "observed_at"
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class GivenLabels:
    """Labels before they are joined. `on` maps the log's columns to the labels' values of them.

    `about` is the time that each is about, and `observed` when each was observed; None where the labels have no such
    column. `also` are columns that go along.
    """

    value: pa.Array
    on: dict[str, pa.Array]
    about: pa.Array | None
    observed: pa.Array | None
    also: dict[str, pa.Array]

    @property
    def observed_or_about(self) -> pa.Array | None:
        """When each was observed: where only one time is known, it is that."""
        return self.observed if self.observed is not None or self.by_request else self.about

    @property
    def by_request(self) -> bool:
        """Whether they name the request that they are about."""
        return REQUEST_ID in self.on


def given_labels(frame: Frame, names: LabelNames, on: Sequence[str] | None, lookups: Lookups) -> GivenLabels:
    """Read labels of a frame, to be joined on the columns `on`.

    None is the request id where they have it (and what tells its rows apart), else the service's join keys.

    Raises
    ------
    TrainingSetError
        A column is not there (the nearest is suggested), or holds what it should not.
    """
    there = column_names(frame, WHAT)
    value = without_nan(column(frame, names.label, WHAT))
    by = _columns_to_join_on(there, on, lookups)
    moments = {
        name: times(column(frame, name, WHAT), name, WHAT) for name in (names.about, names.observed_at) if name in there
    }
    return GivenLabels(
        value=value,
        on={log_name: column(frame, name, WHAT) for log_name, name in by.items()},
        about=moments.get(names.about),
        observed=moments.get(names.observed_at),
        also={name: column(frame, name, WHAT) for name in names.also},
    )


def logged_labels(store: FeatureStore, start: datetime | None) -> GivenLabels:
    """Read the labels of the log that were logged from `start` on, by request id.

    One whose observation has no time counts as observed when it was logged.

    Raises
    ------
    TrainingSetError
        The log has none.
    LogError
        The log cannot be read.
    """
    log = read_log(store, LABEL, start, records=True)
    if not log.num_rows or LOGGED not in log.column_names:
        msg = "the log has no labels: log them with ServingLogger.log_label, or give labels as a frame"
        raise TrainingSetError(msg)
    observed = pc.coalesce(log[LOGGED + TIMESTAMP_SUFFIX], log[LOG_TIMESTAMP])
    value = without_nan(in_one_piece(log[LOGGED]))
    return GivenLabels(value, {REQUEST_ID: in_one_piece(log[REQUEST_ID])}, None, in_one_piece(observed), {})


def unknown_times(observed: pa.Array) -> int:
    """Count labels whose time of observation is not known."""
    return int(np.asarray(observed.is_null()).sum())


def _columns_to_join_on(there: Sequence[str], on: Sequence[str] | None, lookups: Lookups) -> dict[str, str]:
    """Give the labels' name of each column of the log that they are joined on."""
    if on is not None:
        return {_LOG_NAMES.get(name, name): _checked(name, there, lookups) for name in on}
    request = next((name for name in (REQUEST, REQUEST_ID) if name in there), None)
    if request is None:
        return _keys(there, lookups.keys)
    place = next((name for name in (PLACE, ROW) if name in there and name not in lookups.given), None)
    rows = {} if place is None else {ROW: place}
    return {REQUEST_ID: request, **rows, **{key: key for key in lookups.keys if key in there}}


def _keys(there: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    missing = [key for key in keys if key not in there]
    if missing or not keys:
        said = f"nor the join key {missing[0]!r}{nearest(missing[0], there)}" if missing else "and there is no join key"
        msg = f"{WHAT} have no column {REQUEST!r}, {said}: give one, or name the columns to join on by on=[...]"
        raise TrainingSetError(msg)
    return {key: key for key in keys}


def _checked(name: str, there: Sequence[str], lookups: Lookups) -> str:
    log_names = [*_LOG_NAMES, *_LOG_NAMES.values(), *lookups.given]
    if name not in log_names:
        msg = f"labels cannot be joined on {name!r}{nearest(name, log_names)}: name one of {listed(log_names)}"
        raise TrainingSetError(msg)
    if name not in there:
        msg = f"{WHAT} have no column {name!r}{nearest(name, there)}; they have: {listed(there)}"
        raise TrainingSetError(msg)
    return name
