"""The spool and its writer: what fits is kept, what does not is counted, and strangers' folders are left alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from skew_ext.errors import SpoolError
from skew_ext.serving import segments as segments_module
from skew_ext.serving.counters import read_counters
from skew_ext.serving.file_lock import FileLock, is_held
from skew_ext.serving.record import Record
from skew_ext.serving.segment_file import SEGMENT_HEADER, segments
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.writer import SpoolWriter
from skew_ext.shipping.ledger import Position
from skew_ext.shipping.reader import WriterReader

KIB = 1024
PAYLOAD = Record(0, b"schema", b"request", b"[]", b"", b"x" * 300).encode()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments as small as these are used up faster than files are made: here, lookups wait for them."""
    monkeypatch.setattr(segments_module, "PATIENCE_SECONDS", 10.0)


@pytest.fixture
def spool(tmp_path: Path) -> SpoolDirectory:
    directory = SpoolDirectory(tmp_path / "spool")
    directory.create(
        "rides", {"destination": {"type": "parquet", "path": "log"}, "flush_seconds": 10, "sample_rate": 1}
    )
    return directory


def read_all(folder: Path) -> list[int]:
    """Give the sequences of all records of a writer."""
    reader, position, found = WriterReader(folder), Position(), []
    while (batch := reader.read(position, max_bytes=2000)).entries:
        found += [entry.sequence for entry in batch.entries]
        position = batch.end
    return found


def test_records_span_segments_and_read_back_in_order(spool: SpoolDirectory) -> None:
    writer = SpoolWriter(spool, segment_bytes=4 * KIB, max_bytes=400 * KIB)
    assert all(writer.append(PAYLOAD, rows=1) for _ in range(100))
    (folder,) = spool.writer_folders()
    assert len(segments(folder)) > 5
    assert read_all(folder) == list(range(100))
    writer.close()


def test_a_full_spool_drops_and_counts(spool: SpoolDirectory) -> None:
    writer = SpoolWriter(spool, segment_bytes=4 * KIB, max_bytes=8 * KIB)
    kept = sum(writer.append(PAYLOAD, rows=2) for _ in range(100))
    (folder,) = spool.writer_folders()
    counted = read_counters(folder / "state")
    assert 0 < kept < 100
    assert counted["accepted"] == 200
    assert counted["appended"] == 2 * kept
    assert counted["spool_full"] == 200 - 2 * kept
    writer.close()


def test_a_record_larger_than_a_segment_is_dropped_as_such(spool: SpoolDirectory) -> None:
    writer = SpoolWriter(spool, segment_bytes=4 * KIB, max_bytes=40 * KIB)
    assert not writer.append(b"x" * (4 * KIB - SEGMENT_HEADER + 1), rows=1)
    assert writer.append(PAYLOAD, rows=1)
    (folder,) = spool.writer_folders()
    assert read_counters(folder / "state")["too_large"] == 1
    writer.close()


def test_after_close_lookups_are_counted_as_closed(spool: SpoolDirectory) -> None:
    writer = SpoolWriter(spool, segment_bytes=4 * KIB, max_bytes=40 * KIB)
    writer.close()
    assert not writer.append(PAYLOAD, rows=3)
    (folder,) = spool.writer_folders()
    assert read_counters(folder / "state")["closed"] == 3


def test_threads_lose_nothing(spool: SpoolDirectory) -> None:
    writer = SpoolWriter(spool, segment_bytes=16 * KIB, max_bytes=4096 * KIB)
    threads = [threading.Thread(target=lambda: [writer.append(PAYLOAD, rows=1) for _ in range(300)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (folder,) = spool.writer_folders()
    assert read_all(folder) == list(range(2400))
    writer.close()


def test_files_are_private(spool: SpoolDirectory) -> None:
    writer = SpoolWriter(spool, segment_bytes=4 * KIB, max_bytes=40 * KIB)
    writer.append(PAYLOAD, rows=1)
    (folder,) = spool.writer_folders()
    modes = {path.stat().st_mode & 0o777 for path in (spool.path, spool.writers, folder)}
    assert modes == {0o700}
    assert {path.stat().st_mode & 0o777 for path in (*folder.iterdir(), spool.marker)} == {0o600}
    writer.close()


def test_a_living_writer_is_seen_and_a_closed_one_is_not(spool: SpoolDirectory) -> None:
    writer = SpoolWriter(spool, segment_bytes=4 * KIB, max_bytes=40 * KIB)
    (folder,) = spool.writer_folders()
    assert is_held(folder / "lock")
    writer.close()
    assert not is_held(folder / "lock")


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_a_folder_with_other_things_is_no_spool(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(SpoolError, match=r"not a spool of skew_ext and is not empty: set skew\.spool"):
        SpoolDirectory(tmp_path).create("rides", {})
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ({"format": "another tool"}, "is not a spool of skew_ext"),
        ({"format": "skew_ext spool", "version": 99}, "format 99, and this skew_ext reads 1"),
        ({"format": "skew_ext spool", "version": 1, "project": "eats"}, "the spool of project 'eats', not 'rides'"),
        ([], "is not a spool of skew_ext"),
    ],
)
def test_a_spool_that_is_not_ours_is_refused(tmp_path: Path, marker: object, says: str) -> None:
    (tmp_path / "spool.json").write_text(json.dumps(marker))
    with pytest.raises(SpoolError, match=says):
        SpoolDirectory(tmp_path).check("rides")


def test_no_spool_and_a_broken_marker_are_said(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="nothing was logged there yet"):
        SpoolDirectory(tmp_path / "none").check()
    (tmp_path / "spool.json").write_text("{")
    with pytest.raises(SpoolError, match="cannot be read"):
        SpoolDirectory(tmp_path).check()
