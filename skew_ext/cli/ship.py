"""`skew ship`: bring what was logged from the spool to its destination."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo


@click.command()
@click.option("--drain", is_flag=True, help="Stop when the spool is empty.")
@click.pass_obj
def ship(repo: Repo, /, *, drain: bool) -> None:
    """Ship logged lookups to their destination: as a service until stopped, or with --drain until none is left.

    \b
    Example:
      skew -c feature_repo ship --drain
    """
    from skew_ext.errors import LogError
    from skew_ext.shipping.shipper import Shipper

    shipper = Shipper(repo.settings().spool)
    if not drain:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        shipper.run()
        return
    try:
        outcome = shipper.drain()
    except OSError as error:
        msg = f"the log's destination cannot be written ({error}); nothing is lost, the rows wait in the spool"
        raise LogError(msg) from None
    click.echo(
        f"stored {outcome.stored:,} rows; duplicates {outcome.duplicate:,}, dead letters {outcome.dead_lettered:,}, "
        f"dropped {sum(outcome.dropped.values()):,}"
    )
