"""What the rules say happens does happen: each failing example is run through Feast, and harm is done.

A rule whose test here fails after an upgrade of Feast says something that is no longer true.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
import uvicorn
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, ValueType
from feast.errors import FeatureNameCollisionError
from feast.feature_server import get_app
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64

from skew_ext import lint
from skew_ext.linting.rule import Example
from skew_ext.linting.rules import BY_CODE
from tests.lint_repos import EVENT, NOW, applied, build, inside, materialized, offline, online, quiet
from tests.servers import PostgresServer, RedisServer

Run = Callable[[str], FeatureStore]
VIEW = """
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="{name}", dtype={dtype})], source=source,
)
"""


@pytest.fixture
def bad(tmp_path: Path) -> Run:
    """Give a rule's failing example, materialized."""
    return lambda code: materialized(build(tmp_path / "repo", BY_CODE[code].bad))


def made(folder: Path, name: str, dtype: str, kind: str, values: list[Any], **settings: Any) -> FeatureStore:
    """Make and materialize a view of one feature, declared as `dtype` over a source of the Arrow type `kind`."""
    example = Example(VIEW.format(name=name, dtype=dtype), columns={name: kind}, rows={name: values})
    return materialized(build(folder / "repo", example, **settings))


def test_skw001_a_zero_ttl_never_expires(bad: Run) -> None:
    store = bad("SKW001")
    later = pd.DataFrame({"driver": [1], "event_timestamp": pd.to_datetime([NOW + timedelta(days=3650)])})
    later["event_timestamp"] = later["event_timestamp"].astype("datetime64[us, UTC]")
    assert store.get_historical_features(later, ["stats:rating"]).to_arrow()["rating"].to_pylist() == [0.1]


def test_skw005_redis_drops_keys_that_training_still_has(tmp_path: Path, redis_db: RedisServer) -> None:
    server = {"type": "redis", "connection_string": redis_db.connection_string, "key_ttl_seconds": 86400}
    store = materialized(build(tmp_path / "repo", BY_CODE["SKW005"].bad, online_store=server))
    assert online(store, ["stats:rating"])["rating"] == [0.1]
    with redis_db.client() as opened:
        client: Any = opened
        keys = list(client.scan_iter())
        assert all(0 < client.ttl(key) <= 86400 for key in keys)
        assert any(client.hexists(key, "_ts:stats") for key in keys)
        for key in keys:
            client.expire(key, 0)  # a day passes
    assert online(store, ["stats:rating"])["rating"] == [None]
    assert offline(store, ["stats:rating"])["rating"] == [0.1]


def test_skw007_apply_accepts_a_missing_column(tmp_path: Path) -> None:
    store = applied(build(tmp_path / "repo", BY_CODE["SKW007"].bad))
    with pytest.raises(Exception, match="rating"), quiet():
        offline(store, ["stats:rating"])


def test_skw009_a_naive_timestamp_is_taken_as_utc(bad: Run) -> None:
    response = bad("SKW009").get_online_features(["stats:rating"], [{"driver": 1}])
    (times,) = [vector.event_timestamps for vector in response.proto.results if vector.event_timestamps[0].seconds]
    assert times[0].ToSeconds() == int(EVENT.timestamp())


def test_skw010_duckdb_cannot_materialize_nanoseconds(bad: Run) -> None:
    with pytest.raises(Exception, match="TIMESTAMPTZ_NS"):
        bad("SKW010")


def test_skw011_duckdb_counts_a_relative_path_from_the_working_folder(tmp_path: Path) -> None:
    folder = build(tmp_path / "repo", BY_CODE["SKW011"].bad)
    store = applied(folder)
    with inside(folder):
        assert offline(store, ["stats:rating"])["rating"] == [0.1]
    with inside(tmp_path), pytest.raises(Exception, match="No files found"):
        offline(store, ["stats:rating"])


def test_skw012_a_view_without_a_source_cannot_be_trained_on(tmp_path: Path) -> None:
    store = applied(build(tmp_path / "repo", BY_CODE["SKW012"].bad))
    with pytest.raises(ValueError, match="no batch_source"):
        offline(store, ["stats:rating"])


