"""The events of one column along their keys and times: what a window is a range of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from skew_ext.transform.types import Column, ColumnType
from skew_ext.windows.definition import WindowedAggregate
from skew_ext.windows.ranges import Integers, Ranges, pairs, search
from skew_ext.windows.reading import absent

Array = npt.NDArray[Any]
_INT64: Final = np.iinfo(np.int64)


@dataclass(frozen=True)
class Timeline:
    """When events were, by key and event time; key n has the positions [starts[n], starts[n + 1]).

    `arrived` is when each came to be known, and `known` the latest arrival of its key up to there; None where events
    count from their event time on.
    """

    starts: Integers
    times: Integers
    arrived: Integers | None
    known: Integers | None
    _found: dict[object, Ranges] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, keys: Integers, times: Integers, arrived: Integers | None) -> Timeline:
        """Give the timeline of events in order of key and time."""
        starts = np.searchsorted(keys, np.arange(int(keys[-1]) + 2 if len(keys) else 1))
        return cls(starts, times, arrived, None if arrived is None else _running_latest(arrived, keys))

    def ranges(self, shape: WindowedAggregate, asked: Integers, as_of: Integers) -> Ranges:
        """Give the range of each window of `shape`, of key `asked` at `as_of`, which are one history's own."""
        if shape.shape not in self._found:
            self._found[shape.shape] = self._ranges(shape, asked, as_of)
        return self._found[shape.shape]

    def _ranges(self, shape: WindowedAggregate, asked: Integers, as_of: Integers) -> Ranges:
        first, last = shape.bounds(as_of)
        there = asked < len(self.starts) - 1
        key = np.where(there, asked, 0)
        start = np.where(there, self.starts[key], 0)
        end = np.where(there, self.starts[np.minimum(key + 1, len(self.starts) - 1)], 0)
        low = search(self.times, start, end, first, side="left")
        high = search(self.times, low, end, last, side="right")
        if self.known is None or self.arrived is None:
            nothing = np.empty(0, dtype=np.int64)
            return Ranges(low, high, nothing, nothing)
        # Up to `middle` everything has arrived by as_of; beyond it, each event is asked.
        middle = search(self.known, low, high, as_of, side="right")
        questions, positions = pairs(middle, high)
        arrived = self.arrived[positions] <= as_of[questions]
        return Ranges(low, middle, questions[arrived], positions[arrived])


def _running_latest(arrived: Integers, keys: Integers) -> Integers:
    # The maximum must not run over from key to key: ranked, key and time become one rising integer.
    distinct, ranks = np.unique(arrived, return_inverse=True)
    width = len(distinct) + 1
    latest = np.maximum.accumulate(keys * width + ranks) - keys * width
    return distinct[latest] if len(latest) else arrived


@dataclass(frozen=True)
class ColumnHistory:
    """The values of one column that are not null, in the order of their timeline."""

    kind: ColumnType
    data: Array

    @cached_property
    def codes(self) -> Integers:
        """Give the values as integers in their order."""
        return codes_of(Column(self.data), self.kind)

    @cached_property
    def equal_codes(self) -> Integers:
        """Give the values as integers that are equal where the values are: 0.0 and -0.0 are one."""
        negative_zero = self.kind.dtype.kind == "f" and bool(np.any(np.signbit(self.data) & (self.data == 0)))
        return codes_of(Column(self.data + 0.0), self.kind) if negative_zero else self.codes

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
        return ColumnHistory(self.kind, self.data[held]), fewer


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
