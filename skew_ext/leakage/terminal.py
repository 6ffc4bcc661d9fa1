"""A check for leakage on a terminal: the verdict in a line, and a block for each finding with its rows and remedy."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from skew_ext.report import words
from skew_ext.report.terminal import STYLES, WIDEST
from skew_ext.text import harmless, visible

if TYPE_CHECKING:
    from skew_ext.leakage.report import LeakageFinding, LeakageReport

SHOWN = 2
"""Examples shown of each finding; --json has them all."""
MOST_COLUMNS = 6
INDENT = 6


def render(report: LeakageReport, console: Console) -> None:
    """Print what was found: colour only where the console has it, in at most 120 columns."""
    width = min(console.width, WIDEST)
    verdict = f"[{STYLES[report.verdict]}]{report.verdict.upper()}[/]  {harmless(_sentence(report))}"
    console.print(verdict, width=width, highlight=False)
    for finding in report.findings:
        _block(finding, console, width)
    if report.notes:
        console.print()
    for note in report.notes:
        console.print(harmless(f"Note: {note}."), width=width, highlight=False)


def _sentence(report: LeakageReport) -> str:
    leaks = sum(finding.severity != "info" for finding in report.findings)
    found = f"{words.plural(leaks, 'finding')} in" if leaks else "no leak found in"
    label = f", label {report.label}" if report.label else ""
    cells = (
        f"; {words.plural(len(report.features), 'feature')} set against the repo's own history"
        if report.checked and report.features
        else "; no feature was set against the repo's own history"
    )
    return f"{found} {words.plural(report.rows, 'row')}{label}{cells}."


def _block(finding: LeakageFinding, console: Console, width: int) -> None:
    named = ", ".join(finding.features[:MOST_COLUMNS]) or (finding.feature or "")
    more = len(finding.features) - MOST_COLUMNS
    said = f"{named} and {more} more" if more > 0 else named
    heading = f"[{STYLES[finding.severity]}]{finding.severity.upper()}[/]  {finding.code}  {harmless(said)}"
    console.print()
    console.print(heading, width=width, highlight=False)
    indent = " " * INDENT
    lines = [(finding.message, ""), *((_example(one), "dim") for one in finding.examples[:SHOWN])]
    for text, style in [*lines, (f"Remedy: {finding.remedy}.", "")]:
        for line in textwrap.wrap(visible(text), width, initial_indent=indent, subsequent_indent=indent):
            console.print(escape(line), width=width, highlight=False, style=style)


def _example(example: dict[str, object]) -> str:
    rest = ", ".join(f"{name} {words.cell(value)}" for name, value in example.items() if name != "row")
    return f"row {example.get('row')}: {rest}"
