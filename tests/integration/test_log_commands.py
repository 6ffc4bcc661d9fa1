"""`skew log` as it is typed: the story of a request, the latest rows, the counts; and what bad input gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from skew_ext import ServingLogger, read_log, request_context
from skew_ext.cli.main import cli
from skew_ext.log.latest import follow_log
from skew_ext.log.story import story
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

HOSTILE = "[bold red]x[/]\x1b[2J\r\n\u202e\x00end"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    settings = {"start_shipper": False, "model_name": "eta", "model_version": "v1", "environment": "production"}
    made = Repo(tmp_path / "repo", skew=settings)
    made.write([row(1, NOON - HOUR, 4.5, 10, "Oslo"), row(2, NOON - 3 * HOUR, 3.5, None, HOSTILE)])
    made.materialize(NOON)
    return made


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a command does to its process: the working folder, the module path, the time zone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")


def skew(repo: Repo | None, *arguments: str) -> Result:
    chosen = [] if repo is None else ["-c", str(repo.path)]
    return CliRunner().invoke(cli, [*chosen, *arguments])


def ship(repo: Repo) -> None:
    Shipper(repo.path / "data/skew/spool").drain()


def tell_a_story(repo: Repo, request_id: str = "r-1") -> None:
    log = ServingLogger(repo.path)
    service = repo.store.get_feature_service("scoring")
    # Logged out of order: the story is told in order of time.
    with request_context(served_at=NOON + 3 * HOUR):
        log.log_label(request_id, 14, NOON + 2 * HOUR + 5 * MINUTE)
    with request_context(request_id=request_id, served_at=NOON + timedelta(seconds=2)):
        log.log_prediction(None, 12.5, score=0.75)
    with request_context(request_id=request_id, served_at=NOON + timedelta(seconds=1)):
        log.log_inference(None, 1, {"rating_scaled": float("nan"), "vector": [0.5, -0.0], "huge": 2**63, "none": None})
    with request_context(request_id=request_id, served_at=NOON):
        repo.store.get_online_features(service, [{"driver": 1}, {"driver": 9}])
    ship(repo)


def the_story(repo: Repo, request_id: str = "r-1") -> dict[str, Any]:
    result = skew(repo, "log", "show", request_id, "--json", "-")
    assert result.exit_code == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    return told


def test_show_tells_the_whole_story_in_order(repo: Repo) -> None:
    tell_a_story(repo)
    told = the_story(repo)
    assert told["request_id"] == "r-1"
    kinds = [(event["kind"], event["at"]) for event in told["events"]]
    assert kinds == [
        ("lookup", "2026-03-01T12:00:00+00:00"),
        ("inference", "2026-03-01T12:00:01+00:00"),
        ("prediction", "2026-03-01T12:00:02+00:00"),
        ("label", "2026-03-01T14:05:00+00:00"),
    ]
    lookup, inference, prediction, label = told["events"]
    assert (lookup["feature_service"], lookup["model_name"], lookup["model_version"]) == ("scoring", "eta", "v1")
    assert lookup["environment"] == "production"
    assert len({event["writer"] for event in told["events"]}) == 1
    assert [event["seq"] for event in told["events"]] == [3, 2, 1, 0]
    first, second = lookup["rows"]
    assert (first["given"], second["given"]) == ({"driver": 1}, {"driver": 9})
    assert first["features"][0] == {
        "feature": "stats__rating",
        "value": 4.5,
        "status": "PRESENT",
        "event_time": "2026-03-01T11:00:00+00:00",
        "age_seconds": 3600.0,
    }
    assert second["features"][0]["status"] == "NOT_FOUND"
    cells = {cell["feature"]: (cell["value"], cell["status"]) for cell in inference["rows"][0]["features"]}
    assert cells == {
        "inference__rating_scaled": ("NaN", "PRESENT"),
        "inference__vector": ([0.5, -0.0], "PRESENT"),
        "inference__huge": (None, "INVALID"),
        "inference__none": (None, "NULL_VALUE"),
    }
    assert inference["rows"][0]["given"] == {"entity_id": 1}
    assert [cell["value"] for cell in prediction["rows"][0]["features"]] == [12.5, 0.75]
    assert (label["rows"][0]["features"][0]["value"], label["delay_seconds"]) == (14, 7500.0)
    assert label["logged_at"] == "2026-03-01T15:00:00+00:00"


def test_show_says_it_in_80_columns(repo: Repo) -> None:
    tell_a_story(repo)
    result = skew(repo, "log", "show", "r-1")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    text = " ".join(result.stdout.split())
    for said in (
        "lookup of scoring 2026-03-01 12:00:00 UTC",
        "model eta, version v1, environment production",
        "row 0: driver=1",
        "4.5 PRESENT 2026-03-01 11:00:00 1 h",
        "label observed 2026-03-01 14:05:00 UTC, 2 h 5 min after the first event",
        "logged 2026-03-01 15:00:00 UTC",
    ):
        assert said in text, said
    assert text.index("lookup of") < text.index("inference") < text.index("prediction") < text.index("label")


def test_fingerprints_and_a_request_without_a_label(repo: Repo) -> None:
    with request_context(request_id="alone"):
        repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    ship(repo)
    table = read_log(repo.path, request_id="alone")
    place = table.schema.get_field_index("__transforms")
    table = table.set_column(place, "__transforms", [["risk=abc other=def"]])
    (event,) = story("alone", table).events
    assert event.transforms == {"risk": "abc", "other": "def"}
    assert event.delay is None


def test_what_was_logged_moves_no_cursor_and_is_no_markup(repo: Repo) -> None:
    service = repo.store.get_feature_service("scoring")
    with request_context(request_id=HOSTILE, served_at=NOON, model_version="[blink]v[/]\x1b"):
        repo.store.get_online_features(service, [{"driver": 2}])
        ServingLogger(repo.path).log_inference(None, HOSTILE, {HOSTILE: HOSTILE, "long": "x" * 10**6})
    ship(repo)
    for arguments in (["show", HOSTILE], ["tail"]):
        result = skew(repo, "log", *arguments)
        assert result.exit_code == 0, result.stderr
        assert not set("\x1b\r\x00\u202e") & set(result.stdout)
        assert "[bold red]x[/]\\x1b[2J" in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80
        assert len(result.stdout) < 10_000
    (told,) = (event for event in the_story(repo, HOSTILE)["events"] if event["kind"] == "inference")
    assert [cell["value"] for cell in told["rows"][0]["features"]] == [HOSTILE, "x" * 10**6]


def test_tail_gives_the_latest_rows(repo: Repo) -> None:
    tell_a_story(repo)
    result = skew(repo, "log", "tail", "-n", "3", "--json", "-")
    events = json.loads(result.stdout)
    assert [(event["kind"], event["request_id"]) for event in events] == [
        ("inference", "r-1"),
        ("prediction", "r-1"),
        ("label", "r-1"),
    ]
    text = skew(repo, "log", "tail", "--feature-service", "scoring").stdout
    assert text.splitlines()[0] == "2026-03-01 12:00:00  scoring  r-1"
    assert "driver=1  stats__rating=4.5  stats__trips=10" in text
    assert "stats__rating=None (NOT_FOUND)" in text
    assert "prediction" not in text


def test_tail_of_an_empty_log_is_empty(repo: Repo) -> None:
    assert skew(repo, "log", "tail").output == ""
    assert json.loads(skew(repo, "log", "tail", "--json", "-").stdout) == []


def test_json_goes_to_the_callers_file(repo: Repo, tmp_path: Path) -> None:
    tell_a_story(repo)
    for arguments in (["show", "r-1"], ["tail"], ["stats"]):
        result = skew(repo, "log", *arguments, "--json", "out/told.json")
        assert (result.exit_code, result.stdout) == (0, "")
        assert json.loads((tmp_path / "out/told.json").read_text())
        os.chdir(tmp_path)


def test_show_says_what_still_waits(repo: Repo) -> None:
    tell_a_story(repo)
    with request_context(request_id="later"):
        repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    shown = skew(repo, "log", "show", "r-1")
    assert shown.exit_code == 0
    assert "1 rows still wait in the spool: run `skew ship --drain`" in shown.stderr
    missing = skew(repo, "log", "show", "later")
    assert missing.exit_code == 2
    assert (
        missing.stderr
        == "skew: the log has no request 'later'; 1 rows still wait in the spool: run `skew ship --drain`\n"
    )


@pytest.mark.parametrize("unknown", ["nobody", HOSTILE.replace("\x00", ""), "", "'; DROP TABLE x; --", "x" * 1000])
def test_an_unknown_request_is_one_line_and_exit_2(repo: Repo, unknown: str) -> None:
    result = skew(repo, "log", "show", unknown)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"skew: the log has no request {unknown!r}; see `skew log tail`")
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("command", [["show", "r"], ["tail"], ["stats"]])
def test_no_repo_is_one_line_and_exit_2(tmp_path: Path, command: list[str]) -> None:
    for result, said in (
        (skew(None, "log", *command), "is not a Feast repo: it has no feature_store.yaml"),
        (CliRunner().invoke(cli, ["-c", str(tmp_path / "none"), "log", *command]), "no folder"),
    ):
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


def test_stats_needs_a_spool_that_is_ours(repo: Repo) -> None:
    none = skew(repo, "log", "stats")
    assert (none.exit_code, none.stderr.count("\n")) == (2, 1)
    assert "no spool at" in none.stderr
    spool = repo.path / "data/skew/spool"
    spool.mkdir(parents=True)
    for content, said in (('{"format": "other"}', "is not a spool of skew_ext"), ("[", "cannot be read")):
        (spool / "spool.json").write_text(content)
        foreign = skew(repo, "log", "stats")
        assert (foreign.exit_code, foreign.stderr.count("\n")) == (2, 1)
        assert said in foreign.stderr


def test_stats_has_the_laws_keys(repo: Repo) -> None:
    tell_a_story(repo)
    counts = json.loads(skew(repo, "log", "stats", "--json", "-").stdout)
    law = {"accepted", "stored", "duplicate", "dead_lettered", "dropped", "in_spool", "unaccounted"}
    assert law <= set(counts)
    assert (counts["accepted"], counts["stored"], counts["in_spool"], counts["unaccounted"]) == (5, 5, 0, 0)


@pytest.mark.parametrize("command", ["show", "tail", "stats"])
def test_each_command_has_an_example(command: str) -> None:
    result = skew(None, "log", command, "--help")
    assert result.exit_code == 0
    assert f"skew log {command}" in result.stdout.split("Example", 1)[1]
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["tail", "-n", "0"], ["show"], ["tail", "--since", "x"]])
def test_wrong_arguments_are_exit_2(repo: Repo, arguments: list[str]) -> None:
    assert skew(repo, "log", *arguments).exit_code == 2


def test_a_damaged_file_is_named_and_the_rest_is_shown(repo: Repo) -> None:
    tell_a_story(repo)
    file = next((repo.path / "data/skew/log/scoring").rglob("*.parquet"))
    file.write_bytes(b"not parquet")
    for arguments in (["show", "r-1"], ["tail"]):
        result = skew(repo, "log", *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
        assert f"{file} cannot be read" in result.stderr
        assert "prediction" in result.stdout


def test_follow_goes_on_with_what_comes_and_ends_with_exit_0(repo: Repo, tmp_path: Path) -> None:
    log = ServingLogger(repo.path)
    log.log_prediction("old", 1)
    ship(repo)
    target = tmp_path / "followed.jsonl"
    command = [sys.executable, "-m", "skew_ext.cli.main", "-c", str(repo.path), "log", "tail", "-f"]
    with subprocess.Popen([*command, "--json", str(target)], stderr=subprocess.PIPE) as process:
        try:
            wait_for(target, ["old"])
            for number in range(3):
                log.log_prediction(f"new-{number}", number)
                ship(repo)
                wait_for(target, ["old", *(f"new-{each}" for each in range(number + 1))])
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    # Nothing twice, also after a look that found nothing new.
    assert ids(target) == ["old", "new-0", "new-1", "new-2"]


def test_follow_takes_rows_in_any_order_once(repo: Repo) -> None:
    log = ServingLogger(repo.path)
    arrivals = [
        [("a", NOON)],
        [("c", NOON + 20 * MINUTE), ("b", NOON - MINUTE / 4)],
        [],
        [("too late", NOON + 18 * MINUTE), ("e", NOON + 21 * MINUTE), ("d", NOON + 19 * MINUTE)],
        [],
    ]

    def arrive(_: float) -> None:
        if not arrivals:
            raise KeyboardInterrupt
        for request_id, at in arrivals.pop(0):
            with request_context(request_id=request_id, served_at=at):
                log.log_prediction(None, 1)
        ship(repo)

    arrive(0)
    followed = follow_log(repo.store, 5, wait=arrive)
    # Rows that are more than a minute older than the latest one are not looked for again.
    for expected in (["a"], ["b", "c"], ["d", "e"]):
        assert next(followed)["__request_id"].to_pylist() == expected
    with pytest.raises(KeyboardInterrupt):
        next(followed)


def ids(target: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in target.read_text().splitlines()]


def wait_for(target: Path, expected: list[str]) -> None:
    deadline = time.monotonic() + 60
    while not target.exists() or ids(target) != expected:
        assert time.monotonic() < deadline, target.read_text() if target.exists() else "nothing"
        time.sleep(0.1)
