"""Distances between two samples by their order: Kolmogorov-Smirnov and Wasserstein."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from skew_ext.statistics.arrays import Counts, Floats, Numbers, apart

EXACT_PAIRS = 250_000
"""Up to this many pairs of values the p-value of KS is exact."""
LIMIT_SIZE = 10_000
"""From this effective size on, the limit of Kolmogorov is within two per cent of any p-value over 0.0005."""
STRETCH = 64
"""Values of either sample between the places where their distribution functions are first compared."""
_AT_ONCE = 1 << 16
"""Values that are worked on at once: the processor's cache holds them, and memory stays bounded."""


class Comparison(NamedTuple):
    """A test's statistic and its p-value."""

    statistic: float
    p_value: float


class Distances(NamedTuple):
    """The largest gap between two distribution functions, and the area between them; None where there is neither.

    Over all values the area is larger by at most `error`.
    """

    ks: Comparison | None
    area: float | None
    error: float = 0.0

    def wasserstein(self, spread: float) -> float | None:
        """Give the area over a spread: 0 where there is none, infinite over no spread."""
        if not self.area:
            return self.area
        return self.area / spread if spread > 0.0 else math.inf

    def wasserstein_error(self, spread: float) -> float | None:
        """Give how much larger the area over a spread may be."""
        if self.area is None:
            return None
        return self.error / spread if self.error else 0.0


def distances(reference: Numbers, served: Numbers) -> Distances:
    """Compare two rising samples of one type; the area is of the finite values alone, as the infinite have none."""
    if len(reference) == 0 or len(served) == 0:
        return Distances(None, None)
    statistic = _largest_gap(reference, served) / (len(reference) * len(served))
    test = Comparison(statistic, _ks_p_value(statistic, reference, served))
    a, b = _finite(reference), _finite(served)
    return Distances(test, _area(a, b) if len(a) and len(b) else None)


def _finite(ordered: Numbers) -> Numbers:
    if ordered.dtype != np.float64 or len(ordered) == 0 or np.isfinite(ordered[[0, -1]]).all():
        return ordered
    return ordered[np.searchsorted(ordered, -np.inf, side="right") : np.searchsorted(ordered, np.inf, side="left")]


