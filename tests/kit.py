"""Small real Feast repos for tests: entities, sources as Parquet, and stores, all in a folder of their own."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TIMES = pa.timestamp("us", tz="UTC")
SOURCE_SCHEMA = pa.schema(
    {
        "driver": pa.int64(),
        "event_timestamp": TIMES,
        "created": TIMES,
        "rating": pa.float64(),
        "trips": pa.int64(),
        "city": pa.string(),
    }
)


def row(  # noqa: PLR0913 - a source row has these columns
    driver: int,
    event: datetime,
    rating: float | None = None,
    trips: int | None = None,
    city: str | None = None,
    created: datetime | None = None,
) -> dict[str, Any]:
    """Make one source row; it is created when it happens unless said otherwise."""
    values = {"rating": rating, "trips": trips, "city": city}
    return {"driver": driver, "event_timestamp": event, "created": created or event, **values}


def wait_for(condition: Callable[[], object], failure: str, seconds: float = 60) -> None:
    """Wait until a condition holds; fail with `failure` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, failure
        time.sleep(0.05)


class Repo:
    """A repo with one view, `stats` (ttl 2 hours), and one service, `scoring`, applied and ready."""

    def __init__(self, path: Path, *, provider: str = "skew_ext.SkewProvider", **config: Any) -> None:
        self.path = path
        self.source_path = path / "data" / "stats.parquet"
        self.source_path.parent.mkdir(parents=True)
        (path / "feature_store.yaml").write_text(yaml.safe_dump(self.config(provider, **config)))
        self.write([])
        self.store = FeatureStore(repo_path=str(path))
        self.store.apply(self.objects())

    def config(self, provider: str, **config: Any) -> dict[str, Any]:
        """Give feature_store.yaml's content, with `config` over it."""
        return {
            "project": "rides",
            "provider": provider,
            "registry": str(self.path / "data" / "registry.db"),
            "online_store": {"type": "sqlite", "path": str(self.path / "data" / "online.db")},
            "offline_store": {"type": "duckdb"},
            "entity_key_serialization_version": 3,
            "skew": {"start_shipper": False},
            **config,
        }

    def objects(self) -> list[Any]:
        """Give the repo's Feast objects."""
        driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
        source = FileSource(
            name="stats_source",
            path=str(self.source_path),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        stats = FeatureView(
            name="stats",
            entities=[driver],
            ttl=2 * HOUR,
            schema=[
                Field(name="driver", dtype=Int64),
                Field(name="rating", dtype=Float64),
                Field(name="trips", dtype=Int64),
                Field(name="city", dtype=String),
            ],
            source=source,
            tags={"skew.materialize_every": "1h"},
        )
        return [driver, source, stats, FeatureService(name="scoring", features=[stats])]

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Replace the source's rows."""
        pq.write_table(pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA), self.source_path)

    def materialize(self, end: datetime, start: datetime | None = None) -> None:
        """Materialize the view up to `end`, from a day before unless said otherwise."""
        self.store.materialize(start or end - timedelta(days=1), end, feature_views=["stats"])
