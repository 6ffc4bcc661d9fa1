"""The model's score on labels that have come in: whether it fell. From what `ServingLogger` has logged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.leakage.discrimination import auc, auc_interval
from skew_ext.log.reading import read_log
from skew_ext.schema import LABEL, LOG_TIMESTAMP, PREDICTION, REQUEST_ID
from skew_ext.statistics import wilson

if TYPE_CHECKING:
    from datetime import datetime

    from feast import FeatureStore

RECENT, BEFORE = timedelta(days=1), timedelta(days=7)
ENOUGH = 50
"""So many labelled predictions at least, recent and before, of each class."""
_LABEL, _PREDICTION, _SCORE = "model__label", "model__prediction", "model__score"


@dataclass(frozen=True)
class ScoreChange:
    """The score of predictions of the last day, and of the week before it, each with its 95 % interval."""

    measure: str
    recent: float
    before: float
    fell: bool

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.measure} {self.recent:.3f} in the last day, {self.before:.3f} in the week before"


def score_change(store: FeatureStore, now: datetime) -> ScoreChange | None:
    """Set the score of recent labelled predictions against that of earlier ones; None where too few have labels.

    It is the AUC of scores against labels of two classes, else the share of predictions that are the label. It fell
    where the two intervals do not touch.
    """
    start = now - RECENT - BEFORE
    predictions, labels = (read_log(store, service, start, now, records=True) for service in (PREDICTION, LABEL))
    if _LABEL not in labels.column_names or _PREDICTION not in predictions.column_names:
        return None
    keep = [name for name in (REQUEST_ID, LOG_TIMESTAMP, _PREDICTION, _SCORE) if name in predictions.column_names]
    # The last label of a request is the one that counts, and its last prediction.
    joined = _last(predictions.select(keep)).join(
        _last(labels.select([REQUEST_ID, LOG_TIMESTAMP, _LABEL])).drop_columns([LOG_TIMESTAMP]),
        REQUEST_ID,
        join_type="inner",
    )
    recent = pc.greater_equal(joined[LOG_TIMESTAMP], pa.scalar(now - RECENT, joined[LOG_TIMESTAMP].type))
    parts = joined.filter(recent), joined.filter(pc.invert(recent))
    for measure, of in (("AUC", _auc), ("accuracy", _accuracy)):
        found = [of(part) for part in parts]
        if found[0] is not None and found[1] is not None:
            (now_value, _, high), (then_value, low, _) = found[0], found[1]
            return ScoreChange(measure, now_value, then_value, fell=high < low)
    return None


_Interval = tuple[float, float, float]


def _last(table: pa.Table) -> pa.Table:
    requests = table[REQUEST_ID].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    last = np.full(int(requests.max(initial=-1)) + 1, -1)
    last[requests] = np.arange(len(requests))
    return table.take(pa.array(last))


def _auc(rows: pa.Table) -> _Interval | None:
    if _SCORE not in rows.column_names:
        return None
    positive, scores = _classes(rows[_LABEL]), _numbers(rows[_SCORE])
    if positive is None or scores is None:
        return None
    known = ~np.isnan(scores) & (positive >= 0)
    scores, members = scores[known], positive[known] > 0
    there, not_there = int(members.sum()), int((~members).sum())
    if min(there, not_there) < ENOUGH:
        return None
    value = auc(scores, members)
    return (value, *auc_interval(value, there, not_there))


def _classes(labels: pa.ChunkedArray) -> npt.NDArray[np.int64] | None:
    """Give labels of two classes as 0 and 1, null as -1; None for other labels."""
    if not (pa.types.is_boolean(labels.type) or pa.types.is_integer(labels.type) or pa.types.is_floating(labels.type)):
        return None
    numbers = _numbers(labels.cast(pa.int8()) if pa.types.is_boolean(labels.type) else labels)
    if numbers is None or not set(np.unique(numbers[~np.isnan(numbers)]).tolist()) <= {0.0, 1.0}:
        return None
    return np.where(np.isnan(numbers), -1, numbers).astype(np.int64)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64] | None:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _accuracy(rows: pa.Table) -> _Interval | None:
    labels, predictions = rows[_LABEL], rows[_PREDICTION]
    if not labels.type.equals(predictions.type) or pa.types.is_floating(labels.type) or pa.types.is_nested(labels.type):
        return None
    same: Any = pc.equal(labels, predictions).drop_null()
    right = int(pc.sum(same).as_py() or 0)
    if len(same) < 2 * ENOUGH:
        return None
    low, high = wilson(right, len(same))
    return right / len(same), low, high
