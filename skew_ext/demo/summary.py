"""What the demo says in the end: what was replayed, what was found, what it did to the model, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.markup import escape

from skew_ext.demo.schedule import NEW_YORK
from skew_ext.report import words
from skew_ext.report.terminal import render

if TYPE_CHECKING:
    from rich.console import Console

    from skew_ext.demo.folder import DemoFolder
    from skew_ext.demo.incidents import Incident
    from skew_ext.report import Report


class Scores(NamedTuple):
    """The model's area under the ROC curve over the replayed flights that arrived."""

    served: float
    point_in_time: float


def say(  # noqa: PLR0913 - what there is to say
    console: Console,
    report: Report,
    scores: Scores,
    incident: Incident,
    folder: DemoFolder,
    warnings: Sequence[str],
) -> None:
    """Print it."""
    console.print(_replayed(report, incident))
    console.print()
    render(report, console)
    for warning in warnings:
        console.print(f"Serving warned: {escape(warning)}", highlight=False)
    console.print(
        f"The model's AUC is {scores.point_in_time:.3f} on point-in-time features, and {scores.served:.3f} as served.",
        highlight=False,
    )
    console.print(f"Report: {folder.report_html}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"All that was written: {folder.path}", soft_wrap=True, highlight=False, markup=False)


def _replayed(report: Report, incident: Incident) -> str:
    first, last = report.start.astimezone(NEW_YORK), report.end.astimezone(NEW_YORK)
    days = (last - first).days
    what = f"{report.rows:,} real departures from New York over {days} days from {first:%Y-%m-%d} (real dates)"
    told = f"Replayed {what}.\n[bold]{escape(incident.says)}[/]"
    return told if incident.name == "none" else f"{told}\n{_when(incident)}"


def _when(incident: Incident) -> str:
    begin, until = incident.begin.astimezone(NEW_YORK), incident.until.astimezone(NEW_YORK)
    return f"From {begin:%Y-%m-%d %H:%M} to {until:%H:%M} in New York: {words.span(incident.begin, incident.until)}."
