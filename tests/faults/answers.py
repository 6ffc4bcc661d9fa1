"""What is served: the answers of real Feast repos, whose features are added, renamed and retyped from one to the next.

Made once, by Feast itself, in files: the servers of the harness log them again and again without Feast's online store,
whose locks no fork may meet.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

PROJECT = "rides"
MOST_ROWS = 3
NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
VERSIONS: tuple[dict[str, Any], ...] = (
    {"rating": Float64, "trips": Int64, "city": String},
    {"rating": Float64, "trips": Int64, "city": String, "seats": Int64},
    {"rating": Float64, "rides": Int64, "city": String, "seats": Int64},
    {"rating": Float64, "rides": String, "city": String, "seats": Int64},
)
"""The features of one view, as an application's releases change them."""
_VALUES: dict[Any, Any] = {Float64: 4.5, Int64: 7, String: "Oslo"}


def make_answers(folder: Path) -> None:
    """Make each version's registry, and its answers to lookups of one row to `MOST_ROWS` rows."""
    for version, features in enumerate(VERSIONS):
        config = repo_config(registry(folder, version), folder / f"online-{version}.db", provider="local")
        repo = folder / f"repo-{version}"
        repo.mkdir()
        (repo / "feature_store.yaml").write_text(yaml.safe_dump(config))
        store = FeatureStore(repo_path=str(repo))
        store.apply(_objects(folder / f"source-{version}.parquet", features))
        frame = pd.DataFrame(
            {
                "driver": range(1, MOST_ROWS + 1),
                "event_timestamp": [NOW] * MOST_ROWS,
                **{name: [_VALUES[kind]] * MOST_ROWS for name, kind in features.items()},
            }
        )
        store.write_to_online_store("stats", frame)
        for by_reference in (False, True):
            asked: Any = ["stats:rating"] if by_reference else store.get_feature_service("scoring")
            for rows in range(1, MOST_ROWS + 1):
                entities = [{"driver": 1 + place} for place in range(rows)]
                served = store.get_online_features(asked, entities).proto.SerializeToString()
                (folder / answer(version, rows, by_reference=by_reference)).write_bytes(served)


def answer(version: int, rows: int, *, by_reference: bool) -> str:
    """Give the name of an answer's file."""
    return f"answer-{version}-{rows}-{'reference' if by_reference else 'service'}"


def registry(folder: Path, version: int) -> Path:
    """Give the file of a version's registry."""
    return folder / f"registry-{version}.db"


def repo_config(registry_path: Path, online: Path, *, provider: str, **skew: Any) -> dict[str, Any]:
    """Give the content of a feature_store.yaml."""
    config: dict[str, Any] = {
        "project": PROJECT,
        "provider": provider,
        "registry": {"path": str(registry_path), "cache_ttl_seconds": 0},
        "online_store": {"type": "sqlite", "path": str(online)},
        "entity_key_serialization_version": 3,
    }
    return {**config, "skew": {"start_shipper": False, **skew}} if skew else config


def _objects(source_path: Path, features: dict[str, Any]) -> list[Any]:
    driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
    kinds = {Float64: pa.float64(), Int64: pa.int64(), String: pa.string()}
    times = pa.timestamp("us", tz="UTC")
    columns = {"driver": pa.int64(), "event_timestamp": times, **{name: kinds[kind] for name, kind in features.items()}}
    pq.write_table(pa.Table.from_pylist([], schema=pa.schema(columns)), source_path)
    source = FileSource(name="stats_source", path=str(source_path), timestamp_field="event_timestamp")
    fields = [Field(name="driver", dtype=Int64), *[Field(name=name, dtype=kind) for name, kind in features.items()]]
    stats = FeatureView(name="stats", entities=[driver], ttl=timedelta(days=9999), schema=fields, source=source)
    return [driver, source, stats, FeatureService(name="scoring", features=[stats])]
