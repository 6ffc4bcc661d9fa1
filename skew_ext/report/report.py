"""The report of an audit: its data, and the forms it can be read in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from skew_ext.model import AuditReport, Finding
from skew_ext.private_files import make_private
from skew_ext.report import as_json, frames, html, markdown, summary, words
from skew_ext.text import one_line


class Findings(list[Finding]):
    """The findings of a report, a list that a notebook shows as the report's page does."""

    report: AuditReport | None = None

    def _repr_html_(self) -> str | None:
        return None if self.report is None else html.embedded(self.report, findings_alone=True)


@dataclass(frozen=True, repr=False)
class Report(AuditReport):
    """What an audit found: for machines (`to_json`), for people (`to_html`, notebooks), for analysis (`to_frames`)."""

    def __post_init__(self) -> None:
        """Give the findings the form that a notebook shows."""
        findings = Findings(self.findings)
        findings.report = self
        object.__setattr__(self, "findings", findings)

    @classmethod
    def of(cls, audit: AuditReport) -> Report:
        """Give an audit's data the forms of a report."""
        return cls(**{field.name: getattr(audit, field.name) for field in fields(audit)})

    def to_json(self) -> str:
        """Give the report as strict JSON, schema 1: what `skew audit --json` prints.

        NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity"; bytes are `{"base64": "..."}`; times
        are ISO 8601 in UTC with microseconds.
        """
        return as_json.dumps(self)

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one HTML file that needs no other, runs no script and can be mailed; give its path.

        It holds served values: a new file is for its owner alone, and one that is there keeps its mode.
        Up to ten examples of each feature are in it; `to_json` and `to_frames` have all that the audit kept.
        """
        target = Path(path)
        make_private(target)
        # A value may hold a lone surrogate, which UTF-8 cannot: it is written as an escape, not an error.
        target.write_text(html.page(self), encoding="utf-8", errors="backslashreplace")
        return target

    def to_markdown(self) -> str:
        """Give the verdict, the findings and what was fine as GitHub-flavoured Markdown, for a pull request.

        It stays below the 65,536 characters that GitHub takes as a comment; `to_json` has everything.
        """
        return markdown.dumps(self)

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Give the report as data frames by name.

        They are parity, causes, examples, findings, distribution, histograms, ttl, over_time and impact.
        """
        return frames.frames(self)

    def __repr__(self) -> str:
        """Say what was found in a line: the data have many."""
        window = f"{words.moment(self.start)} to {words.moment(self.end)}"
        return one_line(f"<Report of {self.feature_service}, {window}: {self.verdict}. {summary.sentence(self)}>")

    def _repr_html_(self) -> str:
        return html.embedded(self)
