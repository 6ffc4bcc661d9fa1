"""Old days of a log go by their rows' own days, each row counted once: whatever the clock says, whatever is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from skew_ext import request_context
from skew_ext.cli.main import cli
from skew_ext.log import keeping, parquet_files, parquet_prune
from skew_ext.log.keeping import days_to_go
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_prune import pruned_rows
from skew_ext.log.query import LogQuery
from skew_ext.shipping.shipper import Shipper
from tests.kit import NOON, Repo
from tests.logs import DAY, TODAY, files, stored, values

YEAR = timedelta(days=365)
MONTH = [TODAY - days * DAY for days in range(30)]


def test_days_are_counted_from_the_newest_that_has_rows() -> None:
    kept = TODAY - 7 * DAY
    for today in (TODAY, TODAY + 3 * DAY, TODAY + YEAR, TODAY + 300 * YEAR):
        assert min(set(MONTH) - set(days_to_go(MONTH, today, 7).going)) == kept
    # A clock that is behind deletes less, and never more.
    assert min(set(MONTH) - set(days_to_go(MONTH, TODAY - 4 * DAY, 7).going)) == kept - 4 * DAY
    assert days_to_go(MONTH, TODAY - YEAR, 7).going == []
    assert days_to_go(MONTH, TODAY + YEAR, 7, trust_clock=True).going == sorted(MONTH)
    assert days_to_go([], TODAY, 7) == days_to_go(MONTH, TODAY, None) == keeping.Keeping()


@pytest.mark.parametrize("jump", [timedelta(days=20), YEAR, 50 * YEAR])
def test_rows_of_a_clock_that_had_jumped_delete_nothing_and_both_days_are_said(jump: timedelta) -> None:
    newest = TODAY + jump
    for today in (newest, newest + DAY):
        told = days_to_go([*MONTH, newest], today, 7)
        assert told.going == []
        assert str(newest) in told.refused
        assert str(TODAY) in told.refused
    # With the right time again, days are counted from today.
    assert days_to_go([*MONTH, newest], TODAY, 7).going == sorted(MONTH)[: 30 - 8]


@pytest.mark.parametrize("far", [YEAR, 25 * YEAR, 2000 * YEAR])
def test_a_clock_that_is_ahead_is_said_and_a_row_of_long_ago_holds_nothing_up(far: timedelta) -> None:
    told = days_to_go(MONTH, TODAY + YEAR, 60)
    assert (told.going, str(TODAY) in told.refused, str(TODAY + YEAR) in told.refused) == ([], True, True)
    long_ago = TODAY - far
    told = days_to_go([long_ago, *MONTH], TODAY, 60)
    assert (told.going, told.refused) == ([long_ago], "")


def test_a_log_with_gaps_is_pruned_once_it_has_gone_on_for_as_long() -> None:
    paused = [TODAY - 100 * DAY, TODAY - 99 * DAY]
    assert days_to_go([*paused, TODAY], TODAY, 30).refused
    assert days_to_go([*paused, TODAY - 2 * DAY, TODAY - DAY, TODAY], TODAY, 30).going == paused


def test_a_clock_a_year_ahead_deletes_nothing_by_shipper_or_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    skew = {"start_shipper": False, "destination": {"type": "parquet", "keep_days": 3}}
    repo = Repo(tmp_path / "repo", skew=skew)
    for days in range(3):
        with request_context(served_at=NOON - days * DAY):
            repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    monkeypatch.setattr("skew_ext.shipping.shipper.utc_now", lambda: NOON + YEAR)
    monkeypatch.setattr("skew_ext.clock.utc_now", lambda: NOON + YEAR)
    Shipper(repo.path / "data/skew/spool").drain()
    log = ParquetDestination(repo.path / "data/skew/log")
    assert log.read(LogQuery()).num_rows == 3
    for day in (TODAY, TODAY + YEAR):
        assert str(day) in caplog.text
    arguments = ["-c", str(repo.path), "log", "prune", "--keep-days", "1"]
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, "deleted 1 rows by age" in done.output) == (0, True)
    refused = CliRunner().invoke(cli, arguments)
    assert (refused.exit_code, log.read(LogQuery()).num_rows) == (2, 2)
    assert "--trust-clock" in refused.output
    trusted = CliRunner().invoke(cli, [*arguments, "--trust-clock"])
    assert "deleted 2 rows by age" in trusted.output
    assert log.read(LogQuery()).num_rows == 0


def test_a_copy_in_a_later_days_folder_makes_no_day_older(tmp_path: Path) -> None:
    stored(tmp_path, 2, at=NOON - 3 * DAY)
    later = files(tmp_path)[0].parent.parent / f"__log_date={TODAY + 5 * DAY}"
    later.mkdir()
    shutil.copy(files(tmp_path)[0], later)
    (later / "foreign.parquet").write_bytes(b"none of ours")
    log = ParquetDestination(tmp_path, keep_days=4)
    assert log.prune(TODAY + 5 * DAY).pruned == {}
    assert values(log) == [0, 1]


def test_size_never_takes_the_newest_day_whatever_the_clock_says(tmp_path: Path) -> None:
    stored(tmp_path, 2, at=NOON - DAY)
    stored(tmp_path, 2, start=2)
    log = ParquetDestination(tmp_path, max_bytes=1)
    assert log.prune(TODAY + YEAR).pruned == {"size": 2}
    assert values(log) == [2, 3]


class Killed(BaseException):
    """What a kill is in this test: nothing that comes after happens."""


STEPS: list[tuple[Any, str]] = [
    (Path, "rename"),
    (Path, "replace"),
    (os, "fsync"),
    (os, "rmdir"),
    (os, "unlink"),
    (shutil, "rmtree"),
    (parquet_files, "sync_folder"),
    (parquet_prune, "_save"),
    (parquet_prune, "_load"),
    (parquet_prune, "rows_by_owner"),
]


@contextmanager
def killed_at(step: int, *, before: bool) -> Iterator[list[int]]:
    """Kill the process before or after its n-th step of any kind; gives how many there were."""
    taken = [0]

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            taken[0] += 1
            dies = taken[0] == step
            if dies and before:
                raise Killed
            done = real(*given, **options)
            if dies:
                raise Killed
            return done

        return call

    with pytest.MonkeyPatch.context() as patched:
        for owner, name in STEPS:
            patched.setattr(owner, name, wrapped(getattr(owner, name)))
        yield taken


def test_a_kill_at_any_step_counts_each_row_once_and_shows_no_part_of_a_day(tmp_path: Path) -> None:
    died, whole = 0, tmp_path / "whole"
    stored(whole, 4, at=NOON - 9 * DAY)
    stored(whole, 3, start=4, at=NOON - 9 * DAY, service="other", owner="theirs")
    stored(whole, 2, start=7, at=NOON - 8 * DAY)
    stored(whole, 1, start=9)
    for number in range(1, 200):
        for before in (True, False):
            log = tmp_path / f"{number}{before}"
            shutil.copytree(whole, log)
            destination = ParquetDestination(log, keep_days=2)
            with killed_at(number, before=before) as taken:
                try:
                    destination.prune(TODAY)
                except Killed:
                    died += 1
            shown = destination.read(LogQuery())["v__f"].to_pylist()
            for day in ({0, 1, 2, 3}, {4, 5, 6}, {7, 8}, {9}):
                assert day & set(shown) in (day, set())
            for value in (0, 5, 8):
                assert destination.read(LogQuery(request_id=f"r{value}")).num_rows == (value in shown)
            destination.prune(TODAY)
            assert values(destination) == [9]
            mine, theirs = (pruned_rows(destination.path, owner) for owner in ("mine", "theirs"))
            assert dict(mine.reasons) == {"age": 6}
            assert dict(mine.days) == {TODAY - 9 * DAY: 4, TODAY - 8 * DAY: 2}
            assert dict(theirs.reasons) == {"age": 3}
            left = [path.name for path in log.rglob("*") if "leaving" in path.name or path.name.endswith(".tmp")]
            assert left == []
            shutil.rmtree(log)
        if taken[0] < number:
            break
    assert died > 40


def test_what_an_earlier_version_left_half_deleted_is_not_read_and_goes(tmp_path: Path) -> None:
    log = stored(tmp_path, 3, at=NOON - 9 * DAY)
    stored(tmp_path, 1, start=3)
    day = files(tmp_path)[0].parent
    day.rename(day.with_name(f".{day.name}.4242"))
    assert values(log) == [3]
    assert log.read(LogQuery(request_id="r0")).num_rows == 0
    assert log.maintain("mine", TODAY).pruned == {"age": 3}
    assert log.maintain("mine", TODAY).pruned_ever == {"age": 3}
    assert len(list((tmp_path / "scoring").iterdir())) == 1


def test_two_processes_prune_one_log_and_count_each_row_once(tmp_path: Path) -> None:
    stored(tmp_path, 3, at=NOON - 9 * DAY)
    log = stored(tmp_path, 1, start=3)
    pruning = ParquetDestination(tmp_path, keep_days=2)
    with parquet_prune._lock(tmp_path, parquet_files.OWNER) as held:
        assert held
        assert pruning.prune(TODAY).pruned == {}
        assert values(log) == [0, 1, 2, 3]
    assert pruning.prune(TODAY).pruned == {"age": 3}


def test_a_damaged_account_is_put_aside_and_nothing_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored(tmp_path, 3, at=NOON - 9 * DAY)
    stored(tmp_path, 1, start=3)
    (tmp_path / ".pruned.json").write_text("{")
    log = ParquetDestination(tmp_path, keep_days=2)
    assert log.maintain("mine", TODAY).pruned_ever == {"age": 3}
    assert "is damaged" in caplog.text


def test_dates_at_the_ends_of_time_are_no_error() -> None:
    assert days_to_go([date.min, date.max], date.max, 10**6).going == []
    assert days_to_go([date.min], date.min, 1).going == []
