"""Numeric columns as small summaries on agreed bins, which add up: a week is the sum of its hours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from skew_ext.statistics.arrays import Arrow, Counts, Floats, NumericColumn


def quantile_edges(reference: NumericColumn | Arrow, bins: int = 10) -> tuple[float, ...]:
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
    finite = _column(reference).finite
    if len(finite) == 0:
        return ()
    ranks = np.ceil(np.arange(1, bins) * len(finite) / bins).astype(np.int64) - 1
    edges, repeats = np.unique(finite[ranks], return_counts=True)
    with np.errstate(over="ignore"):  # below the lowest double there is -inf, which is an edge as good
        below = np.nextafter(edges[repeats > 1], -np.inf)
    return tuple(np.union1d(edges, below).tolist())


@dataclass(frozen=True)
class NumericSummary:
    """What is kept of a numeric column: counts on fixed bins, and the moments of its finite values.

    `edges` come from the reference (`quantile_edges`) and stay fixed, so that windows compare and add up. There are
    `len(edges) + 1` ordinary bins, the outer ones open: nothing falls outside. An infinity is in an outer bin and in
    no moment; NaN and null have a count each and are in no ordinary bin. `m2` is the sum of squared deviations from
    `mean`; both are of the `finite` values.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    nulls: int = 0
    nans: int = 0
    finite: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: NumericColumn | Arrow, edges: tuple[float, ...]) -> NumericSummary:
        """Summarize a column on the reference's edges."""
        column = _column(values)
        upto = np.searchsorted(column.values, np.asarray(edges, dtype=np.float64), side="right")
        counts = np.diff(upto, prepend=0, append=len(column.values))
        mean, m2 = _moments(column.finite)
        return cls(edges, tuple(counts.tolist()), column.nulls, column.nans, len(column.finite), mean, m2)

    def merge(self, other: NumericSummary) -> NumericSummary:
        """Give the summary of both columns together: counts exactly, moments to rounding.

        Moments are merged by Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances" (1979). Raises ValueError if the edges are not the same.
        """
        if self.edges != other.edges:
            msg = "summaries on different bin edges do not add up; make both with the reference's edges"
            raise ValueError(msg)
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        finite, mean, m2 = _chan(self, other)
        return NumericSummary(self.edges, counts, self.nulls + other.nulls, self.nans + other.nans, finite, mean, m2)

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


def _column(values: NumericColumn | Arrow) -> NumericColumn:
    return values if isinstance(values, NumericColumn) else NumericColumn.of(values)


def _moments(finite: Floats) -> tuple[float, float]:
    if len(finite) == 0:
        return 0.0, 0.0
    if finite[0] == finite[-1]:  # a constant: its mean as summed would differ from it by rounding
        return float(finite[0]), 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # sums of values near the largest double are honestly infinite
        mean = finite.mean()
        deviations = finite - mean
        return float(mean), float(deviations @ deviations)


def _chan(a: NumericSummary, b: NumericSummary) -> tuple[int, float, float]:
    finite = a.finite + b.finite
    if a.finite == 0 or b.finite == 0:
        only = a if b.finite == 0 else b
        return finite, only.mean, only.m2
    delta = b.mean - a.mean
    mean = a.mean + delta * (b.finite / finite)
    return finite, mean, a.m2 + b.m2 + delta * delta * (a.finite * (b.finite / finite))
