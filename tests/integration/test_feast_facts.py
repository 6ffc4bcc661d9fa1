"""What Feast really does, where skew_ext leans on it: an upgrade of Feast that changes one of these shows here.

Every test says the fact, and what in skew_ext rests on it. The repo is a real one: Parquet files, the DuckDB offline
store, and SQLite or Redis online.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RequestSource, utils
from feast.infra.passthrough_provider import PassthroughProvider
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from feast.transformation.pandas_transformation import PandasTransformation
from feast.types import Float64, Int64
from feast.value_type import ValueType

from tests.servers import RedisServer

SCHEMA = pa.schema(
    [
        ("driver_id", pa.int64()),
        ("event_timestamp", pa.timestamp("us", tz="UTC")),
        ("created", pa.timestamp("us", tz="UTC")),
        ("trips", pa.float64()),
    ]
)
TTL = timedelta(hours=1)
NOW = datetime.now(tz=timezone.utc).replace(microsecond=250_000)
Row = tuple[int, datetime, datetime, float | None]
LIBRARY_SOURCE = dedent(
    """
    def twice(inputs):
        return (2 * inputs["trips"] + inputs["bonus"]).to_frame("doubled")
    """
)
SHARED_SOURCE = dedent(
    """
    def double(inputs):
        from shared_fact import twice

        return twice(inputs)
    """
)


class MarkedProvider(PassthroughProvider):
    """A provider of our own, as a user's feature_store.yaml would name it."""


def ago(**span: float) -> datetime:
    """Give the time that long before now."""
    return NOW - timedelta(**span)


def row(driver: int, event: datetime, trips: float | None, created: datetime | None = None) -> Row:
    """Make a source row, created when it happened unless said otherwise."""
    return driver, event, created or event, trips