def _largest_gap(a: Numbers, b: Numbers) -> int:
    """Give the largest gap of the distribution functions in units of 1 / (n m): an integer, and so exact.

    Both samples are cut at the same values, about a stretch apart. Within a stretch the gap can grow by no more than
    the rows in it, so that only the stretches that may hold the largest gap are looked into.
    """
    n, m = len(a), len(b)
    cuts = _cuts(a, b)
    in_a, in_b = (np.append(np.searchsorted(one, cuts, side="left"), len(one)) for one in (a, b))
    gaps = in_a * m - in_b * n  # before each cut, and after all
    largest = int(np.abs(gaps).max())
    grown_a, grown_b = gaps[:-1] + np.diff(in_a) * m, gaps[:-1] - np.diff(in_b) * n
    # What is but one value, however often it is there, has no place within.
    many = np.maximum(_last_before(a, in_a[1:], cuts), _last_before(b, in_b[1:], cuts)) > cuts
    may = np.flatnonzero(many & (np.maximum(np.abs(grown_a), np.abs(grown_b)) > largest))
    for some in np.array_split(may, max(len(may) * STRETCH // _AT_ONCE, 1)):
        if len(some):
            largest = max(largest, _gap_within(a, b, [in_a[some], in_a[some + 1]], [in_b[some], in_b[some + 1]]))
    return largest


def _cuts(a: Numbers, b: Numbers) -> Numbers:
    """Give values about a stretch apart; one that is there many times has a stretch of its own, with nothing within."""
    coarse = [one[::STRETCH] for one in (a, b)]
    heavy = np.unique(np.concatenate([one[1:][one[1:] == one[:-1]] for one in coarse]))
    after = [np.searchsorted(one, heavy, side="right") for one in (a, b)]
    following = [one[at[at < len(one)]] for one, at in zip((a, b), after, strict=True)]
    return np.unique(np.concatenate([*coarse, *following]))


def _last_before(values: Numbers, places: Counts, lowest: Numbers) -> Numbers:
    """Give the value before each place, or `lowest` where it is below that, or there is none."""
    last: Numbers = np.maximum(values[np.maximum(places - 1, 0)], lowest)
    return np.where(places > 0, last, lowest)


def _gap_within(a: Numbers, b: Numbers, in_a: list[Counts], in_b: list[Counts]) -> int:
    """Give the largest gap within stretches, each given by its ends in both samples."""
    at_a, at_b = (_ranges(*ends) for ends in (in_a, in_b))
    values = np.concatenate([a[at_a], b[at_b]])
    order = np.argsort(values, kind="stable")  # two rising runs are merged in linear time
    values, from_a = values[order], order < len(at_a)
    # The rows at or below each value: those of a stretch's start, and those since.
    upto_a = np.maximum.accumulate(np.where(from_a, np.concatenate([at_a, at_b])[order] + 1, 0))
    upto_b = np.maximum.accumulate(np.where(from_a, 0, np.concatenate([at_a, at_b])[order] + 1))
    stretch = np.searchsorted(*_starts(values, a, b, in_a, in_b), side="right") - 1
    upto_a, upto_b = np.maximum(upto_a, in_a[0][stretch]), np.maximum(upto_b, in_b[0][stretch])
    last_of_ties = np.append(values[1:] != values[:-1], True)
    return int(np.abs(upto_a * len(b) - upto_b * len(a))[last_of_ties].max())


def _starts(values: Numbers, a: Numbers, b: Numbers, in_a: list[Counts], in_b: list[Counts]) -> tuple[Numbers, Numbers]:
    """Give the first value of each stretch, and the values that are to be placed."""
    firsts = []
    for of, (start, end) in ((a, in_a), (b, in_b)):
        found = of[np.minimum(start, len(of) - 1)]
        firsts.append((found, end > start))
    (one, in_one), (other, in_other) = firsts
    first = np.where(in_one & in_other, np.minimum(one, other), np.where(in_one, one, other))
    return first, values


def _ranges(starts: Counts, ends: Counts) -> Counts:
    """Give all places of several ranges, one after the other."""
    sizes = ends - starts
    return np.repeat(starts - np.append(0, np.cumsum(sizes)[:-1]), sizes) + np.arange(sizes.sum())


def _area(a: Numbers, b: Numbers) -> float:
    """Give the area between the distribution functions, as that between the quantile functions.

    Those are steps of 1/n and of 1/m. Each step of the sample with more values meets one step of the other or two, and
    which ones is arithmetic: nothing is searched for or sorted. The widths are integers in units of 1 / (n m).
    """
    if len(a) < len(b):
        a, b = b, a
    n, m = len(a), len(b)
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # near the largest double the area is honestly infinite
        for start in range(0, n, _AT_ONCE):
            some = a[start : start + _AT_ONCE]
            if n == m:
                total += float(apart(some, b[start : start + _AT_ONCE]).sum()) * m
                continue
            left = np.arange(start, start + len(some)) * m
            first = left // n
            width = np.minimum((first + 1) * n - left, m)
            total += float(np.einsum("i,i->", width, apart(some, b[first])))
            two = np.flatnonzero(width < m)
            total += float(np.einsum("i,i->", m - width[two], apart(some[two], b[first[two] + 1])))
    return math.inf if math.isnan(total) else total / n / m


def _ks_p_value(statistic: float, reference: Numbers, served: Numbers) -> float:
    pairs = len(reference) * len(served)
    if pairs <= EXACT_PAIRS:
        with warnings.catch_warnings():  # SciPy warns where it cannot count, and takes the approximation
            warnings.simplefilter("ignore", RuntimeWarning)
            return float(stats.ks_2samp(reference, served, method="exact").pvalue)
    return limit_p_value(statistic, len(reference), len(served))


def limit_p_value(statistic: float, n: int, m: int) -> float:
    """Give the p-value of a KS statistic of samples of n and m, by its limits."""
    size = n * m / (n + m)
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
