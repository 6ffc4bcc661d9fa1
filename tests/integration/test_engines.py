"""One suite on every engine and offline store: the same log gives the same report, number for number."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Float64, String

from skew_ext import SkewAuditor, SkewError, read_log, request_context
from skew_ext.auditor import parts
from skew_ext.baseline import source_times
from skew_ext.baseline.plan import ViewPlan, plan_views
from skew_ext.engines.spark import first_pass
from skew_ext.shipping.shipper import Shipper
from skew_ext.testing import (
    DEVICES,
    FAULTS,
    LOOKUPS,
    PAYMENTS,
    SERVICE,
    FaultyRepo,
    PostgresSources,
    SparkSources,
    Timeline,
)
from skew_ext.testing.objects import configuration, objects
from skew_ext.testing.sources import Sources
from tests.kit import HOUR, MINUTE, NOON, Repo, row
from tests.kit import TIMES as MICROSECONDS
from tests.servers import PostgresServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The spark:RuntimeWarning"),  # Feast calls its Spark store experimental
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pyspark"),
    pytest.mark.filterwarnings("ignore::FutureWarning:pyspark"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of sockets between Spark and Python
]
VIEWS = (PAYMENTS, DEVICES)
TIMES = Timeline()
START = TIMES.begin + 7 * MINUTE
"""In the middle of the first round: of the keys that are lost after it, some were served only before."""
EVERYTHING = {**dict.fromkeys(FAULTS, 0.07), **dict.fromkeys(LOOKUPS, 0.1)}


@pytest.fixture(scope="module", autouse=True)
def _spark() -> Iterator[None]:
    """Stop the session that the tests of this module have started."""
    yield
    from pyspark.sql import SparkSession  # noqa: PLC0415 - only where a test has used it

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> FaultyRepo:
    """Give a repo on DuckDB in which everything goes wrong somewhere."""
    repo = FaultyRepo(tmp_path_factory.mktemp("engines") / "repo", EVERYTHING, seed=5, keys=60, times=TIMES)
    repo.serve()
    return repo


@pytest.fixture(scope="module")
def expected(served: FaultyRepo) -> dict[str, Any]:
    """Give the report of the embedded engine on DuckDB."""
    return content(served.store)


def content(store: FeatureStore, **options: Any) -> dict[str, Any]:
    """Audit what was served from `START` on; give the report without when it was made."""
    report = SkewAuditor(store).run_audit(SERVICE, START, TIMES.end, **options)
    read: dict[str, Any] = json.loads(report.to_json())
    read.pop("created_at")
    for one in (*read["distribution"]["skew"], *read["distribution"]["drift"]):
        one.pop("note", None)  # names the source's own column type
    return read


def elsewhere(served: FaultyRepo, folder: Path, sources: Sources, **skew: Any) -> FeatureStore:
    """Give the store of a repo with the same views and the same log, whose sources are elsewhere."""
    folder.mkdir()
    settings = configuration(served.path, sources.config, None)
    settings["registry"] = str(folder / "registry.db")
    settings["skew"] |= skew
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    store = FeatureStore(repo_path=str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.apply(objects(VIEWS, sources))
    return store


@pytest.fixture(scope="module")
def spark(served: FaultyRepo, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Give the same repo on Feast's Spark store."""
    return elsewhere(served, tmp_path_factory.mktemp("spark") / "repo", SparkSources(served.path))


def test_the_world_has_every_cause_and_every_engine_must_find_it(expected: dict[str, Any]) -> None:
    found = {cause for feature in expected["parity"]["features"] for cause in feature["causes"]}
    assert found >= {*EVERYTHING} - {"default_filled"}
    assert expected["verdict"] == "fail"


def test_keys_that_are_lost_were_served_in_the_window_or_before_it(
    served: FaultyRepo, expected: dict[str, Any]
) -> None:
    evicted = served.truth[served.truth["cause"] == "evicted_online"]
    found = {one["feature"]: one["causes"].get("evicted_online", 0) for one in expected["parity"]["features"]}
    assert {name: count for name, count in found.items() if count} == evicted["feature"].value_counts().to_dict()
    # A request is named after its round and its only entity.
    lost = {request.partition("-")[2] for request in evicted["request_id"]}
    before = read_log(served.store, SERVICE, end=START)["__request_id"].to_pylist()
    assert 0 < len(lost & {request.partition("-")[2] for request in before}) < len(lost)


def test_postgres_gives_the_report_of_duckdb(
    served: FaultyRepo, expected: dict[str, Any], tmp_path: Path, postgres_database: PostgresServer
) -> None:
    where = postgres_database
    login = {"host": where.host, "port": where.port, "database": where.dbname, "user": where.user}
    sources = PostgresSources({**login, "password": where.password, "db_schema": "public", "sslmode": "disable"})
    for view in VIEWS:
        sources.write(view, pq.read_table(served.path / f"{view.name}.parquet"))
    assert content(elsewhere(served, tmp_path / "repo", sources)) == expected


def test_spark_gives_the_report_of_duckdb(spark: FeatureStore, expected: dict[str, Any]) -> None:
    assert content(spark) == expected


class SparkRepo(Repo):
    """The repo of the kit with its source read by Spark."""

    def objects(self) -> list[Any]:
        driver, _, stats, service = super().objects()
        stats.batch_source = spark_source(self.source_path)
        return [driver, stats.batch_source, stats, service]


