"""Reductions over many ranges [low, high) of one array at once, each in little more than a pass over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


class Ranges(NamedTuple):
    """Ranges [low, high) of positions, one for each question, and single positions besides.

    `positions` and `questions` pair each further position with the question that it belongs to; none of them lies in
    that question's range.
    """

    low: Integers
    high: Integers
    questions: Integers
    positions: Integers

    @classmethod
    def joined(cls, parts: Sequence[Ranges]) -> Ranges:
        """Give the questions of all parts as one, part after part."""
        offsets = np.cumsum([0, *(len(part.low) for part in parts[:-1])])
        questions = [part.questions + offset for part, offset in zip(parts, offsets, strict=True)]
        return cls(
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.high for part in parts]),
            np.concatenate(questions),
            np.concatenate([part.positions for part in parts]),
        )

    def sums(self, values: Integers) -> Integers:
        """Give the sum of `values` over each range: exact while running sums fit int64."""
        running = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(values, out=running[1:])
        totals = running[self.high] - running[self.low]
        np.add.at(totals, self.questions, values[self.positions])
        return totals

    def counts(self) -> Integers:
        """Give how many positions each question has."""
        return self.high - self.low + np.bincount(self.questions, minlength=len(self.low))

    def firsts(self) -> Integers:
        """Give the first position of each question; any where it has none."""
        found = np.where(self.low < self.high, self.low, np.iinfo(np.int64).max)
        np.minimum.at(found, self.questions, self.positions)
        return found

    def lasts(self) -> Integers:
        """Give the last position of each question; any where it has none."""
        found = np.where(self.low < self.high, self.high - 1, -1)
        np.maximum.at(found, self.questions, self.positions)
        return found

    def extremes(self, ranks: Integers, *, greatest: bool) -> Integers:
        """Give the least or the greatest of `ranks` (not negative) over each question; any where it has none."""
        signed = -ranks if greatest else ranks
        found = _minima(signed, self.low, self.high)
        np.minimum.at(found, self.questions, signed[self.positions])
        return -found if greatest else found

    def distinct(self, codes: Integers) -> Integers:
        """Give how many distinct `codes` each question has."""
        # A value is counted where it stands first: where its previous position lies before the range.
        previous = _previous(codes)
        counts = _count_below(previous + 1, self.high, self.low + 1) - self.low
        fresh = self._fresh(codes)
        return counts + np.bincount(self.questions[fresh], minlength=len(self.low))

    def _fresh(self, codes: Integers) -> Integers:
        """Give the single positions whose code their question has neither in its range nor at another of them."""
        if not len(self.positions):
            return self.positions
        own = codes[self.positions]
        _, first = np.unique(self.questions * (own.max() + 1) + own, return_index=True)
        by_code = np.lexsort((np.arange(len(codes)), codes))
        width = len(codes) + 1
        places = codes[by_code] * width + by_code
        before = np.searchsorted(places, own[first] * width + self.high[self.questions[first]], side="left") - 1
        nearest = np.where(before >= 0, by_code[before], -1)
        inside = (before >= 0) & (codes[nearest] == own[first]) & (nearest >= self.low[self.questions[first]])
        return np.asarray(first[~inside], dtype=np.int64)


def _minima(values: Integers, low: Integers, high: Integers) -> Integers:
    """Give the minimum over each range by doubling widths (a sparse table, of which one row at a time is held)."""
    lengths = high - low
    found = np.full(len(low), np.iinfo(np.int64).max)
    power = np.frexp(lengths.astype(np.float64))[1] - 1
    row, width = values, 1
    for step in range(int(power[lengths > 0].max(initial=-1)) + 1):
        chosen = np.flatnonzero((power == step) & (lengths > 0))
        found[chosen] = np.minimum(row[low[chosen]], row[high[chosen] - width])
        row, width = np.minimum(row[:-width], row[width:]), width * 2
    return found


def _previous(codes: Integers) -> Integers:
    """Give, for each position, the one before it with the same code; -1 if there is none."""
    order = np.argsort(codes, kind="stable")
    previous = np.full(len(codes), -1, dtype=np.int64)
    same = codes[order[1:]] == codes[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def _count_below(values: Integers, end: Integers, limit: Integers) -> Integers:
    """Give how many of values[:end] are below `limit`, for many (end, limit), by a wavelet matrix.

    Claude, Navarro and Ordonez, "The wavelet matrix" (2015): the values are split bit by bit from the highest, and
    each question follows its limit's bits. `values` and `limit` lie in [0, len(values)].
    """
    start, end = np.zeros(len(end), dtype=np.int64), end.copy()
    counts = np.zeros(len(end), dtype=np.int64)
    for bit in reversed(range(int(len(values) + 1).bit_length())):
        zero = (values >> bit) & 1 == 0
        zeros = np.concatenate(([0], np.cumsum(zero)))
        up = (limit >> bit) & 1 == 1
        low, high = zeros[start], zeros[end]
        counts += np.where(up, high - low, 0)
        start = np.where(up, zeros[-1] + start - low, low)
        end = np.where(up, zeros[-1] + end - high, high)
        values = np.concatenate([values[zero], values[~zero]])
    return counts


def search(values: Array, low: Integers, high: Integers, wanted: Array, *, side: Literal["left", "right"]) -> Integers:
    """Give where `wanted` would stand within values[low:high], which rise: `numpy.searchsorted` on many slices."""
    low, high = low.copy(), high.copy()
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        here = values[np.where(open_, middle, 0)]
        further = open_ & (here < wanted if side == "left" else here <= wanted)
        low = np.where(further, middle + 1, low)
        high = np.where(open_ & ~further, middle, high)
    return low


def pairs(low: Integers, high: Integers) -> tuple[Integers, Integers]:
    """Give every position of every range [low, high): (question, position), in order."""
    lengths = np.maximum(high - low, 0)
    questions = np.repeat(np.arange(len(low)), lengths)
    offsets = np.cumsum(lengths) - lengths
    return questions, np.arange(len(questions)) - offsets[questions] + low[questions]
