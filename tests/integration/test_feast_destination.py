"""The log through Feast's own logging destinations, and Feast's own tools on the log in PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from feast import FeatureService, FeatureStore
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination

from skew_ext import ServingLogger, SkewAuditor, read_log, request_context
from skew_ext.log.destination import destination_from
from skew_ext.log.feast_destination import FeastDestination, PostgreSQLLoggingDestination, served_view_name
from skew_ext.log.notes import SkewLogWarning, notes_of
from skew_ext.log.postgres_migrations import upgrade
from skew_ext.log.query import LogQuery
from skew_ext.log.story import story
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import HOUR, MINUTE, NOON, Repo, row
from tests.servers import PostgresServer

REFERENCES = ["stats:rating", "stats:trips"]
DRIVERS = [{"driver": 1}, {"driver": 2}, {"driver": 9}]
TRIPS = [2**53 + 1, 7, None]
"""An int64 that no float64 holds, beside a null: what goes through pandas loses it."""


def logging_repo(path: Path, destination: Any, **config: Any) -> Repo:
    """Make a repo whose service says where it logs to."""
    repo = Repo(path, **config)
    view = repo.store.get_feature_view("stats")
    repo.store.apply([FeatureService(name="scoring", features=[view], logging_config=LoggingConfig(destination))])
    repo.write([row(1, NOON - HOUR, 4.5, 2**53 + 1, "Oslo"), row(2, NOON - HOUR, 3.5, 7, "Rome")])
    repo.materialize(NOON)
    return repo


def serve_and_ship(repo: Repo) -> None:
    with request_context(served_at=NOON + MINUTE, request_id="r-1"):
        repo.store.get_online_features(repo.store.get_feature_service("scoring"), DRIVERS)
        repo.store.get_online_features(REFERENCES, DRIVERS)
    Shipper(repo.path / "data/skew/spool").drain()
    counts = log_stats(repo.path / "data/skew/spool")
    assert (counts.stored, counts.unaccounted) == (6, 0)


# Feast's DuckDB store cannot write partitions: DuckDB does not find the column by the list that it is given.
@pytest.mark.parametrize(
    ("offline_store", "partition_by"), [("duckdb", None), ("dask", None), ("dask", ["__log_date"])]
)
def test_a_service_logs_where_its_own_config_says(
    offline_store: str, partition_by: list[str] | None, tmp_path: Path
) -> None:
    destination = FileLoggingDestination(path="data/own_log", partition_by=partition_by)
    skew = {"start_shipper": False, "destination": {"type": "feast"}}
    repo = logging_repo(tmp_path / "repo", destination, skew=skew, offline_store={"type": offline_store})
    serve_and_ship(repo)
    assert list((repo.path / "data/own_log").rglob("*.parquet"))
    rows = read_log(repo.path, "scoring", NOON, NOON + HOUR)
    assert rows["stats__trips"].to_pylist() == TRIPS
    assert rows["stats__city"].to_pylist() == ["Oslo", "Rome", None]
    assert rows["__row"].to_pylist() == [0, 1, 2]
    assert read_log(repo.path, "").num_rows == 3
    assert read_log(repo.path, request_id="r-1").num_rows == 6
    assert read_log(repo.path, "scoring", NOON - HOUR, NOON).num_rows == 0
    report = SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + HOUR)
    assert report.rows == 3


def test_what_feast_did_not_serve_lies_beside_what_it_logs(tmp_path: Path) -> None:
    skew = {"start_shipper": False, "destination": {"type": "feast"}}
    repo = logging_repo(tmp_path / "repo", FileLoggingDestination(path="data/own_log"), skew=skew)
    service = repo.store.get_feature_service("scoring")
    logger = ServingLogger(repo.path)
    with request_context(served_at=NOON + MINUTE, request_id="r-1"):
        repo.store.get_online_features(service, DRIVERS[:1])
        logger.log_inference(None, {"driver": 1}, {"scaled": 0.25})
        logger.log_prediction(None, prediction=True, score=0.75)
        logger.log_label(None, label=False, observed_at=NOON + HOUR)
    Shipper(repo.path / "data/skew/spool").drain()
    told = story("r-1", read_log(repo.path, request_id="r-1"))
    assert [event.kind for event in told.events] == ["lookup", "inference", "prediction", "label"]
    assert read_log(repo.path, "scoring").num_rows == 1
    assert read_log(repo.path, "_inference")["inference__scaled"].to_pylist() == [0.25]


def test_a_batch_that_came_twice_is_read_once(tmp_path: Path) -> None:
    skew = {"start_shipper": False, "destination": {"type": "feast"}}
    repo = logging_repo(tmp_path / "repo", FileLoggingDestination(path="data/own_log"), skew=skew)
    written: list[tuple[Any, Any, str]] = []
    spool = repo.path / "data/skew/spool"
    repo.store.get_online_features(repo.store.get_feature_service("scoring"), DRIVERS)
    shipper = Shipper(spool)
    destination = shipper._destination
    assert isinstance(destination, FeastDestination)
    original = destination.write

    def twice(table: Any, schema: Any, batch: str) -> None:
        written.append((table, schema, batch))
        original(table, schema, batch)
        original(table, schema, batch)

    destination.write = twice  # type: ignore[method-assign]
    shipper.drain()
    assert len(written) == 1
    assert len(list((repo.path / "data/own_log").rglob("*.parquet"))) == 2
    assert read_log(repo.path, "scoring").num_rows == 3


def test_what_is_no_file_of_the_log_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    skew = {"start_shipper": False, "destination": {"type": "feast"}}
    repo = logging_repo(tmp_path / "repo", FileLoggingDestination(path="data/own_log"), skew=skew)
    repo.store.get_online_features(repo.store.get_feature_service("scoring"), [{"driver": 1}])
    Shipper(repo.path / "data/skew/spool").drain()
    folder = repo.path / "data/own_log"
    os.mkfifo(folder / "pipe.parquet")
    (folder / "empty.parquet").touch()
    (folder / "noise.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"x": [1]}), folder / "foreign.parquet")
    with pytest.warns(SkewLogWarning, match=r"empty\.parquet cannot be read \(it is empty\)"):
        rows = read_log(repo.path)
    assert rows["driver"].to_pylist() == [1]
    assert {Path(note.file).stem for note in notes_of(rows)} == {"pipe", "empty", "noise", "foreign"}


def test_a_store_that_cannot_write_logs_says_so_and_rows_wait(
    postgres_database: PostgresServer, tmp_path: Path
) -> None:
    skew = {"start_shipper": False, "destination": {"type": "feast"}}
    destination = PostgreSQLLoggingDestination(feature_service="scoring", project="rides")
    repo = Repo(tmp_path / "repo", skew=skew, offline_store=offline_postgres(postgres_database))
    service = FeatureService(
        name="scoring", features=[repo.store.get_feature_view("stats")], logging_config=LoggingConfig(destination)
    )
    repo.store.apply([service])
    repo.store.get_online_features(service, DRIVERS)
    with pytest.raises(OSError, match=r"set skew\.destination to postgres or parquet"):
        Shipper(repo.path / "data/skew/spool").drain()
    assert log_stats(repo.path / "data/skew/spool").in_spool == 3


def offline_postgres(server: PostgresServer) -> dict[str, Any]:
    return {
        "type": "skew_ext.log.postgres_offline.SkewPostgreSQLOfflineStore",
        "host": server.host,
        "port": server.port,
        "database": server.dbname,
        "user": server.user,
        "password": server.password,
        "sslmode": "disable",
    }


@pytest.fixture
def postgres_repo(postgres_database: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Give a repo that logs to PostgreSQL and has it for an offline store, two rows served and shipped."""
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    skew = {"start_shipper": False, "destination": {"type": "postgres", "dsn_env": "LOG_DSN"}}
    destination = PostgreSQLLoggingDestination(feature_service="scoring", project="rides")
    repo = logging_repo(tmp_path / "repo", destination, skew=skew)
    serve_and_ship(repo)
    path = repo.path / "feature_store.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**config, "offline_store": offline_postgres(postgres_database)}))
    repo.store = FeatureStore(repo_path=str(repo.path))
    return repo


