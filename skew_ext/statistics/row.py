"""One feature's row of the distribution table: which statistics apply, what they are, and what they say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from skew_ext.model import DistributionRow
from skew_ext.statistics.arrays import Arrow, Counts, NumericColumn, kind_of
from skew_ext.statistics.category import CategorySummary, Tally
from skew_ext.statistics.divergence import jensen_shannon, psi, psi_p_value
from skew_ext.statistics.ordered import Comparison, Merged
from skew_ext.statistics.significance import (
    benjamini_hochberg,
    chi_square,
    mean_z,
    null_rate_test,
    ratio,
    two_sided,
)
from skew_ext.statistics.summary import NumericSummary, quantile_edges

Level = Literal["pass", "watch", "act"]


@dataclass(frozen=True)
class Thresholds:
    """When a difference is large enough, and sure enough, to be told.

    A verdict needs both: an effect (`psi_watch`, `psi_act`, or a mean that moved `mean_shift` standard deviations of
    the reference and `mean_z` standard errors) and a p-value below `alpha`, corrected over features. Without the
    first everything differs at a million rows; without the second everything differs at a hundred.
    """

    bins: int = 10
    top_categories: int = 50
    minimum_rows: int = 100
    psi_watch: float = 0.1
    psi_act: float = 0.2
    mean_z: float = 3.0
    mean_shift: float = 0.2
    alpha: float = 0.01
    identifier_share: float = 0.9
    """Strings of which at least this share of the reference's values are distinct are identifiers: no PSI."""

    def level(self, value: float | None) -> Level:
        """Say what a PSI asks for."""
        if value is None or value < self.psi_watch:
            return "pass"
        return "act" if value >= self.psi_act else "watch"


@dataclass(frozen=True)
class _Signal:
    """One effect size, judged, and the chance of it where nothing changed."""

    level: Level
    p_value: float


@dataclass(frozen=True)
class _Measured:
    row: DistributionRow
    signals: list[_Signal]


def distribution_row(
    feature: str, reference: Arrow, served: Arrow, *, thresholds: Thresholds | None = None
) -> DistributionRow:
    """Set one feature's served values against a reference.

    Numbers get PSI on the reference's quantile bins, exact KS, Jensen-Shannon, Wasserstein over the reference's
    standard deviation, and the z of the mean; strings and booleans get PSI, Jensen-Shannon and chi-square on the
    reference's commonest categories, other, and null; of anything else, of identifiers, and of two columns of
    different kinds, only the null rates are compared. With fewer than `minimum_rows` on either side the verdict is
    "too_few", whatever the statistics are.

    Parameters
    ----------
    feature
        Name to give the row.
    reference, served
        Arrow arrays or chunked arrays, of any lengths and of any type.
    thresholds
        When to say "watch" and "act".
    """
    return distribution_rows([(feature, reference, served)], thresholds=thresholds)[0]


def distribution_rows(
    columns: Iterable[tuple[str, Arrow, Arrow]], *, thresholds: Thresholds | None = None
) -> list[DistributionRow]:
    """Do as `distribution_row` does for many features, their p-values corrected together (Benjamini-Hochberg).

    `columns` gives (feature, reference, served) and is read one at a time, so that one column is in memory at once.
    """
    limits = thresholds or Thresholds()
    measured = [_measure(*column, limits) for column in columns]
    signals = [signal for one in measured for signal in one.signals]
    adjusted = benjamini_hochberg([signal.p_value for signal in signals])
    sure = iter([p < limits.alpha for p in adjusted])
    return [_judge(one, [next(sure) for _ in one.signals], limits) for one in measured]


def _judge(measured: _Measured, sure: list[bool], limits: Thresholds) -> DistributionRow:
    row = measured.row
    if min(row.n_reference, row.n_served) < limits.minimum_rows:
        return dataclasses.replace(row, verdict="too_few")
    levels = {signal.level for signal, certain in zip(measured.signals, sure, strict=True) if certain}
    verdict: Level = "act" if "act" in levels else "watch" if "watch" in levels else "pass"
    return dataclasses.replace(row, verdict=verdict)


