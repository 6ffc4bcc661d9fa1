"""From a skewed value served to the alert received, with real processes, and back: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from skew_ext import SkewAuditor
from skew_ext.cli.main import cli
from tests.flights import environment
from tests.kit import Repo, row, wait_for
from tests.servers import free_port
from tests.watching import MILES, Watched, webhook

DRIVERS = range(1, 9)
SERVER = """
import json, signal, sys, time
from feast import FeatureStore
repo, counter, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
going = [True]
signal.signal(signal.SIGTERM, lambda *_: going.clear())
store = FeatureStore(repo_path=repo)
service, answered = store.get_feature_service("scoring"), 0
while going:
    store.get_online_features(service, rows)
    answered += 1
    open(counter, "w").write(str(answered))
    time.sleep(0.1)
"""
logger = logging.getLogger(__name__)
RATING = "stats__rating"
SECRET = "t0ken-in-an-address"
NOTHING = {"windows": 0, "rows": 0, "changed": []}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    skew = {"start_shipper": False, "flush_seconds": 0.5, "watch": {"every": "2s", "margin": "2s", "min_rows": 5}}
    repo = Repo(tmp_path_factory.mktemp("watch") / "repo", skew=skew)
    event = datetime.now(tz=timezone.utc).replace(microsecond=0) - timedelta(minutes=30)
    repo.write([row(driver, event, driver / 7, driver, f"city {driver}") for driver in DRIVERS])
    repo.materialize(datetime.now(tz=timezone.utc))
    return repo


def put_online(repo: Repo, factor: float) -> None:
    """Write every rating to the online store, as a job that has its units right, or not."""
    frame = pd.read_parquet(repo.source_path)
    repo.store.write_to_online_store("stats", frame.assign(rating=frame["rating"] * factor))


@contextmanager
def process(repo: Repo, *arguments: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of ours until the block ends, then stop it as a service manager does; it must end well."""
    with (repo.path / f"{arguments[0]}.log").open("ab") as output:
        command = [sys.executable, "-m", "skew_ext.cli.main", "-c", str(repo.path), *arguments]
        with subprocess.Popen(command, stdout=output, stderr=output, env=environment(**more)) as running:
            try:
                yield running
            finally:
                killed = running.poll() is not None
                running.terminate()
                code = running.wait(timeout=60)
            assert killed or code == 0


@contextmanager
def traffic(repo: Repo) -> Iterator[Callable[[], int]]:
    """Run a server that looks a few drivers up, over and over; gives how many lookups it has answered."""
    counter = repo.path / "answered"
    arguments = [str(repo.path), str(counter), json.dumps([{"driver": driver} for driver in DRIVERS])]
    with subprocess.Popen([sys.executable, "-c", SERVER, *arguments], env=environment()) as running:
        try:
            yield lambda: int((counter.read_text() if counter.exists() else "") or 0)
        finally:
            running.terminate()
            assert running.wait(timeout=60) == 0


