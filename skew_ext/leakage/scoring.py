"""How well one column tells the label: by its order, and by its categories or ranges on rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from skew_ext.leakage.columns import Column
from skew_ext.leakage.discrimination import Floats, Integers, Mask, Score, auc, auc_interval, design_effect, r2_interval
from skew_ext.leakage.target import SMALLEST_NUMBER, Target

FOLDS = 5
SEED = 20_260_301
PRIOR_ROWS = 5.0
"""How many rows the mean of all counts for beside a category's own: one row alone must not decide."""
TRIES = 3
"""Ways in which a column is scored: the interval allows for the best of them."""


@dataclass(frozen=True)
class Scored:
    """A column's best score: of a class against the rest (`tested`), or of a number (None).

    `strict` is the interval at a confidence that allows for all the columns and classes looked at (Bonferroni): its
    low end is what claims are made on. `exact` says that the column's order tells the classes apart without error.
    """

    column: Column
    tested: int | None
    score: Score
    strict: float
    exact: bool


class Scorer:
    """Scores columns against one label. `groups` are the entities: rows of one are held out together."""

    def __init__(self, target: Target, groups: Integers, columns: int) -> None:
        self._target = target
        self.folds = folds_of(groups)
        self._groups = groups
        tests = max(columns, 1) * TRIES * max(len(target.tested), 1)
        self._confidence = 1 - 0.05 / tests
        self._effects: dict[int | None, float] = {}

    def score(self, column: Column) -> Scored:
        """Give the best score of a column over the classes that are tested."""
        if self._target.kind == "number":
            return self._number(column)
        return max((self._class(column, tested) for tested in self._target.tested), key=lambda one: one.strict)

    def of_scores(self, scores: Floats, tested: int | None) -> tuple[Score, float]:
        """Give the score of what predicts the class `tested`, or the number, and the low end of the strict one."""
        if tested is None:
            value = _r2(scores, self._numbers())
            return self._interval_of_r2(value, len(scores))
        positive = self._target.codes == tested
        return self._interval_of_auc(auc(scores, positive), positive)

    def _class(self, column: Column, tested: int) -> Scored:
        positive = self._target.codes == tested
        values = [auc(held_out(column.codes, positive.astype(np.float64), self.folds), positive)]
        exact = False
        for filler in (-np.inf, np.inf) if column.numbers is not None else ():
            if filler == np.inf and not column.nulls:
                continue
            ordered = auc(np.where(np.isnan(column.numbers), filler, column.numbers), positive)  # type: ignore[arg-type]
            exact |= ordered in (0.0, 1.0)
            values.append(max(ordered, 1 - ordered))
        score, strict = self._interval_of_auc(max(values), positive)
        return Scored(column, tested, score, strict, exact)

    def _number(self, column: Column) -> Scored:
        numbers = self._numbers()
        values, rows = [_r2(held_out(column.codes, numbers, self.folds), numbers)], len(numbers)
        if column.numbers is not None and (known := np.isfinite(column.numbers)).sum() >= SMALLEST_NUMBER:
            ours, theirs = column.numbers[known], numbers[known]
            values += [_r2(ours, theirs), _r2(stats.rankdata(ours), stats.rankdata(theirs))]
            rows = int(known.sum())
        score, strict = self._interval_of_r2(max(values), rows)
        return Scored(column, None, score, strict, exact=False)

    def _numbers(self) -> Floats:
        assert self._target.numbers is not None  # noqa: S101 - a target that is a number has them
        return self._target.numbers

    def _interval_of_auc(self, value: float, positive: Mask) -> tuple[Score, float]:
        tested = int(self._target.codes[positive][0])
        effect = self._effect(tested, positive.astype(np.float64))
        members, rest = float(positive.sum()) / effect, float((~positive).sum()) / effect
        return (
            Score(value, *auc_interval(value, members, rest)),
            auc_interval(value, members, rest, self._confidence)[0],
        )

    def _interval_of_r2(self, value: float, rows: int) -> tuple[Score, float]:
        effective = rows / self._effect(None, self._numbers())
        return Score(value, *r2_interval(value, effective)), r2_interval(value, effective, self._confidence)[0]

    def _effect(self, tested: int | None, values: Floats) -> float:
        if tested not in self._effects:
            self._effects[tested] = design_effect(values, self._groups)
        return self._effects[tested]


def folds_of(groups: Integers) -> Integers:
    """Deal rows to folds, those of one group to the same; where there are too few groups, each row by itself."""
    random = np.random.default_rng(SEED)
    distinct, codes = np.unique(groups, return_inverse=True)
    if len(distinct) < 2 * FOLDS:
        return random.integers(0, FOLDS, len(groups))
    return np.asarray(random.permutation(len(distinct))[codes] % FOLDS, dtype=np.int64)


def held_out(codes: Integers, values: Floats, folds: Integers) -> Floats:
    """Predict each row's value by the mean of its code over the other folds, drawn towards the mean of all.

    A code that the other folds lack gets the mean of all.
    """
    width = int(codes.max(initial=0)) + 1
    result = np.empty(len(values), dtype=np.float64)
    for fold in range(FOLDS):
        held = folds == fold
        if not held.any():
            continue
        rest = ~held
        prior = float(values[rest].mean()) if rest.any() else 0.0
        totals = np.bincount(codes[rest], weights=values[rest], minlength=width)
        counts = np.bincount(codes[rest], minlength=width)
        means = (totals + PRIOR_ROWS * prior) / (counts + PRIOR_ROWS)
        # Less the prior of its own fold: else the folds' means, which lie opposite to what they leave out, would count.
        result[held] = means[codes[held]] - prior
    return result


def _r2(ours: Floats, theirs: Floats) -> float:
    """Give the squared correlation; 0 where either side is constant."""
    left, right = ours - ours.mean(), theirs - theirs.mean()
    spread = float(np.sqrt((left**2).sum() * (right**2).sum()))
    return float((left * right).sum() / spread) ** 2 if spread > 0 else 0.0
