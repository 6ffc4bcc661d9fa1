"""Source rows: read with a point-in-time join, they give at any time what the windows hold at that time."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skew_ext.windows import WindowedAggregate, WindowError, Windows
from tests.windows import NOON, SHAPES, TICK, bits, event_rows

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
COLUMNS = {"wide": "Float64", "name": "String"}


def declared(shapes: list[Any], **options: Any) -> Windows:
    aggregates = []
    for number, shape in enumerate(shapes):
        aggregates += [
            WindowedAggregate(f"n_{number}", "count", **shape),
            WindowedAggregate(f"sum_{number}", "sum", column="wide", **shape),
            WindowedAggregate(f"last_{number}", "last", column="name", **shape),
        ]
    return Windows(keys={"key": "Int64"}, columns=COLUMNS, aggregates=aggregates, **options)


def joined(rows: pa.Table, definition: Windows, key: int, as_of: datetime) -> dict[str, str]:
    """Join point in time: the latest row up to `as_of`; before the first, nothing is in any window."""
    known = [row for row in rows.to_pylist() if row["key"] == key and row["event_timestamp"] <= as_of]
    empty = {name: 0 if name.startswith("n_") else None for name in definition.outputs}
    row = max(known, key=lambda each: each["event_timestamp"], default=empty)
    return {name: bits(row[name]) for name in definition.outputs}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=st.lists(event_rows(), min_size=1, max_size=15),
    shapes=st.lists(SHAPES, min_size=1, max_size=2),
    arrived=st.booleans(),
)
def test_the_join_of_the_rows_is_the_window_at_every_moment(
    events: list[dict[str, Any]],
    shapes: list[Any],
    arrived: bool,  # noqa: FBT001
) -> None:
    definition = declared(shapes, arrived="arrived" if arrived else None, allowed_lateness=6 * TICK)
    table = {name: [event[name] for event in events] for name in ("key", "event_timestamp", "arrived", "wide", "name")}
    rows = definition.source_rows(table)
    assert rows["event_timestamp"].to_pylist() == sorted(rows["event_timestamp"].to_pylist())
    assert len({(row["key"], row["event_timestamp"]) for row in rows.to_pylist()}) == rows.num_rows
    asked = [(key, NOON + tick * TICK) for key in (1, 2) for tick in range(-2, 50)]
    columns = {"key": [key for key, _ in asked], "event_timestamp": [moment for _, moment in asked]}
    found = definition.on_history(table, pa.table(columns)).to_pylist()
    for (key, moment), row in zip(asked, found, strict=True):
        assert joined(rows, definition, key, moment) == {name: bits(value) for name, value in row.items()}


SPEND = Windows(
    keys={"card": "Int64"},
    columns={"amount": "Float64"},
    aggregates=[
        WindowedAggregate("spend_1h", "sum", HOUR, column="amount", empty="zero"),
        WindowedAggregate("spend_2h", "sum", 2 * HOUR, column="amount", empty="zero"),
    ],
)
EVENTS = pd.DataFrame(
    {"card": 7, "event_timestamp": [NOON, NOON + 30 * MINUTE], "amount": [10.0, 5.0]}
)  # fmt: skip


def test_a_value_decays_when_its_events_leave() -> None:
    rows = SPEND.source_rows(EVENTS).to_pylist()
    assert [(row["event_timestamp"] - NOON, row["spend_1h"], row["spend_2h"]) for row in rows] == [
        (0 * MINUTE, 10.0, 10.0),
        (30 * MINUTE, 15.0, 15.0),
        (60 * MINUTE, 5.0, 15.0),
        (90 * MINUTE, 0.0, 15.0),
        (120 * MINUTE, 0.0, 5.0),
        (150 * MINUTE, 0.0, 0.0),
    ]
    assert all(row["created"] == row["event_timestamp"] for row in rows)


def test_batches_of_intervals_give_the_same_rows_as_all_at_once() -> None:
    edges = [NOON + step * 20 * MINUTE for step in range(10)]
    batches = [SPEND.source_rows(EVENTS, start, end) for start, end in itertools.pairwise(edges)]
    assert pa.concat_tables(batches) == SPEND.source_rows(EVENTS)
    (row,) = SPEND.source_rows(EVENTS, NOON + HOUR, NOON + HOUR + TICK, created=NOON + 3 * HOUR).to_pylist()
    assert (row["spend_1h"], row["created"]) == (5.0, NOON + 3 * HOUR)


@pytest.mark.parametrize("rows", [0, 1])
def test_the_types_do_not_depend_on_the_rows(rows: int) -> None:
    schema = SPEND.source_rows(EVENTS.head(rows)).schema
    times = pa.timestamp("us", tz="UTC")
    assert schema.names == ["card", "event_timestamp", "created", "spend_1h", "spend_2h"]
    assert schema.types == [pa.int64(), times, times, pa.float64(), pa.float64()]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(event_rows(), max_size=15), shapes=st.lists(SHAPES, min_size=1, max_size=2))
def test_what_is_due_from_the_stream_is_what_history_writes(events: list[dict[str, Any]], shapes: list[Any]) -> None:
    definition = declared(shapes, arrived="arrived", allowed_lateness=6 * TICK)
    aggregator = definition.aggregator()
    waiting = sorted(events, key=lambda event: event["arrived"])
    pushed = []
    for start, end in itertools.pairwise(NOON + tick * TICK for tick in range(0, 60, 5)):
        while waiting and waiting[0]["arrived"] < end:
            aggregator.add(waiting.pop(0))
        pushed += definition.due(aggregator, start, end).to_pylist()
    names = ("key", "event_timestamp", "arrived", "wide", "name")
    written = definition.source_rows({name: [event[name] for event in events] for name in names}).to_pylist()
    assert sorted(map(told, pushed)) == sorted(map(told, written))


def told(row: dict[str, Any]) -> list[str]:
    return [f"{name} {bits(value)}" for name, value in row.items()]


def test_what_was_due_long_ago_is_gone() -> None:
    aggregator = SPEND.aggregator()
    assert SPEND.due(aggregator, NOON, NOON + HOUR).num_rows == 0
    aggregator.add({"card": 7, "event_timestamp": NOON, "amount": 1.0}, arrived=NOON)
    with pytest.raises(WindowError, match="more than 1 day, 0:00:00 back; call it more often"):
        SPEND.due(aggregator, NOON - timedelta(days=2), NOON)
