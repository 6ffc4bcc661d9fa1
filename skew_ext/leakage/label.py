"""What the columns know of the label: findings, each with its figure and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from skew_ext.leakage import linear
from skew_ext.leakage.codes import REMEDIES
from skew_ext.leakage.columns import Column, model_columns, time_column
from skew_ext.leakage.derived import Derived, derived
from skew_ext.leakage.frame import following
from skew_ext.leakage.report import EXAMPLES, LeakageFinding
from skew_ext.leakage.scoring import SEED, Scored, Scorer
from skew_ext.leakage.target import Target, target

if TYPE_CHECKING:
    from skew_ext.leakage.discrimination import Integers, Score
    from skew_ext.leakage.frame import TrainingFrame
    from skew_ext.model import Severity

AUC_LIMIT, AUC_CERTAIN = 0.95, 0.99
R2_LIMIT, R2_CERTAIN = 0.99, 0.999
"""A number's own past often tells it with an R2 over 0.95: it takes more to be suspicious."""
MOST_ROWS, MODEL_ROWS = 250_000, 20_000


@dataclass
class LabelCheck:
    """Findings about the label, and notes on what was not checked."""

    findings: list[LeakageFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_label(frame: TrainingFrame, label: str, keys: Sequence[str], skipped: set[str]) -> LabelCheck:
    """Check every column but the keys, the time and `skipped` against the label."""
    result = LabelCheck()
    found = target(frame.columns[label])
    if isinstance(found, str):
        result.notes.append(f"what the features tell of the label was not checked: {found}")
        return result
    missing = frame.rows - len(found.rows)
    if missing:
        result.notes.append(f"{missing:,} rows without a label were left out of what concerns the label")
    found, note = _bounded(found, frame.entities(keys)[found.rows])
    result.notes.extend(note)
    columns, unchecked = model_columns(frame, {label, frame.timestamp or label, *keys, *skipped}, found.rows)
    if unchecked:
        result.notes.append(
            f"not set against the label (identifiers, or of a type that has no order): {', '.join(unchecked)}"
        )
    entities = frame.entities(keys)[found.rows]
    scorer = Scorer(found, entities, len(columns))
    _Checking(frame, label, found, entities, scorer, result).run(columns)
    return result


def _bounded(found: Target, entities: Integers) -> tuple[Target, list[str]]:
    """Leave out whole entities, drawn by chance, where there are more rows than it takes to be sure."""
    if len(found.rows) <= MOST_ROWS:
        return found, []
    _, codes, sizes = np.unique(entities, return_inverse=True, return_counts=True)
    order = np.random.default_rng(SEED).permutation(len(sizes))
    kept = np.zeros(len(sizes), dtype=bool)
    kept[order[np.cumsum(sizes[order]) <= MOST_ROWS]] = True
    places = np.flatnonzero(kept[codes])
    if not len(places):  # one entity has them all
        places = np.arange(MOST_ROWS)
    return found.at(places), [f"the label was set against {len(places):,} of {len(found.rows):,} rows, whole entities"]


@dataclass
class _Checking:
    frame: TrainingFrame
    label: str
    target: Target
    entities: Integers
    scorer: Scorer
    result: LabelCheck

    def run(self, columns: list[Column]) -> None:
        at = None if self.frame.at is None else self.frame.at[self.target.rows]
        after = np.full(len(self.target.rows), -1) if at is None else following(self.entities, at)
        rest = []
        for column in columns:
            made = derived(column, self.target, after)
            if made is not None and made.kind != "previous":
                self.result.findings.append(self._derived(column, made))
                continue
            if made is not None:
                self.result.notes.append(f"{column.name} {made.how}: right only where that is known by then")
            scored = self.scorer.score(column)
            finding = self._told(scored)
            if finding is None:
                rest.append(column)
            else:
                self.result.findings.append(finding)
        self._by_time(at)
        self._by_model(rest)

    def _derived(self, column: Column, made: Derived) -> LeakageFinding:
        code = {"copy": "label_copy", "function": "label_function"}.get(made.kind, "label_shifted")
        return LeakageFinding(
            code=code,
            severity="fail",
            feature=column.name,
            cause=None,
            message=f"{column.name} {made.how}",
            remedy=REMEDIES[code],
            features=(column.name,),
            rows=len(self.target.rows),
            checked=len(self.target.rows),
            share=1.0,
            examples=self._examples(column),
        )

    def _told(self, scored: Scored) -> LeakageFinding | None:
        limit, certain = self._limits()
        if scored.strict <= limit:
            return None
        name, bound = scored.column.name, self._bound(scored)
        severity: Severity = "fail" if scored.strict > certain else "warn"
        message = f"{name} alone tells {self._what(scored.tested)} with {self._said(scored.score)}{bound}"
        return self._scored("label_predicted", severity, (name,), message, scored.score, self._examples(scored.column))

    def _by_time(self, at: Integers | None) -> None:
        """Set the rows' own time against the classes: where it tells them, so does all that rises with time."""
        column = None if at is None or self.target.kind == "number" else time_column(str(self.frame.timestamp), at)
        if column is None or column.constant:
            return
        scored = self.scorer.score(column)
        if scored.strict <= AUC_LIMIT:
            return
        message = f"{column.name} alone tells {self._what(scored.tested)} with {self._said(scored.score)}"
        finding = self._scored("label_by_time", "warn", (column.name,), message, scored.score, [])
        self.result.findings.append(finding)

    def _by_model(self, columns: list[Column]) -> None:
        if len(columns) < 2:  # noqa: PLR2004 - one column has been looked at by itself
            return
        if not linear.installed():
            self.result.notes.append(
                "whether several features together tell the label was not checked: pip install 'skew-ext[leakage]'"
            )
            return
        chosen = _spread(len(self.target.rows), MODEL_ROWS)
        for tested in self.target.tested or (None,):
            told = self._model(columns, tested, chosen)
            if told is not None:
                self.result.findings.append(told)
                return

    def _model(self, columns: list[Column], tested: int | None, chosen: Integers) -> LeakageFinding | None:
        picked = [column.at(chosen) for column in columns]
        scorer = Scorer(self.target.at(chosen), self.entities[chosen], len(columns))
        values = self.target.numbers if tested is None else self.target.codes == tested
        assert values is not None  # noqa: S101 - a target that is a number has them
        if len(np.unique(values[chosen])) < 2:  # noqa: PLR2004 - the sample may have lost a class
            return None
        told = linear.tell(picked, values[chosen], scorer.folds, classes=tested is not None)
        score, strict = scorer.of_scores(told.scores, tested)
        if strict <= self._limits()[0]:
            return None
        kind = "logistic regression" if tested is not None else "linear regression"
        message = (
            f"a {kind} over {len(columns)} columns tells {self._what(tested)} of held-out rows with "
            f"{self._said(score)}: {', '.join(told.heaviest)} weigh most"
        )
        return self._scored("label_predicted_by_model", "warn", told.heaviest, message, score, [])

    def _scored(  # noqa: PLR0913 - the parts of a finding
        self,
        code: str,
        severity: Severity,
        features: tuple[str, ...],
        message: str,
        score: Score,
        examples: list[dict[str, object]],
    ) -> LeakageFinding:
        return LeakageFinding(
            code=code,
            severity=severity,
            feature=features[0] if len(features) == 1 else None,
            cause=None,
            message=message,
            remedy=REMEDIES[code],
            features=features,
            checked=len(self.target.rows),
            score=score.value,
            score_ci95=(score.low, score.high),
            examples=examples,
        )

    def _limits(self) -> tuple[float, float]:
        return (R2_LIMIT, R2_CERTAIN) if self.target.kind == "number" else (AUC_LIMIT, AUC_CERTAIN)

    def _what(self, tested: int | None) -> str:
        if tested is None:
            return f"{self.label} (a number, so by R2)"
        name = self.target.names[tested]
        return self.label if len(self.target.names) == 2 else f"{self.label} = {name!r} from the rest"  # noqa: PLR2004

    def _said(self, score: Score) -> str:
        measure = "an R2" if self.target.kind == "number" else "an AUC"
        return f"{measure} of {score.value:.3f} (95% interval {score.low:.3f} to {score.high:.3f})"

    def _bound(self, scored: Scored) -> str:
        """Say from which value on a column decides between two classes, where it makes no error."""
        numbers = scored.column.numbers
        if not scored.exact or numbers is None or scored.tested is None or scored.column.nulls:
            return ", without an error" if scored.exact else ""
        positive = self.target.codes == scored.tested
        name = f"{self.label} is {self.target.names[scored.tested]!r}"
        low, high = float(numbers[positive].min()), float(numbers[positive].max())
        above = low > float(numbers[~positive].max())
        return f", without an error: {name} from {low:g} up" if above else f", without an error: {name} up to {high:g}"

    def _examples(self, column: Column) -> list[dict[str, object]]:
        rows = self.target.rows[_spread(len(self.target.rows), EXAMPLES)]
        names = [name for name in (self.frame.timestamp, column.name, self.label) if name is not None]
        return [
            {"row": int(row), **{name: self.frame.columns[name][int(row)].as_py() for name in names}} for row in rows
        ]


def _spread(rows: int, most: int) -> Integers:
    """Give at most so many places, spread evenly over the rows."""
    if rows <= most:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, most).astype(np.int64))
