"""Cells that doubles fall in by their bits: in order from cell to cell, so that a large column need not be sorted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from skew_ext.statistics.arrays import Counts, Floats

Cells: TypeAlias = npt.NDArray[np.int32]
FEWEST, MOST, ROWS_OF_CELL = 1 << 15, 180_000, 12
"""So many cells, one for so many rows where that is between: more are longer to count in, fewer to look into."""
_SAMPLE = 1 << 12
_MAGNITUDE = np.int64(2**63 - 1)
_AT_ONCE = 1 << 15
"""Values whose cells are found at once: the processor's own cache holds all that is made of them."""
_COUNTED = 1 << 17
"""Values that are counted at once, at least: as many as there are cells."""


@dataclass(frozen=True)
class Grid:
    """A rising map of doubles to cells, from the bits of their magnitude: evenly cut within each power of two.

    Read as integers, positive doubles keep their order (IEEE 754, 5.10). What is below `least` on either side of 0 is
    in the middle cell, from there on each 2**`shift` neighbouring doubles have a cell, and all that is beyond the last
    is in it too. `centre` is about the mean.
    """

    least: int
    shift: int
    above: int
    """Cells above the middle one."""
    below: int
    """And below: as many, or none where nothing is below 0."""
    centre: float

    @classmethod
    def over(cls, *columns: Floats, low: float) -> Grid:
        """Lay a grid over the bulk of some columns, as a sample of them tells; nothing in them is below `low`."""
        sample = np.concatenate([one[:: len(one) // _SAMPLE + 1] for one in columns])
        magnitudes = np.sort(np.abs(sample[sample != 0.0])) if sample.any() else np.ones(1)
        ends = magnitudes[[len(magnitudes) // 1000, -1 - len(magnitudes) // 1000]].view(np.int64)
        least, most = int(ends[0]), int(ends[1])
        cells = min(max(min(map(len, columns)) // ROWS_OF_CELL, FEWEST), MOST)
        room = cells // 2 - 2 if low < 0.0 else cells - 2
        shift = max((most - least).bit_length() - room.bit_length(), 0)
        while (most - least) >> shift >= room:
            shift += 1
        arm = ((most - least) >> shift) + 1
        return cls(least, shift, arm, arm if low < 0.0 else 0, float(sample.mean()))

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.below + 1 + self.above

    def of(self, values: Floats, out: Counts | None = None) -> Counts:
        """Give each value's cell."""
        bits = values.view(np.int64)
        placed: Counts = np.bitwise_and(bits, _MAGNITUDE, out=out)
        placed -= self.least - (1 << self.shift)
        np.clip(placed, 0, self.above << self.shift, out=placed)
        placed >>= self.shift
        if self.below:
            sign = bits >> 63
            placed ^= sign
            placed -= sign
            placed += self.below
        elif len(values) and values.min() < 0.0:  # an edge: no value is
            placed[values < 0.0] = 0
        return placed

    @cached_property
    def ends(self) -> Floats:
        """The upper end of each cell but the last: nothing of it is above, and nothing of the next one below."""
        upper = (self.least + (np.arange(self.above, dtype=np.int64) << self.shift)).view(np.float64)
        return np.concatenate([-upper[: self.below][::-1], upper])


def located(grid: Grid, values: Floats) -> tuple[Cells, Counts, Floats, float]:
    """Give each value's cell; each cell's count, and the sum of its values less the centre; and the sum of squares."""
    placed = np.empty(len(values), dtype=np.int32)
    counts, sums, squares = np.zeros(grid.cells, dtype=np.int64), np.zeros(grid.cells), 0.0
    counted = max(_COUNTED, grid.cells)
    cells, centred = np.empty(counted, dtype=np.int64), np.empty(counted)
    for start in range(0, len(values), counted):
        some = values[start : start + counted]
        for at in range(0, len(some), _AT_ONCE):
            few = slice(at, min(at + _AT_ONCE, len(some)))
            placed[start + at : start + few.stop] = grid.of(some[few], out=cells[few])
            np.subtract(some[few], grid.centre, out=centred[few])
            squares += float(np.einsum("i,i->", centred[few], centred[few]))
        counts += np.bincount(cells[: len(some)], minlength=grid.cells)
        sums += np.bincount(cells[: len(some)], weights=centred[: len(some)], minlength=grid.cells)
    return placed, counts, sums, squares
