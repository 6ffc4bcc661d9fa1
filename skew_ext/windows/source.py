"""Windowed aggregates as the source of a feature view: one row at every moment that a value may change.

A feature store keeps a value until a newer row comes. A sum over 30 days therefore needs a row not only where an event
enters the window but also where it has left: without the second, the last sum stays in the online store for as long as
the key is silent. With both, the point-in-time join gives at each time what the window holds at that time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.transform.reading import read_column
from skew_ext.transform.types import Column
from skew_ext.transform.writing import to_arrow
from skew_ext.windows.aggregator import Kept
from skew_ext.windows.definition import CREATED, Definition
from skew_ext.windows.history import aggregate
from skew_ext.windows.ordering import on_time
from skew_ext.windows.reading import Rows

Integers = npt.NDArray[np.int64]


def changes(definition: Definition, events: Rows, start: int | None, end: int | None) -> Rows:
    """Give the entity rows, each once, at which an event enters or has left a window, in [start, end)."""
    parts = list(_moments(definition, events))
    times = np.concatenate([moments for moments, _ in parts])
    places = np.concatenate([places for _, places in parts])
    inside = np.ones(len(times), dtype=np.bool_)
    if start is not None:
        inside &= times >= start
    if end is not None:
        inside &= times < end
    rows = Rows(events.keys, events.times, {}).take(places[inside])
    return _once(Rows(rows.keys, times[inside], {}))


def _moments(definition: Definition, events: Rows) -> Iterator[tuple[Integers, Integers]]:
    places = np.arange(len(events.times))
    for shape in {each.shape: each for each in definition.aggregates}.values():
        enters, leaves = shape.changes(events.times)
        if events.arrived is not None:
            # An event counts from when it is known; one that is known only after it has left never did.
            counted = leaves > events.arrived
            yield np.maximum(enters, events.arrived)[counted], places[counted]
            yield leaves[counted], places[counted]
        else:
            yield enters, places
            yield leaves, places


def _once(rows: Rows) -> Rows:
    import pandas as pd  # noqa: PLC0415 - only those who write sources need it

    named = {f"key {name}": column.data for name, column in rows.keys.items()}
    repeated = pd.DataFrame({"time": rows.times, **named}).duplicated().to_numpy()
    unique = rows.take(~repeated)
    return unique.take(np.argsort(unique.times, kind="stable"))


def source_table(
    definition: Definition, events: Rows, start: int | None, end: int | None, created: int | None
) -> pa.Table:
    """Give the rows of the source: keys, event time, `created` and the features; sorted by event time."""
    events = on_time(definition, events)
    rows = changes(definition, events, start, end)
    features = aggregate(definition, events, rows)
    known = rows.times if created is None else np.full(len(rows.times), created, dtype=np.int64)
    columns: dict[str, Any] = {name: to_arrow(column, definition.key_types[name]) for name, column in rows.keys.items()}
    columns[definition.timestamp] = _utc(rows.times)
    columns[CREATED] = _utc(known)
    return pa.table({**columns, **_features(definition, features)})


def _features(definition: Definition, features: dict[str, Column]) -> dict[str, Any]:
    return {name: to_arrow(column, definition.output_types[name]) for name, column in features.items()}


def _utc(micros: Integers) -> pa.Array:
    return pa.array(micros).cast(pa.timestamp("us", tz="UTC"))


def kept_rows(definition: Definition, kept: Sequence[Kept]) -> Rows:
    """Give the events that an aggregator keeps as a frame of events, each from when it arrived."""
    events = [event for event, _ in kept]
    keys = {
        name: read_column([event.key[place] for event in events], kind, name)
        for place, (name, kind) in enumerate(definition.key_types.items())
    }
    columns = {
        name: read_column([event.values[place] for event in events], kind, name)
        for place, (name, kind) in enumerate(definition.column_types.items())
    }
    times = np.array([event.time for event in events], dtype=np.int64)
    return Rows(keys, times, columns, np.array([arrived for _, arrived in kept], dtype=np.int64))
