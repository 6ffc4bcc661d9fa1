"""The whole audit against Feast's own retrieval of the same rows: time and memory, and how both grow with the rows.

    python benchmarks/audit_scale.py [--rows 1000000 ...] [--history 2000000] [--repeat 3]

A log of `--rows` served rows x 20 features (14 float64 with nulls, 3 int64, 3 string) of 100,000 entities over a day is
set against a history of `--history` rows, on the DuckDB store. 1 % of the rows were served stale, and one feature was
served in another unit for an hour. Each run is a process of its own; the two sides run in turn. Prints the median
seconds, the median seconds of processor time (user and kernel, over all threads: what is left where others load the
machine) and the highest peak memory (VmHWM) of each, and their ratios. "Feast alone" is
`get_historical_features(...).to_arrow()` with an entity frame that is already in memory: one call for all rows, as a
training job makes it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

from benchmarks.embedded import write_config
from skew_ext import SkewAuditor
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.table import MICROSECONDS, SYSTEM_FIELDS
from skew_ext.schema import LOG_DATE, LOG_TIMESTAMP, Column, LoggedFeature, LogSchema

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
END = START + timedelta(days=1)
DAY = 86_400_000_000
ENTITIES, DAYS, TTL_DAYS = 100_000, 10, 3
KINDS = {"FLOAT": (Float64, "DOUBLE", 14), "INT": (Int64, "INT64", 3), "TEXT": (String, "STRING", 3)}
NAMES = [f"{kind.lower()}_{number}" for kind, (_, _, count) in KINDS.items() for number in range(count)]
BATCH = 100_000
STALE, NULLS, RESCALED = 0.01, 0.02, "float_3"


def make_repo(folder: Path) -> FeatureStore:
    """Make a repo of one view with the 20 features, applied."""
    write_config(folder)
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    source = FileSource(
        name="source",
        path=str(folder / "source.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    types = [dtype for dtype, _, count in KINDS.values() for _ in range(count)]
    schema = [Field(name="entity", dtype=Int64), *(Field(name=n, dtype=t) for n, t in zip(NAMES, types, strict=True))]
    view = FeatureView(name="view", entities=[entity], ttl=timedelta(days=TTL_DAYS), schema=schema, source=source)
    store = FeatureStore(repo_path=str(folder))
    store.apply([entity, source, view, FeatureService(name="service", features=[view])])
    return store


def history_values(rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Make the 20 columns."""
    values: dict[str, Any] = {}
    for name in NAMES:
        if name.startswith("float"):
            values[name] = pa.array(rng.gamma(2.0, 10.0, rows), mask=rng.random(rows) < NULLS)
        elif name.startswith("int"):
            values[name] = pa.array(rng.integers(0, 1000, rows))
        else:
            cardinality = 50 * 10 ** int(name[-1])
            names = pa.array([f"{name} {number}" for number in range(cardinality)])
            values[name] = names.take(pa.array(rng.integers(0, cardinality, rows)))
    return values


def make_history(folder: Path, rows: int) -> pa.Table:
    """Write the source: each entity has about as many events, evenly over the days up to the end of the window."""
    rng = np.random.default_rng(1)
    per_entity = rows // ENTITIES
    slot = DAYS * DAY // per_entity
    events = np.tile(np.arange(per_entity) * slot, ENTITIES) + rng.integers(0, slot, per_entity * ENTITIES)
    events += int(END.timestamp()) * 1_000_000 - DAYS * DAY
    times = pa.array(events).cast(MICROSECONDS)
    keys = pa.array(np.repeat(np.arange(ENTITIES), per_entity))
    table = pa.table({"entity": keys, "event_timestamp": times, "created": times, **history_values(len(keys), rng)})
    # A source is written as events come, not key by key.
    pq.write_table(table.take(pa.array(np.argsort(events))), folder / "source.parquet")
    return table


def make_log(folder: Path, history: pa.Table, rows: int) -> None:
    """Write the log as the shipper would: files of 100,000 rows in the order of serving."""
    destination = ParquetDestination(folder / "data/skew/log")
    schema = log_schema()
    rng = np.random.default_rng(2)
    events = history["event_timestamp"].cast(pa.int64()).to_numpy()
    keys = history["entity"].to_numpy()
    first = int(events.min())
    width = np.int64(2 * DAYS * DAY)
    ordered = keys * width + events - first
    for start in range(0, rows, BATCH):
        count = min(BATCH, rows - start)
        at = int(START.timestamp()) * 1_000_000 + ((start + np.arange(count)) * (DAY / rows)).astype(np.int64)
        entity = rng.integers(0, ENTITIES, count)
        place = np.searchsorted(ordered, entity * width + at - first, side="right") - 1
        place = np.where(rng.random(count) < STALE, place - 1, place)
        destination.write(_batch(history, entity, place, at, start, schema), schema, f"batch-{start:09d}")


def log_schema() -> LogSchema:
    """Give the schema that serving would have logged."""
    types = [logged for _, logged, count in KINDS.values() for _ in range(count)]
    ttl = TTL_DAYS * DAY
    features = [LoggedFeature("view", n, n, t, ttl, on_demand=False) for n, t in zip(NAMES, types, strict=True)]
    return LogSchema("bench", "service", tuple(features), (Column("entity", "INT64"),), ())


