"""The heart: history and stream give the same, to the bit, and what a plain reading of the definition gives."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skew_ext.windows import Aggregator, Windows
from tests.windows import COLUMNS, NOON, SHAPES, TICK, bits, event_rows, holds, oracle, windows

SHAPE_LISTS = st.lists(SHAPES, min_size=1, max_size=2)
EVENTS = st.lists(event_rows(), max_size=25)
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
SCHEMA = pa.schema(
    {
        "key": pa.int64(),
        "zone": pa.string(),
        "event_timestamp": pa.timestamp("us", tz="UTC"),
        "arrived": pa.timestamp("us", tz="UTC"),
        "wide": pa.float64(),
        "narrow": pa.float32(),
        "big": pa.int64(),
        "small": pa.int32(),
        "flag": pa.bool_(),
        "name": pa.string(),
        "seen": pa.timestamp("us", tz="UTC"),
        "payment": pa.int64(),
        "offset": pa.int64(),
    }
)
KEYS = [{"key": key, "zone": zone} for key in (1, 2, 3) for zone in ("a", "b")]


def table(events: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(events, schema=SCHEMA)


def asked(moments: list[datetime]) -> list[dict[str, Any]]:
    return [{**key, "event_timestamp": moment} for moment in moments for key in KEYS]


def on_history(definition: Windows, events: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    columns = {name: [row[name] for row in rows] for name in ("key", "zone", "event_timestamp")}
    found = definition.on_history(table(events), pa.table(columns)).to_pylist()
    return [{name: bits(value) for name, value in row.items()} for row in found]


def on_stream(aggregator: Aggregator, row: dict[str, Any]) -> dict[str, str]:
    return {name: bits(value) for name, value in aggregator.value(row, row["event_timestamp"]).items()}


def plainly(definition: Windows, events: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, str]:
    """Read the definition aloud: which events count, in which order, and what they come to."""
    found = {}
    for each in definition.aggregates:
        held = [
            event
            for event in events
            if (event["key"], event["zone"]) == (row["key"], row["zone"])
            and holds(each, event["event_timestamp"], row["event_timestamp"])
        ]
        found[each.name] = bits(oracle(each, COLUMNS.get(str(each.column)), _in_order(definition, each.column, held)))
    return found


def _in_order(definition: Windows, column: str | None, events: list[dict[str, Any]]) -> list[Any]:
    if column is None:
        return [1 for _ in events]
    kept = [event for event in events if event[column] is not None and event[column] == event[column]]

    def place(event: dict[str, Any]) -> tuple[Any, ...]:
        value = event[column]
        sign = math.copysign(1, value) if isinstance(value, float) else 0
        return event["event_timestamp"], event[definition.order] if definition.order else 0, value, sign

    return [event[column] for event in sorted(kept, key=place)]


@QUICK
@given(
    events=EVENTS,
    shapes=SHAPE_LISTS,
    moments=st.lists(st.integers(-2, 40), min_size=1, max_size=4),
    order=st.booleans(),
)
def test_history_stream_and_a_plain_reading_agree(
    events: list[dict[str, Any]],
    shapes: list[Any],
    moments: list[int],
    order: bool,  # noqa: FBT001
) -> None:
    definition = windows(shapes, order="offset" if order else None)
    aggregator = definition.aggregator()
    for event in events:  # in the order that they were drawn in, which is any
        assert aggregator.add(event, arrived=NOON + 50 * TICK) == "added"
    rows = asked([NOON + moment * TICK for moment in moments])
    expected = [plainly(definition, events, row) for row in rows]
    assert on_history(definition, events, rows) == expected
    assert [on_stream(aggregator, row) for row in rows] == expected


@QUICK
@given(events=EVENTS, shapes=SHAPE_LISTS, seed=st.randoms(use_true_random=False), lateness=st.integers(0, 8))
def test_training_gets_what_serving_read_at_the_time_late_and_repeated_events_included(
    events: list[dict[str, Any]], shapes: list[Any], seed: Any, lateness: int
) -> None:
    definition = windows(
        shapes, arrived="arrived", event_id="payment", order="offset", allowed_lateness=lateness * TICK
    )
    delivered = [{**event, "arrived": event["arrived"] + extra * TICK} for event in events for extra in (0, 0, 3)]
    seed.shuffle(delivered)
    delivered.sort(key=lambda event: event["arrived"])  # stable: ties in arrival keep the shuffled order
    aggregator = definition.aggregator()
    read, rows = [], []
    for moment in (NOON + tick * TICK for tick in range(0, 45, 3)):
        while delivered and delivered[0]["arrived"] <= moment:
            aggregator.add(delivered.pop(0))
        rows += asked([moment])
        read += [on_stream(aggregator, row) for row in rows[-len(KEYS) :]]
    again = [{**event, "arrived": event["arrived"] + extra * TICK} for event in events for extra in (0, 3, 0)]
    assert on_history(definition, again, rows) == read


@settings(QUICK, max_examples=30)
@given(events=EVENTS, shapes=SHAPE_LISTS, moments=st.lists(st.integers(0, 40), min_size=1, max_size=3))
def test_no_row_of_the_future_is_used(events: list[dict[str, Any]], shapes: list[Any], moments: list[int]) -> None:
    definition = windows(shapes)
    for moment in moments:
        rows = asked([NOON + moment * TICK])
        past = [event for event in events if event["event_timestamp"] <= NOON + moment * TICK]
        assert on_history(definition, events, rows) == on_history(definition, past, rows)


@QUICK
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    seed=st.randoms(use_true_random=False),
)
def test_sums_do_not_depend_on_the_order_of_arrival(values: list[float], seed: Any) -> None:
    definition = windows([{"look_back": timedelta(hours=1)}], order=None)
    base = dict.fromkeys(COLUMNS) | {"key": 1, "zone": "a", "payment": 1, "offset": 0}
    events = [{**base, "event_timestamp": NOON + place * TICK, "wide": value} for place, value in enumerate(values)]
    seen = set()
    for _ in range(3):
        seed.shuffle(events)
        aggregator = definition.aggregator()
        for event in events:
            aggregator.add(event, arrived=NOON + timedelta(minutes=1))
        got = aggregator.value({"key": 1, "zone": "a"}, NOON + timedelta(minutes=1))
        seen.add((bits(got["sum_wide_0"]), bits(got["mean_wide_0"])))
    try:
        expected = math.fsum(values)
    except OverflowError:  # of an intermediate sum: ours has none
        return
    assert [total for total, _ in seen] == [bits(expected + 0.0)]
