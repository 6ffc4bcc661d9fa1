"""Feast's `get_historical_features` for the logged keys at the logged times: what a training job would get.

Every logged row carries a row id of ours through the retrieval, so that rows which a store drops, repeats, reorders or
collapses are noticed, said, and put right. What a store is known to be unable to give at all (`store_faults`) comes
from the source's rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.baseline.alignment import EVENT_TIMESTAMP, ROW_ID, Alignment, chunk_column, waves
from skew_ext.baseline.duckdb_memory import let_go, lift_duckdbs_limit
from skew_ext.baseline.from_source import source_columns
from skew_ext.baseline.on_demand import recompute_on_demand
from skew_ext.baseline.store_faults import known_faults
from skew_ext.errors import AuditError
from skew_ext.schema import LOG_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from feast import FeatureService, FeatureStore

    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.model import NotCompared

__all__ = ["CHUNK_ROWS", "Baseline", "any_present", "point_in_time", "recompute_on_demand"]

CHUNK_ROWS = 250_000
"""Entity rows per retrieval: stores hold the whole entity frame in memory, some of them more than once."""
LOST, REPEATED, COLLAPSED = "baseline_rows_lost", "baseline_rows_repeated", "baseline_rows_collapsed"
COLLISION, TTL_NOT_KEPT, UNREADABLE = "baseline_key_collision", "baseline_ttl_not_kept", "baseline_feature_unreadable"


@dataclass
class Baseline:
    """The baseline's columns, aligned with the log's rows, and what the store did to the rows on the way.

    `faults` counts rows (of `baseline_feature_unreadable`, cells) by the code of what the store got wrong; all of it
    is put right in `columns`, a lost row as null.
    """

    columns: dict[str, pa.ChunkedArray]
    faults: Counter[str] = field(default_factory=Counter)
    not_comparable: dict[str, NotCompared] = field(default_factory=dict)
    """Features without a baseline, and why."""

    @property
    def lost_rows(self) -> int:
        """Rows that the store did not give back, nor a row of the same key and time."""
        return self.faults[LOST]

    @property
    def repeated_rows(self) -> int:
        """Rows that the store gave more than once, not counting the first."""
        return self.faults[REPEATED]

    def add(self, other: Baseline) -> None:
        """Add up what the store did to other rows of the same window; their columns stay where they are."""
        self.faults.update(other.faults)
        self.not_comparable.update(other.not_comparable)


def point_in_time(store: FeatureStore, service: FeatureService, views: Sequence[ViewPlan], log: pa.Table) -> Baseline:
    """Retrieve the baseline of the service's stored features (not of its on-demand views) for rows of the log.

    Raises
    ------
    AuditError
        The offline store fails; its message is passed on.
    """
    stored = [view for view in views if not view.on_demand]
    baseline = Baseline(columns={})
    if not any(view.features for view in stored):
        return baseline
    chunks: dict[str, list[pa.Array]] = {view.column(name): [] for view in stored for name in view.features}
    retrieval = _Retrieval(store, service, views, baseline)
    for start in range(0, log.num_rows, CHUNK_ROWS):
        for column, values in retrieval.columns(log.slice(start, CHUNK_ROWS)).items():
            chunks[column].append(values)
    baseline.columns = {column: _joined(parts) for column, parts in chunks.items()}
    return baseline


class _Retrieval:
    """Retrieves chunks of rows from one store, and counts in `baseline` what the store did to them."""

    def __init__(
        self, store: FeatureStore, service: FeatureService, views: Sequence[ViewPlan], baseline: Baseline
    ) -> None:
        self._store = store
        self._service = service
        self._views = views
        self._stored = [view for view in views if not view.on_demand]
        self._faults = known_faults(store)
        self._baseline = baseline
        self._keys = key_columns(views)
        self._plain = _plain(views)

    def columns(self, rows: pa.Table) -> dict[str, pa.Array]:
        """Give the baseline of a chunk, aligned with its rows."""
        wanted = {view.alias: self._readable(view) for view in self._stored}
        found: dict[str, pa.Array] = {}
        if any(wanted.values()):
            found = self._from_store(rows, wanted)
        for view in self._stored:
            found |= self._put_right(view, rows, wanted[view.alias], found)
        return found

    def _readable(self, view: ViewPlan) -> list[str]:
        readable = [name for name in view.features if self._faults.readable(view, name)]
        # A service that renames is asked for whole, or not at all.
        whole = self._plain or all(
            self._faults.readable(other, name) for other in self._stored for name in other.features
        )
        return readable if whole else []

    def _from_store(self, rows: pa.Table, wanted: dict[str, list[str]]) -> dict[str, pa.Array]:
        entities = _entity_frame(rows, self._views)
        every = [np.arange(len(entities))]
        if self._faults.joins_keys:
            every = waves(entities, [list(view.join_keys.values()) for view in self._stored])
        parts = [self._aligned(entities.iloc[places], rows, places, wanted) for places in every]
        self._baseline.faults[COLLISION] += sum(len(places) for places in every[1:])
        back = pa.array(np.argsort(np.concatenate(every)))
        found = {name: _joined(chunk_column(part[name]) for part in parts) for name in parts[0].column_names}
        return {name: chunk_column(column if len(parts) == 1 else column.take(back)) for name, column in found.items()}

    def _aligned(self, asked: pd.DataFrame, rows: pa.Table, places: Any, wanted: dict[str, list[str]]) -> pa.Table:
        """Retrieve some rows, in the order of the asked ones; what was dropped is asked for again, view by view."""
        asked = asked.assign(**{ROW_ID: np.arange(len(places))})
        aligned = Alignment(self._retrieve(self._requested(wanted), asked), asked, self._keys)
        self._baseline.faults[REPEATED] += aligned.repeated
        self._baseline.faults[COLLAPSED] += aligned.collapsed
        self._baseline.faults[LOST] += len(aligned.lost)
        found = aligned.columns([f"{alias}__{name}" for alias, names in wanted.items() for name in names])
        views = {alias: names for alias, names in wanted.items() if names}
        if not len(aligned.lost) or len(views) == 1 or not self._plain:
            return found
        lost = _entity_frame(rows.take(pa.array(places[aligned.lost])), self._views)
        for alias, names in views.items():
            again = Alignment(self._retrieve([f"{alias}:{name}" for name in names], lost), lost, self._keys)
            found = aligned.filled(found, again.columns([f"{alias}__{name}" for name in names]))
        return found

    def _put_right(
        self, view: ViewPlan, rows: pa.Table, readable: list[str], found: dict[str, pa.Array]
    ) -> dict[str, pa.Array]:
        """Give from the source what the store cannot give, or is known to give wrongly."""
        unreadable = [name for name in view.features if name not in readable]
        self._baseline.faults[UNREADABLE] += len(unreadable) * rows.num_rows
        if self._faults.keeps_ttl(view):
            return source_columns(self._store, view, rows, unreadable) if unreadable else {}
        columns = source_columns(self._store, view, rows, view.features)
        wrong = np.zeros(rows.num_rows, dtype=bool)
        for name in readable:
            wrong |= _present(found[view.column(name)]) != _present(columns[view.column(name)])
        self._baseline.faults[TTL_NOT_KEPT] += int(wrong.sum())
        return columns

    def _requested(self, wanted: dict[str, list[str]]) -> list[str] | FeatureService:
        return requested(self._service, self._views, wanted)

    def _retrieve(
        self, requested: list[str] | FeatureService, entities: pd.DataFrame, *, again: bool = False
    ) -> pa.Table:
        try:
            return self._once(requested, entities.copy())
        except Exception as error:
            # Another thread may have lifted it meanwhile; with all the memory there is, a second failure is final.
            if not again and lift_duckdbs_limit(self._store, error):
                return self._retrieve(requested, entities, again=True)
            text = " ".join(str(error).split())
            msg = f"the offline store could not give the training baseline: {type(error).__name__}: {text}"
            raise AuditError(msg) from error

    def _once(self, requested: list[str] | FeatureService, entities: pd.DataFrame) -> pa.Table:
        # A fresh frame for each retrieval: some stores change the one they are given.
        job = self._store.get_historical_features(entity_df=entities, features=requested, full_feature_names=True)
        with let_go(getattr(job, "table", None)):
            return job.to_arrow()


def requested(
    service: FeatureService, views: Sequence[ViewPlan], wanted: dict[str, list[str]] | None = None
) -> list[str] | FeatureService:
    """Give what to ask Feast for: references where they say all (to all stored features, unless some are `wanted`).

    The service itself where views are aliased or their keys renamed.
    """
    if not _plain(views):
        return service
    if wanted is None:
        wanted = {view.alias: list(view.features) for view in views if not view.on_demand}
    return [f"{alias}:{name}" for alias, names in wanted.items() for name in names]


def _plain(views: Sequence[ViewPlan]) -> bool:
    return all(
        view.alias == view.view.name and all(ours == theirs for theirs, ours in view.join_keys.items())
        for view in views
    )


def require_keys(keys: Sequence[str], columns: Sequence[str]) -> None:
    """Raise AuditError where the log's columns lack one of the service's join keys."""
    missing = [name for name in keys if name not in columns]
    if missing:
        msg = (
            f"the log has no column {missing[0]!r}, a join key of the service as it is registered now: "
            "audit a window after the change"
        )
        raise AuditError(msg)


def _entity_frame(rows: pa.Table, views: Sequence[ViewPlan]) -> pd.DataFrame:
    keys = key_columns(views)
    request = sorted({name for view in views if view.on_demand for name in view.view.get_request_data_schema()})
    require_keys(keys, rows.column_names)
    columns = {name: rows[name] for name in (*keys, *(name for name in request if name in rows.column_names))}
    columns[EVENT_TIMESTAMP] = rows[LOG_TIMESTAMP]
    columns[ROW_ID] = pa.array(range(rows.num_rows), type=pa.int64())
    frame: pd.DataFrame = pa.table(columns).to_pandas(integer_object_nulls=True)
    return frame


def key_columns(views: Sequence[ViewPlan]) -> list[str]:
    """Give the log's columns of the views' join keys."""
    return sorted({key for view in views for key in view.join_keys.values()})


def _present(column: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(pc.is_valid(column))


def _joined(parts: Iterable[Any]) -> pa.ChunkedArray:
    arrays = list(parts)
    if len({array.type for array in arrays}) > 1:
        # A chunk whose column is all null comes back with another type than its neighbours.
        schemas = [pa.schema([("values", array.type)]) for array in arrays]
        common = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        arrays = [array.cast(common) for array in arrays]
    return pa.chunked_array(arrays)


def any_present(columns: Iterable[pa.ChunkedArray]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say for each row whether any of the columns has a value."""
    present: Any = None
    for column in columns:
        here = pc.is_valid(column).combine_chunks().to_numpy(zero_copy_only=False)
        present = here if present is None else present | here
    return present if present is not None else np.zeros(0, dtype=bool)
