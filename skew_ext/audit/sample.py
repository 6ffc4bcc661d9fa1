"""An even sample of rows that come part by part: which rows are in it depends on their numbers alone, not on the parts.

A row is kept while the hash of its number is below a limit, and the limit goes down by a tenth whenever more rows than
are wanted would be kept. So memory is bounded whatever comes, all columns of a row are kept or none (what is compared
is of the same rows), and the same rows give the same sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
_ALL = 1 << 64


class EvenSample:
    """At most `most` rows (all, where there are no more), in the order in which they came, numbered from `first`."""

    def __init__(self, most: int, first: int = 0) -> None:
        self.seen = 0
        self._first = first
        self._most = most
        self._limit = _ALL
        self._kept: list[tuple[Hashes, pa.Table]] = []

    @property
    def tables(self) -> list[pa.Table]:
        """The sample as it came, in parts, each with the columns that it had."""
        return [table for _, table in self._kept]

    @property
    def rows(self) -> int:
        """How many rows are in it."""
        return sum(table.num_rows for _, table in self._kept)

    def add(self, table: pa.Table) -> None:
        """Take the next rows."""
        begin = self._first + self.seen
        hashes = hashed(np.arange(begin, begin + table.num_rows, dtype=np.uint64))
        self.seen += table.num_rows
        self._kept.append(_below(self._limit, hashes, table))
        self._shrink()

    def merge(self, other: EvenSample) -> None:
        """Take the sample of other rows; both began at numbers of their own (`first`)."""
        self.seen += other.seen
        self._limit = min(self._limit, other._limit)
        self._kept = [_below(self._limit, *one) for one in (*self._kept, *other._kept)]
        self._shrink()

    def _shrink(self) -> None:
        limit = self._limit
        while self._kept_below(limit) > self._most:
            limit = limit * 9 // 10
        if limit != self._limit:  # the rows are copied once, however far the limit goes down
            self._limit = limit
            self._kept = [_below(limit, *one) for one in self._kept]

    def _kept_below(self, limit: int) -> int:
        if limit == _ALL:
            return self.rows
        return sum(int(np.count_nonzero(hashes < np.uint64(limit))) for hashes, _ in self._kept)


def _below(limit: int, hashes: Hashes, table: pa.Table) -> tuple[Hashes, pa.Table]:
    if limit == _ALL:
        return hashes, table
    kept = hashes < np.uint64(limit)
    return hashes[kept], table.filter(pa.array(kept))


def hashed(numbers: Hashes) -> Hashes:
    """Spread numbers evenly over 64 bits: SplitMix64 (Steele, Lea & Flood, "Fast Splittable PRNGs", 2014)."""
    with np.errstate(over="ignore"):
        mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        spread: Hashes = mixed ^ (mixed >> np.uint64(31))
        return spread