def test_skw013_a_double_declared_float32_is_served_rounded(bad: Run) -> None:
    store = bad("SKW013")
    assert online(store, ["stats:rating"])["rating"] == [0.10000000149011612]
    assert offline(store, ["stats:rating"])["rating"] == [0.1]


def test_skw013_a_pandas_view_computes_in_float32_for_training_only(tmp_path: Path) -> None:
    thirds = """
@on_demand_feature_view(sources=[stats], schema=[Field(name="third", dtype=Float64)])
def thirds(inputs):
    return pd.DataFrame({"third": inputs["rating"] / 3})
"""
    view = VIEW.format(name="rating", dtype="Float32") + thirds
    example = Example(view, columns={"rating": "float"}, rows={"rating": [2.5, 1.0]})
    store = materialized(build(tmp_path / "repo", example))
    assert online(store, ["thirds:third"])["third"] == [2.5 / 3]
    assert offline(store, ["thirds:third"])["third"] != [2.5 / 3]
    # The same function in python mode gives the same on both sides.
    example = Example(
        example.python.replace(", dtype=Float64)])", ', dtype=Float64)], mode="python")').replace(
            'pd.DataFrame({"third": inputs["rating"] / 3})', '{"third": [value / 3 for value in inputs["rating"]]}'
        ),
        columns=example.columns,
        rows=example.rows,
    )
    store = materialized(build(tmp_path / "python", example))
    assert online(store, ["thirds:third"])["third"] == offline(store, ["thirds:third"])["third"] == [2.5 / 3]


@pytest.mark.parametrize(
    ("dtype", "kind", "values", "served", "trained"),
    [
        ("String", "int64", [15, 16], "15", 15),
        ("Int64", "string", ["15", "16"], 15, "15"),
        ("Int64", "double", [1.5, 2.5], 1, 1.5),
    ],
)
def test_skw014_each_side_has_a_type_of_its_own(  # noqa: PLR0913 - a table's row
    tmp_path: Path, dtype: str, kind: str, values: list[Any], served: Any, trained: Any
) -> None:
    store = made(tmp_path, "x", dtype, kind, values)
    assert online(store, ["stats:x"])["x"] == [served]
    assert offline(store, ["stats:x"])["x"] == [trained]


def test_skw014_a_timestamp_loses_its_fraction(tmp_path: Path) -> None:
    store = made(tmp_path, "x", "UnixTimestamp", "timestamp[us, tz=UTC]", [])
    assert online(store, ["stats:x"])["x"] == [EVENT.replace(microsecond=0)]
    assert offline(store, ["stats:x"])["x"] == [EVENT]


@pytest.mark.parametrize(
    ("dtype", "kind", "values"), [("Float64", "float", [0.5, 1.5]), ("Int32", "int64", [2**40, 1])]
)
def test_skw014_what_cannot_be_materialized(tmp_path: Path, dtype: str, kind: str, values: list[Any]) -> None:
    with pytest.raises((AssertionError, ValueError), match=r"float32|out of range"):
        made(tmp_path, "x", dtype, kind, values)


def test_skw015_large_integers_beside_nulls_lose_digits(bad: Run) -> None:
    store = bad("SKW015")
    assert online(store, ["stats:trips"])["trips"] == [2**53]
    assert offline(store, ["stats:trips"])["trips"] == [2**53 + 1]


def test_skw016_a_key_of_another_type_is_served_null(bad: Run) -> None:
    store = bad("SKW016")
    features = ["stats:rating", "more:trips"]
    served, trained = online(store, features), offline(store, features)
    assert None in (*served["rating"], *served["trips"])
    assert (trained["rating"], trained["trips"]) == ([0.1], [7])


