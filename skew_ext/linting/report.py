"""What lint returns: plain data, and its JSON form."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skew_ext.linting.model import Origin, Place
from skew_ext.linting.rule import SEVERITIES
from skew_ext.model import Severity


@dataclass(frozen=True)
class LintFinding:
    """One rule broken at one object. `place` is None where the file and line are not known, as in a registry."""

    code: str
    rule: str
    severity: Severity
    kind: str
    name: str
    feature: str | None
    message: str
    remedy: str
    place: Place | None = None

    @property
    def subject(self) -> str:
        """The object, and the feature if it is one: `feature view stats, feature rating`."""
        return f"{self.kind} {self.name}" + (f", feature {self.feature}" if self.feature else "")


@dataclass(frozen=True)
class LintReport:
    """What the rules found, in the order of places; `checked` counts objects, `ignored` what tags and patterns hid."""

    project: str
    origin: Origin
    root: Path
    findings: list[LintFinding] = field(default_factory=list)
    checked: int = 0
    ignored: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding; None where there is none."""
        return max((finding.severity for finding in self.findings), key=SEVERITIES.index, default=None)

    def at_least(self, severity: Severity) -> bool:
        """Whether a finding is as bad as `severity`, or worse."""
        return self.worst is not None and SEVERITIES.index(self.worst) >= SEVERITIES.index(severity)

    def count(self, severity: Severity) -> int:
        """Give the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_json(self) -> str:
        """Give the report as JSON; a finding's `file` counts from the repo."""
        return json.dumps(self.as_dict(), indent=1)

    def as_dict(self) -> dict[str, Any]:
        """Give what `to_json` writes."""
        return {
            "schema": 1,
            "project": self.project,
            "origin": self.origin,
            "checked": self.checked,
            "ignored": self.ignored,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "findings": [self._finding(finding) for finding in self.findings],
            "notes": self.notes,
        }

    def _finding(self, finding: LintFinding) -> dict[str, Any]:
        path = None if finding.place is None else relative(finding.place.path, self.root)
        return {
            "code": finding.code,
            "rule": finding.rule,
            "severity": finding.severity,
            "object": {"kind": finding.kind, "name": finding.name},
            "feature": finding.feature,
            "file": path,
            "line": None if finding.place is None else finding.place.line,
            "message": finding.message,
            "remedy": finding.remedy,
        }


def relative(path: Path, root: Path) -> str:
    """Give a path as it counts from `root`, or as it is where it does not lie in it; with forward slashes."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
