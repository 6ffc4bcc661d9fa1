"""Windowed aggregates: on history against DuckDB's range join, and on a stream per event and per read.

    python benchmarks/windows.py [--events 1000000] [--rows 100000] [--keys 10000]

History: the same count, sum, mean, max and distinct count over 1 hour and 24 hours for each (key, as_of), by
`Windows.on_history`, by one DuckDB range join for each window (a plain inequality join with GROUP BY), and, for the
count, sum and mean alone, by both again. DuckDB sums in float64, in any order; ours are exact. Both hold the data in
memory beforehand; they take turns, and the median of three counts. Once with many keys, whose windows are short, and
once with few. Stream: the cost of `add`, and of `value` with 10 to 10,000 events in the window of a key, and the same
two sums by keeping a list and summing it with `math.fsum`, which is the plainest way that is right to the bit.
"""

from __future__ import annotations

import argparse
import bisect
import math
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import duckdb
import numpy as np
import pyarrow as pa

from skew_ext.windows import WindowedAggregate, Windows

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
SQL = {
    "count": "count(amount)",
    "sum": "sum(amount)",
    "mean": "avg(amount)",
    "max": "max(amount)",
    "count_distinct": "count(DISTINCT shop)",
}
ROUNDS = 3


def windows(functions: list[str]) -> Windows:
    """Give the definition of these functions over both windows."""
    return Windows(
        keys={"card": "Int64"},
        columns={"amount": "Float64", "shop": "Int64"},
        aggregates=[
            WindowedAggregate(
                f"{function}_{look_back // HOUR}h",
                function,
                look_back,
                column="shop" if function == "count_distinct" else "amount",
            )
            for look_back in (HOUR, DAY)
            for function in functions
        ],
        allowed_lateness=timedelta(0),
    )


def tables(events: int, rows: int, keys: int) -> tuple[pa.Table, pa.Table]:
    """Give events and entity rows over 30 days."""
    random = np.random.default_rng(7)
    origin = int(START.timestamp() * 1e6)

    def times(count: int) -> pa.Array:
        moments = origin + random.integers(0, 30 * DAY // timedelta(microseconds=1), count)
        return pa.array(moments).cast(pa.timestamp("us", tz="UTC"))

    amounts = np.round(random.lognormal(3, 1, events), 2)
    shops = random.integers(0, 200, events)
    made = pa.table(
        {"card": random.integers(0, keys, events), "event_timestamp": times(events), "amount": amounts, "shop": shops}
    )
    return made, pa.table({"card": random.integers(0, keys, rows), "event_timestamp": times(rows)})


def by_duckdb(connection: duckdb.DuckDBPyConnection, functions: list[str]) -> list[pa.Table]:
    """Join each window's events to the entity rows, and group."""
    results = []
    for look_back in (HOUR, DAY):
        chosen = ", ".join(SQL[function] for function in functions)
        results.append(
            connection.sql(
                f"SELECT row, {chosen} FROM asked LEFT JOIN events ON events.card = asked.card "  # noqa: S608 - ours
                "AND events.event_timestamp <= asked.event_timestamp "
                f"AND events.event_timestamp > asked.event_timestamp - INTERVAL {look_back // HOUR} HOUR "
                "GROUP BY row ORDER BY row"
            ).to_arrow_table()
        )
    return results


def seconds(run: Callable[[], object]) -> float:
    """Time one run."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def history(events: int, rows: int, keys: int) -> None:
    """Print the history's table."""
    made, asked = tables(events, rows, keys)
    connection = duckdb.connect()
    connection.register("events_arrow", made)
    connection.register("asked_arrow", asked.append_column("row", pa.array(np.arange(rows))))
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE TABLE events AS FROM events_arrow")
    connection.execute("CREATE TABLE asked AS FROM asked_arrow")
    sys.stdout.write(f"history: {events:,} events of {keys:,} keys, {rows:,} entity rows, windows of 1 h and 24 h\n")
    for functions in (["count", "sum", "mean"], list(SQL)):
        definition = windows(functions)
        check(definition.on_history(made, asked), by_duckdb(connection, functions), functions)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(seconds(lambda definition=definition: definition.on_history(made, asked)))
            theirs.append(seconds(lambda functions=functions: by_duckdb(connection, functions)))
        own, duck = statistics.median(ours), statistics.median(theirs)
        sys.stdout.write(
            f"  {', '.join(functions):<38} ours {own:6.2f} s   DuckDB range join {duck:6.2f} s   "
            f"ratio {own / duck:5.2f}\n"
        )


def check(ours: pa.Table, theirs: list[pa.Table], functions: list[str]) -> None:
    """Make sure that both did the same work: sums to DuckDB's rounding, all else exactly."""
    for look_back, joined in zip((HOUR, DAY), theirs, strict=True):
        for place, function in enumerate(functions):
            own = ours[f"{function}_{look_back // HOUR}h"].to_numpy().astype(np.float64)
            other = joined.column(place + 1).to_numpy().astype(np.float64)
            assert np.allclose(own, other, rtol=1e-9, atol=1e-9, equal_nan=True), function


def stream(inside: int) -> None:
    """Print the stream's line for one key with `inside` events in its 24 hours."""
    definition = windows(["count", "sum", "mean", "max", "count_distinct"])
    random = np.random.default_rng(7)
    gap = DAY / inside
    many = 2 * inside + 2000
    events = [
        {"card": 1, "event_timestamp": START + place * gap, "amount": float(amount), "shop": int(place % 200)}
        for place, amount in enumerate(np.round(random.lognormal(3, 1, many), 2))
    ]
    aggregator = definition.aggregator()
    adds, reads, plain, sums = [], [], [], []
    one_sum = windows(["sum"]).aggregator()
    times: list[datetime] = []
    amounts: list[float] = []
    for event in events:
        now = event["event_timestamp"]
        assert isinstance(now, datetime)
        adds.append(seconds(lambda event=event, now=now: aggregator.add(event, arrived=now)))
        one_sum.add(event, arrived=now)
        times.append(now)
        amounts.append(float(str(event["amount"])))
        if len(times) > many - 500:
            reads.append(seconds(lambda now=now: aggregator.value(1, now)))
            sums.append(seconds(lambda now=now: one_sum.value(1, now)))
            plain.append(seconds(lambda now=now: _sums(times, amounts, now)))
    added, read, summed, listed = (statistics.median(part) * 1e6 for part in (adds[-1500:], reads, sums, plain))
    sys.stdout.write(
        f"  {inside:>6,} events in 24 h: add {added:6.1f} us   read of 10 aggregates {read:8.1f} us   "
        f"of 2 sums {summed:6.1f} us, by fsum of a list {listed:8.1f} us, ratio {summed / listed:5.2f}   "
        f"kept {len(aggregator):,}\n"
    )


def _sums(times: list[datetime], amounts: list[float], now: datetime) -> list[float]:
    return [
        math.fsum(amounts[bisect.bisect_right(times, now - look_back) : bisect.bisect_right(times, now)])
        for look_back in (HOUR, DAY)
    ]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=10_000)
    asked = parser.parse_args()
    history(asked.events, asked.rows, asked.keys)
    history(asked.events, asked.rows, asked.keys // 20)
    sys.stdout.write("stream: one key, windows of 1 h and 24 h\n")
    for inside in (10, 100, 1000, 10_000):
        stream(inside)


if __name__ == "__main__":
    main()
