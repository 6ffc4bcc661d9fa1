"""Windowed aggregates on history, for training: each entity row gets what its window held at its own time.

All events are sorted once by key and event time. A window is then a range of positions, found by binary search, and
its aggregates are differences of running sums, sparse tables and a wavelet matrix: the cost does not grow with the
length of the windows. Windows of one column are reduced together, in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skew_ext.transform.types import Column, ColumnType, null_of
from skew_ext.windows.definition import Definition, WindowedAggregate
from skew_ext.windows.errors import WindowError
from skew_ext.windows.exact import range_totals, rounded, with_infinities
from skew_ext.windows.ordering import History
from skew_ext.windows.ranges import Integers, Ranges
from skew_ext.windows.reading import Flags, Rows
from skew_ext.windows.timeline import ColumnHistory

Array = npt.NDArray[Any]
_INT64: Final = np.iinfo(np.int64)
_TOTAL: Final = "total"
_FAMILIES: Final = {"sum": _TOTAL, "mean": _TOTAL}


def aggregate(definition: Definition, events: Rows, entities: Rows) -> dict[str, Column]:
    """Give each aggregate of each entity row."""
    history = History(definition, events, entities)
    found: dict[str, Column] = {}
    for (name, family), group in _groups(definition).items():
        ordered = family in ("first", "last")
        shapes = list({each.shape: each for each in group}.values())
        ranges = Ranges.joined([history.ranges(name, shape, ordered=ordered) for shape in shapes])
        counts = ranges.counts()
        if name is None or family == "count":
            values: Mapping[str, Array] = {family: counts}
        else:
            column = history.column(name, ordered=ordered)
            values = _reduced(family, {each.function for each in group}, column, ranges, counts)
        for each in group:
            place = [shape.shape for shape in shapes].index(each.shape)
            rows = slice(place * len(entities.times), (place + 1) * len(entities.times))
            kind = definition.output_types[each.name]
            found[each.name] = _emptied(each, kind, values[each.function][rows], counts[rows] == 0)
    return {each.name: found[each.name] for each in definition.aggregates}


def _groups(definition: Definition) -> dict[tuple[str | None, str], list[WindowedAggregate]]:
    groups: dict[tuple[str | None, str], list[WindowedAggregate]] = {}
    for each in definition.aggregates:
        groups.setdefault((each.column, _FAMILIES.get(each.function, each.function)), []).append(each)
    return groups


def _emptied(each: WindowedAggregate, kind: ColumnType, values: Array, empty: Flags) -> Column:
    filled = np.full(len(values), kind.dtype.type(0) if each.empty_is_zero else null_of(kind), dtype=kind.dtype)
    filled[~empty] = values[~empty]
    return Column(filled, empty if not each.empty_is_zero and not kind.own_null and empty.any() else None)


def _reduced(
    family: str, functions: Iterable[str], column: ColumnHistory, ranges: Ranges, counts: Integers
) -> Mapping[str, Array]:
    column, ranges = column.narrowed(ranges)
    if not len(column.data):
        return dict.fromkeys(functions, np.zeros(len(counts), dtype=column.kind.dtype))
    if family == _TOTAL:
        return _totals(functions, column, ranges, counts)
    return {family: _REDUCERS[family](column, ranges, counts)}


def _totals(functions: Iterable[str], column: ColumnHistory, ranges: Ranges, counts: Integers) -> Mapping[str, Array]:
    """Give sums and means from the same exact totals."""
    if column.kind.dtype.kind == "i":
        totals, exponent = range_totals(column.data.astype(np.int64), ranges.sums, len(counts))
        return {
            name: _integer_sums(totals) if name == "sum" else _means(totals, exponent, counts) for name in functions
        }
    data = column.data.astype(np.float64)
    infinite = np.isinf(data)
    totals, exponent = range_totals(np.where(infinite, 0.0, data), ranges.sums, len(counts))
    made = {
        name: _means(totals, exponent, counts if name == "mean" else np.ones(len(counts), dtype=np.int64))
        for name in functions
    }
    if not infinite.any():
        return made
    positive = ranges.sums((infinite & (data > 0)).astype(np.int64)).tolist()
    negative = ranges.sums((infinite & (data < 0)).astype(np.int64)).tolist()
    return {
        name: np.array([with_infinities(*parts) for parts in zip(values, positive, negative, strict=True)])
        for name, values in made.items()
    }


def _means(totals: Iterable[int], exponent: int, counts: Integers) -> Array:
    divisors = np.maximum(counts, 1).tolist()
    return np.array([rounded(total, exponent, count) for total, count in zip(totals, divisors, strict=True)])


def _integer_sums(totals: Iterable[int]) -> Array:
    if max(totals, default=0) > _INT64.max or min(totals, default=0) < _INT64.min:
        raise WindowError("a sum of integers lies beyond int64; declare the column Float64")
    return np.array(totals, dtype=np.int64)


def _extreme(*, greatest: bool) -> Callable[[ColumnHistory, Ranges, Integers], Array]:
    def reduce(column: ColumnHistory, ranges: Ranges, counts: Integers) -> Array:
        values = np.empty(int(column.codes.max()) + 1, dtype=column.data.dtype)
        values[column.codes] = column.data
        found = ranges.extremes(column.codes, greatest=greatest)
        return np.asarray(values[np.where(counts > 0, found, 0)])

    return reduce


def _at(positions: Callable[[Ranges], Integers]) -> Callable[[ColumnHistory, Ranges, Integers], Array]:
    def reduce(column: ColumnHistory, ranges: Ranges, counts: Integers) -> Array:
        return np.asarray(column.data[np.where(counts > 0, positions(ranges), 0)])

    return reduce


_REDUCERS: Final[Mapping[str, Callable[[ColumnHistory, Ranges, Integers], Array]]] = {
    "min": _extreme(greatest=False),
    "max": _extreme(greatest=True),
    "count_distinct": lambda column, ranges, _: ranges.distinct(column.equal_codes),
    "first": _at(Ranges.firsts),
    "last": _at(Ranges.lasts),
}