def _batch(history: pa.Table, entity: Any, place: Any, at: Any, first: int, schema: LogSchema) -> pa.Table:  # noqa: PLR0913 - a batch is made of these
    columns: dict[str, Any] = {"entity": pa.array(entity)}
    rows, count = history.take(pa.array(place)), len(at)
    hour = pa.array((at // 3_600_000_000) % 24 == 20)  # noqa: PLR2004 - the incident's hour
    for name in NAMES:
        values = rows[name].combine_chunks()
        if name == RESCALED:
            values = pc.if_else(hour, pc.multiply(values, 1.609344), values)
        columns[f"view__{name}"] = values
        columns[f"view__{name}__timestamp"] = rows["event_timestamp"]
        columns[f"view__{name}__status"] = pa.array(np.where(values.is_valid(), 2, 3).astype(np.int32))
    times = pa.array(at).cast(MICROSECONDS)
    given = {
        "__request_id": pa.array([f"{first + number:032x}" for number in range(count)]),
        LOG_TIMESTAMP: times,
        LOG_DATE: times.cast(pa.date32()),
        "__row": pa.array(np.zeros(count, dtype=np.int32)),
        "__seq": pa.array(np.arange(first, first + count)),
    }
    texts = {"__feature_service": "service", "__model_version": "v1", "__schema": schema.hash, "__writer": "w"}
    for field in SYSTEM_FIELDS:
        columns[field.name] = given.get(field.name, pa.array([texts.get(field.name, "")] * count).cast(pa.string()))
    return pa.table(columns)


def run_feast(folder: Path) -> dict[str, Any]:
    """Retrieve the log's keys at the log's times, as a training job would."""
    files = sorted(map(str, (folder / "data/skew/log").rglob("*.parquet")))
    log = ds.dataset(files, format="parquet").to_table(columns=["entity", LOG_TIMESTAMP])
    entities = pa.table({"entity": log["entity"], "event_timestamp": log[LOG_TIMESTAMP]}).to_pandas()
    store = FeatureStore(repo_path=str(folder))
    started, cpu = time.perf_counter(), time.process_time()
    features = [f"view:{name}" for name in NAMES]
    table = store.get_historical_features(entity_df=entities, features=features, full_feature_names=True).to_arrow()
    return {**_spent(started, cpu), "rows": table.num_rows}


def _spent(started: float, cpu: float) -> dict[str, float]:
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}


def run_audit(folder: Path) -> dict[str, Any]:
    """Audit the window."""
    store = FeatureStore(repo_path=str(folder))
    steps: list[tuple[str, float, float]] = []
    started, cpu = time.perf_counter(), time.process_time()
    auditor = SkewAuditor(store)
    report = auditor.run_audit(
        "service",
        START,
        END,
        progress=lambda step: steps.append((step, time.perf_counter() - started, time.process_time())),
    )
    spent = _spent(started, cpu)
    causes = {one.feature: one.causes for one in report.parity.features[:4]}
    return {
        **spent,
        "rows": report.rows,
        "mismatched": report.parity.mismatched,
        "causes": causes,
        "steps": steps if os.environ.get("STEPS") else None,
    }


def measured(side: str, folder: Path) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peak_mib() -> float:
    """Give this process's peak resident memory; unlike ru_maxrss it does not begin with the parent's."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


def compare(rows: int, history: int, repeat: int, *, only_audit: bool) -> None:
    """Print one line for a number of rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_repo(folder)
        make_log(folder, make_history(folder, history), rows)
        sides = ["audit"] if only_audit else ["feast", "audit"]
        runs = [(side, measured(side, folder)) for _ in range(repeat) for side in sides]
    seconds, cpu = (
        {side: median(run[what] for which, run in runs if which == side) for side in sides}
        for what in ("seconds", "cpu")
    )
    peaks = {side: max(run["peak_mib"] for which, run in runs if which == side) for side in sides}
    ratio = ""
    if not only_audit:
        ratio = f"ratio {seconds['audit'] / seconds['feast']:.2f}, of processor time {cpu['audit'] / cpu['feast']:.2f}"
    for side in sides:
        print(
            f"{rows:>10,} rows  {side:<6} {seconds[side]:7.1f} s  cpu {cpu[side]:6.1f} s  peak {peaks[side]:6.0f} MiB"
        )
    last = runs[-1][1]
    print(f"{'':>10}       {ratio}  mismatched {last['mismatched']:,}  {last['causes']}  {last['steps']}", flush=True)


def main() -> None:
    """Compare for each number of rows, or run one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--history", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only-audit", action="store_true")
    parser.add_argument("--side", choices=["audit", "feast"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        result = run_audit(given.folder) if given.side == "audit" else run_feast(given.folder)
        print(json.dumps({**result, "peak_mib": peak_mib()}))
        return
    for rows in given.rows:
        compare(rows, given.history, given.repeat, only_audit=given.only_audit)


if __name__ == "__main__":
    main()
