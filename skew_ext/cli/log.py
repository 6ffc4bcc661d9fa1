"""`skew log`: look at what was served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skew_ext.cli.output import console, write_json

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo

_JSON_HELP = "Write it as JSON; - is standard output."


@click.group()
def log() -> None:
    """Look at the serving log: one request, the latest rows, or what became of every row."""


@log.command()
@click.argument("request_id")
@click.option("--json", "json_file", help=_JSON_HELP)
@click.pass_obj
def show(repo: Repo, /, request_id: str, json_file: str | None) -> None:
    """Show one request as it was served: each feature's value, status and event time.

    \b
    Example:
      skew log show 01979a3e-5f0e-7cc1-b7e3-0d5a1c6f2b11
    """
    from skew_ext.errors import LogError
    from skew_ext.log.reading import read_log

    store = repo.store()
    rows = read_log(store, request_id=request_id)
    if not rows.num_rows:
        msg = f"the log has no request {request_id!r}{_waiting(store)}"
        raise LogError(msg)
    if json_file is not None:
        write_json(json_file, rows.to_pylist())
        return
    for row in rows.to_pylist():
        _print_row(row, rows.column_names)


@log.command()
@click.option("-n", "--rows", "count", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--feature-service", help="Only lookups of this service.")
@click.option("--json", "json_file", help=_JSON_HELP)
@click.pass_obj
def tail(repo: Repo, /, count: int, feature_service: str | None, json_file: str | None) -> None:
    """Show the latest rows, oldest first.

    \b
    Example:
      skew log tail -n 3
    """
    from skew_ext.log.reading import read_log

    rows = read_log(repo.store(), feature_service)
    latest = rows.slice(max(0, rows.num_rows - count))
    if json_file is not None:
        write_json(json_file, latest.to_pylist())
        return
    for row in latest.to_pylist():
        _print_row(row, latest.column_names)


@log.command()
@click.option("--json", "json_file", help=_JSON_HELP)
@click.pass_obj
def stats(repo: Repo, /, json_file: str | None) -> None:
    """Count what became of every row: accepted = stored + duplicate + dead_lettered + dropped + in_spool.

    \b
    Example:
      skew log stats --json -
    """
    from skew_ext.shipping.stats import log_stats

    counts = log_stats(repo.settings().spool)
    if json_file is not None:
        write_json(json_file, counts.as_dict())
        return
    for name, value in counts.as_dict().items():
        if isinstance(value, dict):
            value = ", ".join(f"{reason} {rows:,}" for reason, rows in value.items()) or "0"  # noqa: PLW2901
        click.echo(f"{name:>14}  {value if isinstance(value, str) else format(value, ',')}")


def _waiting(store: Any) -> str:
    from skew_ext.auditor.window import waiting_in_spool

    waiting = waiting_in_spool(store)
    return f"; {waiting:,} rows still wait in the spool: run `skew ship --drain`" if waiting else ""


def _print_row(row: dict[str, Any], columns: list[str]) -> None:
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
    from rich.markup import escape
    from rich.table import Table

    from skew_ext.schema import LOG_TIMESTAMP, REQUEST_ID, STATUS_SUFFIX, TIMESTAMP_SUFFIX

    features = [name for name in columns if name + STATUS_SUFFIX in columns]
    derived = {name + suffix for name in features for suffix in ("", STATUS_SUFFIX, TIMESTAMP_SUFFIX)}
    plain = {name: row[name] for name in columns if name not in derived and not name.startswith("__")}
    keys = ", ".join(f"{name}={value!r}" for name, value in plain.items() if value is not None)
    table = Table(title=escape(f"{row[REQUEST_ID]} served {row[LOG_TIMESTAMP]:%Y-%m-%d %H:%M:%S.%f} UTC: {keys}"))
    for heading in ("feature", "value", "status", "event time (UTC)"):
        table.add_column(heading, overflow="fold")
    for name in features:
        status, event = row[name + STATUS_SUFFIX], row[name + TIMESTAMP_SUFFIX]
        if status is None:
            continue
        table.add_row(
            escape(name),
            escape(repr(row[name])),
            FieldStatus.Name(status),
            "" if event is None else f"{event:%Y-%m-%d %H:%M:%S.%f}",
        )
    console().print(table)
