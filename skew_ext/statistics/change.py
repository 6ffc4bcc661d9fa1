"""Sudden or slow: how a feature's distribution came to differ, told from its windows in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from skew_ext.statistics.arrays import Counts, Floats
from skew_ext.statistics.divergence import psi

FEWEST_WINDOWS = 6
"""Below so many windows a jump and a slope look alike."""
AT_ONCE = 2
"""A change that takes at most so many windows came at once: a jump within a window takes two."""
ALPHA = 0.001
LEAST = 0.05
"""PSI of what came against what was, below which a change is none: half of what is worth watching."""
MARGIN = 6.0
"""How much better, in squared standard errors, a slope must fit than a jump: it has more ways to."""
MOST_LIKE = 0.9
ROWS_OF_CELL = 3
_PAIRED_NOISE = 0.02
_LITTLE = 1e-12


@dataclass(frozen=True)
class Change:
    """How the last windows came to differ from the first.

    "sudden": at once, as a pipeline bug does, from window `since` to before window `until` (None: to the end).
    "gradual": by and by, as drift does, from window `since` on, or until it rests at window `until`. "steady": no
    change among the windows; what differs from a reference did so before them, or is a difference of all. None: too few
    windows to tell. `size` is the PSI of what came against what was.
    """

    kind: Literal["sudden", "gradual", "steady"] | None
    since: int | None = None
    until: int | None = None
    size: float = 0.0


def change_over(
    windows: Sequence[npt.ArrayLike], *, expected: Sequence[npt.ArrayLike] | None = None, season: int | None = None
) -> Change:
    """Tell a jump from a slope, and say since when.

    Every way in which a change can come is fitted to the windows by weighted least squares: flat, then a ramp of any
    length, then flat; or a jump there and back. The square roots of the cells' shares are fitted, whose variance is
    that of counts whatever the share (Bartlett, "The Use of Transformations", 1947). Those that take at most two
    windows are sudden. The best fit must beat no change at all by an F test, in which what the fit leaves over, and how
    much that follows itself from window to window, is the noise, and p is multiplied by the number of ways that
    were tried; and the change must be large enough to matter. A level that wanders for many windows by itself is taken
    for a change, as nothing in so few windows tells it from one.

    Parameters
    ----------
    windows
        Counts of rows in the same cells (`cells` of the summaries), a window each, in order of time. Windows without
        rows are passed over.
    expected
        Counts of what the same windows should have held, where that is known (the baseline of the same rows): then it
        is the difference that changes, and not the world.
    season
        How many windows a season has, such as 24 of an hour for a day: what repeats each season is no change. Used
        where there are at least two seasons of windows; without, a part of a season is a change.

    Returns
    -------
    Change
        `since` and `until` are places in `windows`.
    """
    counts = _stacked(windows)
    before = None if expected is None else _stacked(expected)
    kept = np.flatnonzero(counts.sum(axis=1) * (1 if before is None else before.sum(axis=1)))
    if len(kept) < FEWEST_WINDOWS:
        return Change(None)
    seasons = bool(season) and len(counts) >= 2 * (season or 1) and len(kept) >= (season or 1) + FEWEST_WINDOWS
    phases = kept % season if seasons and season else np.zeros_like(kept)
    series = _Series.of(counts[kept], None if before is None else before[kept], phases)
    fit = series.best()
    size = 0.0 if fit is None else series.size(fit)
    if fit is None or size < LEAST:
        return Change("steady", size=size)
    until = int(kept[fit.end]) if fit.goes_by or (not fit.sudden and fit.end + AT_ONCE < len(kept)) else None
    return Change("sudden" if fit.sudden else "gradual", int(kept[fit.start]), until, size)


def _stacked(windows: Sequence[npt.ArrayLike]) -> Counts:
    counts = [np.asarray(window, dtype=np.int64).ravel() for window in windows]
    return np.stack(counts) if counts else np.empty((0, 1), dtype=np.int64)


@dataclass(frozen=True)
class _Way:
    """A way in which a change comes: the first window with some of it, and the first with all, or with none again."""

    start: int
    end: int
    goes_by: bool = False

    @property
    def sudden(self) -> bool:
        return self.goes_by or self.end - self.start < AT_ONCE

    def course(self, windows: int) -> Floats:
        """Give how much of the change each window has, from 0 to 1."""
        at = np.arange(windows)
        if self.goes_by:
            return ((at >= self.start) & (at < self.end)).astype(np.float64)
        course: Floats = np.clip((at - self.start + 1) / (self.end - self.start + 1), 0.0, 1.0)
        return course


@lru_cache(maxsize=8)
def _ways(windows: int) -> tuple[list[_Way], Floats]:
    spans = [(start, end) for start in range(1, windows) for end in range(start, windows)]
    ways = [_Way(*span) for span in spans] + [_Way(*span, goes_by=True) for span in spans if span[0] < span[1]]
    return ways, np.array([way.course(windows) for way in ways])


class _Noise(NamedTuple):
    """What a fit leaves over: its size in units of the noise of counts, degrees of freedom, and number of directions.

    Counts vary in as many directions as there are cells, less one; a mean that wavers in one alone. Directions are the
    participation ratio of the left-overs' covariance.
    """

    size: float
    freedom: float
    directions: float


@dataclass(frozen=True, eq=False)
class _Series:
    """Windows as points that change linearly, with their weights (rows), and what they are compared with."""

    points: Floats
    rows: Floats
    phases: Counts
    base: Floats
    least_noise: float

    @classmethod
    def of(cls, counts: Counts, expected: Counts | None, phases: Counts) -> _Series:
        together = counts if expected is None else counts + expected
        counts, expected = _pooled(together, counts), None if expected is None else _pooled(together, expected)
        rows = counts.sum(axis=1).astype(np.float64)
        if expected is None:
            return cls(_roots(counts), rows, phases, np.zeros(counts.shape[1]), 1.0)
        # Both sides of the same rows: they share their noise, and may have none.
        base = _roots(expected.sum(axis=0, keepdims=True))[0]
        return cls(_roots(counts) - _roots(expected), rows, phases, base, _PAIRED_NOISE)

    def best(self) -> _Way | None:
        """Give the way that fits best; None where none is surely better than no change."""
        ways, courses = _ways(len(self.points))
        points, turns = self._about_phases(self.points), self._about_phases(courses.T).T
        room = (turns**2) @ self.rows
        gains = np.square((turns * self.rows) @ points).sum(axis=1) / np.maximum(room, _LITTLE)
        gains[room < _LITTLE * self.rows.sum()] = 0.0  # the season itself goes that way
        sudden = np.array([way.sudden for way in ways])
        at_once, by_and_by = (int(np.argmax(np.where(of, gains, -1.0))) for of in (sudden, ~sudden))
        margin = MARGIN * self._noise(points, turns[at_once]).size
        place = by_and_by if 4 * (gains[by_and_by] - gains[at_once]) > margin else at_once
        noise = self._noise(points, turns[place])
        ratio = 4 * float(gains[place]) / self._cells / noise.size
        sure = special.fdtrc(noise.directions, noise.freedom * noise.directions, ratio) * len(ways) < ALPHA
        return ways[place] if sure else None

    def size(self, way: _Way) -> float:
        """Give the PSI of the fitted shares after the change against those before."""
        course = way.course(len(self.points))
        points, turn = self._about_phases(self.points), self._about_phases(course[:, None])[:, 0]
        step = (turn * self.rows) @ points / ((turn**2) @ self.rows)
        start = self.base + self.rows @ (self.points - course[:, None] * step) / self.rows.sum()
        shares = [np.clip(one, 0.0, None) ** 2 for one in (start, start + step)]
        return psi(*((share / share.sum() * self.rows.sum()).round() for share in shares if share.any())) or 0.0

    def _about_phases(self, values: Floats) -> Floats:
        """Take the mean of each phase of the season away: what repeats is no change."""
        left: Floats = values.copy()
        for phase in np.unique(self.phases):
            of = self.phases == phase
            left[of] -= self.rows[of] @ values[of] / self.rows[of].sum()
        return left

    def _noise(self, points: Floats, turn: Floats) -> _Noise:
        """Give what a fit leaves over."""
        left = points - turn[:, None] * ((turn * self.rows) @ points / max(float((turn**2) @ self.rows), _LITTLE))
        left = left * np.sqrt(self.rows)[:, None]
        total = float(np.square(left).sum())
        freedom = max(len(points) - len(np.unique(self.phases)) - 1, 1)
        likeness = float((left[1:] * left[:-1]).sum()) / total if total > _LITTLE else 0.0
        likeness = min(max(likeness + 1 / len(points), 0.0), MOST_LIKE)  # a fit makes it seem less by about 1 / windows
        longer = (1 + likeness) / (1 - likeness)
        noise = max(4 * total / freedom / self._cells * longer, self.least_noise)
        spread = left.T @ left
        directions = total**2 / max(float(np.square(spread).sum()), _LITTLE) if total > _LITTLE else self._cells
        return _Noise(noise, max(freedom / longer, 1.0), min(max(directions, 1.0), float(self._cells)))

    @property
    def _cells(self) -> int:
        return max(int(self.points.shape[1]) - 1, 1)


def _pooled(together: Counts, counts: Counts) -> Counts:
    """Pool cells that have hardly a row in a window: the roots of so few are not what the fit takes them for."""
    rare = together.sum(axis=0) < ROWS_OF_CELL * len(together)
    return np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])


def _roots(counts: Counts) -> Floats:
    shares: Floats = np.sqrt(counts / counts.sum(axis=1, keepdims=True))
    return shares
