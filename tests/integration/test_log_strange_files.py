"""Whatever stands in the log's folder: the rows of the log are read, each once, and what is no part of it is named."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skew_ext import SkewAuditor, read_log, request_context
from skew_ext.auditor.parts import Window, log_parts
from skew_ext.log.notes import LogNote, SkewLogWarning, notes_of
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_files import listed
from skew_ext.log.parquet_upkeep import merge_small_files
from skew_ext.log.query import LogQuery
from skew_ext.settings import settings_from
from skew_ext.shipping.shipper import Shipper
from tests.kit import NOON, Repo, row
from tests.logs import DAY, TODAY, files, stored, values

HOUR = timedelta(hours=1)
ROWS = 6


@pytest.fixture(autouse=True)
def never_waits() -> Iterator[None]:
    """Fail rather than hang, where something waits for the other end of a pipe."""

    def late(*_: object) -> None:
        msg = "something waited"
        raise TimeoutError(msg)

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def empty(day: Path) -> Path:
    (day / "empty.parquet").touch()
    return day / "empty.parquet"


def cut(day: Path) -> Path:
    content = files(day)[0].read_bytes()
    (day / "mine-cut.parquet").write_bytes(content[: len(content) // 2])
    return day / "mine-cut.parquet"


def noise(day: Path) -> Path:
    (day / "mine-noise.parquet").write_bytes(os.urandom(5000))
    return day / "mine-noise.parquet"


def pipe(day: Path) -> Path:
    os.mkfifo(day / "pipe.parquet")
    return day / "pipe.parquet"


def link(day: Path) -> Path:
    (day / "link.parquet").symlink_to(files(day)[0])
    return day / "link.parquet"


def broken_link(day: Path) -> Path:
    (day / "mine-broken.parquet").symlink_to("nowhere")
    return day / "mine-broken.parquet"


def folder(day: Path) -> Path:
    (day / "mine-folder.parquet").mkdir()
    return day / "mine-folder.parquet"


def a_socket(day: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as one:
        os.chdir(day)
        one.bind("socket.parquet")
    return day / "socket.parquet"


def foreign(day: Path) -> Path:
    pq.write_table(pa.table({"driver": [1], "v__f": [99]}), day / "mine-foreign.parquet")
    return day / "mine-foreign.parquet"


def other_types(day: Path) -> Path:
    table = pq.read_table(files(day)[0])
    at = table.schema.get_field_index("__seq")
    table = table.set_column(at, "__seq", table["__seq"].cast(pa.string()))
    pq.write_table(table, day / "mine-types.parquet")
    return day / "mine-types.parquet"


def copy(day: Path) -> Path:
    return Path(shutil.copy(files(day)[0], day / "a copy of it.parquet"))


def copy_of_several_at_once(day: Path) -> Path:
    tables = [pq.read_table(file) for file in files(day)[:3]]
    pq.write_table(pa.concat_tables(tables[:2]), day / "again.parquet")
    pq.write_table(pa.concat_tables(tables), day / "all again.parquet")
    return files(day)[0]


def in_another_day(day: Path) -> Path:
    other = day.parent / "__log_date=2026-02-27"
    other.mkdir()
    return Path(shutil.copy(files(day)[0], other))


def in_another_service(day: Path) -> Path:
    other = day.parent.parent / "other" / day.name
    other.mkdir(parents=True)
    return Path(shutil.copy(files(day)[0], other))


def in_no_day(day: Path) -> Path:
    return Path(shutil.copy(files(day)[0], day.parent))


def a_linked_day(day: Path) -> Path:
    (day.parent / "__log_date=2026-02-27").symlink_to(day)
    return day.parent / "__log_date=2026-02-27"


def a_day_that_is_a_file(day: Path) -> Path:
    (day.parent / "__log_date=2026-02-27").write_text("no folder")
    return day.parent / "__log_date=2026-02-27"


STRANGE = [
    empty, cut, noise, pipe, link, broken_link, folder, a_socket, foreign, other_types, copy, copy_of_several_at_once,
    in_another_day, in_another_service, in_no_day, a_linked_day, a_day_that_is_a_file,
]  # fmt: skip


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("put", STRANGE)
def test_one_strange_thing_is_named_and_changes_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, put: Callable[[Path], Path], indexed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    log = stored(tmp_path, ROWS)
    day = files(tmp_path)[0].parent
    if not indexed:
        (day / ".skew-index-mine").unlink()
    assert notes_of(log.read(LogQuery())) == []
    strange = put(day)
    everything = list(range(ROWS))
    read = log.read(LogQuery())
    assert sorted(read["v__f"].to_pylist()) == everything
    assert str(strange) in {note.file for note in notes_of(read)}
    window = {"start": NOON - HOUR, "end": NOON + HOUR}
    assert values(log, feature_service="scoring") == values(log, **window) == everything
    assert values(log, request_id="r0") == [0]
    settings = settings_from({"destination": {"path": str(tmp_path)}}, tmp_path)
    notes: list[LogNote] = []
    parts = list(log_parts(settings, Window("scoring", NOON - 9 * DAY, NOON + HOUR), ["v__f"], 2, notes))
    assert sorted(value for part in parts for value in part["v__f"].to_pylist()) == everything
    if put is not in_another_service:
        assert str(strange) in {note.file for note in notes}
    assert log.count_rows("mine") == {"scoring": {TODAY: ROWS}}


@pytest.mark.parametrize("put", STRANGE)
def test_one_strange_thing_stops_neither_merging_nor_pruning(
    tmp_path: Path, put: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored(tmp_path, ROWS, at=NOON - 4 * DAY)
    log = stored(tmp_path, 3, start=ROWS)
    put(files(tmp_path)[0].parent)
    done = ParquetDestination(tmp_path, keep_days=30).maintain("mine", TODAY)
    # What stands in two files is left alone; all else is merged.
    assert done.merged >= (2 if put in (copy, copy_of_several_at_once) else ROWS - 1)
    assert values(log) == list(range(ROWS + 3))
    assert ParquetDestination(tmp_path, keep_days=2).maintain("mine", TODAY).pruned == {"age": ROWS}
    assert values(log) == list(range(ROWS, ROWS + 3))


def damage(file: Path) -> None:
    """Damage what is in a file and leave its footer, as a disk may."""
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 3] = os.urandom(len(content) // 3 - 4)
    file.write_bytes(content)


def test_pages_that_are_damaged_leave_out_their_file_alone(tmp_path: Path) -> None:
    log = stored(tmp_path, ROWS)
    damage(files(tmp_path)[2])
    read = log.read(LogQuery())
    assert sorted(read["v__f"].to_pylist()) == [0, 1, 3, 4, 5]
    assert [(note.file, note.code) for note in notes_of(read)] == [(str(files(tmp_path)[2]), "unreadable")]
    settings = settings_from({"destination": {"path": str(tmp_path)}}, tmp_path)
    notes: list[LogNote] = []
    parts = log_parts(settings, Window("scoring", NOON - HOUR, NOON + HOUR), ["v__f"], 2, notes)
    assert sorted(value for part in parts for value in part["v__f"].to_pylist()) == [0, 1, 3, 4, 5]
    assert [note.code for note in notes] == ["unreadable"]
    assert merge_small_files(tmp_path, "mine", TODAY + DAY) == 4
    assert values(log) == [0, 1, 3, 4, 5]


def test_an_error_in_one_days_folder_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for days in range(3):
        stored(tmp_path, 3, start=3 * days, at=NOON - days * DAY)

    def failing(day: Path) -> Iterator[object]:
        if day.name.endswith("2026-02-28"):
            raise PermissionError(13, "not yours")
        return listed(day)

    monkeypatch.setattr("skew_ext.log.parquet_upkeep.listed", failing)
    assert merge_small_files(tmp_path, "mine", TODAY + DAY) == 4
    assert "not yours" in caplog.text


def test_a_batch_across_midnight_keeps_both_days_when_one_of_them_is_merged(tmp_path: Path) -> None:
    # Both days have a file of the same name; what replaces one of them does not replace the other.
    for number in range(3):
        stored(tmp_path, 1, start=number)
        stored(tmp_path, 1, start=number, at=NOON - DAY)
    before = values(ParquetDestination(tmp_path))
    assert merge_small_files(tmp_path, "mine", TODAY) == 2
    assert values(ParquetDestination(tmp_path)) == before == [0, 0, 1, 1, 2, 2]


def test_an_audit_says_what_it_could_not_read_and_read_log_warns(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write([row(1, NOON - HOUR, 4.5, 10, "Oslo")])
    repo.materialize(NOON)
    for minute in range(3):
        with request_context(served_at=NOON + timedelta(minutes=minute)):
            repo.store.get_online_features(repo.store.get_feature_service("scoring"), [{"driver": 1}])
        Shipper(repo.path / "data/skew/spool").drain()
    window = NOON - HOUR, NOON + HOUR
    assert "incomplete_log" not in {
        finding.code for finding in SkewAuditor(repo.store).run_audit("scoring", *window).findings
    }
    (file,) = files(repo.path / "data/skew/log")[-1:]
    (file.parent / "again.parquet").write_bytes(file.read_bytes())
    pipe(file.parent)
    report = SkewAuditor(repo.store).run_audit("scoring", *window)
    assert report.rows == 3
    found = {finding.message: finding for finding in report.findings if finding.code == "incomplete_log"}
    assert report.verdict == "warn"
    assert {finding.severity for finding in found.values()} == {"warn"}
    assert sorted(Path(message.split()[3]).name for message in found) == ["again.parquet", "pipe.parquet"]
    with pytest.warns(SkewLogWarning, match=r"pipe\.parquet is no file but a pipe"):
        rows = read_log(repo.path)
    assert [note.code for note in notes_of(rows)] == ["copied", "no_file"]
    assert rows.num_rows == 3


def test_a_log_with_nothing_but_damage_says_so(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    with request_context(served_at=NOON):
        repo.store.get_online_features(repo.store.get_feature_service("scoring"), [{"driver": 1}])
    Shipper(repo.path / "data/skew/spool").drain()
    for file in files(repo.path / "data/skew/log"):
        file.write_bytes(b"")
    with pytest.raises(Exception, match=r"has no rows of 'scoring'.*cannot be read \(it is empty\)"):
        SkewAuditor(repo.store).run_audit("scoring", NOON - HOUR, NOON + HOUR)
