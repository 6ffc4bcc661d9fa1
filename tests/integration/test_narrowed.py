"""The audit's reading of Feast's DuckDB store: less of each source, by two threads, and the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FeatureView, Field, FileSource
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore
from feast.types import Float64, Int64

from skew_ext.baseline.narrowed import narrowed, retrievals_at_once
from skew_ext.baseline.plan import plan_views
from tests.kit import HOUR, NOON, Repo

TTL = 2 * HOUR
FINEST = timedelta(microseconds=1)
KINDS = {
    "microseconds": pa.timestamp("us", tz="UTC"),
    "nanoseconds": pa.timestamp("ns", tz="UTC"),
    "another zone": pa.timestamp("us", tz="America/New_York"),
    "no zone": pa.timestamp("us"),
    "no zone, nanoseconds": pa.timestamp("ns"),
    "text": pa.string(),
}


class TimedRepo(Repo):
    """The repo with event times of a type, in a column that is renamed where `mapped`, and a view without a TTL."""

    def __init__(self, path: Path, kind: str, *, mapped: bool = False) -> None:
        self.kind = kind
        self.event = "happened" if mapped else "event_timestamp"
        super().__init__(path)

    def objects(self) -> list[Any]:
        driver, _, stats, service = super().objects()
        source = FileSource(
            name="timed_source",
            path=str(self.source_path),
            timestamp_field="event_timestamp",
            field_mapping={} if self.event == "event_timestamp" else {self.event: "event_timestamp"},
        )
        stats.batch_source = source
        fields = [Field(name="driver", dtype=Int64), Field(name="rating", dtype=Float64)]
        endless = FeatureView(name="endless", entities=[driver], ttl=timedelta(0), schema=fields, source=source)
        return [driver, source, stats, endless, service]

    def write(self, rows: list[dict[str, Any]]) -> None:
        times = pa.array([row["event_timestamp"] for row in rows], pa.timestamp("us", tz="UTC"))
        if self.kind == "text":
            events: Any = times.cast(pa.timestamp("us")).cast(pa.string())
        else:
            kind = KINDS[self.kind]
            # A naive time is UTC: the number stays as it is.
            events = times.cast(pa.timestamp(kind.unit, tz="UTC")).cast(pa.int64()).cast(kind)
        table = pa.table(
            {
                "driver": pa.array([row["driver"] for row in rows], pa.int64()),
                self.event: events,
                "rating": pa.array([row["rating"] for row in rows], pa.float64()),
                "trips": pa.array([row["driver"] for row in rows], pa.int64()),
                "city": pa.array(["x"] * len(rows), pa.string()),
            }
        )
        pq.write_table(table, self.source_path)


def at_the_edges() -> list[dict[str, Any]]:
    """Give source rows just inside, on and just outside of what lookups at NOON and an hour later can use."""
    moments = [
        edge + step
        for edge in (NOON, NOON + HOUR, NOON - TTL, NOON + HOUR - TTL)
        for step in (-FINEST, timedelta(0), FINEST)
    ]
    moments += [NOON - timedelta(days=400), NOON + timedelta(days=400)]
    return [{"driver": key, "event_timestamp": at, "rating": float(key)} for key, at in enumerate(moments)]


def asked(keys: int) -> pd.DataFrame:
    rows = [(key, NOON + hours * HOUR) for key in range(keys) for hours in (0, 1)]
    frame = pd.DataFrame(rows, columns=["driver", "event_timestamp"])
    return frame.assign(row=range(len(frame)))


def retrieved(store: FeatureStore, entities: pd.DataFrame) -> list[dict[str, Any]]:
    wanted = ["stats:rating", "endless:rating"]
    job = store.get_historical_features(entity_df=entities.copy(), features=wanted, full_feature_names=True)
    rows: list[dict[str, Any]] = job.to_arrow().sort_by("row").to_pylist()
    return rows


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_narrowed_store_gives_what_feast_gives(tmp_path: Path, kind: str, mapped: bool) -> None:  # noqa: FBT001 - pytest passes it
    repo = TimedRepo(tmp_path / "repo", kind, mapped=mapped)
    source = at_the_edges()
    repo.write(source)
    entities = asked(len(source))
    theirs = retrieved(repo.store, entities)
    assert retrieved(narrowed(repo.store), entities) == theirs
    # The edges are where they should be, so a bound that is off by the finest step would show.
    found = {(row["driver"], row["event_timestamp"] - NOON) for row in theirs if row["stats__rating"] is not None}
    inside = {
        (row["driver"], at)
        for row in source
        for at in (timedelta(0), HOUR)
        if NOON + at - TTL <= row["event_timestamp"] <= NOON + at
    }
    assert found == inside


def test_the_bounds_reach_the_query(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    entities = asked(1)
    bounds = []
    for store in (repo.store, narrowed(repo.store)):
        job: Any = store.get_historical_features(entity_df=entities.copy(), features=["stats:rating"])
        literals = [literal.value for literal in job.table.op().find(ibis.expr.operations.Literal)]
        bounds.append(sorted(value for value in literals if isinstance(value, datetime)))
    second = timedelta(seconds=1)
    assert bounds == [[], [NOON - TTL - second, NOON + HOUR + second]]


def test_a_source_is_read_in_the_same_span(tmp_path: Path) -> None:
    repo = TimedRepo(tmp_path / "repo", "microseconds")
    repo.write(at_the_edges())
    view = repo.store.get_feature_view("stats")
    rows = []
    for store in (repo.store, narrowed(repo.store)):
        offline: Any = store._get_provider().offline_store
        job = offline.pull_all_from_table_or_query(
            repo.store.config, view.batch_source, ["driver"], ["rating"], "event_timestamp", None, NOON - HOUR, NOON
        )
        rows.append(sorted(job.to_arrow()["driver"].to_pylist()))
    assert rows[0] == rows[1] != []


def test_several_threads_retrieve_at_once_and_leave_nothing_behind(tmp_path: Path) -> None:
    repo = TimedRepo(tmp_path / "repo", "microseconds")
    source = at_the_edges()
    repo.write(source)
    store, entities = narrowed(repo.store), asked(len(source))
    expected = retrieved(repo.store, entities)
    before = set(views_of(ibis.get_backend()))
    with ThreadPoolExecutor(2) as pool:
        assert all(rows == expected for rows in pool.map(lambda _: retrieved(store, entities), range(8)))
    assert set(views_of(ibis.get_backend())) == before


def views_of(backend: Any) -> list[str]:
    return [
        name for (name,) in backend.con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    ]


def test_the_given_store_and_stores_of_other_classes_stay_as_they_are(tmp_path: Path) -> None:
    repo, dask = Repo(tmp_path / "repo"), Repo(tmp_path / "dask", offline_store={"type": "dask"})
    twin = narrowed(repo.store)
    assert type(offline_of(repo.store)) is DuckDBOfflineStore
    assert type(offline_of(twin)) is not DuckDBOfflineStore
    assert twin.registry is repo.store.registry
    assert narrowed(dask.store) is dask.store
    with own_class(repo.store):
        assert narrowed(repo.store) is repo.store


class OwnDuckDB(DuckDBOfflineStore):
    """Somebody's own store."""


