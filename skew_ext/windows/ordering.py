"""Events as history reads them: those that count and may lie in a window, in order of key and event time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from skew_ext.transform.types import Column
from skew_ext.windows.definition import Definition, WindowedAggregate, microseconds
from skew_ext.windows.ranges import Integers, Ranges
from skew_ext.windows.reading import Flags, Rows, absent
from skew_ext.windows.timeline import ColumnHistory, Timeline, codes_of

_MOST: Final = 2**63


class History:
    """The events that count for some entity rows, sorted once."""

    def __init__(self, definition: Definition, events: Rows, entities: Rows) -> None:
        events = on_time(definition, events)
        keys, self._asked = _key_codes(events.keys, entities.keys)
        wanted = _wanted(definition, events.times, keys, entities.times, self._asked)
        events, keys = events.take(wanted), keys[wanted]
        once = _once(definition, events, keys)
        order = _order(keys[once], events.times[once])
        self._definition, self._as_of = definition, entities.times
        self._events, self._keys = events.take(once[order]), keys[once][order]
        self._timeline = Timeline.of(self._keys, self._events.times, self._events.arrived)
        self._columns: dict[tuple[str, bool], tuple[Timeline, ColumnHistory]] = {}

    def ranges(self, name: str | None, shape: WindowedAggregate, *, ordered: bool) -> Ranges:
        """Give the range of each entity row's window in a column, or with None in the events themselves."""
        timeline = self._timeline if name is None else self._column(name, ordered=ordered)[0]
        return timeline.ranges(shape, self._asked, self._as_of)

    def column(self, name: str, *, ordered: bool) -> ColumnHistory:
        """Give a column's values; `ordered` puts those of one key and time in their order too."""
        return self._column(name, ordered=ordered)[1]

    def _column(self, name: str, *, ordered: bool) -> tuple[Timeline, ColumnHistory]:
        if (name, ordered) not in self._columns:
            self._columns[name, ordered] = self._made(name, ordered=ordered)
        return self._columns[name, ordered]

    def _made(self, name: str, *, ordered: bool) -> tuple[Timeline, ColumnHistory]:
        events, keys, timeline = self._events, self._keys, self._timeline
        kind = self._definition.column_types[name]
        present = ~absent(events.columns[name], kind)
        if ordered:
            events = events.take(order := np.lexsort((*self._tie_breakers(events, name), events.times, keys)))
            present = present[order]
        if not present.all() or (ordered and events.arrived is not None):
            events, keys = events.take(present), keys[present]
            timeline = Timeline.of(keys, events.times, events.arrived)
        return timeline, ColumnHistory(kind, events.columns[name].data)

    def _tie_breakers(self, events: Rows, name: str) -> list[Integers]:
        breakers = [name] if self._definition.order is None else [name, self._definition.order]
        return [codes_of(events.columns[each], self._definition.column_types[each]) for each in breakers]


def on_time(definition: Definition, events: Rows) -> Rows:
    """Leave out the events that came too late ever to count."""
    if events.arrived is None:
        return events
    return events.take(events.arrived - events.times <= microseconds(definition.allowed_lateness))


def _once(definition: Definition, events: Rows, keys: Integers) -> Integers:
    """Give the positions of the events, each once where it has an id: of one delivered twice, the first to arrive."""
    if definition.event_id is None:
        return np.arange(len(keys))
    import pandas as pd  # noqa: PLC0415 - serving, which reads one event at a time, does without

    # What shares key, time and id is looked at as a whole; that is little, as a rule.
    named = {"key": keys, "time": events.times, "id": events.columns[definition.event_id].data}
    suspect = pd.DataFrame(named).duplicated(keep=False).to_numpy()
    places = np.flatnonzero(suspect)
    repeated = places[_repeated(definition, events.take(places), keys[places])]
    return np.setdiff1d(np.arange(len(keys)), repeated, assume_unique=True)


def _repeated(definition: Definition, events: Rows, keys: Integers) -> Integers:
    """Give the positions of events that are the same as another one, save the first of them to arrive."""
    if not len(keys):
        return keys
    kinds = definition.column_types
    identity = [events.times, keys, *(codes_of(column, kinds[name]) for name, column in events.columns.items())]
    order = np.lexsort((events.times if events.arrived is None else events.arrived, *identity))
    same = np.ones(len(order) - 1, dtype=np.bool_)
    for values in identity:
        same &= values[order][1:] == values[order][:-1]
    return np.asarray(order[1:][same])


def _order(keys: Integers, times: Integers) -> Integers:
    """Give the order by key and time; ties in any."""
    if not len(keys):
        return keys
    begin, span = int(times.min()), int(times.max()) - int(times.min()) + 1
    if (int(keys.max()) + 1) * span >= _MOST:
        return np.lexsort((times, keys))
    return np.argsort(keys * span + (times - begin))  # one integer sorts several times as fast as two columns


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
