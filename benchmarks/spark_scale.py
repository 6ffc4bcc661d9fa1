"""The audit in a Spark session of two cores: how it grows with the rows, and what leaves the session.

    python benchmarks/spark_scale.py [--rows 10000 100000 300000] [--history 1000000] [--repeat 1]

The log and the history of `audit_scale.py` (20 features of 100,000 entities over a day; 1 % of the rows served stale,
and one feature in another unit for an hour), with the history read by Feast's Spark store on `local[2]`. Three sides,
in turn, each in a process of its own whose session runs already:

- feast: `get_historical_features(...).to_arrow()` with the log's keys and times as a pandas frame, as a training job
  has them;
- spark: the audit in the session;
- embedded: the same audit with `engine: embedded`, where Feast's retrieval brings every row to the driver.

Prints the seconds and the processors' seconds (the driver's, Java's and the workers'), the ratios of both to Feast's
own retrieval of the same rows in the same run, the driver's peak memory, and the rows and bytes that Spark gave to
Python, whatever for (`collect`, `toArrow`, `toPandas`). Where other programs keep the machine busy, the processors'
seconds tell more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.dataset as ds
import yaml
from audit_scale import END, KINDS, NAMES, START, TTL_DAYS, make_history, make_log, peak_mib
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Int64
from pyspark.sql.classic.dataframe import DataFrame

from skew_ext import SkewAuditor
from skew_ext.engines.spark.session import session_of
from skew_ext.schema import LOG_TIMESTAMP

SIDES = ("feast", "spark", "embedded")
SPARK = {
    "spark.master": "local[2]",
    "spark.driver.memory": "3g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
}
received = {"rows": 0, "bytes": 0}


def make_repo(folder: Path) -> None:
    """Make a repo of one view with the 20 features, applied."""
    config = {
        "project": "bench",
        "provider": "skew_ext.SkewProvider",
        "registry": str(folder / "registry.db"),
        "online_store": {"type": "sqlite", "path": str(folder / "online.db")},
        "offline_store": {"type": "spark", "spark_conf": SPARK},
        "entity_key_serialization_version": 3,
        "skew": {"start_shipper": False},
    }
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    times = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created"}
    source = SparkSource(name="source", path=str(folder / "source.parquet"), file_format="parquet", **times)
    types = [dtype for dtype, _, count in KINDS.values() for _ in range(count)]
    schema = [Field(name="entity", dtype=Int64), *(Field(name=n, dtype=t) for n, t in zip(NAMES, types, strict=True))]
    view = FeatureView(name="view", entities=[entity], ttl=timedelta(days=TTL_DAYS), schema=schema, source=source)
    FeatureStore(repo_path=str(folder)).apply([entity, source, view, FeatureService(name="service", features=[view])])


def started(folder: Path) -> FeatureStore:
    """Give the store with its session running, and one job run in it."""
    store = FeatureStore(repo_path=str(folder))
    session_of(store).range(10).count()
    for name in ("toArrow", "collect", "toPandas"):
        setattr(DataFrame, name, _weighed(getattr(DataFrame, name)))
    return store


def _weighed(method: Any) -> Any:
    def call(frame: DataFrame, *given: Any) -> Any:
        found = method(frame, *given)
        if isinstance(found, pa.Table):
            size = found.nbytes
        elif isinstance(found, list):
            size = sum(len(cell) if isinstance(cell, (bytes, bytearray)) else 8 for row in found for cell in row)
        else:
            size = int(found.memory_usage(deep=True).sum())
        received["rows"] += len(found)
        received["bytes"] += size
        return found

    return call


def processor_seconds() -> float:
    """Give what this process has used, and those that it started: Java, and Spark's Python workers."""
    this, total = psutil.Process(), 0.0
    for one in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            used = one.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def run_feast(folder: Path) -> dict[str, Any]:
    """Retrieve the log's keys at the log's times."""
    files = sorted(map(str, (folder / "data/skew/log").rglob("*.parquet")))
    log = ds.dataset(files, format="parquet").to_table(columns=["entity", LOG_TIMESTAMP])
    entities = pa.table({"entity": log["entity"], "event_timestamp": log[LOG_TIMESTAMP]}).to_pandas()
    store = started(folder)
    begun, used = time.perf_counter(), processor_seconds()
    features = [f"view:{name}" for name in NAMES]
    table = store.get_historical_features(entity_df=entities, features=features, full_feature_names=True).to_arrow()
    return {
        "seconds": time.perf_counter() - begun,
        "processors": processor_seconds() - used,
        "rows": table.num_rows,
    }


def run_audit(folder: Path, engine: str) -> dict[str, Any]:
    """Audit the window."""
    settings = yaml.safe_load((folder / "feature_store.yaml").read_text())
    settings["skew"]["engine"] = engine
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(settings))
    store = started(folder)
    begun, used = time.perf_counter(), processor_seconds()
    report = SkewAuditor(store).run_audit("service", START, END)
    spent = {"seconds": time.perf_counter() - begun, "processors": processor_seconds() - used}
    causes: dict[str, int] = {}
    for feature in report.parity.features:
        for cause, count in feature.causes.items():
            causes[cause] = causes.get(cause, 0) + count
    return {**spent, "rows": report.rows, "mismatched": report.parity.mismatched, "causes": causes}


def measured(side: str, folder: Path) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(rows: int, history: int, repeat: int, sides: Sequence[str]) -> None:
    """Print the sides for a number of rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_log(folder, make_history(folder, history), rows)
        make_repo(folder)
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(repeat):
            for side in sides:
                runs[side].append(measured(side, folder))
    floor = {what: median(run[what] for run in runs["feast"]) for what in ("seconds", "processors")}
    for side in sides:
        spent = {what: median(run[what] for run in runs[side]) for what in floor}
        last = runs[side][-1]
        print(
            f"{rows:>9,} rows  {side:<8} {spent['seconds']:7.1f} s (x {spent['seconds'] / floor['seconds']:4.2f})  "
            f"processors {spent['processors']:7.1f} s (x {spent['processors'] / floor['processors']:4.2f})  "
            f"driver's peak {last['peak_mib']:5.0f} MiB  received {last['received']['rows']:>9,} rows, "
            f"{last['received']['bytes'] / 1e6:6.1f} MB",
            flush=True,
        )
    told = [(runs[side][-1]["mismatched"], runs[side][-1]["causes"]) for side in sides if side != "feast"]
    assert all(one == told[0] for one in told), told
    print(f"{'':>14}  {told[0][0]:,} cells differ: {told[0][1]}", flush=True)


def main() -> None:
    """Compare for each number of rows, or run one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 300_000])
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--without", choices=SIDES[1:], help="leave out one side")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # Feast calls its Spark store experimental, often
    if given.side:
        result = run_feast(given.folder) if given.side == "feast" else run_audit(given.folder, given.side)
        print(json.dumps({**result, "received": received, "peak_mib": peak_mib()}))
        return
    for rows in given.rows:
        compare(rows, given.history, given.repeat, [side for side in SIDES if side != given.without])


if __name__ == "__main__":
    main()