def test_the_views_name_is_the_migrations_own(postgres_database: PostgresServer, monkeypatch: Any) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    with psycopg.connect(postgres_database.dsn) as connection:
        for service in ("scoring", "", "A b-C", "é" * 50, "__x__", "x" * 80, 'a";--'):
            query = "SELECT skew.served_view_name(skew.log_table_name('rides', %s))"
            assert connection.execute(query, (service,)).fetchone() == (served_view_name("rides", service),)


def test_feast_reads_the_log_in_postgres_as_a_source(postgres_repo: Repo) -> None:
    store = postgres_repo.store
    service = store.get_feature_service("scoring")
    job = store._get_provider().retrieve_feature_service_logs(service, NOON, NOON + HOUR, store.config, store.registry)
    rows = job.to_arrow().sort_by("driver")
    assert rows["stats__trips"].to_pylist() == TRIPS
    assert rows["stats__city"].to_pylist() == ["Oslo", "Rome", None]
    through = destination_from({"type": "feast", "repo": postgres_repo.path, "path": postgres_repo.path, "yaml": None})
    assert through.read(LogQuery("scoring"))["__row"].to_pylist() == [0, 1, 2]


def test_feasts_monitor_runs_on_the_log_in_postgres(postgres_repo: Repo, postgres_database: PostgresServer) -> None:
    feast = Path(sys.executable).with_name("feast")
    arguments = ["monitor", "run", "--source-type", "log", "--feature-service", "scoring"]
    dates = ["--start-date", "2026-03-01", "--end-date", "2026-03-02", "--granularity", "daily"]
    done = subprocess.run(
        [str(feast), "-c", str(postgres_repo.path), *arguments, *dates],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with psycopg.connect(postgres_database.dsn) as connection:
        found = connection.execute(
            "SELECT feature_name, row_count, null_count, mean FROM feast_monitoring_feature_metrics "
            "WHERE data_source_type = 'log' ORDER BY 1"
        ).fetchall()
    assert ("rating", 3, 1, 4.0) in found, done.stdout + done.stderr
