"""Feast's `get_historical_features` for the logged keys at the logged times: what a training job would get.

Every logged row carries a row id of ours through the retrieval, so that rows which a store drops, repeats or reorders
are noticed, said, and put right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.errors import AuditError
from skew_ext.schema import LOG_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from feast import FeatureService, FeatureStore

    from skew_ext.baseline.plan import ViewPlan

ROW_ID = "skew_row_id"
CHUNK_ROWS = 250_000
"""Entity rows per retrieval: stores hold the whole entity frame in memory, some of them more than once."""


@dataclass
class Baseline:
    """The baseline's columns, aligned with the log's rows, and what the store did to the rows on the way."""

    columns: dict[str, pa.ChunkedArray]
    lost_rows: int = 0
    repeated_rows: int = 0
    not_comparable: dict[str, str] = field(default_factory=dict)
    """Features without a baseline, and why."""

    def add(self, other: Baseline) -> None:
        """Add up what the store did to other rows of the same window; their columns stay where they are."""
        self.lost_rows += other.lost_rows
        self.repeated_rows += other.repeated_rows
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
    chunks: dict[str, list[pa.Array]] = {view.column(name): [] for view in stored for name in view.features}
    if not chunks:
        return baseline
    for start in range(0, log.num_rows, CHUNK_ROWS):
        rows = log.slice(start, CHUNK_ROWS)
        retrieved = _retrieve(store, _requested(service, views), _entity_frame(rows, views))
        positions = _positions(retrieved, rows.num_rows, baseline)
        for column, parts in chunks.items():
            parts.extend(retrieved[column].take(positions).chunks)
    baseline.columns = {column: _joined(parts) for column, parts in chunks.items()}
    return baseline


def _requested(service: FeatureService, views: Sequence[ViewPlan]) -> list[str] | FeatureService:
    """Give references where they say all; the service itself where views are aliased or their keys renamed."""
    plain = all(
        view.alias == view.view.name and all(ours == theirs for theirs, ours in view.join_keys.items())
        for view in views
    )
    if not plain:
        return service
    return [f"{view.alias}:{name}" for view in views if not view.on_demand for name in view.features]


def _entity_frame(rows: pa.Table, views: Sequence[ViewPlan]) -> pd.DataFrame:
    keys = sorted({key for view in views for key in view.join_keys.values()})
    request = sorted({name for view in views if view.on_demand for name in view.view.get_request_data_schema()})
    missing = [name for name in keys if name not in rows.column_names]
    if missing:
        msg = (
            f"the log has no column {missing[0]!r}, a join key of the service as it is registered now: "
            "audit a window after the change"
        )
        raise AuditError(msg)
    columns = {name: rows[name] for name in (*keys, *(name for name in request if name in rows.column_names))}
    columns["event_timestamp"] = rows[LOG_TIMESTAMP]
    columns[ROW_ID] = pa.array(range(rows.num_rows), type=pa.int64())
    # A fresh frame for each retrieval: some stores change the one they are given.
    frame: pd.DataFrame = pa.table(columns).to_pandas(integer_object_nulls=True)
    return frame


def _retrieve(store: FeatureStore, requested: list[str] | FeatureService, entities: pd.DataFrame) -> pa.Table:
    try:
        job = store.get_historical_features(entity_df=entities, features=requested, full_feature_names=True)
        return job.to_arrow()
    except Exception as error:
        text = " ".join(str(error).split())
        msg = f"the offline store could not give the training baseline: {type(error).__name__}: {text}"
        raise AuditError(msg) from error


def _positions(retrieved: pa.Table, rows: int, baseline: Baseline) -> pa.Array:
    """Where each logged row's baseline stands in what came back; null where the store dropped the row."""
    identifiers = retrieved[ROW_ID].combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
    positions = np.full(rows, -1, dtype=np.int64)
    positions[identifiers[::-1]] = np.arange(len(identifiers) - 1, -1, -1)
    baseline.lost_rows += int((positions < 0).sum())
    baseline.repeated_rows += len(identifiers) - int((positions >= 0).sum())
    return pa.array(positions, mask=positions < 0)


def _joined(parts: Iterable[Any]) -> pa.ChunkedArray:
    arrays = list(parts)
    if len({array.type for array in arrays}) > 1:
        # A chunk whose column is all null comes back with another type than its neighbours.
        schemas = [pa.schema([("values", array.type)]) for array in arrays]
        common = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        arrays = [array.cast(common) for array in arrays]
    return pa.chunked_array(arrays)


def recompute_on_demand(view: ViewPlan, views: Sequence[ViewPlan], log: pa.Table, baseline: Baseline) -> None:
    """Add the baseline of an on-demand view: its registered transform over the inputs *as they were logged*.

    So a stale input is not blamed on the transform. Where an input was not logged, the outputs cannot be compared,
    and `baseline.not_comparable` says so.
    """
    inputs, missing = _inputs(view, views, log)
    if missing:
        reason = f"its input {missing[0]} is not in the log: add it to the feature service"
        baseline.not_comparable.update({view.column(name): reason for name in view.features})
        return
    try:
        outputs = view.view.transform_arrow(pa.table(inputs))
        columns = {view.column(name): _as_chunked(outputs[name]) for name in view.features}
    except Exception as error:  # noqa: BLE001 - a transform is users' code and may raise anything
        reason = f"its transform fails on the logged inputs: {type(error).__name__}: {' '.join(str(error).split())}"
        baseline.not_comparable.update({view.column(name): reason for name in view.features})
        return
    baseline.columns.update(columns)


def _inputs(view: ViewPlan, views: Sequence[ViewPlan], log: pa.Table) -> tuple[dict[str, Any], list[str]]:
    inputs: dict[str, Any] = {}
    missing = []
    for name in view.view.get_request_data_schema():
        if name in log.column_names:
            inputs[name] = log[name]
        else:
            missing.append(name)
    aliases = {other.view.name: other.alias for other in views}
    for projection in view.view.source_feature_view_projections.values():
        for feature in projection.features:
            column = f"{aliases.get(projection.name, projection.name)}__{feature.name}"
            if column in log.column_names:
                inputs[feature.name] = log[column]
            else:
                missing.append(column)
    return inputs, missing


def _as_chunked(column: Any) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def any_present(columns: Iterable[pa.ChunkedArray]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say for each row whether any of the columns has a value."""
    present: Any = None
    for column in columns:
        here = pc.is_valid(column).combine_chunks().to_numpy(zero_copy_only=False)
        present = here if present is None else present | here
    return present if present is not None else np.zeros(0, dtype=bool)