def test_skw016_a_number_that_the_source_holds_as_text_cannot_be_joined(tmp_path: Path) -> None:
    example = Example(
        VIEW.format(name="rating", dtype="Float64"), columns={"driver": "string"}, rows={"driver": ["1", "2"]}
    )
    folder = build(tmp_path / "repo", example)
    (finding,) = lint(folder, select=["SKW016"]).findings
    assert finding.message.startswith("join key 'driver' is INT64, and STRING in the source")
    store = materialized(folder)
    assert online(store, ["stats:rating"])["rating"] == [0.1]
    with pytest.raises(Exception, match="not comparable"):
        offline(store, ["stats:rating"])


def test_skw019_in_pandas_mode_a_value_depends_on_its_neighbours(tmp_path: Path) -> None:
    texts = """
@on_demand_feature_view(sources=[stats], schema=[Field(name="text", dtype=String)])
def texts(inputs):
    return pd.DataFrame({"text": inputs["trips"].map(str)})
"""
    example = Example(VIEW.format(name="trips", dtype="Int64") + texts, rows={"trips": [5, None]})
    store = materialized(build(tmp_path / "repo", example))
    assert online(store, ["texts:text"], [1])["text"] == ["5"]
    assert online(store, ["texts:text"], [1, 2])["text"][0] == "5.0"


def test_skw020_a_singleton_gives_one_output_and_cannot_be_trained_on(bad: Run) -> None:
    store = bad("SKW020")
    assert online(store, ["halves:half"], [1, 2])["half"] == [0.05]
    with pytest.raises(TypeError, match="list"):
        offline(store, ["halves:half"], [1, 2])


def test_skw021_an_aggregation_fails_on_both_sides(bad: Run) -> None:
    store = bad("SKW021")
    with pytest.raises(ValueError, match="not supported in online serving"):
        online(store, ["totals:sum_rating"])
    with pytest.raises(AssertionError):
        offline(store, ["totals:sum_rating"])


def test_skw021_without_a_window_it_is_left_out(tmp_path: Path) -> None:
    windowless = BY_CODE["SKW021"].bad.python.replace(", time_window=timedelta(hours=1)", "")
    store = materialized(build(tmp_path / "repo", Example(windowless)))
    assert "sum_rating" not in online(store, ["totals:sum_rating"])
    with pytest.raises(AssertionError):
        offline(store, ["totals:sum_rating"])


def test_skw022_a_missing_name_passes_apply_and_fails_on_both_sides(bad: Run) -> None:
    store = bad("SKW022")
    for side in (online, offline):
        with pytest.raises(NameError, match="DIVISOR"):
            side(store, ["halves:half"])


def test_skw022_a_function_that_is_unpickled_has_its_names(tmp_path: Path) -> None:
    """A default that Feast cannot evaluate makes it take the pickle: the rule is silent, and right."""
    text = BY_CODE["SKW022"].bad.python.replace("def halves(inputs)", "def halves(inputs, divisor=DIVISOR)")
    folder = build(tmp_path / "repo", Example(text))
    assert online(materialized(folder), ["halves:half"])["half"] == [0.05]
    assert not lint(folder, select=["SKW022"]).findings


@pytest.mark.parametrize("mode", ["pandas", "python"])
def test_skw022_an_annotation_is_asked_for_in_pandas_mode(tmp_path: Path, mode: str) -> None:
    text = BY_CODE["SKW022"].good.python.replace("def halves(inputs)", "def halves(inputs: Path)")
    if mode == "python":
        text = text.replace(", dtype=Float64)])", ', dtype=Float64)], mode="python")')
        text = text.replace('pd.DataFrame({"half": inputs["rating"] / 2})', '{"half": [1.0 for _ in inputs["rating"]]}')
    folder = build(tmp_path / "repo", Example(text))
    found = [finding.message for finding in lint(folder, select=["SKW022"]).findings]
    if mode == "python":
        assert online(materialized(folder), ["halves:half"])["half"] == [1.0]
        assert not found
        return
    with pytest.raises(NameError, match="Path"):
        materialized(folder)
    assert found == ["uses 'Path', which Feast does not find when it rebuilds the function"]


