"""Looking after a stored log: small files become large ones, old days go, and every reader sees each row once."""

from __future__ import annotations

import json
import threading
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from feast.protos.feast.types.Value_pb2 import Value

from skew_ext import ServingLogger, read_log, request_context
from skew_ext.cli.main import cli
from skew_ext.errors import LogError
from skew_ext.log import parquet_upkeep
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_upkeep import merge_small_files
from skew_ext.log.postgres import PostgresDestination
from skew_ext.log.postgres_migrations import WRITER, upgrade
from skew_ext.log.query import LogQuery
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.integration.test_postgres import as_user
from tests.integration.test_postgres_exact import schema_of, served
from tests.kit import NOON, Repo, row
from tests.servers import PostgresServer

DAY = timedelta(days=1)
TODAY = NOON.date()
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
REFERENCES = ["stats:rating"]


def stored(log: Path, rows: int, *, owner: str = "mine", start: int = 0, at: datetime = NOON) -> ParquetDestination:
    """Store so many rows, a file for each."""
    destination, schema = ParquetDestination(log), schema_of({"f": "INT64"})
    for number in range(start, start + rows):
        destination.write(
            served(schema, [{"f": Value(int64_val=number)}], microseconds(at)), schema, f"{owner}-{number:04}"
        )
    return destination


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def files(log: Path) -> list[str]:
    return sorted(file.name for file in log.rglob("*.parquet"))


def values(destination: ParquetDestination) -> list[int]:
    return sorted(destination.read(LogQuery())["v__f"].to_pylist())


def test_a_day_that_is_over_becomes_one_file(tmp_path: Path) -> None:
    log = stored(tmp_path, 40)
    before = log.read(LogQuery()).sort_by("v__f")
    assert merge_small_files(tmp_path, "mine", TODAY + DAY) == 39
    (name,) = files(tmp_path)
    assert log.read(LogQuery()).sort_by("v__f").equals(before)
    assert merge_small_files(tmp_path, "mine", TODAY + DAY) == 0
    assert duckdb.read_parquet(f"{tmp_path}/*/*/{name}").aggregate("count(DISTINCT v__f)").fetchall() == [(40,)]


def test_a_day_that_goes_on_is_merged_by_size_and_not_again_and_again(tmp_path: Path) -> None:
    log = stored(tmp_path, 7)
    assert merge_small_files(tmp_path, "mine", TODAY) == 0
    stored(tmp_path, 3, start=7)
    assert merge_small_files(tmp_path, "mine", TODAY) == 9
    stored(tmp_path, 8, start=10)
    merge_small_files(tmp_path, "mine", TODAY)
    assert len(files(tmp_path)) <= 2
    assert values(log) == list(range(18))


def test_files_of_other_spools_and_other_schemas_are_let_be(tmp_path: Path) -> None:
    log = stored(tmp_path, 5)
    stored(tmp_path, 5, owner="theirs", start=5)
    other = schema_of({"f": "DOUBLE"})
    for number in range(3):
        log.write(served(other, [{"f": Value(double_val=0.5)}], microseconds(NOON)), other, f"mine-other-{number}")
    merge_small_files(tmp_path, "mine", TODAY + DAY)
    assert sum(name.startswith("theirs") for name in files(tmp_path)) == 5
    assert sum(name.startswith("mine-merged") for name in files(tmp_path)) == 2
    assert log.read(LogQuery()).num_rows == 13


def test_a_crash_between_the_merged_file_and_the_deletions_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = stored(tmp_path, 10)

    def crash(_: Path, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", crash)
        with pytest.raises(KeyboardInterrupt):
            merge_small_files(tmp_path, "mine", TODAY + DAY)
    assert len(files(tmp_path)) == 11
    assert values(log) == list(range(10))
    merge_small_files(tmp_path, "mine", TODAY + DAY)
    assert len(files(tmp_path)) == 1
    assert values(log) == list(range(10))


def test_a_reader_beside_the_merging_sees_each_row_once(tmp_path: Path) -> None:
    log = stored(tmp_path, 8)
    known, wrong, done = [8], list[object](), threading.Event()
    reads = [0]

    def read() -> None:
        while not done.is_set():
            least = known[0]
            found = values(log)
            reads[0] += 1
            if found != list(range(len(found))) or len(found) < least:
                wrong.append((least, found))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(25):
        merge_small_files(tmp_path, "mine", TODAY + DAY)
        for _ in range(4):
            stored(tmp_path, 1, start=known[0])
            known[0] += 1
    done.set()
    for reader in readers:
        reader.join()
    assert reads[0] > 5
    assert not wrong


def test_large_files_are_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path, 4)
    monkeypatch.setattr(parquet_upkeep, "LARGE_BYTES", 1)
    assert merge_small_files(tmp_path, "mine", TODAY + DAY) == 0


