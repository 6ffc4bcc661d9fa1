"""Faults around serving and shipping, with real processes. Each test ends with the conservation law."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skew_ext import read_log, request_context
from skew_ext.errors import SpoolError
from skew_ext.serving.record import FRAME, read_frame
from skew_ext.serving.segment_file import segments
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import NOON, Repo, row, wait_for
from tests.law import REFERENCES, make_repo, settled, spool
from tests.nursery import Nursery, nursery
from tests.servers import RedisServer

CHANCE = random.Random(20260301)  # noqa: S311 - where the signals fall


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with nursery(tmp_path_factory.mktemp("nursery")) as made:
        yield made


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


def test_kills_of_servers_and_shippers_many_times_over(repo: Repo, processes: Nursery) -> None:
    killed = 0
    for _ in range(15):
        servers = [processes.start("serve", repo.path, 100_000, 2) for _ in range(2)]
        for server in servers:
            server.await_line("serving")
        shipper = processes.start("ship", repo.path)
        (spool(repo) / "flush").touch()
        for child in CHANCE.sample([*servers, shipper], 3):
            time.sleep(CHANCE.random() * 0.15)
            child.kill()
        assert {child.wait() for child in (*servers, shipper)} == {-signal.SIGKILL}
        killed += len(servers)
    counts = settled(repo)
    assert counts.dropped.get("killed", 0) <= 2 * 2 * killed, "at most the one lookup of each thread"
    assert counts.stored > 1000
    assert not SpoolDirectory(spool(repo)).writer_folders()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_that_is_told_to_go(repo: Repo, processes: Nursery, number: int) -> None:
    server = processes.start("serve", repo.path, 100_000, 2)
    server.await_line("serving")
    time.sleep(0.2)
    server.kill(number)
    server.wait()
    counts = settled(repo)
    assert counts.stored > 100
    assert counts.dropped.get("killed", 0) <= 4


def test_an_interpreter_that_ends_under_its_threads(repo: Repo, processes: Nursery) -> None:
    assert processes.start("serve_until_exit", repo.path).wait() == 0
    counts = settled(repo)
    assert counts.stored > 100
    assert set(counts.dropped) <= {"closed", "killed"}


def test_forks_of_a_process_with_threads(repo: Repo, processes: Nursery) -> None:
    server = processes.start("serve_and_fork", repo.path, 20)
    assert server.wait() == 0, server.said()
    counts = settled(repo)
    by_writer = read_log(repo.path).group_by("__writer").aggregate([([], "count_all")])
    assert by_writer.num_rows == 21
    assert sorted(by_writer["count_all"].to_pylist())[:20] == [10] * 20
    assert set(counts.dropped) <= {"closed", "killed"}


def test_handlers_that_raise_in_the_middle_of_an_append(tmp_path: Path, processes: Nursery) -> None:
    repo = make_repo(tmp_path / "repo", skew={"start_shipper": False, "segment_bytes": 1 << 20})
    server = processes.start("serve_interrupted", repo.path, 1500)
    assert server.wait() == 0, server.said()
    assert int(server.said().split()[-1]) > 100
    assert set(settled(repo).dropped) <= {"interrupted"}


def test_a_full_disk_under_the_spool(tmp_path: Path, processes: Nursery) -> None:
    repo = make_repo(tmp_path / "repo", skew={"start_shipper": False, "segment_bytes": 1 << 20})
    server = processes.start("serve_on_a_full_disk", repo.path)
    assert server.wait() == 0, server.said()
    counts = settled(repo)
    assert counts.accepted == 60
    assert 20 <= counts.dropped["spool_unavailable"] < 40
    assert server.said().count("does not log lookups") == 1


def test_a_full_disk_under_the_log(repo: Repo, processes: Nursery) -> None:
    assert processes.start("serve", repo.path, 2000).wait() == 0
    shipper = processes.start("ship_to_a_full_disk", repo.path)
    wait_for(lambda: log_stats(spool(repo)).in_spool == 0, "the log was not stored when there was room again")
    shipper.kill(signal.SIGTERM)
    assert shipper.wait() == 0, shipper.said()
    assert settled(repo).stored == 4002


def test_a_destination_that_is_not_there_at_the_start(repo: Repo, processes: Nursery) -> None:
    log = repo.path / "data/skew/log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("a file stands where the log should be")
    server = processes.start("serve", repo.path, 500)
    server.await_line("serving")
    shipper = processes.start("ship", repo.path)
    assert server.wait() == 0
    time.sleep(1)
    assert log_stats(spool(repo)).in_spool == 1002
    log.unlink()
    wait_for(lambda: log_stats(spool(repo)).in_spool == 0, "the shipper did not come back")
    shipper.kill(signal.SIGTERM)
    assert shipper.wait() == 0, shipper.said()
    assert settled(repo).stored == 1002


def test_a_slow_destination_fills_the_spool_and_serving_goes_on(tmp_path: Path, processes: Nursery) -> None:
    config = {"start_shipper": False, "segment_bytes": 1 << 20, "spool_max_bytes": 2 << 20, "flush_seconds": 0.1}
    repo = make_repo(tmp_path / "repo", skew=config)
    server = processes.start("serve", repo.path, 9000, 2)
    server.await_line("serving")
    shipper = processes.start("ship_slowly", repo.path, 4)
    assert server.wait() == 0, server.said()
    shipper.kill(signal.SIGTERM)
    assert shipper.wait() == 0, shipper.said()
    counts = settled(repo)
    assert counts.accepted == 2 * 18_001
    assert counts.dropped.get("spool_full", 0) > 0
    assert server.said().count("does not log lookups") <= 2


def test_a_clock_that_goes_back(repo: Repo, processes: Nursery) -> None:
    server = processes.start("serve_backwards", repo.path, 100)
    assert server.wait() == 0, server.said()
    assert settled(repo).stored == 200
    by_sequence = read_log(repo.path).sort_by("__seq")["__log_timestamp"].to_pylist()
    assert by_sequence == sorted(by_sequence, reverse=True)


def test_lookups_larger_than_a_segment(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", skew={"start_shipper": False, "segment_bytes": 1 << 20})
    for rows in (1, 40_000, 1):
        repo.store.get_online_features(REFERENCES, {"driver": [1] * rows})
    counts = settled(repo)
    assert (counts.stored, counts.dropped) == (2, {"too_large": 40_000})


def test_names_and_values_with_nul_and_lone_surrogates(repo: Repo) -> None:
    for request_id in ("nul\0", "lone\udc80", "\U0001f682"):
        with request_context(request_id=request_id, model_version="v\0\ud800"):
            repo.store.get_online_features(REFERENCES, [{"driver": 2}])
    assert settled(repo).stored == 3
    rows = read_log(repo.path)
    assert set(rows["__request_id"].to_pylist()) == {"nul\0", "lone\\udc80", "\U0001f682"}
    assert set(rows["stats__city"].to_pylist()) == {"nul\0here"}


def test_threads_and_asyncio_at_once(tmp_path: Path, redis_db: RedisServer) -> None:
    address = {"type": "redis", "connection_string": f"{redis_db.host}:{redis_db.port},db={redis_db.db}"}
    repo = make_repo(tmp_path / "repo", online_store=address)

    def threaded(thread: int) -> None:
        for number in range(50):
            with request_context(request_id=f"thread-{thread}-{number}"):
                repo.store.get_online_features(REFERENCES, [{"driver": 1}])

    async def task(number: int) -> None:
        with request_context(request_id=f"task-{number}"):
            await repo.store.get_online_features_async(REFERENCES, [{"driver": 2}])

    async def tasks() -> None:
        await repo.store.initialize()
        await asyncio.gather(*(task(number) for number in range(200)))
        provider: Any = repo.store.provider
        online_store = provider.online_store
        await online_store._client_async.aclose()

    threads = [threading.Thread(target=threaded, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    assert settled(repo).stored == 400
    rows = read_log(repo.path).select(["__request_id", "driver"]).to_pylist()
    expected = {(f"thread-{thread}-{number}", 1) for thread in range(4) for number in range(50)}
    assert {(each["__request_id"], each["driver"]) for each in rows} == expected | {
        (f"task-{n}", 2) for n in range(200)
    }


def frames(segment: Path) -> list[int]:
    """Give where each frame of a segment starts."""
    data, places, place = segment.read_bytes(), [], 64
    while (frame := read_frame(data, place, None)) is not None:
        places.append(place)
        place = frame.end
    return places


def dead_segment(repo: Repo, processes: Nursery) -> Path:
    assert processes.start("serve", repo.path, 49).wait() == 0
    (folder,) = SpoolDirectory(spool(repo)).writer_folders()
    (segment,) = segments(folder)
    return segment


def test_a_torn_last_record(repo: Repo, processes: Nursery) -> None:
    segment = dead_segment(repo, processes)
    data = bytearray(segment.read_bytes())
    last = frames(segment)[-1]
    data[last + FRAME.size + 40 : last + FRAME.size + 400] = bytes(360)
    segment.write_bytes(data)
    counts = settled(repo)
    assert (counts.stored, counts.dropped) == (98, {"corrupt": 2})


@pytest.mark.parametrize("length", [0xFFFFFFFF, 1, 1000])
def test_a_damaged_length_hides_no_other_record(repo: Repo, processes: Nursery, length: int) -> None:
    segment = dead_segment(repo, processes)
    data = bytearray(segment.read_bytes())
    FRAME.pack_into(data, frames(segment)[20], length, 1, 2, 0xFFFFFFFF, 0)
    segment.write_bytes(data)
    counts = settled(repo)
    assert (counts.stored, counts.dropped) == (98, {"corrupt": 2})


def test_a_spool_that_cannot_be_made_for_a_while(repo: Repo) -> None:
    spool(repo).parent.mkdir(parents=True, exist_ok=True)
    spool(repo).write_text("a file stands where the spool should be")
    for _ in range(3):
        repo.store.get_online_features(REFERENCES, [{"driver": 1}])
    spool(repo).unlink()
    time.sleep(1.1)
    for _ in range(2):
        repo.store.get_online_features(REFERENCES, [{"driver": 1}])
    counts = settled(repo)
    assert (counts.accepted, counts.stored, counts.dropped) == (5, 2, {"spool_unavailable": 3})


def test_a_damaged_ledger_is_said_and_serving_goes_on(repo: Repo, processes: Nursery) -> None:
    assert processes.start("serve", repo.path, 9).wait() == 0
    Shipper(spool(repo)).drain()
    ledger = SpoolDirectory(spool(repo)).ledger
    kept = ledger.read_text()
    for damage in ("{", "[]", '{"writers": 3}', kept[: len(kept) // 2]):
        ledger.write_text(damage)
        with pytest.raises(SpoolError, match=r"ledger\.json cannot be read .* restore it, or move it away"):
            Shipper(spool(repo)).drain()
    assert processes.start("serve", repo.path, 9).wait() == 0
    ledger.write_text(kept)
    assert settled(repo).stored == 40


def test_the_same_lookup_twice_is_stored_once_and_a_contradiction_is_counted(repo: Repo) -> None:
    def look(driver: int, references: list[str] = REFERENCES) -> None:
        with request_context(request_id="again"):
            repo.store.get_online_features(references, [{"driver": driver}])

    look(1)
    look(1)
    look(2)  # another entity row and another feature set are lookups of their own
    look(1, ["stats:trips"])
    repo.write([row(1, NOON, 9.9, 11, "Rome")])
    repo.materialize(NOON)
    look(1)
    counts = settled(repo)
    assert (counts.stored, counts.duplicate, counts.conflicts) == (4, 1, 1)


def test_a_batch_of_several_writers_is_one_file(repo: Repo, processes: Nursery) -> None:
    servers = [processes.start("serve", repo.path, 20) for _ in range(3)]
    assert [server.wait() for server in servers] == [0, 0, 0]
    assert settled(repo).stored == 126
    (file,) = (repo.path / "data/skew/log").rglob("*.parquet")
    assert len(set(pq.read_table(file, columns=["__writer"])["__writer"].to_pylist())) == 3


def test_a_pending_batch_is_sent_again_with_the_same_records_left_out(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 1, 2):
        with request_context(request_id=str(number)):
            repo.store.get_online_features(REFERENCES, [{"driver": 1}])
    shipper = Shipper(spool(repo))
    written: list[tuple[str, pa.Table]] = []

    def write(table: pa.Table, _schema: object, batch: str) -> None:
        written.append((batch, table))
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(shipper._destination, "write", write)
    with pytest.raises(ConnectionError):
        shipper.drain()
    with pytest.raises(ConnectionError):
        shipper.drain()
    (first, one), (second, other) = written
    assert (first, one) == (second, other)
    monkeypatch.undo()
    counts = settled(repo)
    assert (counts.stored, counts.duplicate) == (2, 1)
    assert os.listdir(spool(repo) / "writers")  # noqa: PTH208 - the writer lives: this process is it