def test_skw025_a_batch_transform_is_skipped_in_training(tmp_path: Path) -> None:
    store = materialized(build(tmp_path / "repo", BY_CODE["SKW025"].bad, offline_store={"type": "dask"}))
    assert online(store, ["stats:rating"], [2])["rating"] == [250.0]
    assert offline(store, ["stats:rating"], [2])["rating"] == [2.5]


def test_skw026_dask_drops_rows_and_makes_equal_ones_one(tmp_path: Path) -> None:
    stores = {}
    for kind in ("dask", "duckdb"):
        folder = build(tmp_path / kind, BY_CODE["SKW026"].bad, offline_store={"type": kind})
        stores[kind] = applied(folder)
    times = [NOW, NOW, NOW + timedelta(days=1)]  # twice the same, and one whose value has expired
    rows = pd.DataFrame({"driver": [1, 1, 2], "event_timestamp": pd.Series(times).astype("datetime64[us, UTC]")})
    given = {
        kind: store.get_historical_features(rows.copy(), ["stats:rating"]).to_arrow().num_rows
        for kind, store in stores.items()
    }
    assert given == {"dask": 1, "duckdb": 3}


def test_skw026_one_expired_view_is_enough_for_dask_to_drop_a_row(tmp_path: Path) -> None:
    more = """
more = FeatureView(
    name="more", entities=[driver], ttl=timedelta(minutes=1),
    schema=[Field(name="trips", dtype=Int64)], source=source,
)
"""
    example = Example(BY_CODE["SKW026"].bad.python + more)
    given = {}
    for kind in ("dask", "duckdb"):
        store = applied(build(tmp_path / kind, example, offline_store={"type": kind}))
        given[kind] = offline(store, ["stats:rating", "more:trips"]).get("rating")
    assert given == {"dask": [], "duckdb": [0.1]}


def test_skw029_duckdb_loses_a_feature_whose_name_ends_in_y(bad: Run) -> None:
    store = bad("SKW029")
    assert online(store, ["stats:rating_y"])["rating_y"] == [1.5]
    with pytest.raises(Exception, match="rating_y"):
        offline(store, ["stats:rating_y"])