def test_old_days_go_by_age_and_by_size(tmp_path: Path) -> None:
    for days in range(5):
        stored(tmp_path, 2, start=2 * days, at=NOON - days * DAY)
    (tmp_path / "somebody" / "__log_date=soon").mkdir(parents=True)
    dry = ParquetDestination(tmp_path, keep_days=2).prune(TODAY, dry_run=True)
    assert (dry.pruned, len(files(tmp_path))) == ({"age": 4}, 10)
    assert ParquetDestination(tmp_path, keep_days=2).prune(TODAY).pruned == {"age": 4}
    assert values(ParquetDestination(tmp_path)) == [0, 1, 2, 3, 4, 5]
    assert ParquetDestination(tmp_path, max_bytes=1 << 20).prune(TODAY).pruned == {}
    assert ParquetDestination(tmp_path, max_bytes=1).prune(TODAY).pruned == {"size": 4}
    assert values(ParquetDestination(tmp_path)) == [0, 1]


def look(repo: Repo, day: datetime) -> None:
    with request_context(served_at=day):
        repo.store.get_online_features(REFERENCES, [{"driver": 1}])


def test_the_shipper_prunes_and_counts_it(tmp_path: Path) -> None:
    destination = {"type": "parquet", "keep_days": 3}
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "destination": destination})
    now = datetime.now(timezone.utc)
    for days in (0, 1, 9, 9):
        look(repo, now - days * DAY)
    spool = repo.path / "data/skew/spool"
    Shipper(spool).drain()
    counts = log_stats(spool)
    assert (counts.stored, counts.pruned, counts.unaccounted) == (4, {"age": 2}, 0)
    assert read_log(repo.path).num_rows == 2
    assert not list((repo.path / "data/skew/log").glob("*/.*"))


def test_rows_that_wait_for_too_long_are_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"start_shipper": False, "spool_max_hours": 1.5}
    repo = Repo(tmp_path / "repo", skew=config)
    look(repo, datetime(2001, 1, 1, tzinfo=timezone.utc))  # when it was served is not for how long it has waited
    (repo.path / "data/skew").mkdir(parents=True, exist_ok=True)
    (repo.path / "data/skew/log").write_text("a file stands where the log should be")
    spool = repo.path / "data/skew/spool"
    with pytest.raises(OSError, match="data/skew/log"):
        Shipper(spool).drain()
    later = [7200 * 10**9]
    real = __import__("time").time_ns
    monkeypatch.setattr("skew_ext.shipping.shipper.time.time_ns", lambda: real() + later[0])
    Shipper(spool).drain()
    counts = log_stats(spool)
    assert (counts.dropped, counts.in_spool, counts.unaccounted) == ({"too_old": 1}, 0, 0)


def test_pruning_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    repo = Repo(tmp_path / "repo")
    look(repo, datetime.now(timezone.utc) - 9 * DAY)
    Shipper(repo.path / "data/skew/spool").drain()
    arguments = ["-c", str(repo.path), "log", "prune"]
    alone = CliRunner().invoke(cli, [*arguments, "--keep-days", "5"])
    assert alone.exit_code == 2
    assert "and the clock says" in alone.output
    assert "--trust-clock" in alone.output
    look(repo, datetime.now(timezone.utc))
    Shipper(repo.path / "data/skew/spool").drain()
    unsaid = CliRunner().invoke(cli, arguments)
    assert unsaid.exit_code == 2
    assert "skew.destination.keep_days, or give --keep-days" in unsaid.output
    assert "would delete 1 rows by age" in CliRunner().invoke(cli, [*arguments, "--keep-days", "5", "--dry-run"]).output
    done = CliRunner().invoke(cli, [*arguments, "--keep-days", "5", "--json", "-"])
    assert json.loads(done.output) == {"pruned": {"age": 1}, "dry_run": False}
    assert read_log(repo.path).num_rows == 1


