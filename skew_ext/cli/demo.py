"""`skew demo`: the main job on real flights, from sources to verdict."""

from __future__ import annotations

from pathlib import Path

import click

from skew_ext.cli.output import console

INCIDENTS = ("none", "stale", "ttl", "late", "units", "transform")


@click.command()
@click.option(
    "--incident",
    type=click.Choice(INCIDENTS),
    default="stale",
    show_default=True,
    help="What goes wrong: materialization stops, values outlive their TTL, rows come late, a unit changes, "
    "serving runs another version of a transform.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("skew-demo"),
    show_default=True,
    help="Where all that the demo writes is put.",
)
@click.option("--days", type=click.IntRange(2, 7), default=3, show_default=True, help="How many days to replay.")
def demo(*, incident: str, folder: Path, days: int) -> None:
    """Replay real days of flights from New York, with an incident in them, and audit what was served.

    \b
    Example:
      skew demo --incident none
    """
    from skew_ext.demo.run import run_demo

    run_demo(folder.absolute(), incident=incident, days=days, console=console())
