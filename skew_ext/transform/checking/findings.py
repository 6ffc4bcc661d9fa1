"""What a check of shared transforms finds, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

CODES: Final[Mapping[str, str]] = {
    "clock": "reads a clock; take the time as an input",
    "random": "draws random numbers; take them, or a seed, as an input",
    "environment": "asks the machine or the environment; take it as an input or a parameter",
    "io": "does input or output; do it in the pipeline, outside the transform",
    "hash_seed": "depends on the process (its hash seed, its addresses); use hashlib, or the value itself",
    "mutable_global": "changes what outlives the call; keep no state between calls",
    "dynamic": "runs code that its fingerprint cannot follow; call it by its name",
    "input_mutation": "writes into its inputs; write into a copy",
    "not_repeatable": "gives another result for the same input",
    "batch_dependence": "a row's result depends on the other rows of its batch; compute each row from itself",
    "order_dependence": "results depend on the order of the rows; compute each row from itself",
    "path_mismatch": "gives another result in one container than by the row",
    "feast_offline": "gives another result in Feast's historical retrieval",
    "feast_online": "gives another result in Feast's online retrieval",
    "error": "fails on a value of its declared types, as a lookup with that value would",
    "not_importable": "cannot run in Feast: no other process finds it by its name",
}
"""Each code of a finding, with what it says and the remedy."""


@dataclass(frozen=True)
class Finding:
    """One fault of one transform: its code, where it is in the source, and the smallest input that shows it."""

    code: str
    detail: str
    where: str = ""
    example: tuple[Mapping[str, Any], ...] = ()

    @property
    def message(self) -> str:
        """The finding in one line."""
        place = f" (in {self.where})" if self.where else ""
        return f"{CODES[self.code]}: {self.detail}{place}"

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it; values as Python writes them, since JSON has no infinity and no bytes."""
        rows = [{name: repr(value) for name, value in row.items()} for row in self.example]
        return {"code": self.code, "message": self.message, "where": self.where, "example": rows}


@dataclass
class Checked:
    """One transform, checked: what was tried, and what was found."""

    transform: str
    fingerprint: str
    rows: int = 0
    paths: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return {
            "transform": self.transform,
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "paths": self.paths,
            "verdict": "fail" if self.findings else "pass",
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": self.notes,
        }


class FoundError(Exception):
    """Carries a finding out of a search, which goes on to a smaller example of it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding
