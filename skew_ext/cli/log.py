"""`skew log`: look at what was served."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from skew_ext.cli.output import STANDARD_OUTPUT, Target, console, write_json, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from skew_ext.cli.repo import Repo
    from skew_ext.log.story import Event
    from skew_ext.shipping.stats import LogStats
    from skew_ext.shipping.verify import Missing

_JSON_HELP = "Write it as JSON; - is standard output."


@click.group()
def log() -> None:
    """Look at the serving log: one request, the latest rows, or what became of every row."""


@log.command()
@click.argument("request_id")
@click.option("--json", "json_file", type=Target(), help=_JSON_HELP)
@click.pass_obj
def show(repo: Repo, /, request_id: str, json_file: str | None) -> None:
    """Tell the whole story of one request, in order of time.

    Its lookups, with each feature's value, status, event time and age when it was served; the model's inputs, its
    prediction and score; the label, with its delay; and what each was logged with.

    \b
    Example:
      skew log show 01979a3e-5f0e-7cc1-b7e3-0d5a1c6f2b11
    """
    from skew_ext.cli.telling import tell
    from skew_ext.errors import LogError
    from skew_ext.log.reading import read_rows
    from skew_ext.log.story import story

    store = repo.store()
    rows = read_rows(store, request_id=request_id)
    _print_notes(rows, set())
    waiting = _waiting(store)
    if not rows.num_rows:
        msg = f"the log has no request {request_id!r}; {waiting or 'see `skew log tail` for those it has'}"
        raise LogError(msg)
    if waiting:
        click.echo(f"skew: there may be more of this request: {waiting}", err=True)
    told = story(request_id, rows)
    if json_file is not None:
        write_json(json_file, told.as_dict())
        return
    tell(told, console())


@log.command()
@click.option("-n", "--rows", "count", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--feature-service", help="Only lookups of this service; _inference, _prediction, _label likewise.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until stopped.")
@click.option("--json", "json_file", type=Target(), help=f"{_JSON_HELP} With --follow, one document in each line.")
@click.pass_obj
def tail(repo: Repo, /, *, count: int, feature_service: str | None, follow: bool, json_file: str | None) -> None:
    """Show the latest rows, oldest first, as they were stored.

    \b
    Examples:
      skew log tail -n 3
      skew log tail --follow --feature-service departure_delay
    """
    from skew_ext.log.latest import follow_log, latest_rows
    from skew_ext.log.story import events

    try:
        store = repo.store()
        if not follow:
            rows = latest_rows(store, count, feature_service)
            _print_notes(rows, set())
            found = events(rows)
            if json_file is not None:
                write_json(json_file, [event.as_dict() for event in found])
            else:
                _print_events(found, None)
            return
        told: set[str] = set()
        with _opened(json_file) as file:
            for rows in follow_log(store, count, feature_service):
                _print_notes(rows, told)
                _print_events(events(rows), file)
    except KeyboardInterrupt:
        return


@log.command()
@click.option("--json", "json_file", type=Target(), help=_JSON_HELP)
@click.option(
    "--prometheus", "metrics_file", type=Target(), help="Write Prometheus' text format, as a node exporter's textfile."
)
@click.option("--verify", is_flag=True, help="Also compare with what the log has: exit code 1 if rows are gone.")
@click.pass_context
def stats(context: click.Context, /, *, json_file: str | None, metrics_file: str | None, verify: bool) -> None:
    """Count what became of every row: accepted = stored + duplicate + dead_lettered + dropped + in_spool.

    `skew ship --metrics-port` serves the same to Prometheus.

    \b
    Examples:
      skew log stats --json -
      skew log stats --verify
    """
    from skew_ext.cli.output import write_text
    from skew_ext.shipping.metrics import metrics_text
    from skew_ext.shipping.stats import log_stats
    from skew_ext.shipping.verify import missing_rows

    settings = context.obj.settings()
    counts = log_stats(settings.spool)
    missing = missing_rows(settings) if verify else []
    if metrics_file is not None:
        write_text(metrics_file, metrics_text(counts).rstrip())
    elif json_file is not None:
        known = None if missing is None else [one.as_dict() for one in missing]
        write_json(json_file, {**counts.as_dict(), **({"missing": known} if verify else {})})
    else:
        _print_counts(counts)
    if verify and json_file is None:
        _print_missing(missing)
    if missing:
        context.exit(1)


def _print_missing(missing: list[Missing] | None) -> None:
    if missing is None:
        click.echo("the log is in a database, which does not tell whose rows are whose: not verified", err=True)
    for one in missing or []:
        click.echo(
            f"{one.rows:,} of {one.stored:,} rows of {one.feature_service!r} that were stored for {one.day} are gone "
            "from the log, and were not pruned: restore its files from a backup",
            err=True,
        )


def _print_counts(counts: LogStats) -> None:
    for name, value in counts.as_dict().items():
        if isinstance(value, dict):
            value = ", ".join(f"{reason} {rows:,}" for reason, rows in value.items()) or "0"  # noqa: PLW2901
        elif isinstance(value, list):
            value = ", ".join(map(repr, value)) or "none"  # noqa: PLW2901
        click.echo(f"{name:>14}  {value if isinstance(value, str) else format(value, ',')}")


@log.command()
@click.option("--keep-days", type=click.IntRange(min=1), help="Over skew.destination.keep_days: days before today.")
@click.option("--trust-clock", is_flag=True, help="Count days from today, also where the log's own are far from it.")
@click.option("--dry-run", is_flag=True, help="Only say how many rows would go.")
@click.option("--json", "json_file", type=Target(), help="Write what was done as JSON; - is standard output.")
@click.pass_obj
def prune(repo: Repo, /, *, keep_days: int | None, trust_clock: bool, dry_run: bool, json_file: str | None) -> None:
    """Delete the log's old days: Parquet folders, or PostgreSQL partitions, which takes the schema's owner.

    Days are counted from the newest one that the log has rows of. Where a clock seems to have jumped, nothing goes
    without --trust-clock.

    A Parquet log is also pruned by the shipper, where skew.destination has keep_days or max_bytes.

    \b
    Example:
      skew -c feature_repo log prune --keep-days 90 --dry-run
    """
    from skew_ext.clock import utc_now
    from skew_ext.log.pruning import prune_log

    done = prune_log(repo.settings(), utc_now().date(), keep_days=keep_days, dry_run=dry_run, trust_clock=trust_clock)
    if done.refused:
        click.echo(f"skew: {done.refused}", err=True)
    if json_file is not None:
        write_json(json_file, {"pruned": done.pruned, "dry_run": dry_run})
        return
    said = ", ".join(f"{rows:,} rows by {reason}" for reason, rows in done.pruned.items()) or "no rows"
    click.echo(f"{'would delete' if dry_run else 'deleted'} {said}")


def _waiting(store: Any) -> str:
    from skew_ext.auditor.window import waiting_in_spool

    waiting = waiting_in_spool(store)
    return f"{waiting:,} rows still wait in the spool: run `skew ship --drain`" if waiting else ""


@contextmanager
def _opened(target: str | None) -> Iterator[IO[str] | None]:
    if target is None or target == STANDARD_OUTPUT:
        yield None if target is None else sys.stdout
        return
    with writing(target) as path, path.open("w", encoding="utf-8") as file:
        yield file


def _print_notes(rows: pa.Table, told: set[str]) -> None:
    """Say what of the log was not read, each file once."""
    from skew_ext.log.notes import notes_of, notes_text

    fresh = [note for note in notes_of(rows) if note.file not in told]
    told.update(note.file for note in fresh)
    if fresh:
        click.echo(f"skew: the log was not read in full: {notes_text(fresh)}", err=True)


def _print_events(found: Sequence[Event], file: IO[str] | None) -> None:
    """Print events for people, or where there is a file, as JSON: one document in each line."""
    from skew_ext.cli.telling import WIDEST, lines

    width = min(console().width, WIDEST)
    for event in found:
        if file is None:
            click.echo("\n".join(lines(event, width)))
        else:
            file.write(json.dumps(event.as_dict()) + "\n")
            file.flush()