def scraped(port: int) -> dict[tuple[str, str], float]:
    """Give cells by feature and cause, as Prometheus gets them; empty while nobody answers."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.HTTPError:
        return {}
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        (one.labels["feature"], one.labels["cause"]): one.value for one in samples if one.name == "skew_cells_total"
    }


def incidents(repo: Repo, *options: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(cli, ["-c", str(repo.path), "incidents", "--json", "-", *options])
    assert done.exit_code == 0, done.output
    return list(json.loads(done.stdout)["incidents"])


def told_of(repo: Repo) -> list[str]:
    return [told for one in incidents(repo) for told in sorted(one["deliveries"])]


def all_cells(port: int) -> dict[str, float]:
    """Give how many cells of each feature were counted, whatever their cause."""
    total: dict[str, float] = {}
    for (feature, _), cells in scraped(port).items():
        total[feature] = total.get(feature, 0) + cells
    return total


@pytest.mark.slow
def test_from_a_skewed_value_served_to_the_alert_and_back(repo: Repo, tmp_path: Path) -> None:
    begun = datetime.now(tz=timezone.utc)
    port, log = free_port(), repo.path / "watch.log"
    hooked = tmp_path / "hook.jsonl"
    code = f"import sys; open({str(hooked)!r}, 'a').write(sys.stdin.read() + chr(10))"
    watching = ("watch", "--burn-in", "2", "--hook", f'{sys.executable} -c "{code}"', "--metrics-port", str(port))
    with webhook() as alerts, process(repo, "ship"), ExitStack() as going_on:
        told = {"SKEW_WATCH_NOTIFY": f"json://{alerts.address}/{SECRET}"}
        with traffic(repo) as answered:
            with process(repo, *watching, **told) as watch:
                wait_for(lambda: scraped(port).get((RATING, "equal"), 0) > 100, f"nothing is watched: {log}", 120)
                put_online(repo, MILES)
                spoilt = time.monotonic()
                wait_for(lambda: alerts.posts, f"no alert: {log}", 120)
                logger.info("from the skewed value to the alert: %.1f s", time.monotonic() - spoilt)
                # Killed before the telling is kept, it would rightly tell once more.
                wait_for(lambda: told_of(repo) == ["opened:hook", "opened:notify1"], f"not kept: {log}")
                watch.kill()
                watch.wait()
            (incident,) = incidents(repo, "--open")
            assert (incident["cause"], incident["features"]) == ("rescaled", [RATING])
            before = answered()
            wait_for(lambda: answered() > before + 20, "the server does not answer any more", 120)
            going_on.enter_context(process(repo, *watching, **told))
            wait_for(lambda: scraped(port).get((RATING, "rescaled"), 0) > incident["cells"], f"it stopped: {log}", 120)
            put_online(repo, 1.0)
            wait_for(lambda: any("HEALED" in one for one in alerts.titles()), f"it does not heal: {log}", 120)
        # Nobody asks any more: what is still on its way is watched yet.
        cells = 8.0 * answered()
        expected = dict.fromkeys((RATING, "stats__trips", "stats__city"), cells)
        wait_for(lambda: all_cells(port) == expected, f"{expected} were served: {log}", 120)
        counted = scraped(port)
    assert alerts.titles() == ["[FAIL] scoring: stats: rating (rescaled)", "[HEALED] scoring: stats: rating (rescaled)"]
    assert [json.loads(text)["event"] for text in hooked.read_text().splitlines()] == ["opened", "closed"]
    assert [one["open"] for one in incidents(repo)] == [False]
    assert incidents(repo, "--open") == []
    assert SECRET not in log.read_text()
    report = SkewAuditor(repo.store).run_audit("scoring", begun, datetime.now(tz=timezone.utc))
    (rating,) = [one for one in report.parity.features if one.feature == RATING]
    assert (rating.compared, rating.causes) == (cells, {"rescaled": counted[RATING, "rescaled"]})


def test_one_round_for_cron_and_its_exit_codes(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "repo")
    served = datetime.now(tz=timezone.utc) - timedelta(minutes=1)
    watched.repo.write([row(driver, served - timedelta(hours=1), driver / 7, driver) for driver in DRIVERS])
    watched.repo.materialize(served)

    def once(*options: str) -> tuple[int, dict[str, Any]]:
        arguments = ["watch", "--once", "--burn-in", "0", "--min-rows", "1", "--margin", "0s", "--json", "-"]
        done = CliRunner().invoke(cli, ["-c", str(watched.repo.path), *arguments, *options])
        return done.exit_code, json.loads(done.stdout)

    assert once() == (0, {"schema": 1, "services": {"scoring": NOTHING}, "failed": {}, "open": []})
    for second in range(4):
        watched.serve(served + timedelta(seconds=second), DRIVERS)
    watched.ship()
    code, found = once()
    assert (code, found["services"]["scoring"]["rows"], found["open"]) == (0, 32, [])
    put_online(watched.repo, MILES)
    for _ in range(2):
        watched.serve(datetime.now(tz=timezone.utc), DRIVERS)
        watched.ship()
        time.sleep(1.1)
        code, found = once()
    assert (code, [one["cause"] for one in found["open"]]) == (1, ["rescaled"])
    listed = CliRunner().invoke(cli, ["-c", str(watched.repo.path), "incidents", "--open"])
    assert listed.exit_code == 0
    assert "the job that writes the online store converts units" in " ".join(listed.output.split())
    watched.repo.source_path.unlink()
    watched.serve(datetime.now(tz=timezone.utc), DRIVERS)
    watched.ship()
    time.sleep(1.1)
    code, found = once()
    assert (code, list(found["failed"])) == (2, ["scoring"])


def test_addresses_are_tried_before_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer is told of, by its place, without its secrets; a hook, which may act, is not called."""
    repo, hooked = Repo(tmp_path / "repo"), tmp_path / "hooked"

    def tried() -> Any:
        command = ["-c", str(repo.path), "watch", "--test-alert", "--hook", f"touch {hooked}"]
        return CliRunner().invoke(cli, command)

    with webhook() as alerts:
        monkeypatch.setenv("SKEW_WATCH_NOTIFY", f"json://{alerts.address}/{SECRET}")
        done = tried()
        assert (done.exit_code, done.stdout) == (0, "address 1 (JSON): told\n")
        assert alerts.titles() == ["[TEST] skew watch"]
        monkeypatch.setenv("SKEW_WATCH_NOTIFY", f"json://{alerts.address} json://127.0.0.1:{free_port()}/{SECRET}")
        done = tried()
        assert (done.exit_code, done.stdout) == (1, "address 1 (JSON): told\naddress 2 (JSON): not told\n")
    assert SECRET not in done.output
    monkeypatch.delenv("SKEW_WATCH_NOTIFY")
    done = tried()
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "there is nobody to tell: set SKEW_WATCH_NOTIFY" in done.stderr
    assert not hooked.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--feature-service", "scorin"], "no feature service 'scorin' in project 'rides' (did you mean 'scoring'?)"),
        (["--every", "soon"], "--every 'soon' is no interval: write it as 60s, 5m, 1h or 1d"),
        (["--notify", f"slak://{SECRET}"], "address 1 of scheme slak:// is none that Apprise can use"),
        (["--hook", "sh -c 'half"], "the hook is no command"),
        (["--training-set", "none.parquet"], "none.parquet is not there"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    repo = Repo(tmp_path / "repo")
    done = CliRunner().invoke(cli, ["-c", str(repo.path), "watch", "--once", *options])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr
    assert SECRET not in done.stderr
