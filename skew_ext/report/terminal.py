"""The report on a terminal: the verdict in a line, what differs in a table, and what was fine in a line."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from skew_ext.model import AuditReport
from skew_ext.report import harm, remarks, summary, words
from skew_ext.report.harm import Harm
from skew_ext.text import harmless

STYLES = {"pass": "bold green", "warn": "bold yellow", "fail": "bold red", "info": "bold blue"}
WIDEST = 120
NARROW = 20


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
        console.print(_table(harms), width=width, highlight=False)
    for line in _closing(report):
        console.print(harmless(line), width=width, highlight=False)


def _scope(report: AuditReport) -> str:
    window = f"{words.moment(report.start)} to {words.moment(report.end)}"
    return f"{report.feature_service} ({report.project}), {window}, {words.plural(report.rows, 'row')}"


def _closing(report: AuditReport) -> list[str]:
    told = {"Checked and fine": summary.fine(report), "Not checked": summary.unchecked(report)}
    lines = [f"{name}: {'; '.join(lines)}." for name, lines in told.items() if lines]
    return [*lines, *(f"Note: {note}" for note in report.notes)]


def _table(harms: list[Harm]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True, show_lines=len(harms) > 1)
    table.add_column("What differs", ratio=6, overflow="fold")
    table.add_column("How much", width=9, overflow="fold")
    table.add_column("Why", ratio=5, overflow="fold")
    table.add_column("What to do", ratio=6, overflow="fold")
    for one in harms:
        table.add_row(*_cells(one))
    return table


def _cells(one: Harm) -> tuple[str, str, str, str]:
    severity = one.first.severity
    what = f"[{STYLES[severity]}]{severity.upper()}[/]\n{harmless(_broken(one.what))}"
    return what, one.share, harmless(one.story), harmless("; ".join(one.remedies))


def _broken(what: str) -> str:
    """Break a name that is alone and long where its view ends: better there than in the middle of a word."""
    return what if " " in what or len(what) <= NARROW else what.replace("__", "__\n", 1)