def test_skw030_sqlite_depends_on_the_time_zone_of_the_process(bad: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bad("SKW030")

    def seconds(zone: str) -> int:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        response = store.get_online_features(["stats:rating"], [{"driver": 1}])
        return max(int(vector.event_timestamps[0].seconds) for vector in response.proto.results)

    try:
        assert abs(seconds("UTC") - seconds("America/New_York")) in (4 * 3600, 5 * 3600)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_skw031_a_remote_store_gives_no_event_times(tmp_path: Path) -> None:
    store = materialized(build(tmp_path / "server", BY_CODE["SKW031"].good))
    with serving(store) as address:
        remote = build(tmp_path / "client", BY_CODE["SKW031"].bad, online_store={"type": "remote", "path": address})
        config = yaml.safe_load((remote / "feature_store.yaml").read_text())
        config["registry"] = str(tmp_path / "server" / "data" / "registry.db")
        (remote / "feature_store.yaml").write_text(yaml.safe_dump(config))
        client = FeatureStore(repo_path=str(remote))
        times = {}
        for name, asked in (("server", store), ("client", client)):
            response = asked.get_online_features(["stats:rating"], [{"driver": 1}])
            assert response.to_dict()["rating"] == [0.1]
            place = list(response.proto.metadata.feature_names.val).index("rating")
            times[name] = [one.ToSeconds() for one in response.proto.results[place].event_timestamps]
    assert times == {"server": [int(EVENT.timestamp())], "client": []}


@contextmanager
def serving(store: FeatureStore) -> Iterator[str]:
    """Serve a store over HTTP as `feast serve` does, on a thread; give the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(get_app(store), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_skw035_short_names_collide(bad: Run) -> None:
    store = bad("SKW035")
    service = store.get_feature_service("scoring")
    for side in (online, offline):
        with pytest.raises(FeatureNameCollisionError):
            side(store, service)
        assert side(store, service, full_feature_names=True)["more__rating"] == [0.1]


def test_skw036_full_names_leave_python_outputs_out_of_serving(bad: Run) -> None:
    store = bad("SKW036")
    service = store.get_feature_service("scoring")
    assert "halves__half" not in online(store, service, full_feature_names=True)
    assert offline(store, service, full_feature_names=True)["halves__half"] == [0.05]


def test_skw037_a_view_that_is_not_online_cannot_be_served(bad: Run) -> None:
    store = bad("SKW037")
    service = store.get_feature_service("scoring")
    assert offline(store, service)["trips"] == [7]
    with pytest.raises(Exception, match="no such table"):
        online(store, service)


Row = tuple[str, str, datetime, datetime | None, float]


class Postgres:
    """A repo whose offline store is a PostgreSQL with one table, whose rows a test gives."""

    def __init__(self, folder: Path, server: PostgresServer, rows: list[Row], *, ttl: timedelta, created: bool) -> None:
        with psycopg.connect(server.dsn) as connection:
            connection.execute(
                "CREATE TABLE stats "
                "(driver text, city text, event_timestamp timestamptz, created timestamptz, x float8)"
            )
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO stats VALUES (%s, %s, %s, %s, %s)", rows)
        info = psycopg.conninfo.conninfo_to_dict(server.dsn)
        store = {"type": "postgres", "host": info.get("host", "localhost"), "port": int(str(info.get("port", 5432)))}
        store |= {"database": info["dbname"], "user": info["user"], "password": info.get("password") or "none"}
        build(folder, Example(""), offline_store={**store, "db_schema": "public", "sslmode": "disable"})
        keys = [Entity(name=name, join_keys=[name], value_type=ValueType.STRING) for name in ("driver", "city")]
        column = "created" if created else ""
        source = PostgreSQLSource(
            name="rows", table="stats", timestamp_field="event_timestamp", created_timestamp_column=column
        )
        view = FeatureView(name="stats", entities=keys, ttl=ttl, schema=[Field(name="x", dtype=Float64)], source=source)
        self.store = FeatureStore(repo_path=str(folder))
        self.store.apply([*keys, view])

    def trained(self, *rows: tuple[str, str]) -> list[tuple[str, str, float | None]]:
        """Give the training rows of these keys, now."""
        entities = pd.DataFrame(rows, columns=["driver", "city"])
        entities["event_timestamp"] = pd.Series([NOW] * len(rows)).astype("datetime64[us, UTC]")
        table = self.store.get_historical_features(entities, ["stats:x"]).to_arrow()
        return sorted(zip(*(table[name].to_pylist() for name in ("driver", "city", "x")), strict=True))


def test_skw004_a_ttl_below_a_second_never_expires_on_postgres(
    tmp_path: Path, postgres_database: PostgresServer
) -> None:
    old = NOW - timedelta(days=300)
    repo = Postgres(
        tmp_path / "repo", postgres_database, [("a", "b", old, old, 1.0)], ttl=timedelta(milliseconds=500), created=True
    )
    assert repo.trained(("a", "b")) == [("a", "b", 1.0)]


def test_skw027_a_tie_without_created_repeats_the_row_on_postgres(
    tmp_path: Path, postgres_database: PostgresServer
) -> None:
    rows: list[Row] = [("a", "b", EVENT, EVENT, 1.0), ("a", "b", EVENT, NOW, 2.0)]
    repo = Postgres(tmp_path / "repo", postgres_database, rows, ttl=timedelta(hours=1), created=False)
    assert len(repo.trained(("a", "b"))) == 2


def test_skw028_composite_keys_meet_on_postgres(tmp_path: Path, postgres_database: PostgresServer) -> None:
    rows: list[Row] = [("1", "11", EVENT, EVENT, 1.0), ("11", "1", EVENT + timedelta(seconds=1), EVENT, 2.0)]
    repo = Postgres(tmp_path / "repo", postgres_database, rows, ttl=timedelta(hours=1), created=True)
    assert repo.trained(("1", "11"), ("11", "1")) != [("1", "11", 1.0), ("11", "1", 2.0)]
    assert repo.trained(("1", "11")) == [("1", "11", 1.0)]
