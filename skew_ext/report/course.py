"""When the cells were served that differ, in words: since when, until when, or all through the window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skew_ext.audit.over_time import together
from skew_ext.model import OverTime
from skew_ext.report import words

FEWEST = 4
"""In fewer stretches of time with cells than this, nothing begins or ends that the first and last time do not tell."""
MOST_OF_THEM = 0.75
TIMES_THE_REST = 3.0
SURE = 10.0
"""How much likelier, as a logarithm, a stretch with a rate of its own must be than one rate for all."""
THROUGHOUT = 0.9
NEAR = 0.25
"""What was seen within the last quarter of a stretch, the window's last with cells, was still so at its end."""

_Counts = npt.NDArray[np.float64]


class Peak(NamedTuple):
    """The stretches `first` to `last` that hold most of the differing cells, with their share of them."""

    first: int
    last: int
    share: float


@dataclass(frozen=True, eq=False)
class Course:
    """Cells compared and cells that differ, in stretches of `step` from `start` on."""

    start: datetime
    step: timedelta
    compared: _Counts
    cells: _Counts

    @classmethod
    def of(cls, features: Iterable[OverTime | None], causes: Sequence[str]) -> Course | None:
        """Sum up the cells of some causes over features; None where none was counted."""
        counted = [one for one in features if one is not None]
        if not counted:
            return None
        whole = reduce(together, counted)
        total = np.zeros(len(whole.compared))
        for name in causes:
            total += np.asarray(whole.causes.get(name, 0), float)
        return cls(whole.start, timedelta(seconds=whole.step_seconds), np.asarray(whole.compared, float), total)

    @property
    def rates(self) -> _Counts:
        """The share of the compared cells that differ; 0 where none was compared."""
        return np.divide(self.cells, self.compared, out=np.zeros_like(self.cells), where=self.compared > 0)

    @cached_property
    def served(self) -> npt.NDArray[np.int64]:
        """The stretches in which cells were compared."""
        return np.flatnonzero(self.compared)

    @cached_property
    def peak(self) -> Peak | None:
        """The one run of stretches in which the rate was another than before and after; None without one.

        The run with the largest likelihood ratio against one rate for all: Kulldorff's scan statistic in one dimension
        ("A spatial scan statistic", Communications in Statistics, 1997), and what is next to it and has a raised rate.
        It must hold most of the cells at a multiple of the rate elsewhere.
        """
        if len(self.served) < FEWEST or not self.cells.any():
            return None
        compared, cells = self.compared[self.served], self.cells[self.served]
        first, last, gain = _scan(compared, cells)
        if gain < SURE:
            return None
        first, last = _widened(compared, cells, first, last)
        inside = slice(first, last + 1)
        share = float(cells[inside].sum() / cells.sum())
        rate, rest = float(cells[inside].sum() / compared[inside].sum()), _rest(compared, cells, first, last)
        if rest is None or share < MOST_OF_THEM or rate < TIMES_THE_REST * rest:
            return None
        return Peak(int(self.served[first]), int(self.served[last]), share)

    def when(self, since: datetime, until: datetime, end: datetime) -> str:
        """Say when, given the first and the last serving time of the cells in question, and the window's end."""
        if len(self.served) < FEWEST:
            return words.span(since, until)
        still = until >= min(self._edge(self.served[-1] + 1), end) - NEAR * self.step
        there = np.flatnonzero(self.cells)
        if since >= self._edge(there[0] + 1) or until < self._edge(there[-1]):
            # Of these cells only some are told of: those that are staler than the schedule.
            return _told(since, until, still=still)
        if self.peak is None:
            throughout = still and there[0] == self.served[0] and len(there) >= THROUGHOUT * len(self.served)
            return "all through the window" if throughout else words.span(since, until)
        first, last, share = self.peak
        most = f"{words.percent(share)} of them " if share < 1 else ""
        if first == self.served[0]:
            return f"{most}from the window's start until {words.minute(min(until, self._edge(last + 1)))}"
        still = still and last == self.served[-1]
        return most + _told(max(since, self._edge(first)), min(until, self._edge(last + 1)), still=still)

    def _edge(self, place: int | np.int64) -> datetime:
        return self.start + int(place) * self.step


def _told(since: datetime, until: datetime, *, still: bool) -> str:
    return f"since {words.minute(since)}, and still at the end" if still else words.span(since, until)


def _scan(compared: _Counts, cells: _Counts) -> tuple[int, int, float]:
    """Give the run with the largest logarithm of the likelihood ratio, of those with a raised rate."""
    ends_of = [np.concatenate([[0.0], np.cumsum(counts)]) for counts in (compared, cells)]
    inside, found = (ends[None, :] - ends[:, None] for ends in ends_of)
    outside, elsewhere = compared.sum() - inside, cells.sum() - found
    runs = np.triu(np.ones_like(inside, dtype=bool), 1) & (inside > 0) & (outside > 0)
    raised = runs & (found * outside > elsewhere * inside)
    gains = np.where(raised, _likelihood(found, inside) + _likelihood(elsewhere, outside), -np.inf)
    first, end = np.unravel_index(int(np.argmax(gains)), gains.shape)
    gain = float(gains[first, end] - _likelihood(cells.sum(), compared.sum()))
    return int(first), int(end) - 1, gain


def _likelihood(cells: npt.ArrayLike, compared: npt.ArrayLike) -> _Counts:
    """Give the logarithm of the binomial likelihood at its own rate, without its constant."""
    some, every = np.asarray(cells, float), np.asarray(compared, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [part * np.log(part / every) for part in (some, every - some)]
    return np.asarray(sum(np.where(np.isfinite(term), term, 0.0) for term in terms))


def _rest(compared: _Counts, cells: _Counts, first: int, last: int) -> float | None:
    """Give the rate outside a run; None where there is nothing outside."""
    outside = np.r_[0:first, last + 1 : len(cells)]
    return float(cells[outside].sum() / compared[outside].sum()) if len(outside) else None


def _widened(compared: _Counts, cells: _Counts, first: int, last: int) -> tuple[int, int]:
    """Take in what lies next to a run and has a raised rate too: a fault begins and ends within a stretch."""
    while True:
        rest = _rest(compared, cells, first, last)
        if rest is None:
            return first, last
        before, after = (
            0 <= at < len(cells) and cells[at] > TIMES_THE_REST * rest * compared[at] for at in (first - 1, last + 1)
        )
        if not before and not after:
            return first, last
        first, last = first - before, last + after
