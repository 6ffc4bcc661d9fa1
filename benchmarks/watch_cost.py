"""What a round of `skew watch` costs as the log grows, and as the rows that are new do.

    python benchmarks/watch_cost.py [--days 1 7 28] [--new 1000 10000 100000] [--rounds 3]

A service of 10 features is served 100 rows a minute; the log has one file a day, as the shipper leaves it. The watch
has its windows full: an hour of slices, two days of hours, seven days. Then rounds of `--new` rows each are watched.
Prints the median of a round, in seconds of processor time (of all threads: on a shared machine the wall clock says
little) and of the wall clock; beside it the audit alone of the same rows, without a watch; and the ratio of both. Where
the work is in proportion to new rows only, the first table's rounds are alike, and the second's grow with the rows.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

from benchmarks.embedded import write_config
from skew_ext import SkewAuditor
from skew_ext.clock import utc_now
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.table import MICROSECONDS, SYSTEM_FIELDS
from skew_ext.repo import settings_of
from skew_ext.schema import LOG_DATE, LOG_TIMESTAMP, Column, LoggedFeature, LogSchema
from skew_ext.watch.alerts import Notifier
from skew_ext.watch.hooks import Hook
from skew_ext.watch.options import WatchOptions
from skew_ext.watch.store import Commit, open_watch_store
from skew_ext.watch.telling import Teller
from skew_ext.watch.watcher import Watcher
from skew_ext.watch.windows import DAY, HOUR, Kept

NOW = datetime(2026, 3, 29, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
NAMES = [f"f{number}" for number in range(10)]
ENTITIES, ROWS_A_DAY = 10_000, 144_000
SCHEMA = LogSchema(
    "bench",
    "service",
    tuple(LoggedFeature("view", name, name, "DOUBLE", None, on_demand=False) for name in NAMES),
    (Column("entity", "INT64"),),
    (),
)


def make_repo(folder: Path) -> FeatureStore:
    """Make a repo of one view, whose source has one row of each entity, long ago."""
    write_config(folder)
    event = pa.array([NOW - 60 * DAY] * ENTITIES, MICROSECONDS)
    table = {"entity": np.arange(ENTITIES), "event_timestamp": event, "created": event}
    pq.write_table(pa.table(table | {name: values(place) for place, name in enumerate(NAMES)}), folder / "s.parquet")
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    source = FileSource(
        name="source",
        path=str(folder / "s.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    fields = [Field(name="entity", dtype=Int64), *(Field(name=name, dtype=Float64) for name in NAMES)]
    view = FeatureView(name="view", entities=[entity], ttl=timedelta(0), schema=fields, source=source)
    store = FeatureStore(repo_path=str(folder))
    store.apply([entity, source, view, FeatureService(name="service", features=[view])])
    return store


def values(place: int) -> Any:
    """Give a feature's value of each entity."""
    return np.random.default_rng(place).normal(size=ENTITIES)


