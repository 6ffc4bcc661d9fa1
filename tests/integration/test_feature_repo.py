"""The flights repo with plain Feast: its data, `feast apply`, materialize, and retrieval on both sides."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from feast import FeatureStore
from feast.repo_operations import parse_repo

from skew_ext.demo import repo as demo_repo
from tests.servers import PostgresServer, RedisServer

REPO = Path(__file__).resolve().parents[2] / "feature_repo"
SERVED_AT = datetime(2013, 7, 22, 18, 5, tzinfo=timezone.utc)
VIEWS = ["origin_weather", "carrier_delay", "plane_history"]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the repo with ten days of sources, applied by Feast's own command."""
    path = tmp_path_factory.mktemp("flights") / "feature_repo"
    shutil.copytree(REPO, path, ignore=shutil.ignore_patterns("data", "__pycache__"))
    # These tests are of Feast's side: no shipper need run beside them.
    for file in (path / "feature_store.yaml", path / "feature_store.production.yaml"):
        settings = yaml.safe_load(file.read_text())
        settings["skew"]["start_shipper"] = False
        file.write_text(yaml.safe_dump(settings))
    write_sources(path)
    feast(path, "apply")
    return path


def write_sources(path: Path) -> None:
    with demo_repo.modules_of(path):
        pipeline: Any = importlib.import_module("pipeline")
        pipeline.build_sources(path / "data" / "sources", SERVED_AT - timedelta(days=10), SERVED_AT)


def feast(path: Path, *arguments: str, **variables: str) -> str:
    """Run `feast` in the repo's folder, as a user does."""
    environment = {**os.environ, "PYTHONPATH": str(REPO.parent), "TZ": "UTC", "FEAST_USAGE": "False", **variables}
    command = [str(Path(sys.executable).parent / "feast"), *arguments]
    done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def flights() -> Callable[[str], pd.DataFrame]:
    with demo_repo.modules_of(REPO):
        module: Any = importlib.import_module("flights")
        loaded: pd.DataFrame = module.load_flights()

    def of(query: str) -> pd.DataFrame:
        return loaded.query(query)

    return of


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


def test_times_of_a_flight_over_zones(flights: Callable[[str], pd.DataFrame]) -> None:
    first = flights("carrier == 'UA' and flight == 1545").iloc[0]
    assert first["scheduled_departure"] == utc(2013, 1, 1, 10, 15)  # 5:15 in New York
    assert first["scheduled_arrival"] == utc(2013, 1, 1, 14, 19)  # 8:19 in Houston
    assert first["landed_at"] == utc(2013, 1, 1, 14, 30)  # 11 minutes late


def test_zone_that_the_airports_table_lacks(flights: Callable[[str], pd.DataFrame]) -> None:
    flight = flights("carrier == 'B6' and flight == 725 and dest == 'BQN'").iloc[0]
    assert flight["scheduled_arrival"] == utc(2013, 1, 1, 14, 22)  # 10:22 in Puerto Rico
    assert flights("dest in ('BQN', 'PSE', 'SJU', 'STT')")["scheduled_arrival"].notna().all()


def test_every_flight_lands_after_it_left(flights: Callable[[str], pd.DataFrame]) -> None:
    every = flights("landed_at.notna()")
    minutes = (every["landed_at"] - every["scheduled_departure"]).dt.total_seconds() / 60 - every["dep_delay"]
    assert (len(every), minutes.min() > 20, minutes.max() < 800) == (327_346, True, True)
    assert not flights("scheduled_arrival.isna()").size


def test_sources_hold_microseconds_in_utc_and_nothing_known_before_its_event(repo: Path) -> None:
    for name in VIEWS:
        table = pq.read_table(repo / "data" / "sources" / name)
        assert table.schema.field("event_timestamp").type == pa.timestamp("us", tz="UTC")
        assert table.schema.field("created").type == pa.timestamp("us", tz="UTC")
        assert pc.all(pc.greater_equal(table["created"], table["event_timestamp"])).as_py(), name
        assert table.num_rows > 100


def test_carrier_rows_hold_what_had_landed(repo: Path, flights: Callable[[str], pd.DataFrame]) -> None:
    rows = pq.read_table(repo / "data" / "sources" / "carrier_delay").to_pandas()
    at = pd.Timestamp("2013-07-22T18:00Z")
    row = rows.query("carrier == 'UA' and origin == 'EWR' and event_timestamp == @at").iloc[0]
    landed = flights("carrier == 'UA' and origin == 'EWR'")
    landed = landed[(landed["landed_at"] > at - pd.Timedelta(hours=6)) & (landed["landed_at"] <= at)]
    assert row["landed_flights"] == len(landed) > 10
    assert row["mean_arrival_delay"] == landed["arr_delay"].sum() / len(landed)
    assert row["late_share"] == (landed["arr_delay"] > 15).sum() / len(landed)


def test_feast_materializes_folders_and_both_sides_agree(repo: Path) -> None:
    start, end = SERVED_AT - timedelta(days=10), SERVED_AT
    feast(repo, "materialize", f"{start:%Y-%m-%dT%H:%M:%S}", f"{end:%Y-%m-%dT%H:%M:%S}")
    online, offline = both_sides(FeatureStore(repo_path=str(repo)), landed_plane(repo))
    assert {name: offline[name] for name in online} == online
    assert online["severity"][0] is not None
    assert online["legs_today"] == [online["legs_today"][0], None]


