"""What a log of many files costs to read: an hour of it, its latest rows, and one request.

    python benchmarks/log_files.py [--files 50 500 5000] [--rows 20] [--services 200]

One day, the same rows in each file, a file every few minutes to seconds. Prints the milliseconds of `read_log` of an
hour, of `skew log tail`'s rows and of `read_log` by request id, the best of several, and beside each the ratio to the
fewest files: as the files were written, without the index, and after the shipper's upkeep. Then the same for many
services, from one file each on. Without the index, thousands of files take minutes: `--no-index` measures that too.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from feast import FeatureStore

from skew_ext import read_log
from skew_ext.log.latest import latest_rows
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_index import PREFIX
from skew_ext.log.table import MICROSECONDS, table_schema
from skew_ext.schema import (
    LOG_DATE,
    LOG_TIMESTAMP,
    REQUEST_ID,
    ROW,
    SCHEMA,
    SEQUENCE,
    WRITER,
    Column,
    LoggedFeature,
    LogSchema,
)

DAY = datetime(2026, 3, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
FEATURES = 10
CHANCE = random.Random(20260301)  # noqa: S311 - request ids


def schema_of(service: str) -> LogSchema:
    """Return the schema of a service of ten doubles."""
    features = tuple(
        LoggedFeature("view", f"f{number}", f"f{number}", "DOUBLE", None, on_demand=False) for number in range(FEATURES)
    )
    return LogSchema("bench", service, features, (Column("entity", "INT64"),), ())


def table_of(schema: LogSchema, first: int, rows: int, start: datetime, length: timedelta) -> tuple[pa.Table, str]:
    """Return rows served evenly over a stretch, and the request id of one of them."""
    times = int(start.timestamp() * 1e6) + np.arange(rows) * (length // timedelta(microseconds=1)) // rows
    served = pa.array(times).cast(MICROSECONDS)
    ids = [str(uuid.UUID(int=CHANCE.getrandbits(128))) for _ in range(rows)]
    known = {
        REQUEST_ID: pa.array(ids),
        LOG_TIMESTAMP: served,
        LOG_DATE: served.cast(pa.date32()),
        ROW: pa.array(np.zeros(rows, np.int32)),
        SCHEMA: pa.array([schema.hash] * rows),
        WRITER: pa.array(["writer"] * rows),
        SEQUENCE: pa.array(np.arange(first, first + rows)),
    }
    columns = {}
    for field in table_schema(schema):
        if field.name in known:
            columns[field.name] = known[field.name]
        elif pa.types.is_string(field.type):
            text = schema.feature_service if field.name == "__feature_service" else ""
            columns[field.name] = pa.array([text] * rows)
        elif pa.types.is_timestamp(field.type):
            columns[field.name] = served
        else:
            columns[field.name] = pa.array(np.random.default_rng(first).integers(9, size=rows)).cast(field.type)
    return pa.table(columns, schema=table_schema(schema)), ids[rows // 2]


def fill(log: Path, services: list[str], files: int, rows: int) -> tuple[str, float]:
    """Write a day's files, and return a request id and the milliseconds that a file took."""
    destination, wanted = ParquetDestination(log), ""
    schemas = [schema_of(service) for service in services]
    length, taken = timedelta(days=1) / files, 0.0
    for number in range(files):
        schema = schemas[number % len(schemas)]
        table, one = table_of(schema, number * rows, rows, DAY + number * length, length)
        wanted = one if number == files // 2 else wanted
        start = time.perf_counter()
        destination.write(table, schema, f"owner-{number:06}")
        taken += time.perf_counter() - start
    return wanted, taken / files * 1000


def best(work: Callable[[], pa.Table], rows: int) -> float:
    """Return the fewest milliseconds that a reading takes; it has to give so many rows at least."""
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        found = work().num_rows
        taken.append((time.perf_counter() - start) * 1000)
        if found < rows:
            msg = f"{found} rows were read, not {rows}"
            raise AssertionError(msg)
        if sum(taken) > 20_000:  # noqa: PLR2004 - enough of one that is slow
            break
    return min(taken)


def readings(store: FeatureStore, service: str | None, wanted: str) -> list[float]:
    """Return the milliseconds of the three readings."""
    noon = DAY + 12 * HOUR
    return [
        best(lambda: read_log(store, service, noon, noon + HOUR), 1),
        best(lambda: latest_rows(store, 10, service), 10),
        best(lambda: read_log(store, service, request_id=wanted), 1),
    ]


@contextlib.contextmanager
def repo() -> Iterator[FeatureStore]:
    """Give a repo with nothing in it but its settings, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        config = {
            "project": "bench",
            "provider": "skew_ext.SkewProvider",
            "registry": f"{name}/registry.db",
            "online_store": {"type": "sqlite", "path": f"{name}/online.db"},
            "offline_store": {"type": "duckdb"},
            "entity_key_serialization_version": 3,
            "skew": {"start_shipper": False},
        }
        Path(name, "feature_store.yaml").write_text(yaml.safe_dump(config))
        with contextlib.redirect_stdout(io.StringIO()):
            store = FeatureStore(repo_path=name)
            store.apply([])
        yield store


def say(label: str, files: int, found: list[float], against: list[float]) -> None:
    """Print one line of the table."""
    cells = "  ".join(f"{one:9.1f} {one / least:5.1f}x" for one, least in zip(found, against, strict=True))
    sys.stdout.write(f"{label:>16} {files:6}  {cells}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[50, 500, 5000])
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--no-index", action="store_true")
    given = parser.parse_args()
    least: dict[tuple[str, int], list[float]] = {}
    sys.stdout.write("milliseconds                     an hour         the latest      one request\n")
    many = [(given.services, files) for files in (given.services, given.files[-1])]
    for services, files in [*((1, files) for files in given.files), *many]:
        names = ["service"] if services == 1 else [f"service{number}" for number in range(services)]
        service = "service" if services == 1 else None
        with repo() as store:
            log = Path(str(store.repo_path)) / "data/skew/log"
            wanted, writing = fill(log, names, files, given.rows)
            sys.stdout.write(f"{services} service{'s' * (services > 1)}\n")
            found = readings(store, service, wanted)
            say("written", files, found, least.setdefault(("written", services), found))
            if given.no_index:
                for index in log.rglob(f"{PREFIX}*"):
                    index.unlink()
                found = readings(store, service, wanted)
                say("no index", files, found, least.setdefault(("no index", services), found))
            start = time.perf_counter()
            merged = ParquetDestination(log).maintain("owner", DAY.date()).merged
            took = time.perf_counter() - start
            found = readings(store, service, wanted)
            say("after upkeep", files, found, least.setdefault(("after upkeep", services), found))
            sys.stdout.write(f"{'':>16} {writing:.2f} ms to write a file; upkeep {took:.1f} s, {merged} files fewer\n")


if __name__ == "__main__":
    main()
