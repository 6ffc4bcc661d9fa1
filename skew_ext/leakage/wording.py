"""Findings about cells, in words, with their rows, the share, examples and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from skew_ext.audit.findings import LATE_WARN_RATE
from skew_ext.clock import duration_text
from skew_ext.leakage.codes import REMEDIES
from skew_ext.leakage.report import EXAMPLES, LeakageFinding
from skew_ext.statistics import wilson

if TYPE_CHECKING:
    import pyarrow as pa

    from skew_ext.baseline.evidence import SourceRows
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.leakage.discrimination import Integers, Mask
    from skew_ext.leakage.features import Wanted
    from skew_ext.leakage.frame import TrainingFrame
    from skew_ext.model import Severity

UNEXPLAINED_WARN_RATE = 0.01
MOSTLY = 0.5
"""The share of rows from which a view is as good as never known in time."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Worded:
    """Words findings about one view's cells. `rows` are the places in the frame of the rows that were checked."""

    frame: TrainingFrame
    wanted: Wanted
    view: ViewPlan
    rows: Integers

    @property
    def at(self) -> Integers:
        """The rows' times, in microseconds since 1970."""
        assert self.frame.at is not None  # noqa: S101 - without times no cell is checked
        return self.frame.at[self.rows]

    def column(self, name: str) -> str:
        """Give the frame's column of a feature."""
        return self.wanted.columns[self.view.column(name)]

    def without_time(
        self, found: Mask, source: SourceRows, positions: Integers, expected: dict[str, pa.Array]
    ) -> LeakageFinding:
        """Tell of rows that have the latest values there are."""
        message = f"{self._of(found)} have the latest values of their key, not those of their time: joined without time"
        examples = self._cells(found, expected, self._sourced(source, positions))
        return self._finding("joined_without_time", "fail", found, message, examples, list(expected))

    def known_later(
        self, found: Mask, source: SourceRows, positions: Integers, names: list[str], *, backfilled: bool
    ) -> LeakageFinding:
        """Tell of rows with values that only a row created after their time gives."""
        evidence = self._sourced(source, positions)
        examples = self._cells(found, {}, evidence)
        if backfilled:
            message = f"{self._of(found)} have values of source rows that were created later, in bulk: a backfill"
            return self._finding("created_is_backfill", "info", found, message, examples, names)
        assert source.created is not None  # noqa: S101 - without it nothing is known later
        waits = source.created[positions[found]] - self.at[found]
        wait = duration_text(float(np.median(waits)) / 1e6)
        message = (
            f"{self._of(found)} have values that only a source row created after their time gives "
            f"({wait} after, by the median): serving could not have known them"
        )
        share = found.mean()
        severity: Severity = "fail" if share > MOSTLY else "warn" if share > LATE_WARN_RATE else "info"
        return self._finding("known_later", severity, found, message, examples, names)

    def shifted(self, found: Mask, by: int, expected: dict[str, pa.Array]) -> LeakageFinding:
        """Tell of rows with the values of a constant while before or after their time."""
        hours = duration_text(abs(by) / 1e6)
        side = "later" if by > 0 else "earlier"
        severity: Severity = "fail" if by > 0 else "warn"
        zone = " The times have no zone: are they local, and not UTC?" if self.frame.naive else ""
        message = f"{self._of(found)} have the values of {hours} {side} than their time.{zone}"
        return self._finding(
            "timestamp_shift", severity, found, message, self._cells(found, expected, {}), list(expected)
        )

    def future(
        self, found: Mask, source: SourceRows, positions: Integers, expected: dict[str, pa.Array]
    ) -> LeakageFinding:
        """Tell of rows with values that stand only in a source row from after their time."""
        evidence = self._sourced(source, positions)
        message = f"{self._of(found)} have values that stand only in source rows from after their time"
        examples = self._cells(found, expected, evidence)
        return self._finding("future_value", "fail", found, message, examples, list(expected))

    def unexplained(self, name: str, found: Mask, expected: pa.Array) -> LeakageFinding:
        """Tell of cells that differ, and that no source row has."""
        severity: Severity = "warn" if found.mean() >= UNEXPLAINED_WARN_RATE else "info"
        message = f"{self._of(found)} are not the point-in-time value, and no source row has them"
        examples = self._cells(found, {name: expected}, {})
        return self._finding("not_point_in_time", severity, found, message, examples, [name])

    def not_transformed(self, name: str, found: Mask, expected: pa.Array) -> LeakageFinding:
        """Tell of outputs of an on-demand view that are not what its transform gives."""
        severity: Severity = "warn" if found.mean() >= UNEXPLAINED_WARN_RATE else "info"
        message = f"{self._of(found)} are not what the registered transform gives from the row's own inputs"
        examples = self._cells(found, {name: expected}, {})
        return self._finding("not_transformed", severity, found, message, examples, [name])

    def _of(self, found: Mask) -> str:
        return f"{int(found.sum()):,} of {len(found):,} rows ({found.mean():.2%})"

    def _finding(  # noqa: PLR0913 - the parts of a finding
        self,
        code: str,
        severity: Severity,
        found: Mask,
        message: str,
        examples: list[dict[str, Any]],
        names: list[str],
    ) -> LeakageFinding:
        full = [self.view.column(name) for name in names]
        columns = tuple(self.wanted.columns[name] for name in full if name in self.wanted.columns)
        rows = int(found.sum())
        return LeakageFinding(
            code=code,
            severity=severity,
            feature=columns[0] if len(columns) == 1 else self.view.alias,
            cause=None,
            message=message,
            remedy=REMEDIES[code],
            features=columns,
            rows=rows,
            checked=len(found),
            share=rows / len(found),
            ci95=wilson(rows, len(found)),
            examples=examples,
        )

    def _sourced(self, source: SourceRows, positions: Integers) -> dict[str, Integers]:
        times = {"source_event": source.events}
        if source.created is not None:
            times["source_created"] = source.created
        return {name: values[positions] if len(values) else positions for name, values in times.items()}

    def _cells(self, found: Mask, expected: dict[str, pa.Array], evidence: dict[str, Integers]) -> list[dict[str, Any]]:
        places = np.flatnonzero(found)
        chosen = places[np.unique(np.linspace(0, len(places) - 1, min(EXAMPLES, len(places))).astype(int))]
        return [self._example(int(place), expected, evidence) for place in chosen]

    def _example(self, place: int, expected: dict[str, pa.Array], evidence: dict[str, Integers]) -> dict[str, Any]:
        row = int(self.rows[place])
        names = [*self.view.join_keys.values(), str(self.frame.timestamp)]
        columns = [self.wanted.columns.get(self.view.column(name)) for name in self.view.features]
        shown = dict.fromkeys([*names, *(name for name in columns if name is not None)])
        return {
            "row": row,
            **{name: self.frame.columns[name][row].as_py() for name in shown},
            **{name: _EPOCH + timedelta(microseconds=int(values[place])) for name, values in evidence.items()},
            **{f"{self.column(name)} at its time": values[place].as_py() for name, values in expected.items()},
        }
