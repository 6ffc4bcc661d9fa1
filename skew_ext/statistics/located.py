"""Large columns of doubles that are located in cells and not sorted: what their order tells, in linear time.

Counts and sums of cells tell most of it. Only cells that may hold what is asked for (a quantile, an edge, the largest
gap) are looked into, and only their values are sorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skew_ext.statistics.arrays import Counts, Floats, Numbers
from skew_ext.statistics.gaps import Gaps
from skew_ext.statistics.grid import Cells, Grid, located

ENOUGH = 200_000
"""Columns of fewer values are sorted."""
LARGEST = 1e150
"""Where the largest is beyond it, or below its inverse, squares are out of range, and values are sorted."""
HEAVY = 0.02
"""A value that so large a share of a column has is counted by itself."""
LOOKED_INTO = 0.02
"""So large a share of the rows is looked into for the area's sake."""
_SAMPLE = 1 << 10
_AT_ONCE = 1 << 16
"""Values that are worked on at once: the processor's cache holds them."""
Flags = npt.NDArray[np.bool_]


class LookedInto(NamedTuple):
    """Values of some cells, rising; how often each is there; how many are at or below it; how many before each cell."""

    wanted: Flags
    values: Floats
    counts: Counts
    upto: Counts
    before: Counts


@dataclass(frozen=True, eq=False)
class LocatedColumn:
    """A column's values, all finite, in no order, each with its cell."""

    grid: Grid
    values: Floats
    cells: Cells
    counts: Counts
    sums: Floats
    """Of each cell's values less the grid's centre."""
    squares: float
    low: float
    high: float
    heavy: dict[float, int]
    """Values that are there many times, and how often."""
    nulls: int
    nans: int
    _seen: list[LookedInto] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def size(self) -> int:
        """How many values are finite: all."""
        return len(self.values)

    @property
    def dtype(self) -> npt.DTypeLike:
        """The type of the values."""
        return self.values.dtype

    @property
    def constant(self) -> bool:
        """Whether all values are one and the same."""
        return self.low == self.high and self.nans == 0

    @property
    def looks_whole(self) -> bool:
        """Whether the values are whole numbers, as a sample tells."""
        return bool(np.all(self.values[:: len(self.values) // _SAMPLE + 1] % 1 == 0))

    @cached_property
    def before(self) -> Counts:
        """How many values are in the cells before each cell."""
        return np.cumsum(self.counts) - self.counts

    def flags_at(self, edges: Sequence[float]) -> Flags:
        """Flag the cells that these edges are in."""
        flags = np.zeros(self.grid.cells, dtype=np.bool_)
        flags[self.grid.of(np.asarray(edges, dtype=np.float64))] = True
        return flags

    def look_into(self, wanted: Flags) -> LookedInto:
        """Find the values of some cells, all at once: what is asked of them then is quickly answered."""
        values, counts = self.taken(wanted)
        within = np.where(wanted, self.counts, 0)
        self._seen.append(LookedInto(wanted, values, counts, np.cumsum(counts), np.cumsum(within) - within))
        return self._seen[-1]

    def taken(self, wanted: Flags) -> tuple[Floats, Counts]:
        """Give the values of some cells, rising, and how often each is there: once, save those of the heavy ones."""
        there = [value for value in self.heavy if wanted[self.grid.of(np.array([value]))[0]]]
        taken = []
        for start in range(0, len(self.values), _AT_ONCE):
            some = self.values[start : start + _AT_ONCE]
            mask = wanted.take(self.cells[start : start + _AT_ONCE])
            for value in there:
                mask &= some != value
            taken.append(some.compress(mask))
        found = np.concatenate(taken)
        found.sort()
        places = np.searchsorted(found, there)
        counts = np.ones(len(found), dtype=np.int64)
        return np.insert(found, places, there), np.insert(counts, places, [self.heavy[value] for value in there])

    def at(self, ranks: Counts) -> Numbers:
        """Give the values that would stand at these places, were all in order."""
        cells = np.searchsorted(self.before + self.counts, ranks, side="right")
        seen = self._looked_into(cells)
        within = ranks - self.before[cells] + seen.before[cells]
        found: Floats = seen.values[np.searchsorted(seen.upto, within, side="right")]
        return found

    def upto(self, edges: Numbers) -> Counts:
        """Count the values at or below each edge."""
        cells = self.grid.of(np.asarray(edges, dtype=np.float64))
        seen = self._looked_into(cells)
        upto = np.append(0, seen.upto)[np.searchsorted(seen.values, edges, side="right")]
        return np.asarray(self.before[cells] - seen.before[cells] + upto, dtype=np.int64)

    def moments(self) -> tuple[float, float]:
        """Give the mean, and the sum of squared deviations from it."""
        if self.low == self.high:
            return self.low, 0.0
        total = float(self.sums.sum())
        return self.grid.centre + total / self.size, max(self.squares - total * total / self.size, 0.0)

    def _looked_into(self, cells: Counts) -> LookedInto:
        """Look into some cells, or give what was seen where they have been looked into before."""
        for seen in self._seen:
            if seen.wanted[cells].all():
                return seen
        wanted = np.zeros(self.grid.cells, dtype=np.bool_)
        wanted[cells] = True
        return self.look_into(wanted)


def located_pair(
    a: tuple[Numbers, int], b: tuple[Numbers, int], at_once: Callable[..., Iterable[LocatedColumn]] = map
) -> tuple[LocatedColumn, LocatedColumn] | None:
    """Locate two columns, each its values and how many are null, on one grid; None where sorting them is better.

    That is where either is small, or not of doubles, or has values that are infinite or nearly so. `at_once` may be
    the `map` of a pool, for both at a time.
    """
    sides = [side for side in map(_finite, (a[0], b[0])) if side is not None]
    if len(sides) < 2:  # noqa: PLR2004 - a pair
        return None
    grid = Grid.over(*(values for values, _, _ in sides), low=min(low for _, low, _ in sides))
    heavy = _heavy([values for values, _, _ in sides])
    absent = [(nulls, len(read) - len(values)) for (read, nulls), (values, _, _) in zip((a, b), sides, strict=True)]
    first, second = at_once(partial(_located, grid, heavy), sides, absent)
    return first, second


def _located(
    grid: Grid, heavy: Sequence[float], side: tuple[Floats, float, float], absent: tuple[int, int]
) -> LocatedColumn:
    (values, low, high), (nulls, nans) = side, absent
    cells, counts, sums, squares = located(grid, values)
    many = {value: int(np.count_nonzero(values == value)) for value in heavy}
    return LocatedColumn(grid, values, cells, counts, sums, squares, low, high, many, nulls, nans)


def _finite(values: Numbers) -> tuple[Floats, float, float] | None:
    """Give the values but for NaN, and their range."""
    if len(values) < ENOUGH or values.dtype != np.float64:
        return None
    low, high = float(values.min()), float(values.max())
    if math.isnan(low):
        return _finite(values[~np.isnan(values)])
    largest = max(-low, high)
    return (values, low, high) if largest == 0.0 or 1 / LARGEST < largest < LARGEST else None


def _heavy(columns: list[Floats]) -> list[float]:
    """Give the values that repeat in a sample of either column."""
    found: set[float] = set()
    for values in columns:
        distinct, counts = np.unique(values[:: len(values) // _SAMPLE + 1], return_counts=True)
        found |= set(distinct[counts >= HEAVY * counts.sum()].tolist())
    return sorted(found)


def located_gaps(a: LocatedColumn, b: LocatedColumn, edges: Sequence[float] = ()) -> Gaps:
    """Compare two columns on one grid, over all values.

    At a cell's ends the gap is known. Within, it can grow by no more than the rows that a side has there: cells that
    may so hold a larger gap are looked into. The area is exact in a cell where the gap keeps its sign, since there it
    is linear in the values, and so their sum tells it. Where the sign may change it lies between two bounds: cells
    where these are farthest apart are looked into; in the others the lower is taken, as the sign seldom changes.
    The values about `edges`, which will be asked for, are found on the way.
    """
    n, m = len(a), len(b)
    if n == m and np.array_equal(a.values, b.values):
        return Gaps(0, 0.0, 0.0)
    marked = a.flags_at(edges)
    kept = np.flatnonzero((a.counts > 0) | (b.counts > 0))
    in_a, in_b = a.counts[kept], b.counts[kept]
    start = a.before[kept] * m - b.before[kept] * n
    up, down = start + in_a * m, start - in_b * n
    end = up + down - start
    bounds = _bounds(a, b, kept)
    ends, widths = bounds[1:] - a.grid.centre, np.diff(bounds)
    signed = start * widths + (in_a * ends - a.sums[kept]) * m - (in_b * ends - b.sums[kept]) * n
    # The areas above and below 0 differ by `signed`; neither is larger than the gap's own bound makes it.
    most = np.minimum(signed - 2 * np.minimum(down, 0) * widths, 2 * np.maximum(up, 0) * widths - signed)
    error = np.where((up > 0) & (down < 0), np.maximum(most - np.abs(signed), 0.0), 0.0)
    inside = np.maximum(np.abs(up), np.abs(down)) > np.abs(end).max()
    inside |= _worth(error, (in_a + in_b) - _heavy_rows(a, b)[kept], n + m)
    marked[kept[inside]] = True
    flags, seen = marked[kept], (a.look_into(marked), b.look_into(marked))
    largest, area = _followed(seen, (n, m), (start[flags], end[flags]), (bounds[:-1][flags], bounds[1:][flags]))
    area += float(np.abs(signed)[~flags].sum())
    return Gaps(max(largest, int(np.abs(end).max())), area / n / m, float(error[~flags].sum()) / n / m)


def _worth(error: Floats, rows: Counts, of: int) -> Flags:
    """Flag the cells with the largest errors that together have but a few of the rows."""
    order = np.argsort(-error, kind="stable")
    flags = np.zeros(len(error), dtype=np.bool_)
    flags[order] = (np.cumsum(rows[order]) <= LOOKED_INTO * of) & (error[order] > 0.0)
    return flags


def _heavy_rows(a: LocatedColumn, b: LocatedColumn) -> Counts:
    """Give how many rows of each cell have a heavy value."""
    rows = np.zeros(a.grid.cells, dtype=np.int64)
    for one in (a, b):
        np.add.at(rows, one.grid.of(np.array(list(one.heavy), dtype=np.float64)), list(one.heavy.values()))
    return rows


def _bounds(a: LocatedColumn, b: LocatedColumn, kept: Counts) -> Floats:
    """Give the lowest value, and where each occupied cell ends."""
    high = max(a.high, b.high)
    ends = np.append(a.grid.ends, high)[kept]
    ends[-1] = high
    return np.append(min(a.low, b.low), ends)


def _followed(
    seen: tuple[LookedInto, LookedInto],
    sizes: tuple[int, int],
    gaps: tuple[Counts, Counts],
    bounds: tuple[Floats, Floats],
) -> tuple[int, float]:
    """Follow the gap from value to value through some cells, each from its start to its end; between them it is 0."""
    a, b = seen
    values = np.concatenate([bounds[0], a.values, b.values, bounds[1]])
    steps = np.concatenate([gaps[0], a.counts * sizes[1], -b.counts * sizes[0], -gaps[1]])
    order = np.argsort(values, kind="stable")  # rising runs are merged in linear time
    gap, widths = np.abs(np.cumsum(steps[order]))[:-1], np.diff(values[order])
    return int(gap[widths > 0.0].max(initial=0)), float(np.einsum("i,i->", gap, widths))