def _measure(feature: str, reference: Arrow, served: Arrow, limits: Thresholds) -> _Measured:
    kind = kind_of(reference, served)
    if kind == "numeric":
        found, signals = _numeric(reference, served, limits)
    elif kind == "other":
        found, signals = {}, []
    else:
        found, signals = _categorical(reference, served, limits)
    null_rates = (_null_rate(reference), _null_rate(served))
    row = DistributionRow(
        feature, kind, len(reference), len(served), **_NOTHING | found, null_rate=null_rates, verdict="pass"
    )
    return _Measured(row, [*signals, _null_signal(reference, served, limits)])


_NOTHING: dict[str, Any] = dict.fromkeys(["psi", "ks", "ks_p", "chi2", "chi2_p", "js", "wasserstein", "mean_z"])


def _numeric(reference: Arrow, served: Arrow, limits: Thresholds) -> tuple[dict[str, Any], list[_Signal]]:
    with ThreadPoolExecutor(2) as pool:  # numpy sorts without the GIL, and sorting is most of the work
        a, b = pool.map(NumericColumn.of, (reference, served))
    edges = quantile_edges(a, limits.bins)
    before, after = NumericSummary.of(a, edges), NumericSummary.of(b, edges)
    merged, z = Merged.of(a.values, b.values), mean_z(before, after)
    test = merged.ks()
    unstable, found = _shares(before.cells, after.cells)
    found |= {
        "ks": test and test.statistic,
        "ks_p": test and test.p_value,
        "wasserstein": _finite_only(merged, a, b).wasserstein(_spread(before)),
        "mean_z": z,
    }
    sure = psi_p_value(unstable, before.cells, after.cells)
    return found, [_Signal(limits.level(unstable), sure), *_mean_signals(before, after, z, limits)]


def _categorical(reference: Arrow, served: Arrow, limits: Thresholds) -> tuple[dict[str, Any], list[_Signal]]:
    a = Tally.of(reference)
    if a.distinct_share >= limits.identifier_share and a.present >= limits.minimum_rows:
        return {}, []
    b = Tally.of(served)
    known = a.top(limits.top_categories)
    unstable, found = _shares(CategorySummary.of(a, known).cells, CategorySummary.of(b, known).cells)
    test = _category_test(a, b, limits)
    found |= {"chi2": test and test.statistic, "chi2_p": test and test.p_value}
    return found, [_Signal(limits.level(unstable), test.p_value if test else 1.0)]


def _category_test(a: Tally, b: Tally, limits: Thresholds) -> Comparison | None:
    """Test on the categories commonest on both sides together.

    Those commonest in the reference are partly so by chance, and would seem to fall in any second sample.
    """
    common = a.merge(b).top(limits.top_categories)
    return chi_square(CategorySummary.of(a, common).cells, CategorySummary.of(b, common).cells)


def _shares(before: Counts, after: Counts) -> tuple[float | None, dict[str, Any]]:
    unstable = psi(before, after)
    return unstable, {"psi": unstable, "js": jensen_shannon(before, after)}


def _spread(summary: NumericSummary) -> float:
    return math.sqrt(summary.variance) if summary.finite > 1 else 0.0


def _finite_only(merged: Merged, a: NumericColumn, b: NumericColumn) -> Merged:
    if len(a.finite) == len(a.values) and len(b.finite) == len(b.values):
        return merged
    return Merged.of(a.finite, b.finite)


def _mean_signals(before: NumericSummary, after: NumericSummary, z: float | None, limits: Thresholds) -> list[_Signal]:
    if z is None:
        return []
    shift = ratio(after.mean - before.mean, _spread(before))
    large = shift is not None and abs(shift) >= limits.mean_shift and abs(z) > limits.mean_z
    return [_Signal("watch" if large else "pass", two_sided(z))]


def _null_signal(reference: Arrow, served: Arrow, limits: Thresholds) -> _Signal:
    """Judge the null rates as the PSI of null against not null, so that one scale serves for all kinds."""
    pairs = [(column.null_count, len(column)) for column in (reference, served)]
    value = psi(*([nulls, rows - nulls] for nulls, rows in pairs))
    return _Signal(limits.level(value), null_rate_test(*pairs[0], *pairs[1]).p_value)


def _null_rate(column: Arrow) -> float:
    return column.null_count / len(column) if len(column) else 0.0