def both_sides(store: FeatureStore, plane: str) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Give the service's features for two flights, as served and as trained on."""
    service = store.get_feature_service("departure_delay")
    asked = int(SERVED_AT.timestamp())
    ask = {"scheduled_departure": asked + 2400, "asked_at": asked, "distance": 1400.0}
    rows = [{"origin": "EWR", "carrier": "UA", "tailnum": plane, **ask}]
    rows.append({"origin": "LGA", "carrier": "DL", "tailnum": "none", **ask})
    online = store.get_online_features(service, rows).to_dict()
    entities = pd.DataFrame(rows).assign(event_timestamp=SERVED_AT, row=range(len(rows)))
    offline = store.get_historical_features(entities, service).to_arrow().sort_by("row").to_pydict()
    return online, offline


def landed_plane(repo: Path) -> str:
    """Give a plane that landed long ago: its newest row was known by then, so that nothing differs by nature."""
    rows = pq.read_table(repo / "data" / "sources" / "plane_history").to_pandas()
    newest = rows.sort_values("event_timestamp").groupby("tailnum").tail(1)
    return str(newest[newest["created"] < pd.Timestamp(SERVED_AT - timedelta(hours=12))]["tailnum"].iloc[0])


def test_service_holds_what_the_on_demand_view_takes(repo: Path) -> None:
    store = FeatureStore(repo_path=str(repo))
    service = store.get_feature_service("departure_delay")
    served = {f"{view.name}__{feature.name}" for view in service.feature_view_projections for feature in view.features}
    sources = store.get_on_demand_feature_view("flight_request").source_feature_view_projections.values()
    taken = {f"{source.name}__{feature.name}" for source in sources for feature in source.features}
    assert taken
    assert taken <= served
    assert service.logging_config is not None
    destination: Any = service.logging_config.destination
    assert destination.path == str(repo / "data" / "skew" / "log" / "departure_delay")


def test_second_apply_changes_nothing(repo: Path) -> None:
    said = feast(repo, "apply")
    assert "Created" not in said
    assert "Updated" not in said


def test_every_view_says_its_schedule_and_look_back(repo: Path) -> None:
    for view in FeatureStore(repo_path=str(repo)).list_batch_feature_views():
        assert view.tags["skew.materialize_every"] == "1h"
        assert "skew.lookback" in view.tags
        assert view.ttl is not None


def test_production_yaml_differs_in_its_servers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = yaml.safe_load((REPO / "feature_store.yaml").read_text())
    production = yaml.safe_load((REPO / "feature_store.production.yaml").read_text())
    assert {name for name in embedded if embedded[name] != production[name]} == {
        "registry",
        "online_store",
        "offline_store",
        "skew",
    }
    monkeypatch.setenv("FLIGHTS_SOURCES", "postgres")
    with demo_repo.modules_of(REPO):
        contents = parse_repo_in(REPO)
    kinds = {type(source).__name__ for source in contents.data_sources}
    assert kinds - {"RequestSource"} == {"PostgreSQLSource"}


def parse_repo_in(path: Path) -> Any:
    before = Path.cwd()
    os.chdir(path)
    try:
        return parse_repo(path)
    finally:
        os.chdir(before)


def copy_to_postgres(repo: Path, server: PostgresServer, rows: int | None = None) -> dict[str, pa.Table]:
    """Fill the views' tables with the repo's source rows, or the first of them."""
    tables = {name: pq.read_table(repo / "data" / "sources" / name).slice(0, rows) for name in VIEWS}
    with demo_repo.modules_of(repo):
        pipeline: Any = importlib.import_module("pipeline")
        pipeline.copy_to_postgres(tables, server.dsn)
    return tables


def test_production_yaml_serves_from_redis_what_postgres_gives_to_training(
    repo: Path, redis_db: RedisServer, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_to_postgres(repo, postgres_database)
    variables = {
        "FLIGHTS_SOURCES": "postgres",
        "FLIGHTS_REDIS": redis_db.connection_string,
        "FLIGHTS_REGISTRY": postgres_database.dsn.replace("postgresql://", "postgresql+psycopg://"),
        "FLIGHTS_PG_HOST": postgres_database.host,
        "FLIGHTS_PG_PORT": str(postgres_database.port),
        "FLIGHTS_PG_DATABASE": postgres_database.dbname,
        "FLIGHTS_PG_USER": postgres_database.user,
        "FLIGHTS_PG_SSLMODE": "disable",
        "FLIGHTS_PG_PASSWORD": postgres_database.password or "unused",
    }
    yaml_file = repo / "feature_store.production.yaml"
    feast(repo, "-f", str(yaml_file), "apply", **variables)
    start = SERVED_AT - timedelta(days=10)
    window = [f"{at:%Y-%m-%dT%H:%M:%S}" for at in (start, SERVED_AT)]
    feast(repo, "-f", str(yaml_file), "materialize", *window, **variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = FeatureStore(repo_path=str(repo), fs_yaml_file=yaml_file)
    online, offline = both_sides(store, landed_plane(repo))
    registry: Any = store.registry
    for engine in (registry.read_engine, registry.write_engine):
        engine.dispose()  # Feast leaves its pooled connections to the garbage collector
    assert {name: offline[name] for name in online} == online
    assert online["severity"][0] is not None


def test_pipeline_fills_postgres_tables(repo: Path, postgres_database: PostgresServer) -> None:
    import psycopg  # noqa: PLC0415 - of the postgres extra

    copy_to_postgres(repo, postgres_database, 10)
    tables = copy_to_postgres(repo, postgres_database, 50)
    with psycopg.connect(postgres_database.dsn) as connection:
        for name, table in tables.items():
            columns = ", ".join(f'"{column}"' for column in table.column_names)
            stored = connection.execute(f'SELECT {columns} FROM flights."{name}"').fetchall()  # noqa: S608
            assert stored == [tuple(row.values()) for row in table.to_pylist()]
