"""`skew watch`: audit what is new, all the time, and tell people when something breaks."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skew_ext.cli.output import STANDARD_OUTPUT, Target, log_to_terminal, write_json

if TYPE_CHECKING:
    from skew_ext.cli.repo import Repo
    from skew_ext.watch.watcher import Watcher, WatchRound

EXIT_FINDINGS = 1
EXIT_COULD_NOT_RUN = 2


@click.command()
@click.option("--feature-service", "services", multiple=True, help="Watch this one; again for more. Else all.")
@click.option("--every", help="How often there is a round, such as 60s.  [default: 60s]")
@click.option("--once", is_flag=True, help="One round, for cron: exit code 1 while an incident is open.")
@click.option("--test-alert", is_flag=True, help="Only send a test message to each address; exit code 1 if one fails.")
@click.option("--margin", help="How long after serving a row is looked for: over flush_seconds.  [default: 15s]")
@click.option("--late", help="How far back rows that came later still are looked for.  [default: 1h]")
@click.option("--hold", help="How long a window with fewer than --min-rows waits for more.  [default: 5m]")
@click.option("--min-rows", type=click.IntRange(min=1), help="Rows that a window waits for.  [default: 20]")
@click.option("--burn-in", type=click.IntRange(min=0), help="The first windows, only observed.  [default: 3]")
@click.option("--alert-on", type=click.Choice(["warn", "fail"]), help="What opens an incident.  [default: fail]")
@click.option(
    "--notify", multiple=True, help="Tell this Apprise address; better in SKEW_WATCH_NOTIFY, for its secrets."
)
@click.option("--hook", help="A command or webhook that gets each incident as JSON.")
@click.option("--training-set", type=click.Path(path_type=Path), help="Parquet or CSV, for drift.")
@click.option("--important", multiple=True, help="A feature whose drift is watched: view__feature, or feature.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics there.")
@click.option("--metrics-address", default="127.0.0.1", show_default=True, help="The address to serve them on.")
@click.option(
    "--json", "json_file", type=Target(), help="With --once: write what the round did as JSON; - is standard output."
)
@click.pass_obj
def watch(
    repo: Repo, /, *, once: bool, test_alert: bool, json_file: str | None, metrics_port: int | None, **options: Any
) -> None:
    """Audit what is new, again and again, and tell people when served values stop being what training gets.

    An incident opens when a group of features is over the threshold in two windows in a row, and closes after two
    without it. Windows of 1 h, 1 d and 7 d are kept with the log. Killed at any time, it goes on where it was.
    Settings: skew.watch in feature_store.yaml.

    \b
    Examples:
      SKEW_WATCH_NOTIFY=slack://... skew -c feature_repo watch --every 60s --metrics-port 9188
      skew -c feature_repo watch --once --json -
      skew -c feature_repo watch --test-alert
    """
    if json_file is not None and not once:
        msg = (
            "--json goes with --once: a watch that goes on serves metrics, and `skew incidents --json` lists incidents"
        )
        raise click.UsageError(msg)
    # Paths are the caller's: made absolute before the repo becomes the working folder.
    training = None if options["training_set"] is None else Path(options["training_set"]).absolute()
    log_to_terminal()
    logging.getLogger("feast").setLevel(logging.WARNING)
    if test_alert:
        _test_alert(repo, options["notify"])
        return
    watcher = _watcher(repo, options, training, once=once)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # Feast, once imported, has deprecations told again: in every round.
    if once:
        _report(watcher.round(), json_file)
        return
    _until_stopped(watcher, repo, metrics_port, options["metrics_address"])


def _test_alert(repo: Repo, notify: tuple[str, ...]) -> None:
    """See that alerts arrive, before the night in which they have to. A hook is not called: it may act."""
    from skew_ext.watch.alerts import Notifier, told_that_it_works
    from skew_ext.watch.options import addresses

    found = told_that_it_works(Notifier(addresses(repo.settings().watch, notify)))
    for address, reached in found.items():
        click.echo(f"address {address}: {'told' if reached else 'not told'}")
    if not all(found.values()):
        raise SystemExit(EXIT_FINDINGS)


def _watcher(repo: Repo, options: dict[str, Any], training: Path | None, *, once: bool) -> Watcher:
    from skew_ext.clock import utc_now
    from skew_ext.repo import settings_of
    from skew_ext.training.files import read_file
    from skew_ext.watch.alerts import Notifier
    from skew_ext.watch.hooks import Hook
    from skew_ext.watch.options import addresses, watch_options
    from skew_ext.watch.telling import Teller
    from skew_ext.watch.watcher import Watcher as RepoWatcher

    store = repo.store()
    settings = settings_of(store).watch
    chosen = watch_options(settings, {**options, "important": options["important"] or None})
    hook = Hook(options["hook"] or settings.hook, settings.hook_env)
    teller = Teller(Notifier(addresses(settings, options["notify"])), hook, utc_now, keeps_pauses=once)
    trained = None if training is None else read_file(training, "the training set")
    return RepoWatcher(store, options["services"], chosen, teller, training_set=trained)


def _until_stopped(watcher: Watcher, repo: Repo, port: int | None, address: str) -> None:
    from skew_ext.watch.metrics import serve_metrics

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if port is not None:
        serve_metrics(lambda: watcher.view, repo.settings().spool, port, address)
    watcher.run(stop)


def _report(done: WatchRound, json_file: str | None) -> None:
    """Say what one round did, and end with the exit code for it."""
    if json_file is not None:
        services = {
            name: {"windows": one.windows, "rows": one.rows, "changed": [each.id for each in one.changed]}
            for name, one in done.services.items()
        }
        found = {"schema": 1, "services": services, "failed": done.failed, "open": [one.to_json() for one in done.open]}
        write_json(json_file, found)
    if json_file != STANDARD_OUTPUT:
        from skew_ext.cli.incidents import line
        from skew_ext.text import one_line

        for name, one in done.services.items():
            click.echo(f"{one_line(name)}: {one.rows:,} rows in {one.windows:,} windows")
        for incident in done.open:
            click.echo(line(incident))
    if done.failed:
        raise SystemExit(EXIT_COULD_NOT_RUN)
    if done.open:
        raise SystemExit(EXIT_FINDINGS)
