"""How well a score tells a label: AUC and R2 with intervals that hold near 1 and for rows that are not independent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


_EDGE = 1e-12


@dataclass(frozen=True)
class Score:
    """A measure of how well a label is told, with its interval."""

    value: float
    low: float
    high: float


def auc(scores: Floats, positive: Mask) -> float:
    """Give the area under the ROC curve: how often a positive scores over a negative, ties counting half.

    It is the Mann-Whitney statistic over the pairs (Hanley & McNeil, 1982). There is a member of each class at least.
    """
    members = int(positive.sum())
    ranks = stats.rankdata(scores)[positive].sum()
    return float((ranks - members * (members + 1) / 2) / (members * (len(scores) - members)))


def auc_interval(value: float, positives: float, negatives: float, confidence: float = 0.95) -> tuple[float, float]:
    """Give Newcombe's score-type interval of an AUC, which has a width also at 0 and 1.

    Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2", Statistics
    in Medicine 25 (2006), method 5. The counts may be effective ones.
    """
    z = float(special.ndtri(0.5 + confidence / 2))

    def excess(theta: float) -> float:
        return abs(value - theta) - z * math.sqrt(max(_variance(theta, positives, negatives), 0.0))

    # At 0 and 1 themselves the variance is 0, and so is the excess of a value there: those roots are not meant.
    inner = min(max(value, _EDGE), 1 - _EDGE)
    low = 0.0 if value <= 0 or excess(0.0) <= 0 else optimize.brentq(excess, 0.0, inner)
    high = 1.0 if value >= 1 or excess(1.0) <= 0 else optimize.brentq(excess, inner, 1.0)
    return float(low), float(high)


def r2_interval(value: float, rows: float, confidence: float = 0.95) -> tuple[float, float]:
    """Give the interval of a squared correlation by Fisher's z (Fisher, 1915); (0, 1) below four rows."""
    if rows <= 3:  # noqa: PLR2004 - the transformation's variance is 1 / (rows - 3)
        return 0.0, 1.0
    r = min(math.sqrt(max(value, 0.0)), 1 - 1e-12)
    half = float(special.ndtri(0.5 + confidence / 2)) / math.sqrt(rows - 3)
    low, high = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return max(low, 0.0) ** 2, high**2


def design_effect(values: Floats, groups: Integers) -> float:
    """Give the factor by which rows of one group count less than independent ones; 1 where they are independent.

    Kish, "Survey Sampling" (1965): 1 + (m - 1) rho, with m the mean size of a row's group and rho the intraclass
    correlation by analysis of variance.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    rows, members = len(values), len(sizes)
    if members == rows or members < 2:  # noqa: PLR2004 - one group has nothing to be set against
        return 1.0 if members == rows else float(rows)
    means = np.bincount(codes, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (members - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (rows - members)
    usual = (rows - float((sizes.astype(np.float64) ** 2).sum()) / rows) / (members - 1)
    total = between + (usual - 1) * within
    rho = min(max((between - within) / total, 0.0), 1.0) if total > 0 else 0.0
    size = float((sizes.astype(np.float64) ** 2).sum()) / rows
    return 1.0 + (size - 1.0) * rho


def _variance(theta: float, positives: float, negatives: float) -> float:
    mean = (positives + negatives) / 2
    factor = 2 * mean - 1 - 3 * (mean - 1) / ((2 - theta) * (1 + theta))
    return theta * (1 - theta) * factor / (positives * negatives)
