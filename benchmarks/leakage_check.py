"""What `check_leakage` costs beside Feast's own retrieval of the same training set, and where its time goes.

    python benchmarks/leakage_check.py [ROWS] [SOURCE_ROWS]

The floor is the retrieval, which the check repeats: nothing that compares with the point-in-time values can be faster.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

from skew_ext import check_leakage

KEYS, FEATURES, LABEL = 5_000, 10, "label"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SPAN = 90 * 86_400 * 1_000_000
NAMES = [f"f{index}" for index in range(FEATURES)]
TIMES = pa.timestamp("us", "UTC")


def repo(folder: Path, source_rows: int) -> FeatureStore:
    """Make a repo with one view of ten features over a history of so many rows."""
    random = np.random.default_rng(0)
    start = int(START.timestamp() * 1e6)
    events = pa.array(start + random.integers(0, SPAN, source_rows)).cast(TIMES)
    columns = {"key": pa.array(random.integers(0, KEYS, source_rows)), "event_timestamp": events, "created": events}
    pq.write_table(
        pa.table({**columns, **{name: pa.array(random.normal(size=source_rows)) for name in NAMES}}),
        folder / "source.parquet",
    )
    (folder / "feature_store.yaml").write_text(
        "project: bench\nprovider: local\nregistry: registry.db\nonline_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: duckdb}\nentity_key_serialization_version: 3\n"
    )
    store = FeatureStore(repo_path=str(folder))
    key = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
    source = FileSource(
        path=str(folder / "source.parquet"), timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    fields = [Field(name=name, dtype=Float64) for name in NAMES]
    store.apply([key, FeatureView(name="view", entities=[key], ttl=timedelta(days=30), schema=fields, source=source)])
    return store


@contextmanager
def timed(name: str, into: dict[str, float]) -> Iterator[None]:
    """Add a block's seconds, by the clock on the wall, under a name."""
    begin = time.perf_counter()
    yield
    into[name] = time.perf_counter() - begin


def main() -> None:
    """Print seconds, and the ratio to the retrieval."""
    warnings.simplefilter("ignore")
    rows, source_rows = (int(text) for text in (*sys.argv[1:], "80000", "800000")[:2])
    random = np.random.default_rng(1)
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = repo(Path(folder), source_rows)
        moments = pd.Timestamp(START) + pd.to_timedelta(random.integers(0, SPAN, rows), unit="us")
        entities = pd.DataFrame(
            {"key": random.integers(0, KEYS, rows), "event_timestamp": moments, LABEL: random.integers(0, 2, rows)}
        )
        with timed("retrieval", took):
            training = store.get_historical_features(entities.copy(), [f"view:{name}" for name in NAMES]).to_df()
        with timed("check, with the label", took):
            found = check_leakage(training, store, label=LABEL, sample=rows)
        with timed("check, cells alone", took):
            check_leakage(training, store, sample=rows)
        assert not found.findings
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} training rows x {FEATURES} features, {source_rows:,} source rows; peak {peak:,.0f} MB")
    for name, seconds in took.items():
        print(f"{name:24}{seconds:8.2f} s{seconds / took['retrieval']:8.2f} x")


if __name__ == "__main__":
    main()