def write(destination: ParquetDestination, start: datetime, length: timedelta, rows: int, name: str) -> None:
    """Log `rows` right lookups, evenly over [start, start + length)."""
    entities = np.random.default_rng(rows).integers(ENTITIES, size=rows)
    first = int(start.timestamp() * 1e6)
    times = first + np.arange(rows) * (length // timedelta(microseconds=1)) // rows
    served = pa.array(times).cast(MICROSECONDS)
    event = pa.array(np.full(rows, int((NOW - 60 * DAY).timestamp() * 1e6))).cast(MICROSECONDS)
    columns: dict[str, Any] = {"entity": entities}
    for place, feature in enumerate(NAMES):
        column = f"view__{feature}"
        columns[column] = values(place)[entities]
        columns[f"{column}__timestamp"] = event
        columns[f"{column}__status"] = pa.array(np.full(rows, 2, np.int32))
    for field in SYSTEM_FIELDS:
        if field.name in {LOG_TIMESTAMP, LOG_DATE}:
            columns[field.name] = served.cast(field.type)
        elif pa.types.is_string(field.type):
            columns[field.name] = pa.array([f"r{n}" for n in range(rows)] if "request" in field.name else [""] * rows)
        else:
            columns[field.name] = pa.array(np.zeros(rows), field.type)
    destination.write(pa.table(columns), SCHEMA, name)


class Bench:
    """A log of some days, and a watch of it with its windows full, on a clock of its own."""

    def __init__(self, folder: Path, days: int) -> None:
        self.store = make_repo(folder)
        settings = settings_of(self.store)
        self.destination = ParquetDestination(settings.destination.path)  # type: ignore[union-attr]
        for day in range(days):
            midnight = (NOW - day * DAY).replace(hour=0)
            length = NOW - midnight if day == 0 else DAY
            write(self.destination, midnight, length, int(ROWS_A_DAY * (length / DAY)), f"day{day}")
        self.now, self.batch = NOW, 0
        teller = Teller(Notifier(()), Hook(""), self.clock)
        options = WatchOptions(margin=timedelta(0), burn_in=0)
        self.watcher = Watcher(self.store, ["service"], options, teller, clock=self.clock)
        self.fill()

    def clock(self) -> datetime:
        """Give the present of the bench."""
        return self.now

    def fill(self) -> None:
        """Watch an hour, and put its summary everywhere that a watch of weeks has one."""
        self.watcher.round()
        kept = open_watch_store(settings_of(self.store), self.store.project)
        state = kept.state("service")
        if state is None:
            msg = "nothing was watched"
            raise SystemExit(msg)
        pattern = kept.windows(state)
        window = pattern[-1].window
        stretches = [("slice", NOW - HOUR, 120, MINUTE / 2), ("hour", NOW - 48 * HOUR, 46, HOUR)]
        stretches.append(("day", NOW - 9 * DAY, 7, DAY))
        added = [
            Kept(level, replace(window, start=start + n * step, end=start + (n + 1) * step))  # type: ignore[arg-type]
            for level, start, count, step in stretches
            for n in range(count)
        ]
        kept.commit(Commit(state, added, pattern))
        for watch in self.watcher._watches.values():  # noqa: SLF001 - as after a restart
            watch.forget()

    def round(self, rows: int) -> None:
        """Log the rows of another minute."""
        self.batch += 1
        write(self.destination, self.now, MINUTE, rows, f"new{self.batch}")
        self.now += MINUTE


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Do some work; give its seconds of processor time, and of the wall clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(bench: Bench, rows: int, rounds: int) -> tuple[float, float, float]:
    """Give the median of a round: processor time, wall clock, and the processor time of the audit alone."""
    watched, walls, audited = [], [], []
    auditor = SkewAuditor(bench.store)
    for number in range(rounds + 1):
        bench.round(rows)
        begin, middle = bench.now - MINUTE, bench.now - MINUTE / 2
        cpu, wall = timed(bench.watcher.round)
        alone = sum(
            timed(lambda a=a, b=b: auditor.run_audit("service", a, b))[0]  # type: ignore[misc]
            for a, b in ((begin, middle), (middle, bench.now))
        )
        if number:  # the first one warms up
            watched.append(cpu)
            walls.append(wall)
            audited.append(alone)
    return median(watched), median(walls), median(audited)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 7, 28])
    parser.add_argument("--new", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    head = f"{'rows in the log':>16} {'new rows':>9} {'round cpu s':>12} {'wall s':>7} {'audit alone':>12} {'ratio':>6}"
    print(f"{utc_now():%Y-%m-%d}, median of {given.rounds} rounds\n{head}")
    cases = [(days, 10_000) for days in given.days] + [(given.days[0], new) for new in given.new]
    for days, new in cases:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), days)
            cpu, wall, alone = measure(bench, new, given.rounds)
        stored = (days - 1) * ROWS_A_DAY + ROWS_A_DAY // 2
        print(f"{stored:>16,} {new:>9,} {cpu:>12.2f} {wall:>7.2f} {alone:>12.2f} {cpu / alone:>6.2f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
