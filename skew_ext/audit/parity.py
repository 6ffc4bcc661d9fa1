"""Parity of one feature: how many cells differ, by how much, why, and the examples to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.audit.cells import numbers
from skew_ext.model import Example, FeatureParity, Lag
from skew_ext.schema import LOG_TIMESTAMP, REQUEST_ID, ROW
from skew_ext.statistics import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.audit.causes.cells import DifferingCells
    from skew_ext.audit.cells import Comparison

EXAMPLES_PER_CAUSE = 5
STALE = "stale_online"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Judged:
    """One feature's differing cells with their causes. `rows` are their places in `log`, which has `keys`.

    `constants` says in words the constant of those causes that have one: a factor, a shift.
    """

    feature: str
    log: pa.Table
    keys: Sequence[str]
    rows: npt.NDArray[np.int64]
    cells: DifferingCells
    causes: npt.NDArray[np.object_]
    constants: dict[str, str] = field(default_factory=dict)


def feature_parity(comparison: Comparison, judged: Judged) -> FeatureParity:
    """Sum up one feature: counts, the Wilson interval of the rate, errors, lag of stale cells, examples."""
    compared, mismatched = len(comparison.same), len(judged.rows)
    largest, median = _errors(judged.cells)
    names, counts = np.unique(judged.causes.astype(str), return_counts=True)
    return FeatureParity(
        feature=judged.feature,
        compared=compared,
        mismatched=mismatched,
        rate=mismatched / compared if compared else 0.0,
        ci95=wilson(mismatched, compared),
        within_rounding=int(comparison.rounding.sum()),
        largest_error=largest,
        median_error=median,
        causes=dict(zip(names.tolist(), counts.tolist(), strict=True)),
        lag=stale_lag(judged),
        examples=_examples(judged),
    )


def per_cell(judged: Judged) -> dict[str, Any]:
    """Give the differing cells as columns, a value for each cell: those that `explained_cells` gives."""
    rows, cells = pa.array(judged.rows), judged.cells
    return {
        "request_id": judged.log[REQUEST_ID].take(rows).to_pylist(),
        "row": judged.log[ROW].take(rows).to_pylist(),
        "feature": [judged.feature] * len(cells),
        "cause": judged.causes.tolist(),
        "served_at": [_moment(int(time)) for time in cells.served_at],
        "served_event": [_optional_moment(time) for time in cells.served_event],
        "served": cells.served.to_pylist(),
        "baseline": cells.baseline.to_pylist(),
    }


def stale_lag(judged: Judged) -> Lag | None:
    """Say for how long a newer row had been known and not yet materialized, over the cells that are stale."""
    evidence = judged.cells.evidence
    stale = judged.causes == STALE
    if evidence is None or not stale.any():
        return None
    waited = (judged.cells.served_at - evidence.waiting_since)[stale & (evidence.waiting_since != NO_TIME)]
    return lag_of(waited)


def time_span(times: npt.NDArray[np.int64]) -> tuple[datetime, datetime]:
    """Give the first and the last of times in microseconds; there is at least one."""
    return _moment(int(times.min())), _moment(int(times.max()))


def lag_of(waited: npt.NDArray[np.int64]) -> Lag | None:
    """Sum up durations in microseconds as p50, p95 and maximum in seconds; None without any."""
    if not len(waited):
        return None
    p50, p95 = np.quantile(waited / 1e6, [0.5, 0.95])
    return Lag(p50=float(p50), p95=float(p95), max=float(waited.max() / 1e6))


def _errors(cells: DifferingCells) -> tuple[float | None, float | None]:
    served, baseline = numbers(cells.served), numbers(cells.baseline)
    if served is None or baseline is None:
        return None, None
    errors = np.abs(served - baseline)
    errors = errors[np.isfinite(errors)]
    return (float(errors.max()), float(np.median(errors))) if len(errors) else (None, None)


def _examples(judged: Judged) -> list[Example]:
    chosen: list[int] = []
    for cause in dict.fromkeys(judged.causes.tolist()):
        places = np.flatnonzero(judged.causes == cause)
        # Spread over the window, not its first minutes: an incident shows at both of its ends.
        spread = np.linspace(0, len(places) - 1, min(EXAMPLES_PER_CAUSE, len(places))).astype(int)
        chosen.extend(int(place) for place in places[np.unique(spread)])
    return [_example(judged, place) for place in chosen]


def _example(judged: Judged, place: int) -> Example:
    row, cells = int(judged.rows[place]), judged.cells
    evidence = cells.evidence
    training = -1 if evidence is None else int(evidence.training[place])
    return Example(
        key={key: judged.log[key][row].as_py() for key in judged.keys},
        request_id=str(judged.log[REQUEST_ID][row].as_py()),
        served_at=_moment(int(pc.cast(judged.log[LOG_TIMESTAMP][row], pa.int64()).as_py())),
        served=cells.served[place].as_py(),
        baseline=cells.baseline[place].as_py(),
        served_event=_optional_moment(cells.served_event[place]),
        baseline_event=None if evidence is None or training < 0 else _moment(int(evidence.source.events[training])),
        cause=str(judged.causes[place]),
    )


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _optional_moment(microseconds: Any) -> datetime | None:
    return None if microseconds == NO_TIME else _moment(int(microseconds))
