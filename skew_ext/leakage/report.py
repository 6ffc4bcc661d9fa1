"""What a check for leakage returns."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skew_ext.model import Cell, Finding, Verdict
from skew_ext.report.as_json import encoded

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
EXAMPLES = 5


@dataclass(frozen=True)
class LeakageFinding(Finding):
    """One leak, or a hint of one.

    `feature` is the column, or the view whose columns it concerns; `features` are all the columns. `rows` of the
    `checked` rows are concerned, which is the share `share` with the Wilson interval `ci95`; where it is not about
    rows they are 0 and None. `examples` are at most five of the rows, by their number from 0 in the frame, with key,
    time and values. `score` is the AUC or R2 where one was measured, with its interval `score_ci95`.
    """

    features: tuple[str, ...] = ()
    rows: int = 0
    checked: int = 0
    share: float | None = None
    ci95: tuple[float, float] | None = None
    score: float | None = None
    score_ci95: tuple[float, float] | None = None
    examples: list[dict[str, Cell]] = field(default_factory=list)


@dataclass(frozen=True)
class LeakageReport:
    """Everything one check found.

    `rows` are those of the frame, `checked` those whose cells were held against their point-in-time values;
    `features` maps each column that was to its `view__feature`. `notes` say what was not checked, and why.
    """

    project: str
    rows: int
    checked: int
    label: str | None
    timestamp: str | None
    features: dict[str, str]
    verdict: Verdict
    findings: list[LeakageFinding]
    notes: list[str]
    created_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Give the report under the keys of schema 1, as JSON can hold it."""
        document: dict[str, Any] = encoded(
            {"schema": SCHEMA, **{one.name: getattr(self, one.name) for one in fields(self)}}
        )
        return document

    def to_json(self) -> str:
        """Give the report as one JSON document."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=2)

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Give the `findings`, and their `examples`, as pandas frames."""
        import pandas as pd  # noqa: PLC0415 - only here

        names = [one.name for one in fields(LeakageFinding) if one.name != "examples"]
        rows = [{name: value for name, value in asdict(one).items() if name in names} for one in self.findings]
        examples = [{"code": one.code, "feature": one.feature, **row} for one in self.findings for row in one.examples]
        return {"findings": pd.DataFrame(rows, columns=pd.Index(names)), "examples": pd.DataFrame(examples)}
