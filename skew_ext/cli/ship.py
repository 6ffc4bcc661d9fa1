"""`skew ship`: bring what was logged from the spool to its destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skew_ext.cli.output import log_to_terminal

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo
    from skew_ext.settings import SkewSettings


@click.command()
@click.option("--drain", is_flag=True, help="Stop when the spool is empty.")
@click.option("--retry-dead-letters", is_flag=True, help="Send again what could not be stored; implies --drain.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics of the spool there.")
@click.option("--metrics-address", default="127.0.0.1", show_default=True, help="The address to serve them on.")
@click.pass_obj
def ship(
    repo: Repo, /, *, drain: bool, retry_dead_letters: bool, metrics_port: int | None, metrics_address: str
) -> None:
    """Ship logged lookups to their destination: as a service until stopped, or with --drain until none is left.

    What the destination refuses for good waits in the spool's folder dead_letters, each record with its reason.

    \b
    Examples:
      skew -c feature_repo ship --drain
      skew -c feature_repo ship --metrics-port 9187
    """
    from skew_ext.errors import LogError
    from skew_ext.repo import settings_of
    from skew_ext.shipping.metrics import serve_metrics
    from skew_ext.shipping.shipper import Shipper

    store = repo.store()
    settings = settings_of(store)
    if not (drain or retry_dead_letters):
        # A service may start before anything is served, and before the first server has made the spool.
        _made(settings, store.project)
    shipper = Shipper(settings.spool)
    if not (drain or retry_dead_letters):
        log_to_terminal()
        if metrics_port is not None:
            serve_metrics(shipper.spool.path, metrics_port, metrics_address)
        shipper.run()
        return
    try:
        outcome = shipper.drain(retry_dead_letters=retry_dead_letters)
    except OSError as error:
        msg = f"the log's destination cannot be written ({error}); nothing is lost, the rows wait in the spool"
        raise LogError(msg) from None
    click.echo(
        f"stored {outcome.stored:,} rows; duplicates {outcome.duplicate:,}, dead letters {outcome.dead_lettered:,}, "
        f"dropped {sum(outcome.dropped.values()):,}"
    )


def _made(settings: SkewSettings, project: str) -> None:
    from skew_ext.errors import SpoolError
    from skew_ext.serving.opening import make_spool

    try:
        make_spool(settings, project)
    except OSError as error:
        msg = f"the spool at {settings.spool} cannot be made ({error}): name a folder in skew.spool that can be written"
        raise SpoolError(msg) from None
