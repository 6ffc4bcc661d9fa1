"""Faults that lost or doubled rows: full disks, resends, deleted folders, forks, clocks. Each ends with the law."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from feast import FeatureStore, FeatureView, Field
from feast.types import Int64, String

from skew_ext import read_log, request_context
from skew_ext.serving import segments as segments_module
from skew_ext.serving.segment_file import segments
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.writer import SpoolWriter
from skew_ext.shipping import batches as batches_module
from skew_ext.shipping.ledger import Ledger
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import NOON, Repo, wait_for
from tests.law import REFERENCES, make_repo, settled, spool
from tests.nursery import Nursery, nursery


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with nursery(tmp_path_factory.mktemp("nursery")) as made:
        yield made


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


@pytest.fixture
def glancing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that look after their spool more often than each second."""
    monkeypatch.setattr(segments_module, "TEND_SECONDS", 0.02)


def look(repo: Repo, name: str = "", drivers: int = 1) -> str:
    with request_context(request_id=name or None):
        response: Any = repo.store.get_online_features(REFERENCES, {"driver": [1] * drivers})
    return str(getattr(response, "request_id", ""))  # there is none while nothing can be logged


def start_server(repo: Repo) -> None:
    """Open the spool as another server does at its first lookup."""
    provider: Any = FeatureStore(repo_path=str(repo.path)).provider
    provider.lookups.capture._opening.open("rides")


