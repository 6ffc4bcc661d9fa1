"""Rows of the distribution table: every feature measured, then judged with all others together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skew_ext.model import DistributionRow
from skew_ext.statistics.columns import Column
from skew_ext.statistics.divergence import PSEUDO_COUNT
from skew_ext.statistics.evenness import evenness_in_order, evenness_of_groups
from skew_ext.statistics.measure import TIMES_MOVE, Measured, measure
from skew_ext.statistics.signals import INDEPENDENT, Evenness
from skew_ext.statistics.significance import benjamini_hochberg
from skew_ext.statistics.thresholds import Level, Thresholds

Groups = npt.NDArray[np.int64]
LimitsOf = Callable[[str], Thresholds]


@dataclass(frozen=True)
class Served:
    """How the served rows hang together, so that a hundred lookups of one entity are not taken for a hundred.

    `in_order` says that they stand in the order of serving. `groups_of` gives, for a feature, the number of each row's
    entity, from 0; None where it is not known.
    """

    in_order: bool = False
    groups_of: Callable[[str], Groups | None] = lambda _: None


def distribution_row(
    feature: str, reference: Column, served: Column, *, thresholds: Thresholds | None = None
) -> DistributionRow:
    """Set one feature's served values against a reference.

    Numbers, dates and times get PSI on the reference's quantile bins, exact KS, Jensen-Shannon, Wasserstein over the
    reference's standard deviation (exact, or from 200,000 doubles on to within `wasserstein_error`), the z of the mean,
    and the share out of the reference's range; strings and booleans get PSI, Jensen-Shannon, chi-square and the share
    of unseen values, on the reference's commonest categories, other, unseen and null; lists of floats of one dimension
    get the cosine distance of their centroids, the ratio of their norms, and the share of another dimension. Of
    anything else, of identifiers, and of two columns of different kinds, only the null rates are compared, and `note`
    says why. With fewer than `minimum_rows` on either side the verdict is "too_few", whatever the statistics are.

    Parameters
    ----------
    feature
        Name to give the row.
    reference, served
        Arrow arrays or chunked arrays, or `ParquetColumn`s, of any lengths and of any type.
    thresholds
        When to say "watch" and "act".
    """
    return distribution_rows([(feature, reference, served)], thresholds=thresholds)[0]


def distribution_rows(
    columns: Iterable[tuple[str, Column, Column]],
    *,
    thresholds: Thresholds | LimitsOf | None = None,
    served: Served | None = None,
    same_rows: bool = True,
) -> list[DistributionRow]:
    """Do as `distribution_row` does for many features, their p-values corrected together (Benjamini-Hochberg).

    Parameters
    ----------
    columns
        Gives (feature, reference, served), and is read one at a time, so that one column is in memory at once.
    thresholds
        For all features, or a function that gives a feature's own.
    served
        How the served rows hang together; without it they count as independent of one another.
    same_rows
        Whether both sides are of the same rows and times, as in skew. Where they are not, dates and times are
        measured and not judged.
    """
    return [row for row, _ in judged_rows(columns, thresholds=thresholds, served=served, same_rows=same_rows)]


def judged_rows(
    columns: Iterable[tuple[str, Column, Column]],
    *,
    thresholds: Thresholds | LimitsOf | None = None,
    served: Served | None = None,
    same_rows: bool = True,
) -> list[tuple[DistributionRow, Measured]]:
    """Do as `distribution_rows` does, and give each row with what it was made of: its cells can then be followed."""
    limits_of = thresholds if callable(thresholds) else lambda _: thresholds or Thresholds()
    measured = []
    chances: list[list[float]] = []
    for feature, reference, values in columns:
        limits = limits_of(feature)
        one = measure(feature, reference, values, limits)
        if one.row.kind == "datetime" and not same_rows:
            row = dataclasses.replace(one.row, note=TIMES_MOVE)
            one = dataclasses.replace(one, row=row, signals=one.signals[-1:])
        measured.append(one)
        chances.append(_chances(one, reference, values, served))
    return _judged(measured, chances, limits_of)


def judged_measures(measured: list[Measured], limits_of: LimitsOf) -> list[tuple[DistributionRow, Measured]]:
    """Judge features together that are measured already, their rows taken for independent of one another."""
    return _judged(measured, [_independent(one) for one in measured], limits_of)


def _judged(
    measured: list[Measured], chances: list[list[float]], limits_of: LimitsOf
) -> list[tuple[DistributionRow, Measured]]:
    adjusted = iter(benjamini_hochberg([p for each in chances for p in each]))
    return [(_judge(one, [next(adjusted) for _ in one.signals], limits_of(one.row.feature)), one) for one in measured]


def _independent(one: Measured) -> list[float]:
    return [signal.p_value(one.row.n_reference, one.row.n_served) for signal in one.signals]


def _chances(one: Measured, reference: Column, values: Column, served: Served | None) -> list[float]:
    evenness = [INDEPENDENT]
    if served is not None and one.codes is not None and any(signal.level != "pass" for signal in one.signals):
        evenness += _evenness(one, reference, values, served)
    rows = (one.row.n_reference, one.row.n_served)
    return [max(signal.p_value(*rows, each) for each in evenness) for signal in one.signals]


def _evenness(one: Measured, reference: Column, values: Column, served: Served) -> Iterable[Evenness]:
    """Look at single rows only where there is something to tell: it costs as much as all else."""
    if one.codes is None:
        return
    codes = one.codes(values)
    if served.in_order:
        before = np.bincount(one.codes(reference), minlength=one.cells) + PSEUDO_COUNT
        yield evenness_in_order(codes, before / before.sum())
    groups = served.groups_of(one.row.feature)
    if groups is not None:
        yield evenness_of_groups(codes, one.cells, groups)


def _judge(measured: Measured, adjusted: list[float], limits: Thresholds) -> DistributionRow:
    row = measured.row
    if min(row.n_reference, row.n_served) < limits.minimum_rows:
        return dataclasses.replace(row, verdict="too_few")
    levels = {signal.level for signal, p in zip(measured.signals, adjusted, strict=True) if p < limits.alpha}
    verdict: Level = "act" if "act" in levels else "watch" if "watch" in levels else "pass"
    return dataclasses.replace(row, verdict=verdict)
