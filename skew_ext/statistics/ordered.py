"""Distances between two samples by their order: Kolmogorov-Smirnov and Wasserstein."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from skew_ext.statistics.arrays import Counts, Floats, Numbers

EXACT_PAIRS = 250_000
"""Up to this many pairs of values the p-value of KS is exact."""
LIMIT_SIZE = 10_000
"""From this effective size on, the limit of Kolmogorov is within two per cent of any p-value over 0.0005."""
STRETCH = 1 << 16
"""Values of one sample that are merged at once: the processor's cache holds them, and memory stays bounded."""


class Comparison(NamedTuple):
    """A test's statistic and its p-value."""

    statistic: float
    p_value: float


class Distances(NamedTuple):
    """The largest gap between two distribution functions, and the area between them; None where there is neither."""

    ks: Comparison | None
    area: float | None

    def wasserstein(self, spread: float) -> float | None:
        """Give the area over a spread: 0 where there is none, infinite over no spread."""
        if not self.area:
            return self.area
        return self.area / spread if spread > 0.0 else math.inf


def distances(reference: Numbers, served: Numbers) -> Distances:
    """Compare two rising samples of one type; the area is of the finite values alone, as the infinite have none."""
    if len(reference) == 0 or len(served) == 0:
        return Distances(None, None)
    largest, area = 0, 0.0
    for stretch in _stretches(reference, served):
        largest = max(largest, stretch.largest_gap)
        area += stretch.area
    statistic = largest / (len(reference) * len(served))
    test = Comparison(statistic, _ks_p_value(statistic, reference, served))
    if any(len(one) != len(_finite(one)) for one in (reference, served)):
        return Distances(test, distances(_finite(reference), _finite(served)).area)
    return Distances(test, math.inf if math.isnan(area) else area / (len(reference) * len(served)))


def _finite(ordered: Numbers) -> Numbers:
    if ordered.dtype != np.float64 or len(ordered) == 0 or np.isfinite(ordered[[0, -1]]).all():
        return ordered
    return ordered[np.searchsorted(ordered, -np.inf, side="right") : np.searchsorted(ordered, np.inf, side="left")]


@dataclass(frozen=True, eq=False)
class _Stretch:
    """A stretch of two rising samples as one, and the gap of their distribution functions after each value.

    Gaps are in units of 1 / (n m), so that they are integers and the KS statistic is exact.
    """

    values: Numbers
    gaps: Counts
    following: float
    """The value that comes after the stretch: its own last one where none does."""

    @property
    def largest_gap(self) -> int:
        last_of_ties = np.append(self.values[1:] != self.values[:-1], True)
        return int(np.abs(self.gaps[last_of_ties]).max())

    @property
    def area(self) -> float:
        with np.errstate(over="ignore", invalid="ignore"):  # near the largest double the area is honestly infinite
            # Not as a matrix product: its threads wait for one another longer than the sum takes.
            within = np.einsum("i,i->", np.abs(self.gaps[:-1]), _steps(self.values))
            return float(within) + abs(int(self.gaps[-1])) * self.following


def _steps(values: Numbers) -> Floats:
    """Give the differences of rising values; those of integers as if they had no sign, since they may not fit."""
    steps: Floats = np.diff(values if values.dtype == np.float64 else values.view(np.uint64)).astype(np.float64)
    return steps


def _stretches(a: Numbers, b: Numbers) -> Iterator[_Stretch]:
    """Merge two rising samples stretch by stretch. No value is in two stretches, so that ties stay together."""
    cuts = np.unique(np.concatenate([a[STRETCH::STRETCH], b[STRETCH::STRETCH]]))
    in_a, in_b = ([0, *np.searchsorted(one, cuts, side="left").tolist(), len(one)] for one in (a, b))
    gap = 0
    for place in range(len(in_a) - 1):
        some_a, some_b = a[in_a[place] : in_a[place + 1]], b[in_b[place] : in_b[place + 1]]
        if len(some_a) + len(some_b) == 0:
            continue
        values, steps = _merged(some_a, some_b, len(a), len(b))
        gaps = np.cumsum(steps, dtype=np.int64) + gap
        gap = int(gaps[-1])
        yield _Stretch(values, gaps, _next_step(values[-1], a, b, in_a[place + 1], in_b[place + 1]))


def _merged(a: Numbers, b: Numbers, n: int, m: int) -> tuple[Numbers, Counts]:
    """Merge two rising runs: a stable sort does it in linear time. What is but one value needs no order."""
    joined = np.concatenate([a, b])
    if min(one[0] for one in (a, b) if len(one)) == max(one[-1] for one in (a, b) if len(one)):
        return joined[:1], np.array([len(a) * m - len(b) * n], dtype=np.int64)
    order = np.argsort(joined, kind="stable")
    return joined[order], np.where(order < len(a), m, -n)


def _next_step(last: float, a: Numbers, b: Numbers, in_a: int, in_b: int) -> float:
    upcoming = [one[at] for one, at in ((a, in_a), (b, in_b)) if at < len(one)]
    if not upcoming:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(_steps(np.array([last, min(upcoming)], dtype=a.dtype))[0])


def _ks_p_value(statistic: float, reference: Numbers, served: Numbers) -> float:
    pairs = len(reference) * len(served)
    if pairs <= EXACT_PAIRS:
        with warnings.catch_warnings():  # SciPy warns where it cannot count, and takes the approximation
            warnings.simplefilter("ignore", RuntimeWarning)
            return float(stats.ks_2samp(reference, served, method="exact").pvalue)
    size = pairs / (len(reference) + len(served))
    if size < LIMIT_SIZE:
        return float(stats.kstwo.sf(statistic, round(size)))
    return float(special.kolmogorov(math.sqrt(size) * statistic))


def ks(reference: npt.ArrayLike, served: npt.ArrayLike) -> Comparison | None:
    """Compare two samples by the Kolmogorov-Smirnov test, the statistic exact over all values (no bins, no sample).

    The statistic is the largest gap between the two empirical distribution functions, ties taken together. The
    p-value is SciPy's: exact up to 250,000 pairs of values, then that of the one-sample statistic at the effective
    size n m / (n + m) (Hodges, "The Significance Probability of the Smirnov Two-Sample Test", 1957), and from an
    effective size of 10,000 on Kolmogorov's limit. With ties it is conservative. NaN must not be among the values;
    None if either side is empty.
    """
    return distances(_ordered(reference), _ordered(served)).ks


def wasserstein(reference: npt.ArrayLike, served: npt.ArrayLike) -> float | None:
    """Give the Wasserstein-1 distance over the reference's spread, which is its standard deviation (n - 1).

    The area between the two empirical distribution functions (Vallender, "Calculation of the Wasserstein Distance
    Between Probability Distributions on the Line", 1974) in units of the feature's own spread, so that features
    compare. Over a constant reference it is 0 if nothing moved and infinite if anything did. Infinities are left out;
    None if either side is empty.
    """
    a = _ordered(reference)
    spread = float(np.std(a, ddof=1)) if len(a) > 1 else 0.0
    return distances(a, _ordered(served)).wasserstein(spread)


def _ordered(values: npt.ArrayLike) -> Floats:
    ordered: Floats = np.sort(np.asarray(values, dtype=np.float64))
    return ordered
