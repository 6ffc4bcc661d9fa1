"""What a destination promises beside storing rows: whose they are, how many, who may read them, whether it is there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from feast import FeatureService
from feast.protos.feast.types.Value_pb2 import Value
from psycopg import sql

from skew_ext import ServingLogger, read_log, request_context
from skew_ext.cli.main import cli
from skew_ext.log.destination import destination_from
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_files import ABOUT, About
from skew_ext.log.postgres import PostgresDestination
from skew_ext.log.postgres_migrations import WRITER, upgrade
from skew_ext.log.postgres_session import PostgresError
from skew_ext.log.query import LogQuery
from skew_ext.schema import LABEL, RESERVED, LogSchema
from skew_ext.shipping.shipper import Shipper
from tests.integration.test_postgres import as_user
from tests.integration.test_postgres_exact import schema_of, served
from tests.kit import NOON, Repo
from tests.logs import DAY, TODAY, files, microseconds, stored, values
from tests.servers import PostgresServer


def as_earlier_version(folder: Path, name: str) -> None:
    """Make of a service's folder what an earlier version had written: its own name, and no word of it in the files."""
    for file in files(folder):
        table = pq.read_table(file)
        metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != ABOUT}
        pq.write_table(table.replace_schema_metadata(metadata), file)
    folder.rename(folder.with_name(name))


def test_the_service_stands_in_each_file_and_is_checked(tmp_path: Path) -> None:
    log = stored(tmp_path, 2, service="Fraud")
    stored(tmp_path, 3, service="fraud", start=10)
    (first, *_) = files(tmp_path / "fraud")
    about = About.decoded((pq.read_schema(first).metadata or {})[ABOUT])
    assert (about.service, about.records, about.day, about.rows) == ("fraud", False, TODAY, 1)
    assert values(log, feature_service="fraud") == [10, 11, 12]
    # What another service's folder has is not this one's, whoever put it there.
    (there,) = {file.parent for file in files(tmp_path) if file.parent.parent.name.startswith("Fraud~")}
    first.rename(there / first.name)
    read = log.read(LogQuery("Fraud"))
    assert read["v__f"].to_pylist() == [0, 1]
    assert values(log, feature_service="fraud") == [11, 12]
    assert b"has rows of the feature service 'fraud', another folder's" in read.schema.metadata[b"skew.notes"]


def test_what_an_earlier_version_wrote_stays_readable(tmp_path: Path) -> None:
    log = stored(tmp_path, 3, service="Fraud")
    (folder,) = tmp_path.iterdir()
    as_earlier_version(folder, "Fraud")
    stored(tmp_path, 2, service="Fraud", start=3)
    assert len(list(tmp_path.iterdir())) == 2
    assert values(log, feature_service="Fraud") == values(log) == [0, 1, 2, 3, 4]
    assert log.read(LogQuery("fraud")).num_rows == 0


@pytest.mark.parametrize("service", RESERVED)
def test_a_service_with_the_name_of_our_records_has_its_own_rows(tmp_path: Path, service: str) -> None:
    repo = Repo(tmp_path / "repo")
    view = repo.store.get_feature_view("stats")
    repo.store.apply(FeatureService(name=service, features=[view]))
    logger = ServingLogger(repo.path)
    logger.log_inference("r", 1, {"x": 1})
    logger.log_prediction("r", 0.5)
    logger.log_label("r", 1, NOON)
    Shipper(repo.path / "data/skew/spool").drain()
    assert read_log(repo.path, service).num_rows == read_log(repo.path, service, records=True).num_rows == 1
    assert read_log(repo.path, service, records=False).num_rows == 0
    with request_context(served_at=NOON):
        repo.store.get_online_features(repo.store.get_feature_service(service), [{"driver": 1}, {"driver": 2}])
    Shipper(repo.path / "data/skew/spool").drain()
    lookups = read_log(repo.path, service)
    assert lookups["driver"].to_pylist() == [1, 2]
    assert read_log(repo.path, service, records=True).num_rows == 1
    assert read_log(repo.path).num_rows == 5
    shown = CliRunner().invoke(cli, ["-c", str(repo.path), "log", "tail", "-n", "9", "--json", "-"])
    assert shown.output.count('"kind": "lookup"') == 1


def test_a_schema_says_whose_records_it_is_and_earlier_ones_are_known_by_their_views() -> None:
    plain = LogSchema("p", "scoring", (), (), ())
    assert "records" not in plain.text  # the hash is what it was
    for records in (True, False):
        schema = LogSchema("p", LABEL, (), (), (), records=records)
        assert LogSchema.from_text(schema.text) == schema
    for view, records in (("model", True), ("stats", False)):
        feature = {"name": "label", "response_name": "x", "value_type": "INT64", "ttl_microseconds": None}
        features = [{"view": view, "on_demand": False, **feature}]
        told = {"project": "p", "feature_service": LABEL, "features": features, "join_keys": [], "request_data": []}
        assert LogSchema.from_text(json.dumps({**told, "transforms": []})).records is records


