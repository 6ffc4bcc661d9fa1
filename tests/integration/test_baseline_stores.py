"""One audit on every offline store: the same numbers, and what each store got wrong on the way is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, String

from skew_ext import SkewAuditor, request_context
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row
from tests.servers import PostgresServer

DAY = timedelta(days=1)
DRIVERS = range(60)
CREATE = """CREATE TABLE stats (driver bigint, event_timestamp timestamptz, created timestamptz,
            rating double precision, trips bigint, city text)"""
INSERT = """INSERT INTO stats VALUES
            (%(driver)s, %(event_timestamp)s, %(created)s, %(rating)s, %(trips)s, %(city)s)"""


class PostgresRepo(Repo):
    """The same repo with its source and its offline store in PostgreSQL."""

    server: PostgresServer

    def __init__(self, path: Path, server: PostgresServer, **config: Any) -> None:
        self.server = server
        with psycopg.connect(server.dsn) as connection:
            connection.execute(CREATE)
        super().__init__(path, offline_store=postgres_store(server), **config)

    def objects(self) -> list[Any]:
        driver, _, stats, service = super().objects()
        source = PostgreSQLSource(
            name="stats_source", table="stats", timestamp_field="event_timestamp", created_timestamp_column="created"
        )
        stats.batch_source = source
        return [driver, source, stats, service]

    def write(self, rows: list[dict[str, Any]]) -> None:
        with psycopg.connect(self.server.dsn) as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE stats")
            cursor.executemany(INSERT, rows)


def postgres_store(server: PostgresServer) -> dict[str, Any]:
    info = psycopg.conninfo.conninfo_to_dict(server.dsn)
    return {
        "type": "postgres",
        "host": info["host"],
        "port": int(str(info["port"])),
        "database": info["dbname"],
        "user": info["user"],
        "password": info.get("password") or "none",
        "db_schema": "public",
        "sslmode": "disable",
    }


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Repo]:
    """Give a maker of repos, one for each store."""

    def make(store: str) -> Repo:
        if store == "postgres":
            return PostgresRepo(tmp_path / store, request.getfixturevalue("postgres_database"))
        return Repo(tmp_path / store, offline_store={"type": store})

    return make


def serve(repo: Repo, at: datetime, drivers: Any = DRIVERS) -> None:
    with request_context(served_at=at):
        service = repo.store.get_feature_service("scoring")
        repo.store.get_online_features(service, [{"driver": driver} for driver in drivers])


def audit(repo: Repo) -> Report:
    Shipper(repo.path / "data/skew/spool").drain()
    return SkewAuditor(repo.store).run_audit("scoring", NOON - DAY, NOON + DAY)


def parity(report: Report) -> dict[str, Any]:
    return {one.feature: (one.compared, one.mismatched, one.causes, one.lag) for one in report.parity.features}


def faults(report: Report) -> dict[str, str]:
    return {one.code: one.message for one in report.findings if one.code.startswith("baseline_")}


def traffic(repo: Repo) -> None:
    """Serve fresh rows, stale ones, expired ones, missing ones, and a request that names each driver twice."""
    rows = [
        row(driver, NOON + hour * HOUR, driver + hour / 7, hour, "x") for driver in DRIVERS for hour in range(-1, 3)
    ]
    old = [row(driver, NOON - 5 * HOUR, 1.0, 1, "old") for driver in range(100, 120)]
    repo.write([*[one for one in rows if one["driver"] != 3], *old])
    repo.materialize(NOON)
    repo.write([*rows, *old])
    serve(repo, NOON + MINUTE)
    serve(repo, NOON + 80 * MINUTE, [driver for driver in DRIVERS for _ in range(2)])
    serve(repo, NOON + 2 * MINUTE, range(100, 120))


EXPECTED = {
    "duckdb": set(),
    "dask": {"baseline_rows_lost", "baseline_rows_collapsed"},
    "postgres": set(),
}


def test_all_stores_give_the_same_numbers(made: Callable[..., Repo]) -> None:
    found = {}
    for store, codes in EXPECTED.items():
        repo = made(store)
        traffic(repo)
        report = audit(repo)
        assert set(faults(report)) == codes, store
        found[store] = parity(report)
    assert found["dask"] == found["duckdb"]
    assert found["postgres"] == found["duckdb"]
    causes = {"missing_online": 3, "stale_online": 118, "expired_served": 20}
    assert found["duckdb"]["stats__rating"][:3] == (200, 141, causes)


def test_dask_uses_the_stale_one_of_a_tie_and_is_put_right(made: Callable[..., Repo]) -> None:
    repo = made("dask")
    first = [row(driver, NOON, 1.0, driver, "x", created=NOON) for driver in DRIVERS]
    again = [{**one, "rating": 2.0, "created": NOON + MINUTE} for one in first]
    # Corrections stand before what they correct: the file's order is not the order of creation.
    repo.write([*again, *first])
    repo.materialize(NOON + 2 * MINUTE)
    serve(repo, NOON + 3 * MINUTE)
    report = audit(repo)
    assert report.parity.mismatched == 0
    assert "of source rows with one event time, not the one created last" in faults(report)["baseline_tie"]


def test_postgres_repeats_exact_ties_and_either_row_is_right(made: Callable[..., Repo]) -> None:
    repo = made("postgres")
    one = [row(driver, NOON, 1.0, driver, "x", created=NOON) for driver in DRIVERS]
    repo.write([*one, *({**each, "rating": 2.0} for each in one)])
    repo.materialize(NOON + MINUTE)
    serve(repo, NOON + 2 * MINUTE)
    report = audit(repo)
    assert report.parity.mismatched == 0
    assert "60 entity rows more than once" in faults(report)["baseline_rows_repeated"]


def test_postgres_passes_over_rows_without_a_created_time(made: Callable[..., Repo]) -> None:
    repo = made("postgres")
    known = [row(driver, NOON - HOUR, 1.0, 1, "x") for driver in DRIVERS]
    newest = [row(driver, NOON, 2.0, 2, "x") for driver in DRIVERS]
    repo.write([*known, *newest])
    repo.materialize(NOON + MINUTE)
    repo.write([*known, *({**one, "created": None} for one in newest)])
    serve(repo, NOON + 2 * MINUTE)
    report = audit(repo)
    assert report.parity.mismatched == 0
    assert "the created time is null" in faults(report)["baseline_null_created"]


class SubSecondRepo(PostgresRepo):
    """Its TTL is half a second."""

    def objects(self) -> list[Any]:
        objects = super().objects()
        objects[2].ttl = timedelta(milliseconds=500)
        return objects


def test_a_ttl_below_a_second_is_infinite_on_postgres_and_kept_here(
    tmp_path: Path, postgres_database: PostgresServer
) -> None:
    repo = SubSecondRepo(tmp_path / "repo", postgres_database)
    repo.write([row(driver, NOON, 1.0, 1, "x") for driver in DRIVERS])
    repo.materialize(NOON + MINUTE)
    serve(repo, NOON + 2 * MINUTE)
    report = audit(repo)
    assert parity(report)["stats__rating"][2] == {"expired_served": 60}
    assert "does not keep a view's TTL" in faults(report)["baseline_ttl_not_kept"]


class SuffixRepo(Repo):
    """One of its features ends in `_y`."""

    def objects(self) -> list[Any]:
        driver, source, *_ = super().objects()
        source.field_mapping = {"rating": "latency_y"}
        view = FeatureView(
            name="stats",
            entities=[driver],
            ttl=2 * HOUR,
            schema=[Field(name="latency_y", dtype=Float64), Field(name="city", dtype=String)],
            source=source,
            tags={"skew.materialize_every": "1h"},
        )
        return [driver, source, view, FeatureService(name="scoring", features=[view])]


def test_a_feature_that_duckdb_cannot_retrieve_comes_from_the_source(tmp_path: Path) -> None:
    repo = SuffixRepo(tmp_path / "repo")
    repo.write([row(driver, NOON + hour * HOUR, driver + hour / 7, 1, "x") for driver in DRIVERS for hour in range(2)])
    repo.materialize(NOON + MINUTE)
    serve(repo, NOON + 2 * MINUTE)
    serve(repo, NOON + 62 * MINUTE)
    report = audit(repo)
    assert parity(report)["stats__latency_y"][:3] == (120, 60, {"stale_online": 60})
    assert parity(report)["stats__city"][:2] == (120, 0)
    assert "names end in _y: 120 cells" in faults(report)["baseline_feature_unreadable"]


class PairsRepo(PostgresRepo):
    """Its view has a composite key of two strings."""

    def __init__(self, path: Path, server: PostgresServer) -> None:
        with psycopg.connect(server.dsn) as connection:
            connection.execute(
                "CREATE TABLE pairs (a text, b text, event_timestamp timestamptz, created timestamptz, rating float8)"
            )
        super().__init__(path, server)

    def objects(self) -> list[Any]:
        entities = [Entity(name=name, join_keys=[name], value_type=ValueType.STRING) for name in ("a", "b")]
        source = PostgreSQLSource(
            name="pairs", table="pairs", timestamp_field="event_timestamp", created_timestamp_column="created"
        )
        schema = [Field(name="a", dtype=String), Field(name="b", dtype=String), Field(name="rating", dtype=Float64)]
        view = FeatureView(name="stats", entities=entities, ttl=2 * HOUR, schema=schema, source=source)
        return [*entities, source, view, FeatureService(name="scoring", features=[view])]


def test_composite_keys_that_postgres_confuses_are_retrieved_apart(
    tmp_path: Path, postgres_database: PostgresServer
) -> None:
    repo = PairsRepo(tmp_path / "repo", postgres_database)
    pairs = [("11", "1"), ("1", "11"), ("2", "2")]
    with psycopg.connect(postgres_database.dsn) as connection, connection.cursor() as cursor:
        for number, (a, b) in enumerate(pairs):
            cursor.execute("INSERT INTO pairs VALUES (%s, %s, %s, %s, %s)", (a, b, NOON, NOON, float(number)))
    repo.materialize(NOON + MINUTE)
    with request_context(served_at=NOON + 2 * MINUTE):
        service = repo.store.get_feature_service("scoring")
        repo.store.get_online_features(service, [{"a": a, "b": b} for a, b in pairs])
    report = audit(repo)
    assert (report.parity.cells, report.parity.mismatched) == (3, 0)
    assert faults(report)["baseline_key_collision"].startswith("1 entity rows have composite keys")
