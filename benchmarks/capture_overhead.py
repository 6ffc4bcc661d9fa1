"""What logging adds to a lookup: the same lookups through Feast's own provider and through SkewProvider, in turn.

    python benchmarks/capture_overhead.py [--rounds 40] [--only sqlite]

Prints the median and the 99th percentile of both, and what logging adds to each, in microseconds and as a share: for
1 entity x 20 features and 100 x 50, on SQLite and Redis (the one at SKEW_TEST_REDIS_URL, else one of the tests' own),
from one thread, from four, from one beside a thread that only computes, and from eight tasks of asyncio (Redis, the one
that Feast reads asynchronously). The two providers run in alternating blocks in one process, on one store: the
machine's speed cancels out of the share.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.infra.passthrough_provider import PassthroughProvider
from feast.types import Float64

from tests.servers import redis_server

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
THREADS, TASKS = 4, 8
SHAPES = ((1, 20), (100, 50))
Block = Callable[[FeatureStore, list[str], list[dict[str, int]], int], list[float]]


def make_store(folder: Path, features: int, online_store: dict[str, Any] | None = None) -> FeatureStore:
    """Make a store whose 200 entities have `features` features each, materialized into SQLite if not said otherwise."""
    frame = pd.DataFrame({f"f{number}": [float(row * number) for row in range(200)] for number in range(features)})
    frame = frame.assign(entity=range(200), event_timestamp=pd.Timestamp(NOW - timedelta(hours=1)).as_unit("us"))
    frame.to_parquet(folder / "source.parquet")
    config = {
        "project": "bench",
        "provider": "skew_ext.SkewProvider",
        "registry": str(folder / "registry.db"),
        "online_store": online_store or {"type": "sqlite", "path": str(folder / "online.db")},
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


def one_thread(store: FeatureStore, references: list[str], rows: list[dict[str, int]], count: int) -> list[float]:
    """Ask `count` times; give the microseconds of each."""
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        store.get_online_features(references, rows)
        times.append((time.perf_counter_ns() - start) / 1000)
    return times


def threads(store: FeatureStore, references: list[str], rows: list[dict[str, int]], count: int) -> list[float]:
    """Ask from several threads."""
    times: list[float] = []
    share = -(-count // THREADS)
    started = [
        threading.Thread(target=lambda: times.extend(one_thread(store, references, rows, share)))
        for _ in range(THREADS)
    ]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return times


async def _tasks(store: FeatureStore, references: list[str], rows: list[dict[str, int]], count: int) -> list[float]:
    times = []

    async def task() -> None:
        for _ in range(-(-count // TASKS)):
            start = time.perf_counter_ns()
            await store.get_online_features_async(references, rows)
            times.append((time.perf_counter_ns() - start) / 1000)

    await asyncio.gather(*(task() for _ in range(TASKS)))
    return times


@contextmanager
def computing() -> Iterator[None]:
    """Keep a thread busy that never waits for anything but the interpreter."""
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def measure(store: FeatureStore, entities: int, rounds: int, block: Block) -> dict[str, np.ndarray]:
    """Give the microseconds of lookups, bare and logged, in alternating blocks."""
    own: Any = store.provider
    bare = PassthroughProvider(store.config)
    bare._online_store = own.online_store  # noqa: SLF001 - one store, and one connection, for both
    references = [f"view:{field.name}" for field in store.get_feature_view("view").features]
    rows = [{"entity": number} for number in range(entities)]
    times: dict[str, list[float]] = {"bare": [], "logged": []}
    for number in range(rounds + 1):
        for name, provider in (("bare", bare), ("logged", own)):
            store._provider = provider  # noqa: SLF001
            found = block(store, references, rows, 100 if entities == 1 else 8)
            times[name] += found if number else []  # the first round opens connections and the spool
    return {name: np.array(values) for name, values in times.items()}


def line(store: str, entities: int, features: int, way: str, times: dict[str, np.ndarray]) -> str:
    """Give one line of the table."""
    parts = [f"{store:>7} {f'{entities} x {features}':>9} {way:>10}"]
    for quantile in (0.5, 0.99):
        bare, logged = (float(np.quantile(times[name], quantile)) for name in ("bare", "logged"))
        parts.append(f"{bare:9.0f} {logged:9.0f} {logged - bare:8.1f} {(logged - bare) / bare:7.1%}")
    return "   ".join(parts) + "\n"


def measure_all(name: str, online_store: dict[str, Any] | None, rounds: int) -> None:
    """Print the lines of one online store."""
    for entities, features in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            store = make_store(Path(folder), features, online_store)
            ways: list[tuple[str, Block, Any]] = [
                ("alone", one_thread, nullcontext()),
                ("4 threads", threads, nullcontext()),
                ("contended", one_thread, computing()),
            ]
            for way, block, beside in ways:
                with beside:
                    # Contended, each lookup takes a hundred times as long.
                    fewer = rounds if way == "alone" else max(2, rounds // 4)
                    times = measure(store, entities, fewer, block)
                sys.stdout.write(line(name, entities, features, way, times))
            if online_store is not None:
                asyncio.run(_measure_tasks(store, name, entities, features, rounds))


async def _measure_tasks(store: FeatureStore, name: str, entities: int, features: int, rounds: int) -> None:
    provider: Any = store.provider
    await store.initialize()
    loop = asyncio.get_running_loop()
    results: dict[str, list[float]] = {"bare": [], "logged": []}
    bare = PassthroughProvider(store.config)
    bare._online_store = provider.online_store  # noqa: SLF001
    own: Any = next(each for each in (provider, store.provider) if hasattr(each, "lookups"))
    references = [f"view:f{number}" for number in range(features)]
    rows = [{"entity": number} for number in range(entities)]
    assert loop.is_running()
    for number in range(rounds + 1):
        for label, used in (("bare", bare), ("logged", own)):
            store._provider = used  # noqa: SLF001
            found = await _tasks(store, references, rows, 96 if entities == 1 else 8)
            results[label] += found if number else []
    await provider.online_store._client_async.aclose()  # noqa: SLF001 - Feast does not close it
    times = {label: np.array(values) for label, values in results.items()}
    sys.stdout.write(line(name, entities, features, f"{TASKS} tasks", times))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", choices=["sqlite", "redis"])
    asked = parser.parse_args()
    each = f"{'bare us':>9} {'logged us':>9} {'adds us':>8} {'share':>7}"
    sys.stdout.write(f"{'':>28}   {'median':^36}   {'99th percentile':^36}\n")
    sys.stdout.write(f"{'store':>7} {'lookup':>9} {'from':>10}   {each}   {each}\n")
    if asked.only != "redis":
        measure_all("sqlite", None, asked.rounds)
    if asked.only != "sqlite":
        with redis_server(os.environ.get("SKEW_TEST_REDIS_URL")) as redis:
            address = f"{redis.host}:{redis.port},db={redis.db}"
            measure_all("redis", {"type": "redis", "connection_string": address}, asked.rounds)


if __name__ == "__main__":
    main()
