"""When cells were served that differ: counts by stretches of time that every part, window and engine cuts alike."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skew_ext.audit.distribution import MOST_PARTS, STEPS
from skew_ext.model import OverTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]
    Times = npt.NDArray[np.int64]

SECOND = 1_000_000
_SHORT = (SECOND, 5 * SECOND, 15 * SECOND)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Stretches:
    """At most 48 stretches of time that cover a window; `first` and `step` in microseconds since 1970.

    They begin at whole multiples of their length since 1970, and each length is a multiple of every shorter one: so
    counts of windows, whatever their length, add up.
    """

    first: int
    step: int
    count: int

    @classmethod
    def of(cls, start: datetime, end: datetime) -> Stretches:
        """Cut the window [start, end), aware datetimes, into the shortest stretches of which 48 are enough."""
        low, high = ((moment - _EPOCH) // timedelta(microseconds=1) for moment in (start, end))
        step = next(step for step in neat_steps() if -(-high // step) - low // step <= MOST_PARTS)
        return cls(low // step * step, step, max(-(-high // step) - low // step, 1))

    def places(self, times: Times) -> Times:
        """Give the stretch of each serving time, in microseconds, of the window."""
        return (times - self.first) // self.step


def neat_steps() -> Iterator[int]:
    """Give the lengths that time is cut into, in microseconds: each a multiple of the one before."""
    yield from (*_SHORT, *STEPS)
    yield from (STEPS[-1] << doubled for doubled in itertools.count(1))


class CellsOverTime:
    """Counts one view's cells by feature, part by part: those compared, and those that differ by cause."""

    def __init__(self, stretches: Stretches) -> None:
        self._stretches = stretches
        self._compared: dict[str, Counts] = {}
        self._causes: dict[str, dict[str, Counts]] = {}
        self._every: tuple[Times, Counts] | None = None

    def part(self, served_at: Times) -> None:
        """Take the serving times of the next rows, in microseconds, for the features that `compared` tells of."""
        places = self._stretches.places(served_at)
        self._every = places, self._counted(places)

    def compared(self, feature: str, given: npt.NDArray[np.bool_]) -> None:
        """Take which of the rows have a cell of a feature."""
        if self._every is None:
            msg = "the rows of a part come first"
            raise RuntimeError(msg)
        places, every = self._every
        found = every if given.all() else self._counted(places[given])
        self._compared[feature] = self._compared[feature] + found if feature in self._compared else found

    def differing(self, feature: str, served_at: Times, causes: npt.NDArray[Any]) -> None:
        """Take differing cells of a feature: when each was served, in microseconds, and its cause."""
        which, names = pd.factorize(causes)
        of = self._causes.setdefault(feature, {})
        count = self._stretches.count
        both = np.bincount(which * count + self._stretches.places(served_at), minlength=len(names) * count)
        for name, found in zip(map(str, names), both.reshape(-1, count), strict=True):
            of[name] = of[name] + found if name in of else found

    def merge(self, other: CellsOverTime) -> None:
        """Add the counts of other rows, over the same stretches."""
        _add(self._compared, other._compared)
        for feature, causes in other._causes.items():
            _add(self._causes.setdefault(feature, {}), causes)

    def of(self, feature: str) -> OverTime:
        """Give what was counted of a feature."""
        none = np.zeros(self._stretches.count, dtype=np.int64)
        return OverTime(
            start=_EPOCH + timedelta(microseconds=self._stretches.first),
            step_seconds=self._stretches.step // SECOND,
            compared=self._compared.get(feature, none).tolist(),
            causes={cause: found.tolist() for cause, found in self._causes.get(feature, {}).items()},
        )

    def _counted(self, places: Times) -> Counts:
        return np.bincount(places, minlength=self._stretches.count)


def _add(counts: dict[str, Counts], others: dict[str, Counts]) -> None:
    for name, found in others.items():
        counts[name] = counts[name] + found if name in counts else found


def together(one: OverTime, other: OverTime) -> OverTime:
    """Give the sum of the counts of two windows, or of two parts of one, on the longer of their stretches."""
    step = max(one.step_seconds, other.step_seconds)
    sides = [_coarser(side, step) for side in (one, other)]
    first = min(side.start for side in sides)
    until = max(side.start + timedelta(seconds=step * len(side.compared)) for side in sides)
    count = (until - first) // timedelta(seconds=step)
    names = sorted({cause for side in sides for cause in side.causes})

    def summed(of: str | None) -> list[int]:
        total = np.zeros(count, dtype=np.int64)
        for side in sides:
            at = (side.start - first) // timedelta(seconds=step)
            counts = side.compared if of is None else side.causes.get(of, [0] * len(side.compared))
            total[at : at + len(counts)] += counts
        return list(map(int, total))

    return OverTime(first, step, summed(None), {name: summed(name) for name in names})


def _coarser(one: OverTime, step: int) -> OverTime:
    if step == one.step_seconds:
        return one
    times = (one.start - _EPOCH) // timedelta(seconds=1) + one.step_seconds * np.arange(len(one.compared))
    places = times // step - times[0] // step

    def summed(counts: list[int]) -> list[int]:
        return list(map(int, np.bincount(places, weights=counts)))

    start = _EPOCH + timedelta(seconds=int(times[0] // step * step))
    causes = {cause: summed(counts) for cause, counts in one.causes.items()}
    return replace(one, start=start, step_seconds=step, compared=summed(one.compared), causes=causes)
