"""Numeric columns as small summaries on agreed bins, which add up: a week is the sum of its hours."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from skew_ext.statistics.arrays import Counts, Numbers, NumericColumn
from skew_ext.statistics.columns import Column
from skew_ext.statistics.counted import CountedColumn
from skew_ext.statistics.located import LocatedColumn
from skew_ext.statistics.steps import HUNDREDTHS, round_edges
from skew_ext.statistics.stored import from_stored, stored

NumberColumn: TypeAlias = NumericColumn | LocatedColumn | CountedColumn
FINENESS = 100
"""About so many bins are kept of a reference, so that order statistics of merged windows are known to a hundredth."""


def quantile_edges(reference: NumberColumn | Column, bins: int = 10) -> tuple[float, ...]:
    """Give the inner edges of `bins` bins that hold about equal shares of the reference's finite values.

    Quantiles are values of the reference itself (the inverted CDF: type 1 of Hyndman & Fan, "Sample Quantiles in
    Statistical Packages", 1996), so an integer column has integer edges. Equal edges are merged. A value on which
    several edges fall holds more than one bin's share: it gets a bin of its own, with one more edge just below it,
    so that the mass at zero of a zero-inflated column is not mixed with its neighbours.

    Returns
    -------
    tuple of float
        Rising; the bins are (edge[i-1], edge[i]], the outer ones open. Empty if the reference has no finite value.
    """
    return tuple(float(edge) for edge in exact_edges(_column(reference), bins))


def exact_edges(column: NumberColumn, bins: int) -> Numbers:
    """Do as `quantile_edges` does, with edges of the values' own type."""
    if column.size == 0:
        return np.empty(0, dtype=column.dtype)
    ranks = np.ceil(np.arange(1, bins) * column.size / bins).astype(np.int64) - 1
    edges, repeats = np.unique(column.at(ranks), return_counts=True)
    joined: Numbers = np.union1d(edges, _just_below(edges[repeats > 1]))
    return joined


def _just_below(values: Numbers) -> Numbers:
    if values.dtype != np.float64:
        lowest = np.iinfo(values.dtype).min
        below: Numbers = values[values > lowest] - 1
        return below
    with np.errstate(over="ignore"):  # below the lowest double there is -inf, which is an edge as good
        return np.nextafter(values, -np.inf)


def fine_edges(reference: NumberColumn | Column, bins: int = 10) -> tuple[float, ...]:
    """Give the edges that a reference's summary is kept on.

    They are `quantile_edges`, finer ones, the ends of its range, and round ones to draw a histogram at.
    """
    column = _column(reference)
    if column.size == 0:
        return ()
    finer = bins * max(round(FINENESS / bins), 1)
    hundredths = quantile_edges(column, HUNDREDTHS)
    low, high = column.at(np.array([0, column.size - 1])).astype(np.float64)
    ends = [math.nextafter(low, -math.inf), *hundredths[:1], *hundredths[-1:], high]
    return tuple(np.unique([*quantile_edges(column, finer), *ends, *round_edges(hundredths)]).tolist())


@dataclass(frozen=True)
class NumericSummary:
    """What is kept of a numeric column: counts on fixed bins, and the moments of its finite values.

    `edges` come from the reference (`quantile_edges`) and stay fixed, so that windows compare and add up. There are
    `len(edges) + 1` ordinary bins, the outer ones open: nothing falls outside. An infinity is in an outer bin and in
    no moment; NaN and null have a count each and are in no ordinary bin. `m2` is the sum of squared deviations from
    `mean`; both are of the `finite` values. `low` and `high` are the smallest and the largest value, infinities
    included; infinite the wrong way round (inf, -inf) where there is none.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    nulls: int = 0
    nans: int = 0
    finite: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = field(default=math.inf, compare=False)  # a store may keep counts and moments alone
    high: float = field(default=-math.inf, compare=False)

    @classmethod
    def of(cls, values: NumberColumn | Column, edges: tuple[float, ...]) -> NumericSummary:
        """Summarize a column on the reference's edges."""
        column = _column(values)
        counts = counts_between(column, np.asarray(edges))
        ends = (column.low, column.high)
        return cls(edges, tuple(counts.tolist()), column.nulls, column.nans, column.size, *column.moments(), *ends)

    @classmethod
    def reference(cls, values: NumberColumn | Column, bins: int = 10) -> NumericSummary:
        """Summarize a reference, on whose fine edges later windows are counted."""
        column = _column(values)
        return cls.of(column, fine_edges(column, bins))

    def like(self, values: NumberColumn | Column) -> NumericSummary:
        """Summarize a window on this reference's edges."""
        return NumericSummary.of(values, self.edges)

    def merge(self, other: NumericSummary) -> NumericSummary:
        """Give the summary of both columns together: counts exactly, moments to rounding.

        Moments are merged by Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances" (1979). Raises ValueError if the edges are not the same.
        """
        if self.edges != other.edges:
            msg = "summaries on different bin edges do not add up; make both with the reference's edges"
            raise ValueError(msg)
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        absent = (self.nulls + other.nulls, self.nans + other.nans)
        ends = (min(self.low, other.low), max(self.high, other.high))
        finite, mean, m2 = _chan(self, other)
        return NumericSummary(self.edges, counts, *absent, finite, mean, m2, *ends)

    def on(self, edges: tuple[float, ...]) -> NumericSummary:
        """Give the summary on some of its own edges: counts as exact as before. ValueError if one is not its own."""
        places = {edge: place for place, edge in enumerate(self.edges)}
        if not set(edges) <= places.keys():
            msg = "a summary's bins can be merged, not divided: give edges that it has"
            raise ValueError(msg)
        running = np.cumsum(self.counts)
        counts = np.diff([0, *(running[places[edge]] for edge in edges), running[-1]])
        return replace(self, edges=edges, counts=tuple(counts.tolist()))

    def quantile_edges(self, bins: int = 10) -> tuple[float, ...]:
        """Give the edges that `quantile_edges` would give of the values, as far as this summary's edges tell.

        Exactly those, where this is a `reference` made with as many bins.
        """
        # Below a reference's lowest edge there is nothing but minus infinity, which is no quantile.
        below = min(self.counts[0], sum(self.counts) - self.finite)
        running = np.cumsum(self.counts[:-1]) - below
        if not len(running) or self.finite == 0:
            return ()
        ranks = np.ceil(np.arange(1, bins) * self.finite / bins)
        places, repeats = np.unique(np.searchsorted(running, ranks), return_counts=True)
        places, repeats = places[places < len(self.edges)], repeats[places < len(self.edges)]
        chosen = {int(place) for place in places} | {int(place) - 1 for place in places[repeats > 1] if place > 0}
        return tuple(self.edges[place] for place in sorted(chosen))

    @property
    def rows(self) -> int:
        """All rows, nulls and NaN included."""
        return sum(self.counts) + self.nans + self.nulls

    @property
    def variance(self) -> float:
        """Sample variance (n - 1) of the finite values; NaN below two of them."""
        return self.m2 / (self.finite - 1) if self.finite > 1 else math.nan

    @property
    def cells(self) -> Counts:
        """The counts that `psi` compares: ordinary bins, then NaN, then null."""
        return np.array([*self.counts, self.nans, self.nulls], dtype=np.int64)

    @property
    def constant(self) -> bool:
        """Whether all values that are there are one and the same number."""
        return self.low == self.high and self.nans == 0

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it; every double comes back as it was."""
        absent = {"nulls": self.nulls, "nans": self.nans, "finite": self.finite}
        sums = {"mean": stored(self.mean), "m2": stored(self.m2), "low": stored(self.low), "high": stored(self.high)}
        edges = [stored(edge) for edge in self.edges]
        return {"kind": "numeric", "edges": edges, "counts": list(self.counts), **absent, **sums}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> NumericSummary:
        """Give back what `to_dict` gave."""
        edges = tuple(from_stored(edge) for edge in content["edges"])
        absent = (content["nulls"], content["nans"], content["finite"])
        return cls(
            edges,
            tuple(content["counts"]),
            *absent,
            *(from_stored(content[name]) for name in ("mean", "m2", "low", "high")),
        )


def counts_between(column: NumberColumn, edges: Numbers) -> Counts:
    """Count values in the bins between edges, each bin with its upper edge."""
    return np.diff(column.upto(edges), prepend=0, append=len(column)).astype(np.int64)


def _column(values: NumberColumn | Column) -> NumberColumn:
    return values if isinstance(values, NumberColumn) else NumericColumn.of(values)


def _chan(a: NumericSummary, b: NumericSummary) -> tuple[int, float, float]:
    finite = a.finite + b.finite
    if a.finite == 0 or b.finite == 0:
        only = a if b.finite == 0 else b
        return finite, only.mean, only.m2
    delta = b.mean - a.mean
    mean = a.mean + delta * (b.finite / finite)
    return finite, mean, a.m2 + b.m2 + delta * delta * (a.finite * (b.finite / finite))