def fail_saves(monkeypatch: pytest.MonkeyPatch, *failing: int) -> None:
    """Let these saves of the ledger find a full disk, counted from 1."""
    save, count = Ledger.save, iter(range(1, 10_000))

    def limited(self: Ledger, path: Path) -> None:
        if next(count) in failing:
            raise OSError(28, "No space left on device")
        save(self, path)

    monkeypatch.setattr(Ledger, "save", limited)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_ledger_on_a_full_disk_makes_no_row_its_own_duplicate(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    for number in range(20):
        look(repo, f"caller-{number}")
    shipper = Shipper(spool(repo))
    fail_saves(monkeypatch, failing)
    with pytest.raises(OSError, match="No space left"):
        shipper.drain()
    shipper.drain()
    look(repo, "caller-7")
    shipper.drain()
    counts = settled(repo)
    assert (counts.stored, counts.duplicate) == (20, 1)


def test_a_resend_reads_what_was_planned_however_many_workers_came(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "BATCH_BYTES", 4 << 20)
    for _ in range(60):
        look(repo, drivers=1000)
    shipper = Shipper(spool(repo))
    fail_saves(monkeypatch, 2)  # the batch is planned and stored, and not yet committed
    with pytest.raises(OSError, match="No space left"):
        shipper.drain()
    workers = [SpoolWriter(SpoolDirectory(spool(repo)), 1 << 20, 1 << 30) for _ in range(9)]
    assert settled(repo).stored == 60_000
    for worker in workers:
        worker.close()


@pytest.mark.usefixtures("glancing")
def test_a_spool_that_is_deleted_under_a_server_is_made_anew_and_what_was_in_it_counted(repo: Repo) -> None:
    shipped = [look(repo) for _ in range(5)]
    Shipper(spool(repo)).drain()
    waiting = [look(repo) for _ in range(7)]
    shutil.rmtree(spool(repo))
    time.sleep(0.3)
    later = [look(repo) for _ in range(11)]
    Shipper(spool(repo)).drain()
    counts = log_stats(spool(repo))  # of the spool that was made anew: what the old one had stored went with it
    assert (counts.accepted, counts.stored, counts.dropped) == (18, 11, {"spool_deleted": 7})
    assert counts.unaccounted == 0
    there = read_log(repo.path)["__request_id"].to_pylist()
    assert sorted(there) == sorted([*shipped, *later])
    assert not set(there) & set(waiting)


def test_a_server_that_ends_right_after_its_spool_was_deleted_counts_what_it_lost(repo: Repo) -> None:
    for _ in range(4):
        look(repo)
    Shipper(spool(repo)).drain()
    look(repo)
    capture: Any = repo.store.provider
    shutil.rmtree(spool(repo))
    look(repo)
    capture.lookups.capture._opening.writer.close()
    counts = log_stats(spool(repo))
    assert (counts.accepted, counts.dropped, counts.unaccounted) == (2, {"spool_deleted": 2}, 0)


@pytest.mark.usefixtures("glancing")
def test_a_writers_folder_that_is_deleted_is_counted(repo: Repo) -> None:
    look(repo)
    Shipper(spool(repo)).drain()
    look(repo)
    (folder,) = SpoolDirectory(spool(repo)).writer_folders()
    shutil.rmtree(folder)
    time.sleep(0.3)
    look(repo)
    counts = settled(repo)
    assert (counts.accepted, counts.stored, counts.dropped) == (3, 2, {"spool_deleted": 1})


@pytest.mark.usefixtures("glancing")
@pytest.mark.parametrize("gone", ["lock", "schemas", "spool.json", "losses", "dead_letters"])
def test_a_part_of_the_spool_that_is_deleted_costs_no_row(repo: Repo, gone: str) -> None:
    look(repo)
    Shipper(spool(repo)).drain()
    (folder,) = SpoolDirectory(spool(repo)).writer_folders()
    path = folder / gone if gone == "lock" else spool(repo) / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    time.sleep(0.3)
    look(repo)
    if gone == "spool.json":
        start_server(repo)
    assert settled(repo).stored == 2
    assert folder.exists(), "a writer that lives is not taken for a dead one"


def test_a_ledger_that_is_deleted_doubles_no_row(repo: Repo) -> None:
    look(repo)
    Shipper(spool(repo)).drain()
    look(repo)
    SpoolDirectory(spool(repo)).ledger.unlink()
    Shipper(spool(repo)).drain()
    assert read_log(repo.path).num_rows == 2


def test_an_old_ledger_that_is_put_back_doubles_no_row(repo: Repo) -> None:
    look(repo)
    Shipper(spool(repo)).drain()
    kept = SpoolDirectory(spool(repo)).ledger.read_text()
    look(repo)
    Shipper(spool(repo)).drain()
    SpoolDirectory(spool(repo)).ledger.write_text(kept)
    look(repo)
    Shipper(spool(repo)).drain()
    assert read_log(repo.path).num_rows == 3


def stored_at(repo: Repo, place: str) -> int:
    destination = {"type": "parquet", "path": f"data/skew/{place}"}
    configure(repo, destination)
    return int(read_log(str(repo.path)).num_rows)


def configure(repo: Repo, destination: dict[str, Any]) -> None:
    path = repo.path / "feature_store.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["skew"] = {"start_shipper": False, "flush_seconds": 0.1, "destination": destination}
    path.write_text(yaml.safe_dump(settings))


def test_a_shipper_follows_the_destination_that_a_server_is_restarted_with(repo: Repo, processes: Nursery) -> None:
    configure(repo, {"type": "parquet", "path": "data/skew/former"})
    assert processes.start("serve", repo.path, 9).wait() == 0
    shipper = processes.start("ship", repo.path)
    wait_for(lambda: log_stats(spool(repo)).in_spool == 0, shipper.said())
    configure(repo, {"type": "parquet", "path": "data/skew/present"})
    assert processes.start("serve", repo.path, 4).wait() == 0
    wait_for(lambda: log_stats(spool(repo)).in_spool == 0, shipper.said())
    shipper.kill(signal.SIGTERM)
    assert shipper.wait() == 0, shipper.said()
    assert stored_at(repo, "former") == 20
    assert stored_at(repo, "present") == 10


def test_a_batch_on_its_way_when_the_destination_changes_is_in_one_place(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(repo, {"type": "parquet", "path": "data/skew/former"})
    FeatureStore(repo_path=str(repo.path)).get_online_features(REFERENCES, [{"driver": 1}])
    fail_saves(monkeypatch, 2)
    with pytest.raises(OSError, match="No space left"):
        Shipper(spool(repo)).drain()
    configure(repo, {"type": "parquet", "path": "data/skew/present"})
    start_server(repo)
    Shipper(spool(repo)).drain()
    assert log_stats(spool(repo)).stored == 1
    assert (stored_at(repo, "former"), stored_at(repo, "present")) == (1, 0)


def test_a_batch_whose_former_destination_is_away_goes_to_the_present_one(
    repo: Repo,
) -> None:
    former = repo.path / "data/skew/former"
    configure(repo, {"type": "parquet", "path": "data/skew/former"})
    FeatureStore(repo_path=str(repo.path)).get_online_features(REFERENCES, [{"driver": 1}])
    former.write_text("a file stands where the log should be")
    with pytest.raises(OSError, match="former"):
        Shipper(spool(repo)).drain()
    configure(repo, {"type": "parquet", "path": "data/skew/present"})
    start_server(repo)
    Shipper(spool(repo)).drain()
    assert stored_at(repo, "present") == 1
    assert log_stats(spool(repo)).unaccounted == 0


def test_a_grandchild_with_the_number_of_its_grandparent_logs_for_itself(repo: Repo, processes: Nursery) -> None:
    server = processes.start("serve_under_a_used_number", repo.path, 40)
    assert server.wait() == 0, server.said()
    counts = settled(repo)
    assert (counts.stored, counts.dropped) == (2 * (1 + 40 + 1), {})
    assert len(set(read_log(repo.path)["__writer"].to_pylist())) == 2


def test_a_full_disk_at_the_start_leaks_nothing_and_is_told_at_once(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(repo)
    capture = repo.store.provider.lookups.capture  # type: ignore[attr-defined]
    capture._opening.writer.left = True  # as after a fork: the next lookup needs a writer of its own
    monkeypatch.setattr("skew_ext.serving.opening.RETRY_SECONDS", 0.0)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as full:
        full.setattr(os, "posix_fallocate", refuse)
        look(repo)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a path each would be an open descriptor too
        for _ in range(20):
            look(repo)
        assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
        assert not list((spool(repo) / "writers").glob(".*"))
        assert log_stats(spool(repo)).dropped == {"spool_unavailable": 20}, "all but the last are told meanwhile"
    look(repo)
    counts = settled(repo)
    assert (counts.accepted, counts.stored, counts.dropped) == (23, 2, {"spool_unavailable": 21})


def test_what_can_be_counted_nowhere_is_told_at_the_end(tmp_path: Path, processes: Nursery) -> None:
    repo = make_repo(tmp_path / "repo")
    (repo.path / "data/skew").mkdir(parents=True)
    spool(repo).write_text("a file stands where the spool should be")
    server = processes.start("serve", repo.path, 9)
    assert server.wait() == 0
    assert "20 rows were served and could be neither logged nor counted" in server.said()


def test_rows_that_nobody_tried_to_store_are_not_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo(tmp_path / "repo", skew={"start_shipper": False, "spool_max_hours": 1})
    look(repo)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 72 * 3600 * 10**9)
    assert settled(repo).stored == 1


def test_a_clock_that_is_set_ahead_makes_no_row_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo(tmp_path / "repo", skew={"start_shipper": False, "spool_max_hours": 1})
    look(repo)
    log = repo.path / "data/skew/log"
    log.write_text("a file stands where the log should be")
    shipper, real = Shipper(spool(repo)), time.time_ns
    for ahead in (0, 9000, 9000):
        monkeypatch.setattr(time, "time_ns", lambda ahead=ahead: real() + ahead * 3600 * 10**9)
        with pytest.raises(OSError, match="log"):
            shipper.drain()
    log.unlink()
    assert settled(repo).stored == 1


def test_a_feature_that_is_retyped_under_a_cached_registry_is_logged_as_it_was_served(repo: Repo) -> None:
    repo.store.get_online_features(["stats:trips"], [{"driver": 1}])
    server = FeatureStore(repo_path=str(repo.path))
    known = server.get_feature_view("stats")
    fields = [Field(name="driver", dtype=Int64), Field(name="trips", dtype=String)]
    entity = server.get_entity("driver")
    server.apply(
        [FeatureView(name="stats", entities=[entity], ttl=known.ttl, schema=fields, source=known.batch_source)]
    )
    texts = {"driver": [1], "trips": ["10"], "event_timestamp": [NOON], "created": [NOON]}
    server.write_to_online_store("stats", pd.DataFrame(texts))
    answer = repo.store.get_online_features(["stats:trips"], {"driver": [1, 2]})
    served = answer.to_dict()["trips"]
    assert [type(value) for value in served] == [str, int], "the server's registry still says Int64"
    counts = settled(repo)
    assert (counts.stored, counts.dead_lettered) == (3, 0)
    logged = read_log(repo.path).sort_by("__seq")["stats__trips"].to_pylist()
    assert logged[0] == "10"
    assert "10" in str(logged[1])
    assert "20" in str(logged[2])


def test_a_segment_of_a_killed_server_with_a_zeroed_page_loses_that_page_only(repo: Repo, processes: Nursery) -> None:
    assert processes.start("serve", repo.path, 99).wait() == 0
    (folder,) = SpoolDirectory(spool(repo)).writer_folders()
    (segment,) = segments(folder)
    data = bytearray(segment.read_bytes())
    data[4096:8192] = bytes(4096)
    segment.write_bytes(data)
    counts = settled(repo)
    assert 20 < counts.dropped["corrupt"] < 60
    assert counts.stored == 200 - counts.dropped["corrupt"]


def test_a_retry_of_dead_letters_sends_what_was_planned(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    look(repo)
    schemas = spool(repo) / "schemas"
    (schema,) = schemas.iterdir()
    text = schema.read_text()
    schema.write_text("{")
    Shipper(spool(repo)).drain()
    assert log_stats(spool(repo)).dead_lettered == 1
    schema.write_text(text)
    fail_saves(monkeypatch, 2)  # planned and stored, not committed
    with pytest.raises(OSError, match="No space left"):
        Shipper(spool(repo)).drain(retry_dead_letters=True)
    schema.write_text("{")
    look(repo)
    fail_saves(monkeypatch)
    letters = spool(repo) / "dead_letters"
    (one,) = letters.glob("*.json")
    about = {**json.loads(one.read_text()), "seq": 999}
    other = one.name.replace(one.stem.partition("-")[2], f"{999:012d}")
    (letters / other).write_text(json.dumps(about))
    shutil.copy(one.with_suffix(".record"), letters / other.replace(".json", ".record"))
    schema.write_text(text)
    Shipper(spool(repo)).drain(retry_dead_letters=True)
    rows = read_log(repo.path)
    assert sorted(rows["__seq"].to_pylist()).count(0) == 1


def test_a_day_of_any_clock_is_shipped(repo: Repo) -> None:
    for year in (1, 1970, 9999):
        with request_context(served_at=datetime(year, 6, 1, tzinfo=timezone.utc)):
            look_at(repo)
    assert settled(repo).stored == 3


def look_at(repo: Repo) -> None:
    repo.store.get_online_features(REFERENCES, [{"driver": 1}])
