"""Windowed aggregates on history, for training: each entity row gets what its window held at its own time.

All events are sorted once by key and event time. A window is then a range of positions, found by binary search, and
its aggregates are differences of running sums, sparse tables and a wavelet matrix: the cost does not grow with the
length of the windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from skew_ext.transform.types import Column, ColumnType, null_of
from skew_ext.windows.definition import Definition, WindowedAggregate, microseconds
from skew_ext.windows.errors import WindowError
from skew_ext.windows.exact import range_totals, rounded, with_infinities
from skew_ext.windows.ranges import Integers, Ranges, pairs, search
from skew_ext.windows.reading import Flags, Rows, absent

Array = npt.NDArray[Any]
_INT64: Final = np.iinfo(np.int64)


class _Series(NamedTuple):
    """The events of one column that are not null, by key and event time; key number n has [starts[n], starts[n + 1]).

    `known` is, for each position, the latest arrival of its key up to there.
    """

    starts: Integers
    times: Integers
    data: Array
    arrived: Integers | None
    known: Integers | None


def aggregate(definition: Definition, events: Rows, entities: Rows) -> dict[str, Column]:
    """Give each aggregate of each entity row."""
    events = _counted(definition, events)
    keys, asked = _key_codes(events.keys, entities.keys)
    order = np.lexsort((events.times, keys))
    events, keys = events.take(order), keys[order]
    series: dict[tuple[str | None, bool], _Series] = {}
    columns = {}
    for each in definition.aggregates:
        ordered = each.function in ("first", "last")
        if (each.column, ordered) not in series:
            series[each.column, ordered] = _series(definition, events, keys, each.column, ordered=ordered)
        columns[each.name] = _column(definition, each, series[each.column, ordered], asked, entities.times)
    return columns


def _counted(definition: Definition, events: Rows) -> Rows:
    """Leave out what never counts: events too late, and the same event again."""
    if events.arrived is not None:
        late = events.arrived - events.times > microseconds(definition.allowed_lateness)
        events = events.take(~late)
    if definition.event_id is None or not len(events.times):
        return events
    kinds = {**definition.key_types, **definition.column_types}
    identity = [_codes(column, kinds[name]) for name, column in {**events.keys, **events.columns}.items()]
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


def _series(definition: Definition, events: Rows, keys: Integers, name: str | None, *, ordered: bool) -> _Series:
    data = np.empty(0) if name is None else events.columns[name].data
    if name is not None:
        present = ~absent(events.columns[name], definition.column_types[name])
        if not present.all():
            events, keys, data = events.take(present), keys[present], data[present]
    if ordered:
        order = np.lexsort((*_tie_breakers(definition, events, str(name)), events.times, keys))
        events, keys, data = events.take(order), keys[order], data[order]
    starts = np.searchsorted(keys, np.arange(int(keys[-1]) + 2 if len(keys) else 1))
    known = None if events.arrived is None else _running_latest(events.arrived, keys)
    return _Series(starts, events.times, data, events.arrived, known)


def _tie_breakers(definition: Definition, events: Rows, name: str) -> list[Integers]:
    breakers = [name] if definition.order is None else [name, definition.order]
    return [_codes(events.columns[each], definition.column_types[each]) for each in breakers]


def _running_latest(arrived: Integers, keys: Integers) -> Integers:
    # The maximum must not run over from key to key: ranked, key and time become one rising integer.
    distinct, ranks = np.unique(arrived, return_inverse=True)
    width = len(distinct) + 1
    latest = np.maximum.accumulate(keys * width + ranks) - keys * width
    return distinct[latest] if len(latest) else arrived


def _codes(column: Column, kind: ColumnType) -> Integers:
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


def _column(
    definition: Definition, each: WindowedAggregate, series: _Series, asked: Integers, as_of: Integers
) -> Column:
    kind = definition.output_types[each.name]
    ranges = _ranges(each, series, asked, as_of)
    counts = ranges.counts()
    if each.function == "count":
        values: Array = counts
    else:
        source = definition.column_types[str(each.column)]
        values = (
            np.zeros(len(counts), dtype=kind.dtype)
            if not len(series.data)
            else _REDUCERS[each.function](series.data, source, ranges, counts)
        )
    return _emptied(each, kind, values, counts == 0)


def _emptied(each: WindowedAggregate, kind: ColumnType, values: Array, empty: Flags) -> Column:
    filled = np.full(len(values), kind.dtype.type(0) if each.empty_is_zero else null_of(kind), dtype=kind.dtype)
    filled[~empty] = values[~empty]
    return Column(filled, empty if not each.empty_is_zero and not kind.own_null and empty.any() else None)


def _ranges(each: WindowedAggregate, series: _Series, asked: Integers, as_of: Integers) -> Ranges:
    first, last = each.bounds(as_of)
    known_key = asked < len(series.starts) - 1
    key = np.where(known_key, asked, 0)
    start = np.where(known_key, series.starts[key], 0)
    end = np.where(known_key, series.starts[np.minimum(key + 1, len(series.starts) - 1)], 0)
    low = search(series.times, start, end, first, side="left")
    high = search(series.times, start, end, last, side="right")
    if series.known is None or series.arrived is None:
        nothing = np.empty(0, dtype=np.int64)
        return Ranges(low, high, nothing, nothing)
    # Up to `middle` everything has arrived by as_of; beyond it, each event is asked.
    middle = search(series.known, low, high, as_of, side="right")
    questions, positions = pairs(middle, high)
    arrived = series.arrived[positions] <= as_of[questions]
    return Ranges(low, middle, questions[arrived], positions[arrived])


def _sum(data: Array, kind: ColumnType, ranges: Ranges, counts: Integers) -> Array:
    if kind.dtype.kind == "i":
        totals, _ = range_totals(data.astype(np.int64), ranges.sums, len(counts))
        if totals and (max(totals) > _INT64.max or min(totals) < _INT64.min):
            raise WindowError("a sum of integers lies beyond int64; declare the column Float64")
        return np.array(totals, dtype=np.int64)
    return _floats(data, ranges, np.ones(len(counts), dtype=np.int64))


def _mean(data: Array, kind: ColumnType, ranges: Ranges, counts: Integers) -> Array:
    if kind.dtype.kind == "i":
        totals, _ = range_totals(data.astype(np.int64), ranges.sums, len(counts))
        pairs_ = zip(totals, np.maximum(counts, 1).tolist(), strict=True)
        return np.array([total / count for total, count in pairs_], dtype=np.float64)
    return _floats(data, ranges, np.maximum(counts, 1))


def _floats(data: Array, ranges: Ranges, divisors: Integers) -> Array:
    data = data.astype(np.float64)
    infinite = np.isinf(data)
    totals, exponent = range_totals(np.where(infinite, 0.0, data), ranges.sums, len(divisors))
    found = [rounded(total, exponent, count) for total, count in zip(totals, divisors.tolist(), strict=True)]
    if not infinite.any():
        return np.array(found, dtype=np.float64)
    positive = ranges.sums((infinite & (data > 0)).astype(np.int64)).tolist()
    negative = ranges.sums((infinite & (data < 0)).astype(np.int64)).tolist()
    return np.array([with_infinities(*parts) for parts in zip(found, positive, negative, strict=True)])


def _extreme(*, greatest: bool) -> Callable[[Array, ColumnType, Ranges, Integers], Array]:
    def reduce(data: Array, kind: ColumnType, ranges: Ranges, counts: Integers) -> Array:
        codes = _codes(Column(data), kind)
        values = np.empty(int(codes.max()) + 1, dtype=data.dtype)
        values[codes] = data
        found = ranges.extremes(codes, greatest=greatest)
        return np.asarray(values[np.where(counts > 0, found, 0)])

    return reduce


def _distinct(data: Array, kind: ColumnType, ranges: Ranges, _: Integers) -> Array:
    # 0.0 and -0.0 are one value, as they compare.
    return ranges.distinct(_codes(Column(data + 0.0 if kind.dtype.kind == "f" else data), kind))


def _at(positions: Callable[[Ranges], Integers]) -> Callable[[Array, ColumnType, Ranges, Integers], Array]:
    def reduce(data: Array, _: ColumnType, ranges: Ranges, counts: Integers) -> Array:
        return np.asarray(data[np.where(counts > 0, positions(ranges), 0)])

    return reduce


_REDUCERS: Final[Mapping[str, Callable[[Array, ColumnType, Ranges, Integers], Array]]] = {
    "sum": _sum,
    "mean": _mean,
    "min": _extreme(greatest=False),
    "max": _extreme(greatest=True),
    "count_distinct": _distinct,
    "first": _at(Ranges.firsts),
    "last": _at(Ranges.lasts),
}