@contextmanager
def own_class(store: FeatureStore) -> Iterator[None]:
    provider: Any = store._get_provider()
    before, provider._offline_store = provider._offline_store, OwnDuckDB()
    yield
    provider._offline_store = before


def offline_of(store: FeatureStore) -> Any:
    provider: Any = store._get_provider()
    return provider.offline_store


def test_two_retrieve_at_once_only_where_each_has_a_connection(tmp_path: Path) -> None:
    repo, dask = Repo(tmp_path / "repo"), Repo(tmp_path / "dask", offline_store={"type": "dask"})
    views = plan_views(repo.store, repo.store.get_feature_service("scoring"))
    assert retrievals_at_once(narrowed(repo.store), views) == 2
    assert retrievals_at_once(repo.store, views) == 1
    assert retrievals_at_once(dask.store, views) == 1
    views[0].view.batch_source = FileSource(path="s3://bucket/stats.parquet", timestamp_field="event_timestamp")
    assert retrievals_at_once(narrowed(repo.store), views) == 1


def test_a_threads_connection_has_the_settings_of_the_users(tmp_path: Path) -> None:
    repo = TimedRepo(tmp_path / "repo", "no zone")
    repo.write(at_the_edges())
    backend: Any = ibis.get_backend()
    entities = asked(len(at_the_edges()))
    backend.con.execute("SET TimeZone = 'America/New_York'")
    try:
        theirs = retrieved(repo.store, entities)
        with ThreadPoolExecutor(1) as pool:
            ours = pool.submit(retrieved, narrowed(repo.store), entities).result()
    finally:
        backend.con.execute("SET TimeZone = 'UTC'")
    assert ours == theirs
    assert ours != retrieved(repo.store, entities)
