"""Events in order of key and event time, a column at a time: what the windows of history are ranges of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skew_ext.transform.types import Column, ColumnType
from skew_ext.windows.definition import Definition, WindowedAggregate, microseconds
from skew_ext.windows.ranges import Integers, Ranges, pairs, search
from skew_ext.windows.reading import Flags, Rows, absent

Array = npt.NDArray[Any]
_INT64: Final = np.iinfo(np.int64)


@dataclass(frozen=True)
class ColumnHistory:
    """The values of one column that are not null, by key and event time; key n has [starts[n], starts[n + 1]).

    `arrived` is when each came to be known, and `known` the latest arrival of its key up to there; None where events
    count from their event time on.
    """

    kind: ColumnType
    data: Array
    starts: Integers
    times: Integers
    arrived: Integers | None
    known: Integers | None

    @cached_property
    def codes(self) -> Integers:
        """Give the values as integers in their order."""
        return codes_of(Column(self.data), self.kind)

    @cached_property
    def equal_codes(self) -> Integers:
        """Give the values as integers that are equal where the values are: 0.0 and -0.0 are one."""
        negative_zero = self.kind.dtype.kind == "f" and bool(np.any(np.signbit(self.data) & (self.data == 0)))
        return codes_of(Column(self.data + 0.0), self.kind) if negative_zero else self.codes

    def ranges(self, shape: WindowedAggregate, asked: Integers, as_of: Integers) -> Ranges:
        """Give the range of each window of `shape`: of key `asked` at `as_of`."""
        first, last = shape.bounds(as_of)
        there = asked < len(self.starts) - 1
        key = np.where(there, asked, 0)
        start = np.where(there, self.starts[key], 0)
        end = np.where(there, self.starts[np.minimum(key + 1, len(self.starts) - 1)], 0)
        low = search(self.times, start, end, first, side="left")
        high = search(self.times, start, end, last, side="right")
        if self.known is None or self.arrived is None:
            nothing = np.empty(0, dtype=np.int64)
            return Ranges(low, high, nothing, nothing)
        # Up to `middle` everything has arrived by as_of; beyond it, each event is asked.
        middle = search(self.known, low, high, as_of, side="right")
        questions, positions = pairs(middle, high)
        arrived = self.arrived[positions] <= as_of[questions]
        return Ranges(low, middle, questions[arrived], positions[arrived])

    def narrowed(self, ranges: Ranges) -> tuple[ColumnHistory, Ranges]:
        """Give the values that lie in a window at all, and the same ranges among them; all, where most do."""
        rises = np.bincount(ranges.low, minlength=len(self.data) + 1)
        falls = np.bincount(ranges.high, minlength=len(self.data) + 1)
        held = np.cumsum(rises - falls)[:-1] > 0
        held[ranges.positions] = True
        if 2 * np.count_nonzero(held) > len(held):
            return self, ranges
        # What lies in no window leaves no gap in one: ranges stay ranges.
        places = np.concatenate(([0], np.cumsum(held)))
        fewer = Ranges(places[ranges.low], places[ranges.high], ranges.questions, places[ranges.positions])
        return replace(self, data=self.data[held]), fewer


class History:
    """The events that count, sorted once, and the keys of the entity rows that are asked for."""

    def __init__(self, definition: Definition, events: Rows, entities: Rows) -> None:
        events = counted(definition, events)
        keys, self.asked = _key_codes(events.keys, entities.keys)
        wanted = _wanted(definition, events.times, keys, entities.times, self.asked)
        events, keys = events.take(wanted), keys[wanted]
        order = np.lexsort((events.times, keys))
        self._definition = definition
        self._events, self._keys = events.take(order), keys[order]
        self._columns: dict[tuple[str | None, bool], ColumnHistory] = {}

    def column(self, name: str | None, *, ordered: bool) -> ColumnHistory:
        """Give a column, or with None the events themselves; `ordered` puts events of one time in their order too."""
        if (name, ordered) not in self._columns:
            self._columns[name, ordered] = self._column(name, ordered=ordered)
        return self._columns[name, ordered]

    def _column(self, name: str | None, *, ordered: bool) -> ColumnHistory:
        events, keys = self._events, self._keys
        if name is None:
            kind, data = next(iter(self._definition.key_types.values())), np.empty(0)
        else:
            kind = self._definition.column_types[name]
            present = ~absent(events.columns[name], kind)
            if not present.all():
                events, keys = events.take(present), keys[present]
            if ordered:
                order = np.lexsort((*_tie_breakers(self._definition, events, name), events.times, keys))
                events, keys = events.take(order), keys[order]
            data = events.columns[name].data
        starts = np.searchsorted(keys, np.arange(int(keys[-1]) + 2 if len(keys) else 1))
        known = None if events.arrived is None else _running_latest(events.arrived, keys)
        return ColumnHistory(kind, data, starts, events.times, events.arrived, known)


def counted(definition: Definition, events: Rows) -> Rows:
    """Leave out what never counts: events too late, and the same event again."""
    if events.arrived is not None:
        late = events.arrived - events.times > microseconds(definition.allowed_lateness)
        events = events.take(~late)
    if definition.event_id is None or not len(events.times):
        return events
    kinds = {**definition.key_types, **definition.column_types}
    identity = [codes_of(column, kinds[name]) for name, column in {**events.keys, **events.columns}.items()]
    # Of the same event delivered twice, the first to arrive stays.
    arrival = events.times if events.arrived is None else events.arrived
    order = np.lexsort((arrival, *identity, events.times))
    same = np.ones(len(order) - 1, dtype=np.bool_)
    for values in (events.times, *identity):
        same &= values[order][1:] == values[order][:-1]
    return events.take(np.sort(order[np.concatenate(([True], ~same))]))


def _key_codes(events: Mapping[str, Column], entities: Mapping[str, Column]) -> tuple[Integers, Integers]:
    """Give the keys of events and entity rows as integers from 0: equal keys have equal codes."""
    import pandas as pd  # noqa: PLC0415 - serving, which reads one event at a time, does without

    size = len(next(iter(events.values())).data)
    combined: Integers | None = None
    for name, column in events.items():
        codes, distinct = pd.factorize(np.concatenate([column.data, entities[name].data]))
        mixed = codes if combined is None else pd.factorize(combined * len(distinct) + codes)[0]
        combined = mixed.astype(np.int64)
    assert combined is not None  # noqa: S101 - a definition has a key
    return combined[:size], combined[size:]


def _wanted(definition: Definition, times: Integers, keys: Integers, as_of: Integers, asked: Integers) -> Flags:
    """Say which events may lie in a window: those of a key that is asked for, in reach of the times asked for."""
    if not len(as_of):
        return np.zeros(len(times), dtype=np.bool_)
    known = np.zeros(int(max(keys.max(initial=0), asked.max())) + 1, dtype=np.bool_)
    known[asked] = True
    return np.asarray(known[keys] & (times >= as_of.min() - definition.reach) & (times <= as_of.max()))


def _tie_breakers(definition: Definition, events: Rows, name: str) -> list[Integers]:
    breakers = [name] if definition.order is None else [name, definition.order]
    return [codes_of(events.columns[each], definition.column_types[each]) for each in breakers]


def _running_latest(arrived: Integers, keys: Integers) -> Integers:
    # The maximum must not run over from key to key: ranked, key and time become one rising integer.
    distinct, ranks = np.unique(arrived, return_inverse=True)
    width = len(distinct) + 1
    latest = np.maximum.accumulate(keys * width + ranks) - keys * width
    return distinct[latest] if len(latest) else arrived


def codes_of(column: Column, kind: ColumnType) -> Integers:
    """Give values as integers in their order (null is -1): floats by IEEE 754's total order, text by code points."""
    null = absent(column, kind)
    if kind.dtype.kind == "O":
        ranks = {value: rank for rank, value in enumerate(sorted(set(column.data[~null])))}
        return np.fromiter((ranks.get(value, -1) for value in column.data), dtype=np.int64, count=len(null))
    values = _sortable(column.data) if kind.dtype.kind == "f" else column.data.astype(np.int64)
    codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    return np.where(null, -1, codes)


def _sortable(floats: Array) -> Integers:
    """Give floats as integers that sort as they do, -0.0 before 0.0: their bits, turned round below zero."""
    bits = floats.astype(np.float64).view(np.int64)
    return np.asarray(bits ^ ((bits >> 63) & _INT64.max), dtype=np.int64)
