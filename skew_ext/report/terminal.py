"""The report on a terminal: the verdict in a line, what differs in a table, and what was fine in a line."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from skew_ext.clock import duration_text
from skew_ext.model import AuditReport
from skew_ext.report import harm, remarks, summary, words
from skew_ext.report.course import FEWEST
from skew_ext.report.harm import Harm
from skew_ext.text import harmless

STYLES = {"pass": "bold green", "warn": "bold yellow", "fail": "bold red", "info": "bold blue"}
WIDEST = 120
MOST = 25
"""So many findings are told; each takes four lines or so."""
BARS = "·▁▂▃▄▅▆▇█"
"""What stands for a share of cells: the first for none."""


def render(report: AuditReport, console: Console) -> None:
    """Print the report: colour only where the console has it, and everything readable without.

    Parameters
    ----------
    report
        What the audit found.
    console
        Where to print; 80 columns are enough, and no more than 120 are used.
    """
    width = min(console.width, WIDEST)
    verdict = f"[{STYLES[report.verdict]}]{report.verdict.upper()}[/]  {harmless(summary.sentence(report))}"
    console.print(verdict, width=width, highlight=False)
    console.print(f"[dim]{harmless(_scope(report))}[/]", width=width, highlight=False)
    decided = remarks.decisions(report.impact)
    if decided:
        console.print(harmless(f"Decisions: {decided}."), width=width, highlight=False)
    harms = harm.harms(report)
    if harms:
        table = _table(harms[:MOST], plots=not console.options.ascii_only)
        console.print(table, width=width, highlight=False)
    if len(harms) > MOST:
        less = words.plural(len(harms) - MOST, "finding")
        console.print(f"{less} more, none of them graver: --json and --html have them all.", width=width)
    for line in _closing(report):
        console.print(harmless(line), width=width, highlight=False)


def _scope(report: AuditReport) -> str:
    window = f"{words.moment(report.start)} to {words.moment(report.end)}"
    return f"{report.feature_service} ({report.project}), {window}, {words.plural(report.rows, 'row')}"


def _closing(report: AuditReport) -> list[str]:
    told = {"Checked and fine": summary.fine(report), "Not checked": summary.unchecked(report)}
    lines = [f"{name}: {'; '.join(lines)}." for name, lines in told.items() if lines]
    return [*lines, *(f"Note: {note}" for note in report.notes)]


def _table(harms: list[Harm], *, plots: bool) -> Table:
    """Give a row for each finding: its severity, and beside it what differs, how much and why, and what to do.

    Names stand in a column as wide as the screen allows, since a name that is broken cannot be searched for.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True, show_lines=len(harms) > 1)
    table.add_column("", width=4)
    table.add_column("What differs, how much, why, and what to do", overflow="fold")
    for one in harms:
        severity = one.first.severity
        table.add_row(f"[{STYLES[severity]}]{severity.upper()}[/]", "\n".join(_lines(one, plots=plots)))
    return table


def _lines(one: Harm, *, plots: bool) -> Iterable[str]:
    yield f"[bold]{harmless(one.what)}[/]"
    yield harmless(one.story if one.share == words.NONE else f"{one.share}: {one.story}")
    plot = _plot(one) if plots else ""
    if plot:
        yield plot
    yield harmless(f"What to do: {'; '.join(one.remedies)}")


def _plot(one: Harm) -> str:
    """Give the share of cells over the time of the window, a character for each stretch; "" of what is by design."""
    course = one.course
    if course is None or one.first.severity == "info" or len(course.served) < FEWEST:
        return ""
    top = course.rates.max()
    heights = np.ceil(course.rates / top * (len(BARS) - 1)).astype(int)
    marks = zip(heights, course.compared, strict=True)
    line = "".join(BARS[height] if compared else " " for height, compared in marks)
    each = duration_text(course.step.total_seconds())
    return f"{line} [dim]at most {words.percent(float(top))}, each {each}[/]"