class Repo:
    """A Feast repo in a folder, with one source, one view `stats` and its feature `trips`."""

    def __init__(self, folder: Path, online: dict[str, str] | None = None, **settings: object) -> None:
        self.folder = folder
        config = {
            "project": "facts",
            "provider": "local",
            "registry": str(folder / "registry.db"),
            "offline_store": {"type": "duckdb"},
            "online_store": online or {"type": "sqlite", "path": str(folder / "online.db")},
            "entity_key_serialization_version": 3,
            **settings,
        }
        (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
        self.view = self._view()
        self.store = FeatureStore(repo_path=str(folder))

    def _view(self) -> FeatureView:
        source = FileSource(
            name="trips_source",
            path=str(self.folder / "trips.parquet"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
        fields = [Field(name="driver_id", dtype=Int64), Field(name="trips", dtype=Float64)]
        return FeatureView(name="stats", entities=[driver], ttl=TTL, schema=fields, source=source)

    def write(self, rows: Iterable[Row]) -> Repo:
        """Write the source's rows, and register the view."""
        columns = list(zip(*rows, strict=True))
        pq.write_table(pa.table([list(column) for column in columns], schema=SCHEMA), self.folder / "trips.parquet")
        self.store.apply([Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64), self.view])
        return self

    def materialize(self, until: datetime = NOW + timedelta(minutes=1)) -> Repo:
        """Load the last ten days into the online store."""
        self.store.materialize(NOW - timedelta(days=10), until)
        return self

    def online(self, *drivers: int) -> OnlineResponse:
        """Look the drivers up, as a server would."""
        return self.store.get_online_features(["stats:trips"], [{"driver_id": driver} for driver in drivers])

    def offline(self, entities: pd.DataFrame) -> pa.Table:
        """Retrieve point-in-time values, as training would."""
        return self.store.get_historical_features(entities, ["stats:trips"]).to_arrow()


@pytest.fixture(params=["sqlite", "redis"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    """Give a repo on each online store in turn."""
    if request.param == "sqlite":
        return Repo(tmp_path)
    return redis_repo(tmp_path, request.getfixturevalue("redis_db"))


def redis_repo(folder: Path, server: RedisServer) -> Repo:
    """Make a repo whose online store is the Redis server."""
    return Repo(folder, {"type": "redis", "connection_string": server.connection_string})


def vector(response: OnlineResponse, feature: str = "trips") -> GetOnlineFeaturesResponse.FeatureVector:
    """Pick one feature's values, statuses and event times out of a response."""
    names = list(response.proto.metadata.feature_names.val)
    found: GetOnlineFeaturesResponse.FeatureVector = response.proto.results[names.index(feature)]
    return found


def value_of(response: OnlineResponse, feature: str = "trips") -> float | None:
    """Give the one value that was served."""
    values = vector(response, feature).values
    assert len(values) == 1
    return None if unset(values[0]) else values[0].double_val


def unset(value: Value) -> bool:
    """Whether nothing was set in a value: null."""
    return value.WhichOneof("val") is None


def entities(*rows: tuple[int, datetime]) -> pd.DataFrame:
    """Make an entity frame with a row id of our own, as the baseline does."""
    frame = pd.DataFrame(rows, columns=["driver_id", "event_timestamp"])
    frame["event_timestamp"] = frame["event_timestamp"].astype("datetime64[us, UTC]")
    return frame.assign(skew_row=range(len(rows)))


def by_row_id(table: pa.Table) -> list[float | None]:
    """Give the retrieved values in the order of our row id."""
    rows = sorted(table.to_pylist(), key=lambda retrieved: retrieved["skew_row"])
    return [retrieved["trips"] for retrieved in rows]


def test_ttl_is_not_enforced_online(repo: Repo) -> None:
    """A row past its TTL is served as PRESENT: the log derives OUTSIDE_MAX_AGE, the audit has `expired_served`."""
    response = repo.write([row(1, ago(days=3), 7.0)]).materialize().online(1)
    assert value_of(response) == 7.0
    assert list(vector(response).statuses) == [FieldStatus.PRESENT]


def test_sqlite_says_not_found(tmp_path: Path) -> None:
    """An unknown key is NOT_FOUND, unset, at event time 0: the log derives its status from the last two."""
    found = vector(Repo(tmp_path).write([row(1, NOW, 7.0)]).materialize().online(99))
    assert list(found.statuses) == [FieldStatus.NOT_FOUND]
    assert unset(found.values[0])
    assert found.event_timestamps[0].ToMicroseconds() == 0


def test_redis_calls_a_missing_key_present(tmp_path: Path, redis_db: RedisServer) -> None:
    """An unknown key is PRESENT, unset, at event time 0: why the log cannot take Feast's status as it is."""
    found = vector(redis_repo(tmp_path, redis_db).write([row(1, NOW, 7.0)]).materialize().online(99))
    assert list(found.statuses) == [FieldStatus.PRESENT]
    assert unset(found.values[0])
    assert found.event_timestamps[0].ToMicroseconds() == 0


def test_null_keeps_its_event_time(repo: Repo) -> None:
    """A stored null is unset at the row's own event time: the log can tell NULL_VALUE from NOT_FOUND."""
    found = vector(repo.write([row(1, ago(minutes=5), None)]).materialize().online(1))
    assert unset(found.values[0])
    assert found.event_timestamps[0].ToMicroseconds() > 0


def test_nan_becomes_null_online(repo: Repo) -> None:
    """A NaN of the source is null once materialized: served null against baseline NaN is Feast's doing."""
    response = repo.write([row(1, ago(minutes=5), float("nan"))]).materialize().online(1)
    assert value_of(response) is None


def test_unknown_settings_survive(tmp_path: Path) -> None:
    """Unknown keys of feature_store.yaml stay in RepoConfig: SkewProvider reads its settings from `skew:`."""
    settings = {"spool": "data/spool", "destination": {"type": "parquet"}}
    config = Repo(tmp_path, skew=settings).store.config
    assert config.model_extra is not None
    assert config.model_extra["skew"] == settings


def test_a_provider_class_is_used_by_its_dotted_name(tmp_path: Path) -> None:
    """`provider: module.Class` is imported and used: the one seam that a stock `feast serve` has for logging."""
    store = Repo(tmp_path, provider=f"{__name__}.MarkedProvider").store
    assert type(store._get_provider()).__name__ == "MarkedProvider"


def test_duckdb_gives_null_for_an_expired_row(tmp_path: Path) -> None:
    """An expired row, or none yet, is NULL, and the window is inclusive: the baseline is [t - ttl, t]."""
    repo = Repo(tmp_path).write([row(1, ago(hours=2), 7.0)])
    event = ago(hours=2)
    asked = entities((1, event + TTL), (1, event + TTL + timedelta(microseconds=1)), (1, event), (1, event - TTL))
    assert by_row_id(repo.offline(asked)) == [7.0, None, 7.0, None]


def test_duckdb_keeps_duplicate_entity_rows(tmp_path: Path) -> None:
    """Entity rows of one key and time all come back, with columns of our own: the baseline joins on its row id."""
    retrieved = Repo(tmp_path).write([row(1, ago(minutes=5), 7.0)]).offline(entities((1, NOW), (1, NOW)))
    assert retrieved.num_rows == 2
    assert by_row_id(retrieved) == [7.0, 7.0]


def test_duckdb_takes_the_latest_created_of_a_tie(tmp_path: Path) -> None:
    """Of two rows with one event time, training uses the one created last, known or not: the cause `restated`."""
    event = ago(minutes=5)
    repo = Repo(tmp_path).write([row(1, event, 2.0, NOW + timedelta(days=1)), row(1, event, 1.0)])
    assert by_row_id(repo.offline(entities((1, NOW)))) == [2.0]


@pytest.mark.parametrize("coerced", [True, False])
def test_duckdb_may_change_the_callers_entity_frame(tmp_path: Path, *, coerced: bool) -> None:
    """Feast copies the entity frame, unless `coerce_tz_aware` is off: the baseline always hands it a copy."""
    asked = entities((1, NOW))
    asked["event_timestamp"] = asked["event_timestamp"].astype(object)
    before = asked.copy()
    Repo(tmp_path, coerce_tz_aware=coerced).write([row(1, ago(minutes=5), 7.0)]).offline(asked)
    assert asked.dtypes.equals(before.dtypes) == coerced


def test_sqlite_truncates_event_times(tmp_path: Path) -> None:
    """SQLite keeps whole seconds of an event time: causes compare event times at the online store's precision."""
    found = vector(Repo(tmp_path).write([row(1, ago(minutes=5), 7.0)]).materialize().online(1))
    assert found.event_timestamps[0].ToDatetime(timezone.utc) == ago(minutes=5).replace(microsecond=0)


def test_redis_event_times(tmp_path: Path, redis_db: RedisServer) -> None:
    """Redis keeps microseconds of an event time: the precision is each store's own."""
    repo = redis_repo(tmp_path, redis_db).write([row(1, ago(minutes=5), 7.0)]).materialize()
    assert vector(repo.online(1)).event_timestamps[0].ToDatetime(timezone.utc) == ago(minutes=5)


def shared_view(name: str, source: FeatureView, source_text: str) -> OnDemandFeatureView:
    """Make an on-demand view whose registered source is a text of our own."""
    built: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {}
    exec(source_text, built)  # noqa: S102 - as Feast does with a registered source
    transformation = PandasTransformation(udf=built["double"], udf_string=source_text)
    request = RequestSource(name="asked", schema=[Field(name="bonus", dtype=Float64)])
    return OnDemandFeatureView(
        name=name,
        sources=[source, request],
        schema=[Field(name="doubled", dtype=Float64)],
        feature_transformation=transformation,
        mode="pandas",
    )


def test_a_registered_source_may_import_a_shared_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that imports inside its body runs online and offline, in a store that read it from the registry.

    The whole of the shared transforms rests on it: the registered source is a stub around the library's function.
    """
    (tmp_path / "shared_fact.py").write_text(LIBRARY_SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    repo = Repo(tmp_path).write([row(1, ago(minutes=5), 7.0)]).materialize()
    repo.store.apply([shared_view("doubling", repo.view, SHARED_SOURCE)])
    reader = FeatureStore(repo_path=str(tmp_path))
    served = reader.get_online_features(["doubling:doubled"], [{"driver_id": 1, "bonus": 0.5}])
    assert value_of(served, "doubled") == 14.5
    trained = reader.get_historical_features(entities((1, NOW)).assign(bonus=0.5), ["doubling:doubled"])
    assert trained.to_arrow()["doubled"].to_pylist() == [14.5]


def test_apply_sees_an_edit_of_the_registered_source_only(tmp_path: Path) -> None:
    """Two functions with one source text are one to `apply`: so a fingerprint stands in the text we register."""
    view = Repo(tmp_path).view
    first, second = shared_view("v", view, SHARED_SOURCE), shared_view("v", view, SHARED_SOURCE)
    edited = shared_view("v", view, SHARED_SOURCE + "\nFINGERPRINT = 'abc'\n")
    assert first.feature_transformation == second.feature_transformation
    assert first.feature_transformation != edited.feature_transformation


def test_materialize_loads_rows_created_in_the_future(repo: Repo) -> None:
    """Materialize asks nothing of the created time: known(t) must be worked out from the source's rows."""
    response = repo.write([row(1, ago(minutes=5), 7.0, NOW + timedelta(days=1))]).materialize().online(1)
    assert value_of(response) == 7.0


def test_a_row_older_than_the_watermark_never_reaches_online(repo: Repo) -> None:
    """Incremental loads start at the last end, so a late row stays out: `stale_online` and `missing_online`."""
    # The first load starts a TTL before the clock's time, which is long after NOW where other tests came first.
    now = datetime.now(tz=timezone.utc)
    old, new = now - 0.8 * TTL, now - 0.3 * TTL
    repo.write([row(1, old, 1.0)])
    repo.store.materialize_incremental(now - 0.1 * TTL)
    repo.write([row(1, old, 1.0), row(1, new, 2.0, now), row(2, new, 3.0, now)])
    repo.store.materialize_incremental(now)
    values = vector(repo.online(1, 2)).values
    assert values[0].double_val == 1.0
    assert unset(values[1])


def test_the_online_request_context_is_where_we_think(tmp_path: Path) -> None:
    """The private function that resolves a lookup's features: capture calls it to know what was asked."""
    store = Repo(tmp_path).write([row(1, NOW, 7.0)]).store
    context = utils._get_online_request_context(
        store.registry, store.project, ["stats:trips"], full_feature_names=False
    )
    references, on_demand_views, key_map, key_types, join_keys, grouped, names, request_data, entityless = context
    assert (references, on_demand_views) == (["stats:trips"], [])
    assert key_map["driver"] == "driver_id"
    assert key_types["driver_id"] == ValueType.INT64
    assert join_keys == {"driver_id", "__dummy_id"}
    assert [(view.name, features) for view, features in grouped] == [("stats", ["trips"])]
    assert (names, request_data, entityless) == ({"trips"}, set(), False)
