"""The `skew` command as a user runs it: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from skew_ext import request_context
from skew_ext.cli.main import cli
from tests.flights import environment
from tests.kit import HOUR, MINUTE, NOON, Repo, row

WINDOW = ("--start", "2026-03-01T00:00Z", "--end", "2026-03-02T00:00Z")
AUDIT = ("audit", "--feature-service", "scoring", *WINDOW)
FINE, FINDINGS, COULD_NOT_RUN = 0, 1, 2


def skew(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `skew` in a folder."""
    command = [sys.executable, "-m", "skew_ext.cli.main", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run `skew` in this process, for what need not be a process of its own; gives back folder and time zone."""

    def run(folder: Path, *arguments: str) -> Result:
        monkeypatch.chdir(folder)
        return CliRunner().invoke(cli, arguments)

    monkeypatch.setenv("TZ", "UTC")
    with warnings.catch_warnings():
        yield run


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Give a repo whose first lookups are right and whose last are stale, shipped by the command."""
    made = Repo(tmp_path_factory.mktemp("commands") / "repo")
    rows = [row(driver, NOON + hour * HOUR, driver + hour / 7, hour, "x") for driver in range(9) for hour in range(6)]
    made.write(rows)
    made.materialize(NOON + MINUTE)
    for at in (NOON + MINUTE, NOON + 5 * HOUR):
        serve(made, at)
    shipped = skew(made.path, "ship", "--drain")
    assert (shipped.returncode, shipped.stdout.split(";")[0]) == (FINE, "stored 18 rows")
    return made


def serve(repo: Repo, at: datetime) -> None:
    with request_context(served_at=at):
        service = repo.store.get_feature_service("scoring")
        repo.store.get_online_features(service, [{"driver": driver} for driver in range(9)])


def test_an_audit_with_findings_exits_with_1_and_says_why(repo: Repo) -> None:
    done = skew(repo.path, *AUDIT, "--html", "report.html", "--json", "report.json")
    assert done.returncode == FINDINGS, done.stderr
    assert done.stdout.startswith("FAIL")
    assert "stale_online" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert (repo.path / "report.html").read_text().startswith("<!doctype html>")
    report = json.loads((repo.path / "report.json").read_text())
    assert (report["schema"], report["verdict"], report["rows"]) == (1, "fail", 18)
    assert report["parity"]["features"][0]["causes"] == {"stale_online": 9}


def test_json_alone_goes_to_standard_output(repo: Repo) -> None:
    done = skew(repo.path.parent, "-c", "repo", *AUDIT, "--json", "-")
    assert json.loads(done.stdout)["window"] == {
        "start": "2026-03-01T00:00:00.000000+00:00",
        "end": "2026-03-02T00:00:00.000000+00:00",
    }


def test_a_clean_window_exits_with_0(repo: Repo) -> None:
    done = skew(
        repo.path, "audit", "--feature-service", "scoring", "--start", "2026-03-01T12:00", "--end", "2026-03-01T13:00"
    )
    assert done.returncode == FINE, done.stdout
    assert done.stdout.startswith("PASS")
    assert "has no time zone: taken as UTC" in done.stderr


def test_fail_on_warn_takes_a_warning_for_a_failure(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    on_time = [row(driver, NOON, 1.0, 1, "x") for driver in range(9)]
    repo.write(on_time)
    repo.materialize(NOON + MINUTE)
    serve(repo, NOON + 2 * MINUTE)
    repo.write(on_time + [row(driver, NOON + MINUTE, 2.0, 2, "y", created=NOON + HOUR) for driver in range(9)])
    assert skew(repo.path, "ship", "--drain").returncode == FINE
    assert skew(repo.path, *AUDIT).returncode == FINE
    assert skew(repo.path, *AUDIT, "--fail-on", "warn").returncode == FINDINGS


def test_stats_are_the_conservation_law(repo: Repo) -> None:
    counts = json.loads(skew(repo.path, "log", "stats", "--json", "-").stdout)
    assert counts == {
        "accepted": 18,
        "stored": 18,
        "duplicate": 0,
        "dead_lettered": 0,
        "dropped": {},
        "in_spool": 0,
        "conflicts": 0,
        "pruned": {},
        "transform_mismatches": {},
        "strangers": [],
        "unreadable": [],
        "unaccounted": 0,
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("audit", "--feature-service", "scorin", *WINDOW),
            "no feature service 'scorin' in project 'rides' (did you mean",
        ),
        (("audit", "--feature-service", "scoring", "--start", "yesterday", "--end", "2025-01-02Z"), "is not a time"),
        (
            ("audit", "--feature-service", "scoring", "--start", "2025-01-01", "--end", "2025-01-02"),
            "the log has no rows of 'scoring'",
        ),
        (
            ("audit", "--feature-service", "scoring", "--start", "2025-01-02", "--end", "2025-01-01"),
            "is empty: give a start before its end",
        ),
        ((*AUDIT, "--training-set", "none.parquet"), "none.parquet is not there"),
        ((*AUDIT, "--html", "data"), "data is a folder: name a file in it"),
        ((*AUDIT, "--json", "feature_store.yaml/report.json"), "feature_store.yaml is no folder, or not writable"),
        ((*AUDIT, "--json", "/dev/full"), "/dev/full cannot be written (No space left on device): make room"),
        (("log", "tail", "--json", "/dev/full"), "/dev/full cannot be written (No space left on device): make room"),
        (("-c", "nowhere", "log", "stats"), "no folder nowhere: name the Feast repo with -c/--chdir"),
        (("-c", "..", "log", "stats"), "is not a Feast repo: it has no feature_store.yaml"),
        (("-f", "other.yaml", "log", "stats"), "is not a Feast repo: it has no other.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    repo: Repo, here: Callable[..., Result], arguments: tuple[str, ...], says: str
) -> None:
    done = here(repo.path, *arguments)
    assert done.exit_code == COULD_NOT_RUN
    assert says in done.stderr.splitlines()[-1]
    assert not done.stdout


def test_a_spool_that_is_not_ours_is_left_alone(tmp_path: Path, here: Callable[..., Result]) -> None:
    repo = Repo(tmp_path / "repo", skew={"spool": "precious", "start_shipper": False})
    (repo.path / "precious").mkdir()
    (repo.path / "precious" / "letter.txt").write_text("dear")
    serve(repo, NOON)
    for command in (("ship", "--drain"), ("log", "stats")):
        done = here(repo.path, *command)
        assert done.exit_code == COULD_NOT_RUN
        assert "no spool at" in done.stderr
    assert [path.name for path in (repo.path / "precious").iterdir()] == ["letter.txt"]


def test_a_wrong_setting_is_named(tmp_path: Path, here: Callable[..., Result]) -> None:
    repo = Repo(tmp_path / "repo", provider="local", skew={"destination": {"typ": "parquet"}})
    done = here(repo.path, "log", "stats")
    assert done.exit_code == COULD_NOT_RUN
    assert "skew.destination.typ is not a setting (did you mean 'type'?)" in done.stderr


@pytest.mark.parametrize("command", [(), ("audit",), ("demo",), ("ship",), ("log",), ("log", "show"), ("log", "stats")])
def test_every_command_has_help_with_an_example(
    command: tuple[str, ...], here: Callable[..., Result], tmp_path: Path
) -> None:
    done = here(tmp_path, *command, "--help")
    assert done.exit_code == FINE
    assert "Usage" in done.stdout
    assert command == ("log",) or "Example" in done.stdout


def test_the_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path, here: Callable[..., Result]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("chapter 1")
    done = here(tmp_path, "demo", "--folder", "mine")
    assert done.exit_code == COULD_NOT_RUN
    assert "mine" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "chapter 1"
