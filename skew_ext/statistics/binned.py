"""Statistics of two summaries, without the values: exact where counts and moments are enough, else with their error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from skew_ext.model import DistributionRow
from skew_ext.statistics.arrays import Floats
from skew_ext.statistics.category import CategorySummary
from skew_ext.statistics.divergence import jensen_shannon, psi
from skew_ext.statistics.embedding import EmbeddingSummary
from skew_ext.statistics.histogram import category_histogram, summary_histogram
from skew_ext.statistics.measure import Found, as_row, embedding_found
from skew_ext.statistics.row import judged_measures
from skew_ext.statistics.signals import RangeSignal, Signal, mean_signals, psi_signal, spread_of
from skew_ext.statistics.significance import chi_square, mean_z
from skew_ext.statistics.summary import NumericSummary
from skew_ext.statistics.thresholds import Thresholds

Summary: TypeAlias = NumericSummary | CategorySummary | EmbeddingSummary
_OF_KIND: dict[str, Any] = {"numeric": NumericSummary, "categorical": CategorySummary, "embedding": EmbeddingSummary}


def summary_rows(
    pairs: Iterable[tuple[str, Summary, Summary]], *, thresholds: Thresholds | None = None
) -> list[DistributionRow]:
    """Do as `distribution_rows` does from summaries alone: (feature, reference, served), the reference's own edges.

    PSI, Jensen-Shannon, z, null rates, out of range and unseen are those of the values, exactly, where the reference's
    summary is a `reference`. KS is the gap at the bins' edges, which over all values is larger by at most `ks_error`.
    Wasserstein takes the values of a bin to lie evenly in it, and is off by at most `wasserstein_error`. Chi-square is
    on the reference's categories, not on those commonest on both sides.

    Raises
    ------
    ValueError
        Summaries of different kinds, edges, categories or dimensions.
    """
    limits = thresholds or Thresholds()
    measured = [as_row(feature, _found(before, after, limits), limits) for feature, before, after in pairs]
    return [row for row, _ in judged_measures(measured, lambda _: limits)]


def summary_from_dict(content: Mapping[str, Any]) -> Summary:
    """Give back any summary that `to_dict` gave."""
    summary: Summary = _OF_KIND[content["kind"]].from_dict(dict(content))
    return summary


def _found(before: Summary, after: Summary, limits: Thresholds) -> Found:
    if type(before) is type(after):
        before.merge(after)  # type: ignore[arg-type] # raises where their edges are not the same
    if isinstance(before, NumericSummary) and isinstance(after, NumericSummary):
        return _numeric(before, after, limits)
    if isinstance(before, CategorySummary) and isinstance(after, CategorySummary):
        return _categorical(before, after, limits)
    if isinstance(before, EmbeddingSummary) and isinstance(after, EmbeddingSummary):
        return embedding_found(before, after, limits)
    msg = "summaries of different kinds cannot be compared"
    raise ValueError(msg)


def _numeric(before: NumericSummary, after: NumericSummary, limits: Thresholds) -> Found:
    coarse = before.quantile_edges(limits.bins)
    cells = [one.on(coarse).cells for one in (before, after)]
    unstable, z = psi(*cells), mean_z(before, after)
    gap, error = ks_between(before, after) or (None, None)
    distance, distance_error = _wasserstein(before, after)
    outside = _outside(before, after)
    signals = [psi_signal(unstable, cells, limits), *mean_signals(before, after, z, limits)]
    if outside is not None:
        of_range = psi([sum(before.counts), 0], [sum(after.counts) - outside, outside])
        signals = [*signals, RangeSignal(limits.level(of_range), outside)]  # type: ignore[list-item] # both are signals
    statistics = {
        "kind": "numeric",
        "psi": unstable,
        "js": jensen_shannon(*cells),
        "ks": gap,
        "ks_error": error,
        "wasserstein": distance,
        "wasserstein_error": distance_error,
        "mean_z": z,
        "out_of_range": None if outside is None else outside / sum(after.counts),
        "constant": (before.constant, after.constant),
        "histogram": summary_histogram(before, after),
    }
    return Found(statistics, list(signals), (before.nulls, after.nulls), rows=(before.rows, after.rows))


def ks_between(before: NumericSummary, after: NumericSummary) -> tuple[float, float] | None:
    """Give the gap of the distribution functions at the bins' edges, and how much larger it may be over all values.

    Within a bin either function may rise first, and the gap is at most that at the bin's start and all that one side
    has in the bin. None where either side has no values.
    """
    n, m = sum(before.counts), sum(after.counts)
    if not n or not m:
        return None
    p, q = np.array(before.counts) / n, np.array(after.counts) / m
    f, g = np.cumsum(p), np.cumsum(q)
    gap = float(np.abs(f - g)[:-1].max(initial=0.0))
    most = float(np.maximum(f - (g - q), g - (f - p)).max())
    return gap, max(min(most, 1.0) - gap, 0.0)


def _wasserstein(before: NumericSummary, after: NumericSummary) -> tuple[float | None, float | None]:
    """Give the area between distribution functions drawn straight from edge to edge, over the reference's spread.

    And how far that may be from the area over all values: within a bin the gap lies between where one side's values
    all come first and where the other's do.
    """
    if not before.finite or not after.finite or not before.edges:
        return None, None
    lowest, highest = (f(getattr(before, end), getattr(after, end)) for f, end in ((min, "low"), (max, "high")))
    if not math.isfinite(lowest) or not math.isfinite(highest):
        return None, None
    places = np.clip(np.array([lowest, *before.edges, highest], dtype=np.float64), lowest, highest)
    p, q = _shares(before), _shares(after)
    gaps = np.append(0.0, np.cumsum(p - q))
    drawn = _between(gaps[:-1], gaps[1:])
    top, bottom = gaps[:-1] + p, gaps[:-1] - q
    least = np.where((top > 0.0) & (bottom < 0.0), 0.0, np.minimum(np.abs(top), np.abs(bottom)))
    off = np.maximum(np.maximum(np.abs(top), np.abs(bottom)) - drawn, drawn - least)
    with np.errstate(over="ignore", invalid="ignore"):  # near the largest double the area is honestly infinite
        area, error = (float(heights @ np.diff(places)) for heights in (drawn, off))
    area, error = (math.inf if math.isnan(one) else one for one in (area, error))
    spread = spread_of(before)
    if spread <= 0.0:
        return (0.0 if area == 0.0 else math.inf), (0.0 if error == 0.0 else math.inf)
    return area / spread, error / spread


def _between(start: Floats, end: Floats) -> Floats:
    """Give the mean size of what goes straight from one value to another, through 0 where their signs differ."""
    total = np.abs(start) + np.abs(end)
    crossed = (start**2 + end**2) / np.where(total > 0.0, 2 * total, 1.0)
    mean: Floats = np.where(start * end < 0.0, crossed, total / 2)
    return mean


def _shares(summary: NumericSummary) -> Floats:
    shares: Floats = np.array(summary.counts) / sum(summary.counts)
    return shares


def _outside(before: NumericSummary, after: NumericSummary) -> int | None:
    """Count what is beyond the reference's range; None where its edges do not mark it."""
    edges = np.array(before.edges, dtype=np.float64)
    if not len(edges) or not sum(after.counts) or before.low > before.high:
        return None
    below = math.nextafter(before.low, -math.inf)
    if below not in edges or before.high not in edges:
        return None
    counts = np.array(after.counts)
    upto, over = np.searchsorted(edges, below), np.searchsorted(edges, before.high)
    return int(counts[: upto + 1].sum() + counts[over + 1 :].sum())


def _categorical(before: CategorySummary, after: CategorySummary, limits: Thresholds) -> Found:
    cells = [before.cells, after.cells]
    unstable, test = psi(*cells), chi_square(*cells)
    statistics = {
        "kind": "categorical",
        "psi": unstable,
        "js": jensen_shannon(*cells),
        "chi2": test and test.statistic,
        "chi2_p": test and test.p_value,
        "unseen": after.unseen / after.present if after.unseen is not None and after.present else None,
        "constant": (before.constant, after.constant),
        "histogram": category_histogram(before, after),
    }
    level = limits.level(unstable)
    signal = Signal(level, test.statistic, test.freedom) if test else Signal(level, 0.0, 0)
    return Found(statistics, [signal], (before.nulls, after.nulls), rows=(before.rows, after.rows))
