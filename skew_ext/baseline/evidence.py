"""The source rows behind differing cells: which row training uses, and which one serving could have known.

Rows are held sorted by key, event time and created time, and looked up for many cells at once; all times are
microseconds since 1970, UTC. A row without a created time counts as known from its event time on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast import utils
from feast.types import Set

from skew_ext.baseline.source_rows import rows_of
from skew_ext.keys import key_codes

if TYPE_CHECKING:
    from collections.abc import Collection

    from feast import FeatureStore

    from skew_ext.baseline.plan import ViewPlan

Indexes = npt.NDArray[np.int64]
"""Positions of source rows; -1 where there is none."""
Times = npt.NDArray[np.int64]
NONE = np.int64(np.iinfo(np.int64).min)
"""The time that stands for 'no time'."""
_WHOLE_NUMBER = r"^[+-]?[0-9]{1,18}$"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class SourceRows:
    """A view's source rows for the keys in question, sorted by (key, event, created)."""

    keys: Indexes
    events: Times
    created: Times | None
    values: dict[str, pa.Array]

    def latest(self, keys: Indexes, at: Times, ttl: int | None, *, known: bool) -> Indexes:
        """Give the point-in-time row of each (key, time): the latest event, and of those the latest created.

        With `known`, only rows that were created by that time count; without it, all do, as in Feast's retrieval.
        """
        positions = self._search(keys, at, side="right") - 1
        if known and self.created is not None:
            positions = self._step_back(positions, keys, at, self.created)
        found = (positions >= 0) & (self.keys[positions] == keys) if len(self.keys) else np.zeros(len(keys), dtype=bool)
        if ttl is not None and len(self.keys):
            found &= self.events[positions] >= at - ttl
        return np.where(found, positions, -1)

    def span(self, keys: Indexes, low: Times, high: Times) -> tuple[Indexes, Indexes]:
        """Give [first, end) of the rows of each key with an event time from `low` to `high`, both included."""
        return self._search(keys, low, side="left"), self._search(keys, high, side="right")

    def known_within(self, first: Indexes, end: Indexes, until: Times) -> Indexes:
        """Give the last row of each [first, end) that was created by `until`; the last if none was; -1 if empty."""
        last = np.where(end > first, end - 1, -1)
        if self.created is None or not len(self.created):
            return last
        found = last.copy()
        while True:
            here = found >= first
            here &= found >= 0
            here[here] = self.created[found[here]] > until[here]
            if not here.any():
                return np.where(found >= first, found, last)
            found[here] -= 1

    def first_after(self, keys: Indexes, event: Times, until: Times) -> Indexes:
        """Give the first row of each key with a later event than `event` that was known by `until`; -1 if none."""
        positions = self._search(keys, event, side="right")
        pending = np.ones(len(keys), dtype=bool)
        result = np.full(len(keys), -1, dtype=np.int64)
        while pending.any():
            inside = pending & (positions < len(self.keys))
            inside[inside] = self.keys[positions[inside]] == keys[inside]
            known = inside.copy()
            known[inside] = self.known_from(positions[inside]) <= until[inside]
            result[known] = positions[known]
            pending = inside & ~known
            positions = positions + 1
        return result

    def known_from(self, positions: Indexes) -> Times:
        """Give the time from which rows were known: the later of event and created."""
        events: Times = self.events[positions]
        if self.created is None:
            return events
        return np.asarray(np.maximum(events, self.created[positions]), dtype=np.int64)

    def _step_back(self, positions: Indexes, keys: Indexes, at: Times, created: Times) -> Indexes:
        positions = positions.copy()
        while True:
            here = positions >= 0
            here[here] = (self.keys[positions[here]] == keys[here]) & (created[positions[here]] > at[here])
            if not here.any():
                return positions
            positions[here] -= 1

    @cached_property
    def _line(self) -> _Line:
        return _Line.of(self.keys, self.events)

    def _search(self, keys: Indexes, times: Times, *, side: Literal["left", "right"]) -> Indexes:
        line = self._line
        return np.asarray(np.searchsorted(line.rows, line.places(keys, times, side)), dtype=np.int64)


