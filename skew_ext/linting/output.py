"""Findings as people and as GitHub read them, after ruff's example. Names are data: they move no cursor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from skew_ext.linting.report import LintFinding, LintReport, relative
from skew_ext.model import Severity
from skew_ext.text import visible

FORMATS: Final = ("full", "concise", "github")
_COLOURS: Final[dict[Severity, str]] = {"fail": "red", "warn": "yellow", "info": "cyan"}
_COMMANDS: Final[dict[Severity, str]] = {"fail": "error", "warn": "warning", "info": "notice"}


def lines(report: LintReport, output_format: str, base: Path) -> Iterator[str]:
    """Give a report's lines in one of `FORMATS`; paths count from `base`, where they lie in it."""
    if output_format == "github":
        yield from (_annotation(finding, base) for finding in report.findings)
        return
    for finding in report.findings:
        yield _line(finding, report, base)
        if output_format == "full":
            yield f"    {click.style('help:', fg='cyan')} {_flat(finding.remedy)}"
    for note in report.notes:
        yield click.style(f"note: {_flat(note)}", dim=True)
    yield summary(report)


def summary(report: LintReport) -> str:
    """Say how many findings there are, in one line."""
    checked = f"{report.checked:,} objects of project {visible(report.project)}, from its {_ORIGINS[report.origin]}"
    hidden = f"; {report.ignored:,} ignored" if report.ignored else ""
    if not report.findings:
        return f"No findings in {checked}{hidden}."
    counts = ", ".join(f"{report.count(s):,} {s}" for s in ("fail", "warn", "info") if report.count(s))
    code = next(finding.code for finding in report.findings if finding.severity == report.worst)
    return f"{counts} in {checked}{hidden}. `skew explain {code}` says why and what to do."


_ORIGINS: Final = {"files": "Python files", "registry": "registry"}


def _line(finding: LintFinding, report: LintReport, base: Path) -> str:
    place = report.origin if finding.place is None else f"{relative(finding.place.path, base)}:{finding.place.line}"
    code = click.style(finding.code, fg=_COLOURS[finding.severity], bold=True)
    return f"{_flat(place)}: {code} [{finding.severity}] {_flat(finding.subject)}: {_flat(finding.message)}"


def _flat(text: str) -> str:
    return visible(text).replace("\n", " ")


def _annotation(finding: LintFinding, base: Path) -> str:
    title = f"{finding.code} ({finding.rule})"
    properties = {"title": title}
    if finding.place is not None:
        properties = {"file": relative(finding.place.path, base), "line": str(finding.place.line), **properties}
    written = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    message = _escaped(f"{finding.subject}: {finding.message}. Help: {finding.remedy}")
    return f"::{_COMMANDS[finding.severity]} {written}::{message}"


def _escaped(text: str, more: str = "") -> str:
    """Escape as GitHub's workflow commands have it: a value cannot begin a command of its own."""
    for char in ("%", "\r", "\n", *more):
        text = text.replace(char, f"%{ord(char):02X}")
    return visible(text)
