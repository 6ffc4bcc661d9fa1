"""Distances between two samples by their order: Kolmogorov-Smirnov and Wasserstein."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from skew_ext.statistics.arrays import Counts, Floats

EXACT_PAIRS = 250_000
"""Up to this many pairs of values the p-value of KS is exact."""
LIMIT_SIZE = 10_000
"""From this effective size on, the limit of Kolmogorov is within two per cent of any p-value over 0.0005."""


class Comparison(NamedTuple):
    """A test's statistic and its p-value."""

    statistic: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Merged:
    """Two rising samples as one, and the gap between their empirical distribution functions after each value.

    Gaps are in units of 1 / (n m), so that they are integers and the KS statistic is exact.
    """

    reference: Floats
    served: Floats
    values: Floats
    gaps: Counts

    @classmethod
    def of(cls, reference: Floats, served: Floats) -> Merged:
        """Merge two sorted samples: a stable sort does it in linear time, as it finds two rising runs."""
        joined = np.concatenate([reference, served])
        order = np.argsort(joined, kind="stable")
        steps = np.where(order < len(reference), len(served), -len(reference))
        return cls(reference, served, joined[order], np.cumsum(steps, dtype=np.int64))

    @property
    def pairs(self) -> int:
        """How many pairs of values there are, n m: 1 over the unit of the gaps. 0 if either sample is empty."""
        return len(self.reference) * len(self.served)

    def ks(self) -> Comparison | None:
        """Do as `ks` does."""
        if self.pairs == 0:
            return None
        last_of_ties = np.append(self.values[1:] != self.values[:-1], True)
        statistic = float(np.abs(self.gaps[last_of_ties]).max() / self.pairs)
        return Comparison(statistic, self._ks_p_value(statistic))

    def _ks_p_value(self, statistic: float) -> float:
        if self.pairs <= EXACT_PAIRS:
            with warnings.catch_warnings():  # SciPy warns where it cannot count, and takes the approximation
                warnings.simplefilter("ignore", RuntimeWarning)
                return float(stats.ks_2samp(self.reference, self.served, method="exact").pvalue)
        size = self.pairs / (len(self.reference) + len(self.served))
        if size < LIMIT_SIZE:
            return float(stats.kstwo.sf(statistic, round(size)))
        return float(special.kolmogorov(math.sqrt(size) * statistic))

    def wasserstein(self, spread: float) -> float | None:
        """Do as `wasserstein` does, over a spread that is known."""
        if self.pairs == 0:
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # near the largest double the area is honestly infinite
            area = float(np.abs(self.gaps[:-1]) @ np.diff(self.values)) / self.pairs
        if area == 0.0:
            return 0.0
        return area / spread if spread > 0.0 else math.inf


def ks(reference: npt.ArrayLike, served: npt.ArrayLike) -> Comparison | None:
    """Compare two samples by the Kolmogorov-Smirnov test, the statistic exact over all values (no bins, no sample).

    The statistic is the largest gap between the two empirical distribution functions, ties taken together. The
    p-value is SciPy's: exact up to 250,000 pairs of values, then that of the one-sample statistic at the effective
    size n m / (n + m) (Hodges, "The Significance Probability of the Smirnov Two-Sample Test", 1957), and from an
    effective size of 10,000 on Kolmogorov's limit. With ties it is conservative. NaN must not be among the values;
    None if either side is empty.
    """
    return Merged.of(_ordered(reference), _ordered(served)).ks()


def wasserstein(reference: npt.ArrayLike, served: npt.ArrayLike) -> float | None:
    """Give the Wasserstein-1 distance over the reference's spread, which is its standard deviation (n - 1).

    The area between the two empirical distribution functions (Vallender, "Calculation of the Wasserstein Distance
    Between Probability Distributions on the Line", 1974) in units of the feature's own spread, so that features
    compare. Over a constant reference it is 0 if nothing moved and infinite if anything did. Values must be finite;
    None if either side is empty.
    """
    a = _ordered(reference)
    spread = float(np.std(a, ddof=1)) if len(a) > 1 else 0.0
    return Merged.of(a, _ordered(served)).wasserstein(spread)


def _ordered(values: npt.ArrayLike) -> Floats:
    ordered: Floats = np.sort(np.asarray(values, dtype=np.float64))
    return ordered
