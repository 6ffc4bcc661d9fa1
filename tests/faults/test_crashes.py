"""Processes that die at the wrong moment, with real signals. Each test ends with the conservation law."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skew_ext import read_log
from skew_ext.serving.record import Record
from skew_ext.serving.segment_file import segments
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.shipping.ledger import Ledger, Pending, Position
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import HOUR, NOON, Repo, row, wait_for
from tests.law import settled, spool

SERVE = """
import sys
from feast import FeatureStore
store = FeatureStore(repo_path=sys.argv[1])
for number in range(int(sys.argv[2])):
    store.get_online_features(["stats:rating", "stats:city"], [{"driver": 1}, {"driver": 2}])
    if number == 0:
        print("serving", flush=True)
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.write([row(1, NOON - HOUR, 4.5, 10, "Oslo")])
    made.materialize(NOON)
    return made


def start_serving(repo: Repo, lookups: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE, str(repo.path), str(lookups)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    process.stdout.close()
    return process


def test_what_was_served_survives_a_kill_of_the_server(repo: Repo) -> None:
    process = start_serving(repo, 1_000_000)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = log_stats(spool(repo))
    counts = settled(repo)
    in_flight = counts.dropped.get("killed", 0)
    assert in_flight <= 2, "no more than the one lookup that the signal fell into"
    assert counts.stored + in_flight == before.accepted > 100
    assert not SpoolDirectory(spool(repo)).writer_folders()


def test_a_server_that_ends_leaves_all_it_served(repo: Repo) -> None:
    process = start_serving(repo, 50)
    assert process.wait(timeout=30) == 0
    assert settled(repo).stored == 100


def test_the_shipper_of_a_script_that_ends_at_once_stores_what_it_served(tmp_path: Path) -> None:
    # What the script leaves behind when it ends, the shipper must not need: it is still starting then.
    repo = Repo(tmp_path / "repo", skew={"flush_seconds": 0.1})
    subprocess.run([sys.executable, "-W", "ignore", "-c", SERVE, str(repo.path), "3"], check=True)
    wait_for(lambda: log_stats(spool(repo)).stored == 6, f"see {spool(repo) / 'shipper.log'}")
    counts = log_stats(spool(repo))
    assert (counts.accepted, counts.in_spool, counts.unaccounted) == (6, 0, 0)


def test_a_killed_shipper_neither_loses_nor_doubles(repo: Repo) -> None:
    server = start_serving(repo, 3000)
    chance = random.Random(20260301)  # noqa: S311 - where the signal falls
    for _ in range(4):
        shipper = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "skew_ext.shipping", str(spool(repo))])
        time.sleep(2.5 + chance.random())
        shipper.send_signal(signal.SIGKILL)
        shipper.wait()
    assert server.wait(timeout=60) == 0
    assert settled(repo).stored == 6000


def test_a_batch_that_was_written_but_not_committed_is_not_doubled(repo: Repo) -> None:
    server = start_serving(repo, 40)
    assert server.wait(timeout=30) == 0
    ledger_path = SpoolDirectory(spool(repo)).ledger
    shipper = Shipper(spool(repo))
    ledger = Ledger()
    (folder,) = SpoolDirectory(spool(repo)).writer_folders()
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    shipper._round(ledger)
    # Back to the moment before the commit: the batch is at the destination, and the ledger has it as on its way.
    for path, content in kept.items():
        path.write_bytes(content)
    entry = ledger.entry(folder.name)
    undone = Ledger()
    undone.pending = Pending({folder.name: Position(entry.position.segment, entry.position.offset)})
    undone.save(ledger_path)
    assert settled(repo).stored == 80


def test_the_shipper_stops_on_sigterm_with_the_spool_empty(repo: Repo) -> None:
    server = start_serving(repo, 200)
    shipper = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "skew_ext.shipping", str(spool(repo))])
    assert server.wait(timeout=60) == 0
    deadline = time.monotonic() + 30
    while not (repo.path / "data/skew/log").exists():
        assert time.monotonic() < deadline, "the shipper stored nothing"
        time.sleep(0.1)
    shipper.terminate()
    assert shipper.wait(timeout=30) == 0
    counts = log_stats(spool(repo))
    assert (counts.in_spool, counts.stored, counts.unaccounted) == (0, 400, 0)


def test_forked_children_have_writers_of_their_own(repo: Repo) -> None:
    code = f"""
import os
from feast import FeatureStore
store = FeatureStore(repo_path={str(repo.path)!r})
lookup = lambda: store.get_online_features(["stats:rating"], [{{"driver": 1}}])
lookup()
for _ in range(3):
    if os.fork() == 0:
        for _ in range(10):
            lookup()
        os._exit(0)
for _ in range(3):
    os.wait()
lookup()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
    counts = settled(repo)
    assert counts.stored == 32
    assert len(set(read_log(repo.path)["__writer"].to_pylist())) == 4


def test_a_poison_record_is_set_aside_and_the_rest_is_stored(repo: Repo) -> None:
    capture = repo.store.provider.lookups.capture  # type: ignore[attr-defined]
    for _ in range(5):
        repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    (plan,) = capture._plans.values()
    poison = Record(0, plan.hash, b"bad", b"[]", b"", b"\xff not a message").encode()
    capture._opening.writer.append(poison, rows=2)
    unknown = Record(0, b"no-such-schema", b"bad", b"[]", b"", b"").encode()
    capture._opening.writer.append(unknown, rows=1)
    for _ in range(5):
        repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    counts = settled(repo)
    assert (counts.stored, counts.dead_lettered) == (10, 3)
    assert len(list((spool(repo) / "dead_letters").glob("*.record"))) == 2


def test_damage_in_a_segment_is_counted_as_corrupt(repo: Repo) -> None:
    server = start_serving(repo, 50)
    assert server.wait(timeout=30) == 0
    (folder,) = SpoolDirectory(spool(repo)).writer_folders()
    (segment,) = segments(folder)
    data = bytearray(segment.read_bytes())
    data[3000:3010] = os.urandom(10)
    segment.write_bytes(data)
    counts = settled(repo)
    assert counts.dropped["corrupt"] >= 2
    assert counts.stored + counts.dropped["corrupt"] == 100


def test_a_truncated_segment_is_counted(repo: Repo) -> None:
    server = start_serving(repo, 50)
    assert server.wait(timeout=30) == 0
    (folder,) = SpoolDirectory(spool(repo)).writer_folders()
    (segment,) = segments(folder)
    os.truncate(segment, 5000)
    counts = settled(repo)
    assert counts.stored + counts.dropped["corrupt"] == 100
    assert counts.stored > 0


def test_a_destination_that_cannot_be_written_keeps_the_rows_waiting(repo: Repo) -> None:
    repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    log = repo.path / "data/skew/log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("a file stands where the log should be")
    with pytest.raises(OSError, match="data/skew/log"):
        Shipper(spool(repo)).drain()
    assert log_stats(spool(repo)).in_spool == 1
    log.unlink()
    assert settled(repo).stored == 1
