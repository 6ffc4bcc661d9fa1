"""Logged requests on a terminal. What was logged is data: it is never markup, and moves no cursor."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skew_ext.clock import duration_text
from skew_ext.text import harmless, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from skew_ext.log.story import Event, Row, Story

WIDEST = 120
LONGEST_VALUE = 200
"""How much of a value is shown; --json has all of it."""
LONGEST_IN_LINE = 40


def tell(story: Story, console: Console) -> None:
    """Print a request's story: each event with what it was logged with, and its values."""
    width = min(console.width, WIDEST)
    console.print(f"[bold]{harmless(story.request_id)}[/]", width=width, highlight=False)
    for event in story.events:
        console.print(f"\n{_heading(event)}", width=width, highlight=False)
        for line in _provenance(event):
            console.print(f"  [dim]{harmless(line)}[/]", width=width, highlight=False)
        for row in event.rows:
            if event.kind == "lookup" or row.given:
                console.print(f"  row {row.place}: {harmless(_given(row))}", width=width, highlight=False)
            console.print(_table(event, row), width=width, highlight=False)


def lines(event: Event, width: int) -> Iterator[str]:
    """Give an event in a few lines: when, what and whose it was, and below it the values, row by row."""
    yield visible(f"{moment(event.logged_at)}  {event.feature_service or event.kind}  {event.request_id}")[:width]
    for row in event.rows:
        values = [f"{cell.feature}={_short(cell.value)}{_mark(cell.status)}" for cell in row.cells]
        text = "  ".join(part for part in (_given(row), *values) if part)
        yield from textwrap.wrap(visible(text), width, initial_indent="  ", subsequent_indent="    ")


def moment(at: datetime) -> str:
    """Give a time without its zone, which is UTC, and without a fraction where there is none."""
    return at.replace(tzinfo=None).isoformat(sep=" ")


def _heading(event: Event) -> str:
    service = "" if event.kind != "lookup" else f" of {event.feature_service or 'a list of references'}"
    delay = f", {duration_text(event.delay.total_seconds())} after the first event" if event.delay is not None else ""
    observed = "observed " if event.kind == "label" else ""
    return f"[bold]{event.kind}[/]{harmless(service)}  {observed}{moment(event.at)} UTC{delay}"


def _provenance(event: Event) -> Iterator[str]:
    said = {"model": event.model_name, "version": event.model_version, "environment": event.environment}
    labels = ", ".join(f"{name} {value}" for name, value in said.items() if value)
    if labels:
        yield labels
    for view, fingerprint in event.transforms.items():
        yield f"transform {view}={fingerprint}"
    logged = f", logged {moment(event.logged_at)} UTC" if event.logged_at != event.at else ""
    yield f"writer {event.writer}, seq {event.sequence}{logged}"


def _table(event: Event, row: Row) -> Table:
    from rich import box
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    lookup = event.kind == "lookup"
    table.add_column("feature" if lookup else "name", overflow="fold")
    for heading in ("value", "status", *(("event time (UTC)", "age") if lookup else ())):
        table.add_column(heading, overflow="fold")
    for cell in row.cells:
        when = "" if cell.event_time is None else moment(cell.event_time)
        age = "" if cell.age is None else duration_text(cell.age.total_seconds())
        cells = (harmless(cell.feature), harmless(_short(cell.value, LONGEST_VALUE)), cell.status, when, age)
        table.add_row(*(cells if lookup else cells[:3]))
    return table


def _given(row: Row) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in row.given.items())


def _mark(status: str) -> str:
    return "" if status in ("PRESENT", "NULL_VALUE") else f" ({status})"


def _short(value: Any, longest: int = LONGEST_IN_LINE) -> str:
    """Give a value as Python writes it, cut where it is long: a time without its class, an array's first values."""
    if isinstance(value, datetime):
        return moment(value)
    # A long array or string is cut before it is written: it may be megabytes.
    if isinstance(value, (list, str, bytes)) and len(value) > longest:
        written = repr(value[:longest])
        return f"{written[: longest - 2]}... ({len(value):,} in all)"
    written = repr(value)
    return written if len(written) <= longest else f"{written[: longest - 3]}..."
