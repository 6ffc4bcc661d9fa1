"""Tests of counts and means, intervals, and the correction for testing many features at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from skew_ext.statistics.arrays import Counts
from skew_ext.statistics.ordered import Comparison
from skew_ext.statistics.summary import NumericSummary

SMALLEST_EXPECTED = 5.0
"""Below this expected count a cell is not to be trusted: Cochran, "Some Methods for Strengthening..." (1954)."""


def wilson(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Give the Wilson score interval of `count` in `n`: honest near 0 and 1, where the usual one is not.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927). (0, 1) if n is 0.
    """
    if n == 0:
        return 0.0, 1.0
    z = float(special.ndtri(0.5 + confidence / 2))
    rate, shrink = count / n, 1 + z * z / n
    middle = (rate + z * z / (2 * n)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / shrink
    return (0.0 if count == 0 else max(0.0, middle - half)), (1.0 if count == n else min(1.0, middle + half))


def null_rate_test(reference_nulls: int, reference_rows: int, served_nulls: int, served_rows: int) -> Comparison:
    """Test the null rates by the two-proportion z, pooled; positive where more of what was served is null.

    (0, 1) where nothing can differ: a side without rows, no nulls at all, or nothing but nulls.
    """
    if reference_rows == 0 or served_rows == 0:
        return Comparison(0.0, 1.0)
    pooled = (reference_nulls + served_nulls) / (reference_rows + served_rows)
    error = math.sqrt(pooled * (1 - pooled) * (1 / reference_rows + 1 / served_rows))
    difference = served_nulls / served_rows - reference_nulls / reference_rows
    z = difference / error if error > 0.0 else 0.0
    return Comparison(z, two_sided(z))


def mean_z(reference: NumericSummary, served: NumericSummary) -> float | None:
    """Give the z of the difference of means of the finite values, in standard errors (Welch, 1938: not pooled).

    Positive where what was served is larger. It grows with the number of rows: at a million rows read it beside an
    effect size. Infinite where two constants differ; None below two finite values on either side.
    """
    if min(reference.finite, served.finite) < 2:  # noqa: PLR2004 - a variance needs two
        return None
    difference = served.mean - reference.mean
    error = math.sqrt(reference.variance / reference.finite + served.variance / served.finite)
    return ratio(difference, error)


def ratio(difference: float, spread: float) -> float | None:
    """Divide a difference by a spread that may be 0 (0 or an infinity) or out of range (None)."""
    if math.isnan(difference) or math.isnan(spread):
        return None
    if spread == 0.0:
        return math.copysign(math.inf, difference) if difference else 0.0
    value = difference / spread
    return None if math.isnan(value) else value


class ChiSquare(NamedTuple):
    """A chi-square statistic, its p-value and its degrees of freedom."""

    statistic: float
    p_value: float
    freedom: int


def chi_square(reference: npt.ArrayLike, served: npt.ArrayLike) -> ChiSquare | None:
    """Test by Pearson's chi-square that counts on the same cells come from one distribution.

    The statistic is not to be trusted where a cell expects fewer than five rows on either side (Cochran, 1954): the
    rarest cells are pooled into one until it expects five. None if then fewer than two cells are left.
    """
    table = np.stack([np.asarray(reference, dtype=np.int64), np.asarray(served, dtype=np.int64)])
    rows = table.sum(axis=1)
    if not rows.all():
        return None
    pooled = _pooled(table, rows.min() / rows.sum())
    if pooled.shape[1] < 2:  # noqa: PLR2004 - one cell has nothing to be set against
        return None
    expected = np.outer(rows, pooled.sum(axis=0) / rows.sum())
    statistic = float(((pooled - expected) ** 2 / expected).sum())
    freedom = pooled.shape[1] - 1
    return ChiSquare(statistic, float(special.chdtrc(freedom, statistic)), freedom)


def _pooled(table: Counts, smaller_share: float) -> Counts:
    """Pool the rarest cells of a 2 x B table until each expects enough rows on the side that has fewer."""
    table = table[:, np.argsort(table.sum(axis=0), kind="stable")]
    running = np.cumsum(table.sum(axis=0)) * smaller_share
    rare = int(np.count_nonzero(table.sum(axis=0) * smaller_share < SMALLEST_EXPECTED))
    if rare == 0:
        return table
    cut = max(rare, int(np.searchsorted(running, SMALLEST_EXPECTED)) + 1)
    return np.column_stack([table[:, :cut].sum(axis=1), table[:, cut:]])


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of a family of tests so that below alpha at most a share alpha are false discoveries.

    Benjamini & Hochberg, "Controlling the False Discovery Rate" (1995); in the order given.
    """
    p = np.asarray(p_values, dtype=np.float64)
    falling = np.argsort(-p, kind="stable")
    scaled = p[falling] * len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[falling] = np.minimum.accumulate(scaled)
    return [float(value) for value in adjusted]


def two_sided(z: float) -> float:
    """Give the two-sided p-value of a standard normal z."""
    return float(2 * special.ndtr(-abs(z)))
