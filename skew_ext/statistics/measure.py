"""One feature's statistics by its kind, and the signals that its verdict is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from skew_ext.model import DistributionRow
from skew_ext.statistics import embedding as vectors
from skew_ext.statistics.arrays import Counts, NumericColumn
from skew_ext.statistics.category import CategorySummary, Tally, rare_of, slots_of
from skew_ext.statistics.codes import category_codes, number_codes, numeric_codes
from skew_ext.statistics.columns import Column
from skew_ext.statistics.divergence import jensen_shannon, psi
from skew_ext.statistics.embedding import EmbeddingSummary
from skew_ext.statistics.histogram import histogram_edges, numeric_histogram, tally_histogram
from skew_ext.statistics.identifiers import integer_identifier, text_identifier
from skew_ext.statistics.kinds import kind_between, value_type
from skew_ext.statistics.located import LocatedColumn
from skew_ext.statistics.pairs import columns_of, distances_between
from skew_ext.statistics.signals import (
    AnySignal,
    RangeSignal,
    Signal,
    mean_signals,
    psi_signal,
    share_signal,
    spread_of,
)
from skew_ext.statistics.significance import chi_square, mean_z
from skew_ext.statistics.summary import NumberColumn, NumericSummary, counts_between, exact_edges
from skew_ext.statistics.thresholds import Thresholds, level_of

TIMES_MOVE = "dates and times move on by themselves: their drift is told and not judged"
SMALLEST_SHIFT = 0.1
"""Centroids that moved less than this share of the vectors' spread have no direction worth telling."""

Codes = Callable[[Column], Counts]
"""Gives the cell of each row of a column."""


@dataclass(frozen=True)
class Measured:
    """A feature's row without a verdict, its signals, and the cells that its rows fall in."""

    row: DistributionRow
    signals: list[AnySignal] = field(default_factory=list)
    codes: Codes | None = None
    cells: int = 0


@dataclass(frozen=True)
class Found:
    """What was found of a feature: statistics by their names, signals, and how many are null of how many rows."""

    statistics: dict[str, Any] = field(default_factory=dict)
    signals: list[AnySignal] = field(default_factory=list)
    nulls: tuple[int, int] | None = None
    codes: Codes | None = None
    cells: int = 0
    rows: tuple[int, int] = (0, 0)


_NOTHING: dict[str, Any] = dict.fromkeys(["psi", "ks", "ks_p", "chi2", "chi2_p", "js", "wasserstein", "mean_z"])


def measure(feature: str, reference: Column, served: Column, limits: Thresholds) -> Measured:
    """Give all statistics that the columns' kind allows."""
    kind = kind_between(reference, served)
    found = _BY_KIND[kind](feature, reference, served, limits)
    nulls = found.nulls or (reference.null_count, served.null_count)
    rows = (len(reference), len(served))
    return as_row(feature, replace(found, statistics={"kind": kind} | found.statistics, nulls=nulls, rows=rows), limits)


def as_row(feature: str, found: Found, limits: Thresholds) -> Measured:
    """Give what was found as a row, with the signal of its nulls."""
    rows, nulls = found.rows, found.nulls or (0, 0)
    row = DistributionRow(
        feature=feature,
        n_reference=rows[0],
        n_served=rows[1],
        null_rate=(_share(nulls[0], rows[0]), _share(nulls[1], rows[1])),
        verdict="pass",
        **_NOTHING | found.statistics,
    )
    null_signal = share_signal((nulls[0], rows[0]), (nulls[1], rows[1]), limits)
    return Measured(row, [*found.signals, null_signal], found.codes, found.cells)


def _numeric(feature: str, reference: Column, served: Column, limits: Thresholds) -> Found:
    pair = columns_of(reference, served)
    a, b = pair
    if not isinstance(a, LocatedColumn) and pa.types.is_integer(value_type(reference.type)):
        why = integer_identifier(feature, a, limits.identifier_share, limits.minimum_rows)
        if why:
            return Found({"kind": "identifier", "note": why}, nulls=(a.nulls, b.nulls))
    kind = value_type(reference.type)
    drawn = histogram_edges(a, b, kind)  # first, as where the hundredths are the tenths are too
    edges = exact_edges(a, limits.bins)
    apart = distances_between(pair, [*edges.tolist(), *drawn, math.nextafter(a.low, -math.inf), a.high])
    before, after = (NumericSummary.of(one, ()) for one in (a, b))  # moments: the cells' edges are of the values' type
    cells = [np.append(counts_between(one, edges), [one.nans, one.nulls]) for one in (a, b)]
    z, unstable = mean_z(before, after), psi(*cells)
    outside = _outside(a, b)
    statistics = {
        "psi": unstable,
        "js": jensen_shannon(*cells),
        "ks": apart.ks and apart.ks.statistic,
        "ks_p": apart.ks and apart.ks.p_value,
        "ks_error": apart.ks and 0.0,
        "wasserstein": apart.wasserstein(spread_of(before)),
        "wasserstein_error": apart.wasserstein_error(spread_of(before)),
        "mean_z": z,
        "out_of_range": outside / len(b) if len(a) and len(b) else None,
        "constant": (a.constant, b.constant),
        "histogram": numeric_histogram(a, b, kind),
    }
    signals: list[AnySignal] = [
        psi_signal(unstable, cells, limits),
        *mean_signals(before, after, z, limits),
        _range_signal(a, b, outside, limits),
    ]
    codes = partial(number_codes, edges=edges)
    return Found(statistics, signals, (a.nulls, b.nulls), codes, len(edges) + 3)


