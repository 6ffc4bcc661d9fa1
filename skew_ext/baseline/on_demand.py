"""The baseline of on-demand outputs: the registered transform over the inputs as they were logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skew_ext.frames import listed
from skew_ext.model import NotCompared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.baseline.retrieval import Baseline


def recompute_on_demand(view: ViewPlan, views: Sequence[ViewPlan], log: pa.Table, baseline: Baseline) -> None:
    """Add the baseline of an on-demand view: its registered transform over the inputs *as they were logged*.

    So a stale input is not blamed on the transform. Where an input was not logged, the outputs cannot be compared,
    and `baseline.not_comparable` says so.
    """
    inputs, missing = _inputs(view, views, log)
    if missing:
        why = f"its inputs are not in the log: {listed(missing)}"
        _give_up(view, baseline, NotCompared(why, "add the inputs to the feature service, so that they are logged too"))
        return
    try:
        outputs = view.view.transform_arrow(pa.table(inputs))
        columns = {view.column(name): _as_chunked(outputs[name]) for name in view.features}
    except Exception as error:  # noqa: BLE001 - a transform is users' code and may raise anything
        why = f"its transform fails on the logged inputs: {type(error).__name__}: {' '.join(str(error).split())}"
        remedy = "run the registered transform on what `read_log` gives; if it fails there, it fails in training"
        _give_up(view, baseline, NotCompared(why, remedy))
        return
    baseline.columns.update(columns)


def _give_up(view: ViewPlan, baseline: Baseline, reason: NotCompared) -> None:
    baseline.not_comparable.update({view.column(name): reason for name in view.features})


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
