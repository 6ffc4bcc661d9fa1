"""The examples of lint's rules as real Feast repos, to be linted, applied, materialized and served."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from feast import FeatureStore
from feast.repo_operations import parse_repo

from skew_ext.linting.loading import at_home
from skew_ext.linting.rule import Example

NOW = datetime.now(tz=timezone.utc).replace(microsecond=250_000)
EVENT = NOW - timedelta(minutes=5)
PRELUDE = '''\
"""The features of an example."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import (
    Entity, FeatureService, FeatureView, Field, FileSource, OnDemandFeatureView, Project, RedshiftSource, ValueType,
)
from feast.aggregation import Aggregation
from feast.batch_feature_view import batch_feature_view
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int32, Int64, String, UnixTimestamp

DATA = Path(__file__).resolve().parent / "data"
driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
source = FileSource(
    name="source",
    path=str(DATA / "stats.parquet"),
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
'''
SHARED = '''\
"""A library of shared transforms, of one."""

from skew_ext import feature_transform


@feature_transform(inputs={"rating": "Float64"}, outputs={"half": "Float64"}, version="1")
def halved(rating):
    return rating / 2
'''
BAD = """
stats = FeatureView(
    name="stats", entities=[driver],
    schema=[Field(name="rating", dtype=Float32, tags={feature_tags}), Field(name="trips", dtype=Int64)],
    source=source, tags={tags},
)
"""
COLUMNS = {
    "driver": "int64",
    "city": "string",
    "event_timestamp": "timestamp[us, tz=UTC]",
    "created": "timestamp[us, tz=UTC]",
    "rating": "double",
    "trips": "int64",
}
ROWS: dict[str, list[Any]] = {"driver": [1, 2], "city": ["a", "b"], "rating": [0.1, 2.5], "trips": [7, 8]}
TYPES = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "string": pa.string(),
    "double": pa.float64(),
    "float": pa.float32(),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
    "timestamp[ns, tz=UTC]": pa.timestamp("ns", tz="UTC"),
}


def build(folder: Path, example: Example, **settings: Any) -> Path:
    """Write an example as a repo, with `settings` over those of its feature_store.yaml."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    config = {
        "project": "example",
        "provider": "skew_ext.SkewProvider",
        "registry": str(folder / "data" / "registry.db"),
        "online_store": {"type": "sqlite", "path": str(folder / "data" / "online.db")},
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
        **(yaml.safe_load(example.yaml) or {} if example.yaml else {}),
        **settings,
    }
    config["skew"] = {"start_shipper": False, **config.get("skew", {})}
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "features.py").write_text(PRELUDE + example.python)
    (folder / "shared.py").write_text(SHARED)
    pq.write_table(source_rows(example), folder / "data" / "stats.parquet")
    return folder


def source_rows(example: Example) -> pa.Table:
    """Give the two rows of an example's source."""
    types = {name: kind for name, kind in {**COLUMNS, **example.columns}.items() if kind is not None}
    return pa.table({name: _column(name, TYPES[kind], example) for name, kind in types.items()})


def _column(name: str, kind: pa.DataType, example: Example) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array([EVENT, EVENT], pa.timestamp("us", tz="UTC")).cast(kind)
    values = example.rows.get(name) or ROWS.get(name) or [1.5, 2.5]
    return pa.array(values, kind)


def faulty(folder: Path, tags: str = "{}", feature_tags: str = "{}", **settings: object) -> Path:
    """Make a repo with two findings: SKW001 at the view, SKW013 at its feature."""
    return build(folder, Example(BAD.format(tags=tags, feature_tags=feature_tags)), **settings)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Feast prints off the terminal inside the block, and that its batch views are experimental."""
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Batch feature views are experimental", RuntimeWarning)
        yield


def objects_of(folder: Path) -> list[Any]:
    """Give a repo's Feast objects."""
    contents = parse_repo(folder)
    groups = (contents.entities, contents.data_sources, contents.feature_views, contents.on_demand_feature_views)
    return [one for group in (*groups, contents.feature_services) for one in group if one.name != "__dummy"]


def applied(folder: Path) -> FeatureStore:
    """Apply a repo, and give a store that read it from the registry, as a server does."""
    with at_home(folder), quiet():
        FeatureStore(repo_path=str(folder)).apply(objects_of(folder))
    return FeatureStore(repo_path=str(folder))


def materialized(folder: Path) -> FeatureStore:
    """Apply a repo and fill its online store."""
    store = applied(folder)
    with quiet():
        store.materialize(NOW - timedelta(days=1), NOW + timedelta(minutes=1))
    return store


def online(store: FeatureStore, features: Any, drivers: Sequence[int] = (1,), **options: Any) -> dict[str, list[Any]]:
    """Look drivers up, as a server would."""
    rows = [{"driver": driver} for driver in drivers]
    with quiet():
        served: dict[str, list[Any]] = store.get_online_features(features, rows, **options).to_dict()
    return served


def offline(store: FeatureStore, features: Any, drivers: Sequence[int] = (1,), **options: Any) -> dict[str, list[Any]]:
    """Retrieve the same drivers now, as a training job would."""
    entities = pd.DataFrame({"driver": list(drivers), "event_timestamp": pd.to_datetime([NOW] * len(drivers))})
    entities["event_timestamp"] = entities["event_timestamp"].astype("datetime64[us, UTC]")
    with quiet():
        table = store.get_historical_features(entities, features, **options).to_arrow()
    trained: dict[str, list[Any]] = table.to_pydict()
    return trained


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Be in a folder inside the block."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
