"""The index of a day's files makes readings faster, and nothing else: what it says holds only for the file as it is."""

from __future__ import annotations

import os
import random
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skew_ext import ServingLogger, request_context
from skew_ext.auditor.parts import Window, log_parts
from skew_ext.log import parquet, parquet_files, parquet_scan, parquet_upkeep
from skew_ext.log.latest import latest_rows
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_files import aside_of, described
from skew_ext.log.parquet_index import DayIndex
from skew_ext.log.parquet_reading import read_files
from skew_ext.log.query import LogQuery
from skew_ext.log.request_filter import build, hash_of, hashes, may_hold
from skew_ext.settings import settings_from
from skew_ext.shipping.shipper import Shipper
from tests.kit import MINUTE, NOON, Repo
from tests.logs import DAY, TODAY, files, stored, values

CHANCE = random.Random(20260301)  # noqa: S311 - what is damaged where


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which files are opened to be asked what they are."""
    names: list[str] = []

    def noting(path: str) -> object:
        names.append(Path(path).name)
        return described(path)

    monkeypatch.setattr(parquet_scan, "described", noting)
    return names


def index_of(log: Path) -> Path:
    (found,) = log.rglob(".skew-index-mine")
    return found


def test_no_file_is_opened_that_cannot_have_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        stored(tmp_path, 1, start=number, at=NOON + number * MINUTE)
    log, asked = ParquetDestination(tmp_path), opened(monkeypatch)
    chosen = parquet_scan.select(tmp_path, LogQuery("scoring", NOON + 3 * MINUTE, NOON + 5 * MINUTE)).files
    assert [file.name for file in chosen] == ["mine-0003.parquet", "mine-0004.parquet"]
    assert len(parquet_scan.select(tmp_path, LogQuery(request_id="r7")).files) == 1
    assert log.latest_start(1, "scoring") == NOON + 19 * MINUTE
    assert values(log, request_id="r7") == [7]
    assert asked == []
    # Without it each is asked, and the answer is the same.
    index_of(tmp_path).unlink()
    assert values(log, request_id="r7") == [7]
    assert len(asked) == 20
    log.maintain("theirs", TODAY)
    asked.clear()
    assert values(log, request_id="r7") == [7]
    assert asked == []


def forgotten(index: Path) -> None:
    index.unlink()


def cut_off(index: Path) -> None:
    index.write_bytes(index.read_bytes()[: index.stat().st_size * 2 // 3])


def changed(index: Path) -> None:
    content = bytearray(index.read_bytes())
    for _ in range(20):
        content[CHANCE.randrange(len(content))] ^= 1 << CHANCE.randrange(8)
    index.write_bytes(content)


def emptied(index: Path) -> None:
    index.write_bytes(b"")


def a_pipe(index: Path) -> None:
    index.unlink()
    os.mkfifo(index)


def a_folder(index: Path) -> None:
    index.unlink()
    index.mkdir()


@pytest.mark.parametrize("damage", [forgotten, cut_off, changed, emptied, a_pipe, a_folder])
def test_an_index_that_is_damaged_loses_no_row(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for attempt in range(6 if damage is changed else 1):
        folder = tmp_path / str(attempt)
        log = stored(folder, 12)
        damage(index_of(folder))
        assert values(log) == list(range(12))
        assert [values(log, request_id=f"r{number}") for number in (0, 6, 11)] == [[0], [6], [11]]
        assert values(log, start=NOON, end=NOON + MINUTE) == list(range(12))
        stored(folder, 2, start=12)
        log.maintain("mine", TODAY + DAY)
        assert values(log) == list(range(14))
        shutil.rmtree(folder)


def test_an_entry_holds_for_the_file_that_it_was_made_of(tmp_path: Path) -> None:
    log = stored(tmp_path, 3)
    first, second, third = files(tmp_path)
    # Another batch of rows under a name that the index knows, written in place, by a writer that keeps no index.
    second.write_bytes(b"")
    other = stored(tmp_path / "other", 1, start=40, at=NOON + 5 * MINUTE)
    assert values(other) == [40]
    shutil.copyfile(files(tmp_path / "other")[0], third)
    shutil.rmtree(tmp_path / "other")
    assert values(log, request_id="r40") == [40]
    assert values(log, start=NOON + 4 * MINUTE) == [40]
    assert values(log) == [0, 40]
    assert first.is_file()


def test_a_batch_is_read_as_soon_as_it_is_stored_also_by_a_writer_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = stored(tmp_path, 2)
    log.maintain("mine", TODAY)
    with monkeypatch.context() as patched:
        patched.setattr(parquet, "append", lambda *_: None)
        stored(tmp_path, 1, start=2)
    assert values(log) == [0, 1, 2]
    assert values(log, request_id="r2") == [2]


def test_a_batch_that_is_sent_again_has_one_entry_and_its_rows_once(tmp_path: Path) -> None:
    stored(tmp_path, 1)
    log = stored(tmp_path, 1)
    assert len(values(log)) == 1
    index = DayIndex.load(index_of(tmp_path).parent)
    assert list(index.entries) == ["mine-0000.parquet"]


def test_an_index_is_written_anew_when_most_of_it_is_of_files_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_upkeep, "_WASTE", 1)
    log = stored(tmp_path, 20)
    before = index_of(tmp_path).stat().st_size
    log.maintain("mine", TODAY + DAY)
    assert index_of(tmp_path).stat().st_size < before / 4
    assert values(log, request_id="r11") == [11]
    assert len(DayIndex.load(index_of(tmp_path).parent).entries) == 1


def test_new_files_are_merged_while_the_shipper_is_busy(tmp_path: Path) -> None:
    stored(tmp_path, 20, start=100, at=NOON - DAY)
    log = stored(tmp_path, parquet.MANY - 1)
    assert not log.wants_upkeep
    for _ in range(3):
        start = len(values(log))
        log = stored(tmp_path, parquet.MANY, start=start)
        assert log.wants_upkeep
        assert log.maintain("mine", TODAY, quick=True).merged > parquet.MANY // 2
        assert not log.wants_upkeep
    today = [file for file in files(tmp_path) if file.parent.name.endswith(str(TODAY))]
    assert len(today) < 12
    assert len(files(tmp_path)) == len(today) + 20
    assert len(values(log)) == 20 + 4 * parquet.MANY - 1


def test_an_audit_goes_on_while_files_are_merged_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = stored(tmp_path, 12)
    settings = settings_from({"destination": {"path": str(tmp_path)}}, tmp_path)
    parts = log_parts(settings, Window("scoring", NOON - DAY, NOON + DAY), ["v__f"], 1)
    read = next(parts)["v__f"].to_pylist()
    log.maintain("mine", TODAY + DAY)
    assert len(files(tmp_path)) == 1
    read += [value for part in parts for value in part["v__f"].to_pylist()]
    assert sorted(read) == list(range(12))
    # They go when nobody can be reading them any more.
    aside = Path(aside_of(str(files(tmp_path)[0].with_name("mine-0003.parquet"))))
    assert aside.is_file()
    monkeypatch.setattr(parquet_upkeep, "ASIDE_SECONDS", -5.0)
    log.maintain("mine", TODAY + DAY)
    assert not aside.parent.exists()


class Killed(BaseException):
    """What a kill is in this test: nothing that comes after happens."""


def test_a_kill_at_any_step_of_merging_loses_and_doubles_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    stored(whole, 5)
    steps: list[tuple[Any, str]] = [
        (Path, "replace"),
        (Path, "unlink"),
        (Path, "mkdir"),
        (os, "link"),
        (os, "fsync"),
        (parquet_upkeep, "append"),
        (parquet_upkeep, "described"),
        (parquet_files, "sync_folder"),
    ]
    died = 0
    for number in range(1, 99):
        log = ParquetDestination(shutil.copytree(whole, tmp_path / str(number)))
        taken = [0]

        def wrapped(real: Callable[..., Any], taken: list[int] = taken, number: int = number) -> Callable[..., Any]:
            def call(*given: Any, **options: Any) -> Any:
                done = real(*given, **options)
                taken[0] += 1
                if taken[0] == number:
                    raise Killed
                return done

            return call

        with monkeypatch.context() as patched:
            for owner, name in steps:
                patched.setattr(owner, name, wrapped(getattr(owner, name)))
            try:
                log.maintain("mine", TODAY + DAY)
            except Killed:
                died += 1
        assert values(log) == values(log, start=NOON) == list(range(5))
        assert [values(log, request_id=f"r{value}") for value in (0, 4)] == [[0], [4]]
        log.maintain("mine", TODAY + DAY)
        assert values(log) == list(range(5))
        assert len(files(log.path)) == 1
        assert log.count_rows("mine") == {"scoring": {TODAY: 5}}
        if taken[0] < number:
            break
    assert died > 15


def test_the_latest_rows_are_found_in_a_log_of_long_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repo(tmp_path / "repo")
    logger = ServingLogger(repo.path)
    for number in range(60):
        with request_context(served_at=NOON + number * MINUTE):
            logger.log_prediction(f"r{number}", number)
        if number % 7 == 0:
            Shipper(repo.path / "data/skew/spool").drain()
    Shipper(repo.path / "data/skew/spool").drain()
    read: list[int] = []

    def counting(log: Path, query: LogQuery) -> pa.Table:
        found = read_files(log, query)
        read.append(found.num_rows)
        return found

    monkeypatch.setattr("skew_ext.log.parquet.read_files", counting)
    for count, most in ((1, 17), (10, 17), (12, 60), (60, 60), (99, 60)):
        read.clear()
        rows = latest_rows(repo.store, count)["__request_id"].to_pylist()
        assert rows == [f"r{number}" for number in range(60)][-count:]
        assert read[-1] <= most
        assert len(read) == 1 or count > 60


IDS = st.lists(st.text(st.characters(codec="utf-8"), max_size=300), max_size=60)


@given(IDS)
def test_a_filter_never_denies_what_is_there(ids: list[str]) -> None:
    content = build(hashes(pa.chunked_array([pa.array(ids, pa.string()), pa.array([None, *ids], pa.string())])))
    assert all(may_hold(content, hash_of(one)) for one in ids)


def test_a_filter_seldom_affirms_what_is_not_there() -> None:
    def drawn(count: int) -> pa.Array:
        return pa.array([str(uuid.UUID(int=CHANCE.getrandbits(128))) for _ in range(count)])

    content = build(hashes(drawn(20_000)))
    assert len(content) <= 20_000 * 16 // 8 + 64
    affirmed = sum(may_hold(content, int(key)) for key in hashes(drawn(20_000)))
    assert affirmed / 20_000 < 0.01


def test_the_hash_stays_what_it_is() -> None:
    # Filters on disk were built with it.
    told = {
        "": 9248179162272254404,
        "r-1": 9929746258757682446,
        "01979a3e-5f0e-7cc1-b7e3-0d5a1c6f2b11": 10264402125447183520,
        "é" * 200: 6892639684602285421,
    }
    assert {one: hash_of(one) for one in told} == told