@dataclass(frozen=True)
class _Line:
    """Key and time of each row as one integer, so that one search does for all keys.

    Each key has `width` places. A time has its distance from the `earliest` one, or, where keys times microseconds are
    too many for an integer, its rank among the distinct times.
    """

    rows: Indexes
    width: int
    earliest: int
    latest: int
    ranks: Times | None

    @classmethod
    def of(cls, keys: Indexes, events: Times) -> _Line:
        earliest, latest = (int(events.min()), int(events.max())) if len(events) else (0, 0)
        width = latest - earliest + 2
        if (int(keys.max(initial=0)) + 2) * width < np.iinfo(np.int64).max:
            return cls(keys * np.int64(width) + (events - earliest), width, earliest, latest, None)
        ranks = np.unique(events)
        return cls(keys * np.int64(len(ranks) + 1) + np.searchsorted(ranks, events), len(ranks) + 1, 0, 0, ranks)

    def places(self, keys: Indexes, times: Times, side: Literal["left", "right"]) -> Indexes:
        """Give the place of the first row of each key that is not before a time (left), or is after it (right)."""
        if self.ranks is not None:
            steps = np.searchsorted(self.ranks, times, side=side)
        elif side == "left":
            steps = np.clip(times, self.earliest, self.latest + 1) - self.earliest
        else:
            steps = np.clip(times, self.earliest - 1, self.latest) - (self.earliest - 1)
        return np.asarray(keys * np.int64(self.width) + steps, dtype=np.int64)


def fetch(  # noqa: PLR0913 - what is read of which source for whom
    store: FeatureStore, view: ViewPlan, log: pa.Table, start: int, end: int, only: Collection[str] | None = None
) -> tuple[SourceRows, Indexes]:
    """Read the view's source rows for the keys of `log`'s rows with events in [start, end] (microseconds).

    With `only`, of its features only these. Returns the rows, and the key code of each row of `log`.
    """
    entities = [store.registry.get_entity(name, store.project) for name in view.view.entities]
    keys, features, event_column, created_column = utils._get_column_names(view.view, entities)  # noqa: SLF001
    renamed = {ours: theirs for theirs, ours in (view.view.batch_source.field_mapping or {}).items()}
    names = {feature.name: renamed.get(feature.name, feature.name) for feature in view.view.features}
    # A stream's view counts its keys among its features.
    names = {name: column for name, column in names.items() if column in features and (only is None or name in only)}
    features = [column for column in features if column in names.values()]
    provider: Any = store._get_provider()  # noqa: SLF001 - the offline store has no public door that reads a source
    job = provider.offline_store.pull_all_from_table_or_query(
        config=store.config,
        data_source=view.view.batch_source,
        join_key_columns=keys,
        feature_name_columns=features,
        timestamp_field=event_column,
        created_timestamp_column=created_column,
        start_date=_EPOCH + timedelta(microseconds=start),
        end_date=_EPOCH + timedelta(microseconds=end),
    )
    # By name: a view may list its entities in another order than its columns. Feast's dummy entity has no column.
    ours = [log[view.join_keys[entity.join_key]] for entity in entities if entity.join_key in view.join_keys]
    table = rows_of(job, [*keys, *features, event_column, created_column], dict(zip(keys, ours, strict=True)))
    theirs = [_in_type(table[name], one.type) for name, one in zip(keys, ours, strict=True)]
    logged, stored = key_codes(ours, theirs, (log.num_rows, table.num_rows))
    kept = np.flatnonzero(stored >= 0)
    rows = _sorted(table, kept, stored[kept], (event_column, created_column), names)
    return rows, logged


def unordered(view: Any) -> set[str]:
    """Give the view's features that are sets: their values have no order, and stores give them in any."""
    return {feature.name for feature in view.features if isinstance(feature.dtype, Set)}


def _sorted(
    table: pa.Table, kept: Indexes, keys: Indexes, times: tuple[str, str | None], names: dict[str, str]
) -> SourceRows:
    """Give the rows at `kept`, which have these key codes, in order; each column is copied once."""
    event_column, created_column = times
    events = microseconds(table[event_column])[kept]
    created = None
    if created_column:
        stated = microseconds(table[created_column])[kept]
        created = np.where(stated == NONE, events, stated)
    order = np.lexsort((events, keys) if created is None else (created, events, keys))
    places = pa.array(kept[order])
    return SourceRows(
        keys=keys[order],
        events=events[order],
        created=None if created is None else created[order],
        values={feature: _one_piece(table[column].take(places)) for feature, column in names.items()},
    )


def _one_piece(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _in_type(keys: Any, kind: pa.DataType) -> Any:
    if pa.types.is_integer(kind) and (pa.types.is_string(keys.type) or pa.types.is_large_string(keys.type)):
        # Text that is no number was never looked up.
        keys = pc.if_else(pc.match_substring_regex(keys, _WHOLE_NUMBER), keys, None)
    return keys.cast(kind, safe=False)


def microseconds(column: Any) -> Times:
    """Give a timestamp column as microseconds since 1970 (a naive column is UTC); `NONE` where null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    numbers = array.cast(pa.timestamp("us", tz=array.type.tz), safe=False).cast(pa.int64())
    return np.asarray(numbers.fill_null(int(NONE)).to_numpy(zero_copy_only=False), dtype=np.int64)