def test_rows_are_counted_by_owner_service_and_day(tmp_path: Path) -> None:
    log = stored(tmp_path, 3)
    stored(tmp_path, 2, start=3, at=NOON + DAY)
    stored(tmp_path, 4, start=5, service="other")
    stored(tmp_path, 7, start=9, owner="theirs")
    expected = {"scoring": {TODAY: 3, TODAY + DAY: 2}, "other": {TODAY: 4}}
    assert log.count_rows("mine") == expected
    (first, *_) = files(tmp_path / "scoring")
    (first.parent / f"mine-copy{first.name}").write_bytes(first.read_bytes())
    assert log.count_rows("mine") == expected
    log.maintain("mine", TODAY + 2 * DAY)
    assert log.count_rows("mine") == expected
    for file in files(tmp_path / "other"):
        file.unlink()
    assert log.count_rows("mine") == {"scoring": expected["scoring"]}
    assert log.count_rows("nobody") == {}


@pytest.mark.parametrize(("access", "modes"), [("owner", {0o600, 0o700}), ("group", {0o640, 0o750})])
@pytest.mark.parametrize("umask", [0, 0o077])
def test_who_may_read_the_log_is_a_setting_and_not_the_umask(
    tmp_path: Path, access: str, modes: set[int], umask: int
) -> None:
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "destination": {"type": "parquet", "access": access}})
    before = os.umask(umask)
    try:
        for number in range(9):
            repo.store.get_online_features(["stats:rating"], [{"driver": number}])
            Shipper(repo.path / "data/skew/spool").drain()
    finally:
        os.umask(before)
    log = repo.path / "data/skew/log"
    found = {stat.S_IMODE(path.stat().st_mode) for path in [log, *log.rglob("*")]}
    assert found == modes


def test_a_probe_says_whether_there_is_room_and_leaves_nothing(tmp_path: Path) -> None:
    log = ParquetDestination(tmp_path / "a/log")
    log.probe(3 << 20)
    assert list((tmp_path / "a/log").iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        ParquetDestination(tmp_path / "file").probe(1)
    settings = {"type": "feast", "repo": str(tmp_path), "path": str(tmp_path / "file"), "yaml": None}
    with pytest.raises(OSError, match="file"):
        destination_from(settings).probe(1)


def test_a_database_tells_our_records_from_a_service_of_their_name(
    postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    log = PostgresDestination("LOG_DSN")
    lookups = schema_of({"f": "INT64"}, LABEL)
    records = dataclasses.replace(schema_of({"g": "INT64"}, LABEL), records=True)
    log.write(served(records, [{"g": Value(int64_val=1)}], microseconds(NOON)), records, "one")
    assert log.read(LogQuery(LABEL)).num_rows == 1
    log.write(served(lookups, [{"f": Value(int64_val=2)}] * 2, microseconds(NOON)), lookups, "two")
    assert log.read(LogQuery(LABEL)).num_rows == log.read(LogQuery(LABEL, records=False)).num_rows == 2
    assert log.read(LogQuery(LABEL, records=True))["v__g"].to_pylist() == [1]
    assert log.read(LogQuery()).num_rows == 3


def test_partitions_are_counted_from_the_newest_that_has_rows(
    postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    schema = schema_of({"f": "INT64"})
    log = PostgresDestination("LOG_DSN", "skew", schema.project, keep_days=2)
    for days in range(5):
        log.write(served(schema, [{"f": Value(int64_val=days)}], microseconds(NOON - days * DAY)), schema, f"b{days}")
    done = log.prune(TODAY + 365 * DAY, dry_run=True)
    assert done.pruned == {"age": 2}
    assert str(TODAY) in done.refused
    assert str(TODAY + 365 * DAY) in done.refused
    # Rows of a clock that had jumped hold up the deleting of all others; a partition without rows does not.
    jumped = served(schema, [{"f": Value(int64_val=9)}], microseconds(NOON + 365 * DAY))
    log.write(jumped, schema, "jumped")
    done = log.prune(TODAY + 365 * DAY)
    assert (done.pruned, "may have jumped" in done.refused) == ({}, True)
    with log._database.connected() as connection:
        table = sql.Identifier("skew", f"log_scoring_{log_hash(schema)}")
        connection.execute(sql.SQL("DELETE FROM {} WHERE v__f = 9").format(table))
    assert log.prune(TODAY).pruned == {"age": 2}
    assert values(log) == [0, 1, 2]


def log_hash(schema: LogSchema) -> str:
    """Return the end of the name of a service's table, as the migrations make it."""
    return hashlib.sha256(f"{schema.project}\n{schema.feature_service}".encode()).hexdigest()[:8]


def test_a_database_is_probed_by_a_write_that_is_taken_back(
    postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    monkeypatch.setenv("WRITER_DSN", as_user(postgres_database, WRITER, "test_writer"))
    log = PostgresDestination("WRITER_DSN")
    log.probe(1 << 20)
    assert log.count_rows("mine") is None
    with PostgresDestination("LOG_DSN")._database.connected() as connection:
        assert connection.execute("SELECT count(*) FROM skew.batches").fetchone() == (0,)
        connection.execute("ALTER ROLE test_writer SET default_transaction_read_only = on")
    with pytest.raises(PostgresError, match="read-only"):
        log.probe(1)


def test_a_service_that_no_file_system_could_name_is_stored_as_the_others(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    long = "服" * 90
    repo.store.apply(FeatureService(name=long, features=[repo.store.get_feature_view("stats")]))
    with request_context(served_at=NOON - timedelta(hours=1)):
        repo.store.get_online_features(repo.store.get_feature_service(long), [{"driver": 1}])
    Shipper(repo.path / "data/skew/spool").drain()
    assert set(read_log(repo.path, long)["__feature_service"].to_pylist()) == {long}
