"""What logging adds to a lookup: the same lookups through Feast's own provider and through SkewProvider, in turn.

    python benchmarks/capture_overhead.py [--rounds 40]

Prints, for 1 entity x 20 features and 100 x 50 on SQLite, the median of each and what logging adds, in microseconds and
as a share. The two run in alternating blocks in one process; the machine's speed cancels out of the share.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

from skew_ext.serving.provider import LookupLogger

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def make_store(folder: Path, features: int) -> FeatureStore:
    """Make a store whose 200 entities have `features` features each, materialized into SQLite."""
    frame = pd.DataFrame({f"f{number}": [float(row * number) for row in range(200)] for number in range(features)})
    frame = frame.assign(entity=range(200), event_timestamp=pd.Timestamp(NOW - timedelta(hours=1)).as_unit("us"))
    frame.to_parquet(folder / "source.parquet")
    config = {
        "project": "bench",
        "provider": "skew_ext.SkewProvider",
        "registry": str(folder / "registry.db"),
        "online_store": {"type": "sqlite", "path": str(folder / "online.db")},
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
        "skew": {"start_shipper": False},
    }
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    source = FileSource(name="source", path=str(folder / "source.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name=f"f{number}", dtype=Float64) for number in range(features)]
    store = FeatureStore(repo_path=str(folder))
    store.apply([entity, FeatureView(name="view", entities=[entity], schema=schema, source=source)])
    store.materialize(NOW - timedelta(days=1), NOW)
    return store


def measure(entities: int, features: int, rounds: int) -> tuple[float, float]:
    """Give the median microseconds of a lookup, bare and logged."""
    with tempfile.TemporaryDirectory() as name:
        store = make_store(Path(name), features)
        provider = store.provider
        logged, bare = provider.lookups, _Silent()  # type: ignore[attr-defined]
        references = [f"view:f{number}" for number in range(features)]
        rows = [{"entity": number} for number in range(entities)]
        times: dict[object, list[float]] = {logged: [], bare: []}
        for _ in range(rounds):
            for lookups in (bare, logged):
                provider.lookups = lookups  # type: ignore[attr-defined]
                times[lookups].extend(_block(store, references, rows, 100 if entities == 1 else 5))
        return statistics.median(times[bare]), statistics.median(times[logged])


def _block(store: FeatureStore, references: list[str], rows: list[dict[str, int]], count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        store.get_online_features(references, rows)
        times.append((time.perf_counter_ns() - start) / 1000)
    return times


class _Silent(LookupLogger):
    """Logs nothing: what is left is Feast's own lookup."""

    def __init__(self) -> None:
        pass

    def before(self, lookup: object) -> None:
        pass

    def after(self, lookup: object, response: object) -> None:
        pass


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    sys.stdout.write(f"{'lookup':>10} {'bare us':>10} {'logged us':>10} {'adds us':>9} {'share':>7}\n")
    for entities, features in ((1, 20), (100, 50)):
        bare, logged = measure(entities, features, rounds)
        added = logged - bare
        shape = f"{entities} x {features}"
        sys.stdout.write(f"{shape:>10} {bare:10.0f} {logged:10.0f} {added:9.1f} {added / bare:7.1%}\n")


if __name__ == "__main__":
    main()