def test_partitions_go_by_age_and_only_by_their_owner(
    postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN", "log of 'mine'")
    schema = schema_of({"f": "INT64"})
    log = PostgresDestination("LOG_DSN", "log of 'mine'", schema.project, keep_days=2)
    for days in range(5):
        log.write(served(schema, [{"f": Value(int64_val=days)}], microseconds(NOON - days * DAY)), schema, f"b{days}")
    assert log.prune(TODAY, dry_run=True).pruned == {"age": 2}
    assert PostgresDestination("LOG_DSN", "log of 'mine'", "another project", keep_days=2).prune(TODAY).pruned == {}
    assert log.read(LogQuery()).num_rows == 5
    assert log.prune(TODAY).pruned == {"age": 2}
    assert sorted(log.read(LogQuery())["v__f"].to_pylist()) == [0, 1, 2]
    log.write(served(schema, [{"f": Value(int64_val=9)}], microseconds(NOON - 4 * DAY)), schema, "late")
    assert log.prune(date(1, 1, 1) + 3 * DAY).pruned == {}
    assert log.read(LogQuery()).num_rows == 4
    monkeypatch.setenv("WRITER_DSN", as_user(postgres_database, WRITER, "test_writer"))
    with pytest.raises(LogError, match="takes the schema's owner, skew_migrator"):
        PostgresDestination("WRITER_DSN", "log of 'mine'", schema.project, keep_days=2).prune(TODAY)


def test_what_a_destination_refuses_is_set_aside_and_can_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write([row(1, NOON, 4.5, 10, "Oslo"), row(2, NOON, 1.5, 2, "Rome")])
    repo.materialize(NOON)
    spool = repo.path / "data/skew/spool"
    for number in range(40):
        repo.store.get_online_features(REFERENCES, [{"driver": 2 if number in (3, 17, 18) else 1}])
    write = pq.write_table

    def refuse(table: pa.Table, *arguments: object, **options: object) -> None:
        if 2 in table["driver"].to_pylist():
            msg = "no driver 2 here"
            raise pa.ArrowInvalid(msg)
        write(table, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr("skew_ext.log.parquet.pq.write_table", refuse)
        Shipper(spool).drain()
        counts = log_stats(spool)
        assert (counts.stored, counts.dead_lettered, counts.unaccounted) == (37, 3, 0)
        reasons = [json.loads(file.read_text())["reason"] for file in (spool / "dead_letters").glob("*.json")]
        assert reasons == ["no driver 2 here"] * 3
        Shipper(spool).drain(retry_dead_letters=True)
        assert log_stats(spool) == counts
    result = CliRunner().invoke(cli, ["-c", str(repo.path), "ship", "--retry-dead-letters"])
    assert result.exit_code == 0, result.output
    assert "stored 3 rows" in result.output
    counts = log_stats(spool)
    assert (counts.stored, counts.dead_lettered, counts.unaccounted) == (40, 0, 0)
    assert not list((spool / "dead_letters").iterdir())
    assert read_log(repo.path).num_rows == 40


def test_rows_too_wide_for_postgresql_do_not_hold_up_the_others(
    tmp_path: Path, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    repo = Repo(
        tmp_path / "repo", skew={"start_shipper": False, "destination": {"type": "postgres", "dsn_env": "LOG_DSN"}}
    )
    logger = ServingLogger(repo.path)
    wide = {f"x{number}": float(number) for number in range(450)}
    for number in range(30):
        logger.log_inference(f"r{number}", 1, wide)
        logger.log_inference(f"n{number}", 1, {"x": 1.0})
    spool = repo.path / "data/skew/spool"
    Shipper(spool).drain()
    counts = log_stats(spool)
    assert (counts.stored, counts.dead_lettered, counts.unaccounted) == (30, 30, 0)
    about = json.loads(next(iter((spool / "dead_letters").glob("*.json"))).read_text())
    assert "split the feature service, or use parquet" in about["reason"]
