"""What a rule is: a code, a check, and the page that explains both with an example that fails and one that passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Final

from skew_ext.linting.model import Check
from skew_ext.model import Severity

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warn", "fail")


@dataclass(frozen=True)
class Example:
    """A small repo: what stands in its Python file and over the usual feature_store.yaml.

    `columns` are the columns of the source `data/stats.parquet` that differ from the usual ones, by Arrow type; None
    takes a column away. `rows` are what its feature columns hold. The tests build each as a real repo.
    """

    python: str
    yaml: str = ""
    columns: Mapping[str, str | None] = field(default_factory=dict)
    rows: Mapping[str, list[object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """One rule. `summary` says in one sentence what it finds; `remedy` is the help line of a finding."""

    code: str
    name: str
    severity: Severity
    summary: str
    reason: str
    remedy: str
    bad: Example
    good: Example
    check: Check


def rule(  # noqa: PLR0913 - a rule has these parts
    code: str, name: str, severity: Severity, *, reason: str, remedy: str, bad: Example, good: Example
) -> Callable[[Check], Rule]:
    """Make a rule of a check; the check's docstring is the summary."""

    def made(check: Check) -> Rule:
        summary = " ".join(cleandoc(check.__doc__ or "").split())
        return Rule(code, name, severity, summary, " ".join(reason.split()), remedy, bad, good, check)

    return made
