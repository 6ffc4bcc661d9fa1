"""Large columns of few different numbers: each of them once, with how often it is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.statistics.arrays import Counts, Numbers, NumericColumn, Rising, apart, whole_numbers
from skew_ext.statistics.gaps import Gaps

ENOUGH = 1 << 17
"""Columns of fewer values are sorted."""
WIDEST = 1 << 17
"""Whole numbers are counted up to so wide a range."""
FEW = 1 << 8
"""Other numbers where a sample has no more different ones."""
_SAMPLE = 1 << 10
_AT_ONCE = 1 << 18


@dataclass(frozen=True, eq=False)
class CountedColumn(Rising):
    """A column's different values, rising, infinities included, NaN not; and how often each is there."""

    values: Numbers
    counts: Counts
    nulls: int
    nans: int

    @classmethod
    def of(cls, values: Numbers, nulls: int) -> CountedColumn | None:
        """Count values; None where they are few, or too many of them differ."""
        counted = _counted(values) if len(values) >= ENOUGH else None
        if counted is None:
            return None
        distinct, counts = counted
        there = ~np.isnan(distinct) & (counts > 0)
        return cls(distinct[there], counts[there], nulls, int(counts[np.isnan(distinct)].sum()))

    @cached_property
    def _upto(self) -> Counts:
        return np.append(0, np.cumsum(self.counts))

    @cached_property
    def _finite(self) -> slice:
        if self.values.dtype != np.float64:
            return slice(0, len(self.values))
        ends = np.searchsorted(self.values, [-np.inf, np.inf], side="right")
        return slice(int(ends[0]), int(np.searchsorted(self.values, np.inf)))

    def __len__(self) -> int:
        return int(self._upto[-1])

    @property
    def size(self) -> int:
        """How many values are finite."""
        return int(self.counts[self._finite].sum())

    @property
    def constant(self) -> bool:
        """Whether all values are one and the same."""
        return self.low == self.high and self.nans == 0  # 0.0 and -0.0 may stand side by side

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(self.values)

    @property
    def looks_whole(self) -> bool:
        """Whether the values are whole numbers."""
        return whole_numbers(self.values[self._finite])

    def at(self, ranks: Counts) -> Numbers:
        """Give the finite values that would stand at these places, were all in order."""
        upto = np.cumsum(self.counts[self._finite])
        found: Numbers = self.values[self._finite][np.searchsorted(upto, ranks, side="right")]
        return found

    def upto(self, edges: Numbers) -> Counts:
        """Count the values at or below each edge."""
        found: Counts = self._upto[np.searchsorted(self.values, edges, side="right")]
        return found

    def moments(self) -> tuple[float, float]:
        """Give the mean of the finite values, and the sum of squared deviations from it; (0, 0) of none."""
        values, counts = self.values[self._finite].astype(np.float64), self.counts[self._finite]
        if len(values) < 2:  # noqa: PLR2004 - a constant
            return (float(values[0]), 0.0) if len(values) else (0.0, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):  # sums near the largest double are honestly infinite
            mean = float(values @ counts) / self.size
            return mean, float((values - mean) ** 2 @ counts)

    def sorted(self) -> NumericColumn:
        """Give every value, in order."""
        return NumericColumn(np.repeat(self.values, self.counts), self.nulls, self.nans)


def counted_gaps(a: CountedColumn, b: CountedColumn) -> Gaps:
    """Compare two columns of one type, exactly; the area is of the finite values alone."""
    values = np.union1d(a.values, b.values)
    largest = int(np.abs(a.upto(values) * len(b) - b.upto(values) * len(a)).max(initial=0))
    n, m = a.size, b.size
    if not n or not m:
        return Gaps(largest, 0.0, 0.0)
    finite = values[np.isfinite(values)]
    below = [one.upto(np.array([-np.inf])) if one.dtype == np.float64 else 0 for one in (a, b)]
    gaps = np.abs((a.upto(finite) - below[0]) * m - (b.upto(finite) - below[1]) * n)
    with np.errstate(over="ignore", invalid="ignore"):
        area = float(gaps[:-1] @ apart(finite[1:], finite[:-1]))
    return Gaps(largest, math.inf if math.isnan(area) else area / n / m, 0.0)


def _counted(values: Numbers) -> tuple[Numbers, Counts] | None:
    """Give the different values, rising, and how often each is there; None where they are too many to be counted."""
    sample = values[:: len(values) // _SAMPLE + 1]
    if not whole_numbers(sample):
        return _tallied(values) if len(np.unique(sample)) <= FEW else None
    low, high = values.min(), values.max()
    if not float(high) - float(low) < WIDEST:
        return None
    counts = np.zeros(int(high - low) + 1, dtype=np.int64)
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        if not whole_numbers(some):
            return None
        counts += np.bincount((some - low).astype(np.int64, copy=False), minlength=len(counts))
    return np.arange(low, high + 1, dtype=values.dtype), counts


def _tallied(values: Numbers) -> tuple[Numbers, Counts]:
    tally = pc.value_counts(pa.array(values))
    distinct, counts = (np.asarray(tally.field(place)) for place in (0, 1))
    order = np.argsort(distinct)
    return distinct[order], counts[order].astype(np.int64)
