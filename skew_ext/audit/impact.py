"""What the differing cells did to a model's decisions: the rows scored as served, and as training would have them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.model import Impact, ScoreChange

if TYPE_CHECKING:
    import pandas as pd

    from skew_ext.audit.parity import Judged

    Scores = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

Model = Callable[["pd.DataFrame"], Any]
"""Gives one score for each row of a frame, whose columns are `view__feature`, and the request data by its names.

Two scores a row, as `predict_proba` of a binary classifier gives, stand for the second.
"""
DEFAULT_THRESHOLD = 0.5


@dataclass
class _Sums:
    rows: int = 0
    flipped: int = 0
    total: float = 0.0
    largest: float = 0.0

    def add(self, before: Scores, after: Scores, threshold: float) -> None:
        change = np.abs(after - before)
        change[np.isnan(after) & np.isnan(before)] = 0.0
        self.rows += len(change)
        # A score that is not a number is no yes.
        self.flipped += int(((after >= threshold) != (before >= threshold)).sum())
        finite = change[np.isfinite(change)]
        self.total += float(finite.sum())
        self.largest = max(self.largest, float(finite.max(initial=0.0)))

    def change(self, what: str, rows: int) -> ScoreChange:
        share, mean = self.flipped / rows if rows else 0.0, self.total / self.rows if self.rows else 0.0
        return ScoreChange(what, self.rows, self.flipped, share, mean, self.largest)


@dataclass
class ImpactCounts:
    """Scores blocks of rows that differ. All other rows score the same on both sides, and are not scored.

    By cause and by feature, only that one's cells are as served and all other cells as training has them: what it
    did by itself. So the parts need not add up to the whole.
    """

    model: Model
    threshold: float = DEFAULT_THRESHOLD
    error: str | None = None
    _overall: _Sums = field(default_factory=_Sums)
    _causes: defaultdict[str, _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    _features: defaultdict[str, _Sums] = field(default_factory=lambda: defaultdict(_Sums))

    def add(self, served: pa.Table, judged: Sequence[Judged]) -> None:
        """Take a block: the model's inputs as served, and the differing cells of each feature."""
        judged = [one for one in judged if len(one.rows)]
        if self.error is not None or not judged:
            return
        try:
            self._score(served, judged)
        except Exception as error:  # noqa: BLE001 - a model is users' code and may raise anything
            self.error = f"the model could not be scored: {type(error).__name__}: {' '.join(str(error).split())}"

    def _score(self, served: pa.Table, judged: Sequence[Judged]) -> None:
        trained = _with(served, [(one, np.arange(len(one.rows))) for one in judged])
        before, after = self._scores(trained), self._scores(served)
        touched = np.unique(np.concatenate([one.rows for one in judged]))
        self._overall.add(before[touched], after[touched], self.threshold)
        for one in judged:
            self._part(self._features[one.feature], served, before, judged, {one.feature: np.ones(len(one.rows), bool)})
        for cause in sorted({cause for one in judged for cause in one.causes}):
            cells = {one.feature: one.causes == cause for one in judged}
            self._part(self._causes[cause], served, before, judged, cells)

    def _part(
        self,
        sums: _Sums,
        served: pa.Table,
        before: Scores,
        judged: Sequence[Judged],
        kept: dict[str, npt.NDArray[np.bool_]],
    ) -> None:
        """Score the rows with a chosen cell, these cells as served and the others as training has them."""
        chosen = {one.feature: kept.get(one.feature, np.zeros(len(one.rows), bool)) for one in judged}
        rows = np.unique(np.concatenate([one.rows[chosen[one.feature]] for one in judged]))
        replaced = [(one, np.flatnonzero(~chosen[one.feature])) for one in judged]
        sums.add(before[rows], self._scores(_with(served, replaced).take(pa.array(rows))), self.threshold)

    def _scores(self, rows: pa.Table) -> Scores:
        if not rows.num_rows:
            return np.zeros(0)
        scores = np.asarray(self.model(rows.to_pandas()), dtype=np.float64)
        if scores.ndim == 2:  # noqa: PLR2004 - a column for each class
            scores = scores[:, -1]
        if scores.shape != (rows.num_rows,):
            msg = f"it gave {scores.shape} scores for {rows.num_rows} rows"
            raise ValueError(msg)
        return scores

    def summary(self, rows: int) -> Impact:
        """Give what was counted; shares are of `rows`, all rows that were audited."""
        if self.error is not None:
            return Impact(self.threshold, rows, _Sums().change("", rows), error=self.error)
        return Impact(
            self.threshold,
            rows,
            self._overall.change("", rows),
            by_cause=_ranked(self._causes, rows),
            by_feature=_ranked(self._features, rows),
        )


def _ranked(sums: dict[str, _Sums], rows: int) -> list[ScoreChange]:
    changes = (one.change(what, rows) for what, one in sums.items())
    return sorted(changes, key=lambda one: (-one.flipped, -one.mean_change, one.what))


def _with(served: pa.Table, cells: Iterable[tuple[Judged, Rows]]) -> pa.Table:
    """Put the baseline's value into some of the differing cells."""
    columns = {name: served[name] for name in served.column_names}
    for judged, places in cells:
        if judged.feature not in columns or not len(places):
            continue
        column = columns[judged.feature].combine_chunks()
        baseline = judged.cells.baseline.take(pa.array(places))
        if not baseline.type.equals(column.type):
            baseline = baseline.cast(column.type, safe=False)
        at = np.arange(len(column))
        at[judged.rows[places]] = len(column) + np.arange(len(places))
        columns[judged.feature] = pa.chunked_array([pa.concat_arrays([column, baseline]).take(pa.array(at))])
    return pa.table(columns)
