"""How far apart two distributions on the same cells are: PSI and Jensen-Shannon."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from skew_ext.statistics.arrays import Counts, Floats

PSEUDO_COUNT = 0.5


def psi(reference: npt.ArrayLike, served: npt.ArrayLike) -> float | None:
    """Give the population stability index of counts on the same cells.

    The sum over cells of (q - p) ln(q / p), with p of the reference and q of what was served: Lewis, "An Introduction
    to Credit Scoring" (1994), the symmetric Kullback-Leibler divergence of Jeffreys. By custom 0.1 is a moderate
    change and 0.2 or 0.25 a large one. Give the cells for null and for unseen categories too (`cells` of the summaries
    has them): without them a jump of the null rate is not seen.

    An empty cell is smoothed by counts: half a row is added to each cell on both sides, p = (count + 1/2) / (n + B/2),
    which is the mean under the Jeffreys prior for B categories (Krichevsky & Trofimov, "The Performance of Universal
    Encoding", 1981). So a cell that one side never had counts for as much as the rows are evidence for, where a
    constant epsilon would decide the score. Cells empty on both sides are left out.

    Parameters
    ----------
    reference, served
        Counts of rows, of one length, in the same order of cells.

    Returns
    -------
    float or None
        0 for equal shares; None if either side has no rows.
    """
    pair = _occupied(reference, served)
    if pair is None:
        return None
    p, q = (_smoothed(counts) for counts in pair)
    return float(np.sum((q - p) * np.log(q / p)))


def psi_p_value(value: float | None, reference: npt.ArrayLike, served: npt.ArrayLike) -> float:
    """Give the chance of a PSI this large between two samples of one distribution.

    It keeps small samples, whose PSI is large by chance alone, from being called a change. 1 where there is no PSI, or
    but one cell.
    """
    statistic, freedom = psi_statistic(value, reference, served)
    return float(special.chdtrc(freedom, statistic)) if freedom else 1.0


def psi_statistic(value: float | None, reference: npt.ArrayLike, served: npt.ArrayLike) -> tuple[float, int]:
    """Give a PSI as a chi-square statistic, and its degrees of freedom; (0, 0) where there is no PSI, or but one cell.

    PSI / (1/n + 1/m) is about chi-square with cells - 1 degrees of freedom where nothing changed: Yurdakul & Naranjo,
    "Statistical Properties of the Population Stability Index" (2020).
    """
    pair = _occupied(reference, served)
    if value is None or pair is None or len(pair[0]) == 1:
        return 0.0, 0
    n, m = (int(counts.sum()) for counts in pair)
    return value / (1 / n + 1 / m), len(pair[0]) - 1


def jensen_shannon(reference: npt.ArrayLike, served: npt.ArrayLike) -> float | None:
    """Give the Jensen-Shannon distance of counts on the same cells: the square root of the divergence, to base 2.

    From 0 (equal shares) to 1 (no cell in common), a metric: Endres & Schindelin, "A New Metric for Probability
    Distributions" (2003). It needs no smoothing. None if either side has no rows.
    """
    pair = _occupied(reference, served)
    if pair is None:
        return None
    p, q = (counts / counts.sum() for counts in pair)
    middle = (p + q) / 2
    divergence = (special.rel_entr(p, middle) + special.rel_entr(q, middle)).sum() / 2 / math.log(2)
    return math.sqrt(min(max(float(divergence), 0.0), 1.0))


def _occupied(reference: npt.ArrayLike, served: npt.ArrayLike) -> tuple[Counts, Counts] | None:
    """Keep the cells that either side occupies; None if a side has no rows."""
    a, b = np.asarray(reference, dtype=np.int64), np.asarray(served, dtype=np.int64)
    if not a.any() or not b.any():
        return None
    kept = (a > 0) | (b > 0)
    return a[kept], b[kept]


def _smoothed(counts: Counts) -> Floats:
    shares: Floats = (counts + PSEUDO_COUNT) / (counts.sum() + PSEUDO_COUNT * len(counts))
    return shares