def spark_source(path: Path) -> SparkSource:
    return SparkSource(
        name="stats_source",
        path=str(path),
        file_format="parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )


def test_a_log_that_spark_cannot_read_goes_into_the_session_by_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for name, kind, offline in (
        ("duckdb", Repo, {"type": "duckdb"}),
        ("spark", SparkRepo, SparkSources(tmp_path).config),
    ):
        repo = kind(tmp_path / name, offline_store=offline)
        hours = range(-1, 3)
        rows = [row(driver, NOON + hour * HOUR, driver + hour / 7, hour, "x") for driver in range(20) for hour in hours]
        old = [row(driver, NOON - 5 * HOUR, 1.0, 1, "old") for driver in range(100, 110)]
        repo.write([*(one for one in rows if one["driver"] != 3), *old])
        repo.materialize(NOON)
        repo.write([*rows, *old])
        service = repo.store.get_feature_service("scoring")
        for at, drivers in ((NOON + MINUTE, [*range(20), *range(100, 110)]), (NOON + 80 * MINUTE, [*range(20)] * 2)):
            with request_context(served_at=at):
                repo.store.get_online_features(service, [{"driver": driver} for driver in drivers])
        Shipper(repo.path / "data/skew/spool").drain()
        if name == "spark":
            monkeypatch.setattr(parts, "PART_ROWS", 40)
            monkeypatch.setattr(first_pass, "EXPLAINED_CELLS", 90)
            monkeypatch.setattr(first_pass, "DISTRIBUTION_CELLS", 150)
        # A sample of the keys, that has all of them.
        found[name] = SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + 2 * HOUR, sample=1_000_000)
    features = [
        [(one.feature, one.compared, one.mismatched, one.causes, one.over_time) for one in report.parity.features]
        for report in found.values()
    ]
    assert features[0] == features[1]
    assert found["spark"].parity.features[0].causes == {"missing_online": 3, "stale_online": 38, "expired_served": 10}
    assert found["spark"].ttl == found["duckdb"].ttl
    (note,) = found["spark"].notes
    assert re.fullmatch(r"the distributions are of an even sample of \d+ of the 70 rows; all else is of all", note)
    assert 0 < found["spark"].distribution.skew[0].n_served <= 50


def test_ttls_are_advised_from_the_same_keys(
    served: FaultyRepo, spark: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_times, "MOST_KEPT", 700)
    end = int(TIMES.end.timestamp()) * 1_000_000
    for view in plan_views(served.store, served.store.get_feature_service(SERVICE)):
        if not view.on_demand:
            ours, theirs = (
                source_times.source_times(store, view_of(store, view.alias), end) for store in (served.store, spark)
            )
            kept = [
                sorted(zip(*(column.tolist() for column in side if column is not None), strict=True))
                for side in (ours, theirs)
            ]
            assert kept[0] == kept[1]
            assert 0 < len(kept[0]) < 1_400


def view_of(store: FeatureStore, alias: str) -> ViewPlan:
    return next(view for view in plan_views(store, store.get_feature_service(SERVICE)) if view.alias == alias)


class PairsRepo(Repo):
    """On Spark, its view has a composite key of two strings."""

    SCHEMA = pa.schema(
        {
            "a": pa.string(),
            "b": pa.string(),
            "event_timestamp": MICROSECONDS,
            "created": MICROSECONDS,
            "rating": pa.float64(),
        }
    )

    def objects(self) -> list[Any]:
        entities = [Entity(name=name, join_keys=[name], value_type=ValueType.STRING) for name in ("a", "b")]
        schema = [Field(name="a", dtype=String), Field(name="b", dtype=String), Field(name="rating", dtype=Float64)]
        source = spark_source(self.source_path)
        view = FeatureView(name="stats", entities=entities, ttl=2 * HOUR, schema=schema, source=source)
        return [*entities, source, view, FeatureService(name="scoring", features=[view])]

    def write(self, rows: list[dict[str, Any]]) -> None:
        pq.write_table(pa.Table.from_pylist(rows, schema=self.SCHEMA), self.source_path)


@pytest.mark.parametrize("engine", ["spark", "embedded"])
def test_what_feasts_spark_store_gets_wrong_is_put_right_and_said(tmp_path: Path, engine: str) -> None:
    settings = {"start_shipper": False, "engine": engine}
    repo = PairsRepo(tmp_path / "repo", offline_store=SparkSources(tmp_path).config, skew=settings)

    def pair(a: str, b: str, rating: float, **more: Any) -> dict[str, Any]:
        return {"a": a, "b": b, "event_timestamp": NOON, "created": NOON, "rating": rating, **more}

    confused = [pair("11", "1", 1.0), pair("1", "11", 2.0)]
    tied = [pair("2", "2", 3.0), pair("2", "2", 4.0)]
    without_created = [pair("3", "3", 5.0, event_timestamp=NOON - HOUR), pair("3", "3", 6.0)]
    repo.write([*confused, *tied, *without_created])
    repo.materialize(NOON + MINUTE)
    repo.write([*confused, *tied, without_created[0], {**without_created[1], "created": None}])
    with request_context(served_at=NOON + 2 * MINUTE):
        service = repo.store.get_feature_service("scoring")
        repo.store.get_online_features(
            service, [{"a": a, "b": b} for a, b in (("11", "1"), ("1", "11"), ("2", "2"), ("3", "3"))]
        )
    Shipper(repo.path / "data/skew/spool").drain()
    report = SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + HOUR)
    said = {one.code: one.message for one in report.findings if one.code.startswith("baseline_")}
    assert (report.parity.cells, report.parity.mismatched) == (4, 0)
    assert said["baseline_key_collision"].startswith("1 entity rows have composite keys")
    assert "1 entity rows more than once" in said["baseline_rows_repeated"]
    assert "the created time is null" in said["baseline_null_created"]


def test_an_engine_that_cannot_be_had_is_said_in_one_line(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "engine": "spark"})
    with pytest.raises(
        SkewError, match=r"^engine: spark .* the repo's offline store is DuckDBOfflineStore; use engine"
    ):
        SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + HOUR)