def _share(count: int, of: int) -> float:
    return count / of if of else 0.0


def _outside(a: NumberColumn, b: NumberColumn) -> int:
    """Count what is below or above all of the reference's values."""
    if not len(a):
        return 0
    if isinstance(a, NumericColumn) and isinstance(b, NumericColumn):
        below = int(np.searchsorted(b.values, a.values[0], side="left"))
        return below + len(b) - int(np.searchsorted(b.values, a.values[-1], side="right"))
    below, upto = b.upto(np.array([math.nextafter(a.low, -math.inf), a.high])).tolist()
    return int(below + len(b) - upto)


def _range_signal(a: NumberColumn, b: NumberColumn, outside: int, limits: Thresholds) -> RangeSignal:
    value = psi([len(a), 0], [len(b) - outside, outside])
    return RangeSignal(limits.level(value), outside)


def _datetime(feature: str, reference: Column, served: Column, limits: Thresholds) -> Found:
    return _numeric(feature, reference, served, limits)


def _categorical(_: str, reference: Column, served: Column, limits: Thresholds) -> Found:
    why = text_identifier(reference, limits.identifier_share, limits.minimum_rows)
    if why:
        return Found({"kind": "identifier", "note": why})
    a, b = Tally.of(reference), Tally.of(served)
    top = a.top(limits.top_categories)
    rare = rare_of(a, top)
    before, after = (CategorySummary.of(one, top, rare) for one in (a, b))
    # Tested on the categories commonest on both sides together: those commonest in the reference are partly so by
    # chance, and would seem to fall in any second sample.
    common = a.merge(b).top(limits.top_categories)
    test = chi_square(*(CategorySummary.of(one, common).cells for one in (a, b)))
    unstable = psi(before.cells, after.cells)
    statistics = {
        "psi": unstable,
        "js": jensen_shannon(before.cells, after.cells),
        "chi2": test and test.statistic,
        "chi2_p": test and test.p_value,
        "unseen": _unseen(a, b) / b.present if a.present and b.present else None,
        "constant": (len(a.counts) == 1, len(b.counts) == 1),
        "histogram": tally_histogram(a, b, limits.top_categories),
    }
    level = limits.level(unstable)
    signal = Signal(level, test.statistic, test.freedom) if test else Signal(level, 0.0, 0)
    codes = partial(category_codes, categories=top)
    return Found(statistics, [signal], (a.nulls, b.nulls), codes, len(top) + 2)


def _unseen(a: Tally, b: Tally) -> int:
    known = a.values.combine_chunks() if isinstance(a.values, pa.ChunkedArray) else a.values
    return int(b.counts[slots_of(b.values, known) == len(known)].sum())


def _embedding(_: str, reference: Column, served: Column, limits: Thresholds) -> Found:
    a = EmbeddingSummary.reference(reference)
    if a is None:
        return Found({"kind": "other", "note": "lists of no one dimension: only their null rates are compared"})
    b = a.like(served)
    codes = partial(_embedding_codes, a, b, limits.bins)
    return replace(embedding_found(a, b, limits), codes=codes, cells=limits.bins + 2)


def embedding_found(a: EmbeddingSummary, b: EmbeddingSummary, limits: Thresholds) -> Found:
    """Give all that two summaries of embeddings tell."""
    cosine, ratio = vectors.cosine_distance(a, b), vectors.norm_ratio(a, b)
    shift, statistic = vectors.centroid_shift(a, b)
    turned = level_of(cosine if shift >= SMALLEST_SHIFT else None, limits.embedding, 2 * limits.embedding)
    stretched = level_of(vectors.norm_error(ratio), limits.norm_change, 2 * limits.norm_change)
    # One list of another length is one too many, where the reference has none: no model takes it.
    fault = b.wrong > 0 and a.wrong == 0
    wrong = Signal("act", math.inf, 1) if fault else share_signal((a.wrong, a.lists), (b.wrong, b.lists), limits)
    signals: list[AnySignal] = [
        Signal(turned, statistic, 1),
        Signal(stretched, vectors.norm_z(a, b) ** 2, 1),
        share_signal((a.broken, a.lists), (b.broken, b.lists), limits),
        wrong,
    ]
    statistics = {
        "kind": "embedding",
        "cosine": cosine,
        "norm_ratio": ratio,
        "wrong_dimension": b.wrong / b.lists if b.lists else None,
    }
    return Found(statistics, signals, (a.nulls, b.nulls), rows=(a.rows, b.rows))


def _embedding_codes(a: EmbeddingSummary, b: EmbeddingSummary, bins: int, column: Column) -> Counts:
    """Cut the line between the centroids into bins by what was served, so that its rows can be followed in time."""
    placed = vectors.projections(column, a, b)
    whole = placed[~np.isnan(placed)]
    edges = np.quantile(whole, np.arange(1, bins) / bins) if len(whole) else np.empty(0)
    return numeric_codes(placed, edges)


def _other(_: str, reference: Column, served: Column, __: Thresholds) -> Found:
    types = [str(value_type(column.type)) for column in (reference, served)]
    against = types[0] if types[0] == types[1] else " against ".join(types)
    return Found({"note": f"{against}: only null rates are compared"})


_BY_KIND: dict[str, Callable[[str, Column, Column, Thresholds], Found]] = {
    "numeric": _numeric,
    "datetime": _datetime,
    "categorical": _categorical,
    "boolean": _categorical,
    "embedding": _embedding,
    "other": _other,
}
