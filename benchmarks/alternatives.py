"""What the obvious ways to log a lookup cost the caller, against the spool: the same lookups, one way after the other.

    python benchmarks/alternatives.py [--rounds 30]

Each way keeps every served value with its key: a synchronous INSERT per request into SQLite or into a real PostgreSQL
(started as the tests start theirs, so this needs the `dev` extra), a QueueHandler whose thread writes JSON lines, and
OpenTelemetry's batch log processor where `opentelemetry-sdk` is installed. Timed is the caller's wait, lookup and all.
"""

from __future__ import annotations

import argparse
import json
import logging
import logging.handlers
import queue
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from capture_overhead import make_store
from feast import FeatureStore
from feast.online_response import OnlineResponse

from tests.servers import postgres_server

Log = Callable[[OnlineResponse], None]
FEATURES = 20
INSERT = "INSERT INTO log (served_at, served) VALUES ({0}, {0})"


@contextmanager
def sqlite_insert(folder: Path) -> Iterator[Log]:
    """Give a way that inserts and commits a row per lookup."""
    connection = sqlite3.connect(folder / "log.db")
    connection.execute("CREATE TABLE log (served_at REAL, served TEXT)")
    insert = INSERT.format("?")

    def log(response: OnlineResponse) -> None:
        connection.execute(insert, (time.time(), json.dumps(response.to_dict(include_event_timestamps=True))))
        connection.commit()

    yield log
    connection.close()


@contextmanager
def postgres_insert(dsn: str) -> Iterator[Log]:
    """Give a way that inserts and commits a row per lookup."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE log (served_at double precision, served jsonb)")
        insert = INSERT.format("%s")

        def log(response: OnlineResponse) -> None:
            connection.execute(insert, (time.time(), json.dumps(response.to_dict(include_event_timestamps=True))))

        yield log


class _ResponseFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        response: Any = record.msg
        return json.dumps(response.to_dict(include_event_timestamps=True))


@contextmanager
def queue_thread(folder: Path) -> Iterator[Log]:
    """Give a way that hands the response to a thread of the same process."""
    logger = _logger("alternative")
    waiting: queue.Queue[Any] = queue.Queue()
    logger.addHandler(logging.handlers.QueueHandler(waiting))
    target = logging.FileHandler(folder / "log.jsonl")
    target.setFormatter(_ResponseFormatter())
    listener = logging.handlers.QueueListener(waiting, target)
    # QueueHandler formats what it is given into text: the thread is to have the response itself.
    logger.handlers[0].prepare = lambda record: record  # type: ignore[attr-defined]
    listener.start()
    yield logger.info
    listener.stop()
    target.close()


@contextmanager
def opentelemetry_batches(folder: Path) -> Iterator[Log]:
    """Give OpenTelemetry's way: a log record per lookup, exported in batches by its own thread."""
    # Not in any extra of ours: without it this way is left out.
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter  # noqa: PLC0415

    with (folder / "otel.jsonl").open("w") as out:
        provider = LoggerProvider()
        provider.add_log_record_processor(BatchLogRecordProcessor(ConsoleLogRecordExporter(out=out)))
        logger = _logger("otel")
        logger.addHandler(LoggingHandler(logger_provider=provider))
        yield lambda response: logger.info(json.dumps(response.to_dict(include_event_timestamps=True)))
        provider.shutdown()


def _logger(name: str) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def block(store: FeatureStore, log: Log, count: int = 100) -> list[float]:
    """Give the microseconds of each of `count` lookups with its logging."""
    references, times = [f"view:f{number}" for number in range(FEATURES)], []
    for number in range(count):
        start = time.perf_counter_ns()
        log(store.get_online_features(references, [{"entity": number}]))
        times.append((time.perf_counter_ns() - start) / 1000)
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logged = make_store(folder, FEATURES)
        bare = FeatureStore(config=logged.config.model_copy(update={"provider": "local"}))
        nothing: Log = lambda _: None  # noqa: E731
        ways: dict[str, tuple[FeatureStore, Log]] = {"bare Feast": (bare, nothing), "skew_ext": (logged, nothing)}
        ways["QueueHandler thread"] = (bare, stack.enter_context(queue_thread(folder)))
        try:
            ways["OpenTelemetry batches"] = (bare, stack.enter_context(opentelemetry_batches(folder)))
        except ImportError:
            sys.stderr.write("opentelemetry-sdk is not installed: left out\n")
        ways["INSERT, SQLite"] = (bare, stack.enter_context(sqlite_insert(folder)))
        server = stack.enter_context(postgres_server())
        ways["INSERT, PostgreSQL"] = (bare, stack.enter_context(postgres_insert(server.dsn)))
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (store, log) in ways.items():
                block(store, log, 5)  # two stores used in turn share one cache of Feast's: filled again here
                times[name] += block(store, log)
    report(times)


def report(times: dict[str, list[float]]) -> None:
    """Print each way's median and 99th percentile, and what it adds to bare Feast's, as a multiple of ours."""
    floor = statistics.median(times["bare Feast"])
    ours = statistics.median(times["skew_ext"]) - floor
    sys.stdout.write(f"{'way':>22} {'median us':>10} {'p99 us':>8} {'adds us':>8} {'x skew_ext':>10}\n")
    for name, values in times.items():
        median, p99 = statistics.median(values), statistics.quantiles(values, n=100)[98]
        multiple = "" if name == "bare Feast" else f"{(median - floor) / ours:10.1f}"
        sys.stdout.write(f"{name:>22} {median:10.0f} {p99:8.0f} {median - floor:8.0f} {multiple}\n")


if __name__ == "__main__":
    main()
