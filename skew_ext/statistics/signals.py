"""What a feature's verdict is made of: effects, each with the chance of it where nothing changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt
from scipy import special, stats

from skew_ext.statistics.divergence import psi, psi_statistic
from skew_ext.statistics.significance import null_rate_test, ratio
from skew_ext.statistics.summary import NumericSummary
from skew_ext.statistics.thresholds import Level, Thresholds


@dataclass(frozen=True)
class Evenness:
    """How far the served rows are from independent ones: their variance is `inflation` times that of independent rows.

    `freedom` is how much that number itself is known by: degrees of freedom, infinite where it is taken as given.
    """

    inflation: float = 1.0
    freedom: float = math.inf


INDEPENDENT = Evenness()


@dataclass(frozen=True)
class Signal:
    """One effect, judged. `statistic` is chi-square of `freedom` degrees where rows are independent of one another."""

    level: Level
    statistic: float
    freedom: int

    def p_value(self, n: int, m: int, evenness: Evenness = INDEPENDENT) -> float:
        """Give the chance of it where nothing changed, with n rows in the reference and m served ones.

        Where served rows depend on one another, by the first-order correction of Rao & Scott, "The Analysis of
        Categorical Data from Complex Sample Surveys" (1981), with an F in the place of chi-square.
        """
        if self.freedom == 0 or n == 0 or m == 0:
            return 1.0
        if math.isinf(self.statistic):
            return 0.0
        if math.isinf(evenness.freedom):
            return float(special.chdtrc(self.freedom, self.statistic))
        wider = (1 / n + evenness.inflation / m) / (1 / n + 1 / m)
        return float(special.fdtrc(self.freedom, evenness.freedom, self.statistic / wider / self.freedom))


@dataclass(frozen=True)
class RangeSignal:
    """Served values out of the reference's range, judged; `outside` of m."""

    level: Level
    outside: int

    def p_value(self, n: int, m: int, evenness: Evenness = INDEPENDENT) -> float:
        """Give the chance of as many: of m + n values of one continuous distribution, beta-binomial.

        The share beyond the range of n values is Beta(2, n - 1): Wilks, "Determination of Sample Sizes for Setting
        Tolerance Limits" (1941). With ties there are fewer outside, and it is conservative.
        """
        if n < 2 or m == 0:  # noqa: PLR2004 - a range needs two
            return 1.0
        independent = int(m / evenness.inflation)
        outside = self.outside * independent // m
        return float(stats.betabinom.sf(outside - 1, independent, 2, n - 1)) if outside else 1.0


AnySignal = Signal | RangeSignal


def psi_signal(value: float | None, cells: Sequence[npt.ArrayLike], limits: Thresholds) -> Signal:
    """Judge the PSI of two sides' cells."""
    statistic, freedom = psi_statistic(value, *cells)
    return Signal(limits.level(value), statistic, freedom)


def share_signal(before: tuple[int, int], after: tuple[int, int], limits: Thresholds) -> Signal:
    """Judge two shares, each (count, of), as the PSI of a thing against its absence: one scale serves for all kinds."""
    value = psi(*([count, of - count] for count, of in (before, after)))
    z = null_rate_test(*before, *after).statistic
    return Signal(limits.level(value), z * z, 1)


def mean_signals(before: NumericSummary, after: NumericSummary, z: float | None, limits: Thresholds) -> list[Signal]:
    """Judge a difference of means by the reference's spread."""
    if z is None:
        return []
    shift = ratio(after.mean - before.mean, spread_of(before))
    large = shift is not None and abs(shift) >= limits.mean_shift and abs(z) > limits.mean_z
    return [Signal("watch" if large else "pass", z * z, 1)]


def spread_of(summary: NumericSummary) -> float:
    """Give the standard deviation of the finite values; 0 below two of them."""
    return math.sqrt(summary.variance) if summary.finite > 1 else 0.0
