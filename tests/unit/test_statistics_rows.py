"""A feature's row: which statistics it gets, and when its verdict is watch or act."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from skew_ext.model import DistributionRow
from skew_ext.statistics import Thresholds, distribution_row, distribution_rows

RNG = np.random.default_rng(2024)
NORMAL = pa.array(RNG.normal(size=5000))
STATISTICS = ("psi", "ks", "ks_p", "chi2", "chi2_p", "js", "wasserstein", "mean_z")


def with_nulls(column: pa.Array, share: float) -> pa.Array:
    """Make the first `share` of a column null."""
    absent = np.arange(len(column)) < share * len(column)
    return pa.array(column.to_pylist(), column.type, mask=absent)


def told(row: DistributionRow) -> set[str]:
    """Name the statistics that a row has."""
    return {name for name in STATISTICS if getattr(row, name) is not None}


def test_numeric_row_holds_what_scipy_says() -> None:
    """The row's numbers are the statistics of its two columns."""
    served = pa.array(RNG.normal(0.4, 1, 4000))
    row = distribution_row("trips__distance", NORMAL, pa.chunked_array([served[:100], served[100:]]))
    a, b = NORMAL.to_numpy(), served.to_numpy()
    assert (row.feature, row.kind, row.n_reference, row.n_served) == ("trips__distance", "numeric", 5000, 4000)
    assert row.ks == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-9)
    assert row.wasserstein == pytest.approx(stats.wasserstein_distance(a, b) / a.std(ddof=1), abs=1e-9)
    assert row.mean_z == pytest.approx(stats.ttest_ind(b, a, equal_var=False).statistic, abs=1e-9)
    edges = np.quantile(a, np.arange(0.1, 0.95, 0.1), method="inverted_cdf")
    shares = [np.bincount(np.searchsorted(edges, values), minlength=10) / len(values) for values in (a, b)]
    assert row.psi == pytest.approx(float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0]))), abs=1e-3)
    assert told(row) == {"psi", "ks", "ks_p", "js", "wasserstein", "mean_z"}


def test_the_same_column_twice_passes_with_zeros() -> None:
    """Served as trained: every distance is exactly 0."""
    row = distribution_row("f", NORMAL, NORMAL)
    assert (row.psi, row.ks, row.js, row.wasserstein, row.mean_z) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert (row.ks_p, row.verdict) == (1.0, "pass")


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "pass"), (0.1, "pass"), (0.25, "watch"), (0.6, "act")])
def test_verdict_follows_the_size_of_a_shift(shift: float, verdict: str) -> None:
    """A tenth of a standard deviation is sure at 20,000 rows and too small to tell."""
    rng = np.random.default_rng(8)
    reference, served = pa.array(rng.normal(size=20_000)), pa.array(rng.normal(shift, 1, 20_000))
    assert distribution_row("f", reference, served).verdict == verdict


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_small_samples_of_one_distribution_pass(kind: str) -> None:
    """At 120 rows PSI is over 0.1 by chance alone; a large one that is not sure is no verdict."""
    rng = np.random.default_rng(9)

    def sample() -> pa.Array:
        return pa.array(rng.normal(size=120) if kind == "numeric" else rng.integers(0, 40, 120).astype(str))

    rows = distribution_rows([(f"f{i}", sample(), sample()) for i in range(200)])
    assert np.mean([row.psi for row in rows]) > 0.1
    assert {row.verdict for row in rows} == {"pass"}


def test_a_scale_change_is_seen_though_the_mean_stays() -> None:
    """PSI tells what a test of means cannot."""
    row = distribution_row("f", NORMAL, pa.array(RNG.normal(0, 2, 5000)))
    assert row.verdict == "act"
    assert row.mean_z is not None
    assert abs(row.mean_z) < 4


@pytest.mark.parametrize(
    "column",
    [NORMAL, pa.array(["a", "b"] * 2500), pa.array([True, False] * 2500), pa.array([[1.0]] * 5000)],
    ids=["numeric", "categorical", "boolean", "other"],
)
def test_a_jump_of_nulls_is_seen_in_every_kind(column: pa.Array) -> None:
    """From 2 % to 20 % null is an act, whatever the type."""
    row = distribution_row("f", with_nulls(column, 0.02), with_nulls(column, 0.2))
    assert row.null_rate == (0.02, 0.2)
    assert row.verdict == "act"


def test_a_column_that_became_null_is_seen() -> None:
    """All null against values: no distance, and an act."""
    row = distribution_row("f", NORMAL, pa.nulls(5000))
    assert (row.kind, row.null_rate, row.verdict) == ("numeric", (0.0, 1.0), "act")
    assert (row.ks, row.wasserstein, row.mean_z) == (None, None, None)


def test_categories_that_were_swapped_are_seen() -> None:
    """Strings get PSI, Jensen-Shannon and chi-square, and nothing that needs an order."""
    reference = pa.array(["card"] * 700 + ["cash"] * 300)
    row = distribution_row("f", reference, pa.array(["card"] * 300 + ["cash"] * 700).dictionary_encode())
    assert (row.kind, row.verdict) == ("categorical", "act")
    assert told(row) == {"psi", "chi2", "chi2_p", "js"}
    assert row.chi2 == pytest.approx(stats.chi2_contingency([[700, 300], [300, 700]], correction=False).statistic)


def test_unseen_categories_are_seen() -> None:
    """Three in ten rows have a category that the reference never had."""
    row = distribution_row("f", pa.array(["a"] * 1000), pa.array(["a"] * 700 + ["new"] * 300))
    assert row.verdict == "act"


def test_categories_chosen_by_chance_do_not_alarm() -> None:
    """Of many alike categories the reference's commonest are so by luck: chi-square must not see them fall."""
    rng = np.random.default_rng(10)
    columns = [pa.array(rng.integers(0, 2000, 100_000).astype(str)) for _ in range(2)]
    row = distribution_row("f", *columns)
    assert row.chi2_p is not None
    assert row.chi2_p > 0.01
    assert row.verdict == "pass"


def test_booleans_are_their_own_kind() -> None:
    """True and False are two categories."""
    row = distribution_row("f", pa.array([True] * 500 + [False] * 500), pa.array([True] * 900 + [False] * 100))
    assert (row.kind, row.verdict) == ("boolean", "act")


def test_identifiers_have_no_psi() -> None:
    """Strings that hardly repeat cannot be compared by category."""
    row = distribution_row("f", *(pa.array([f"{side}{i}" for i in range(1000)]) for side in "ab"))
    assert told(row) == set()
    assert row.verdict == "pass"


def test_few_distinct_integers_are_numeric() -> None:
    """A count of 0 to 3 has an order."""
    row = distribution_row("f", pa.array([0, 1, 2, 3] * 100, pa.int32()), pa.array([0, 1, 2, 3] * 100, pa.float64()))
    assert (row.kind, row.psi) == ("numeric", 0.0)


@pytest.mark.parametrize(
    ("reference", "served"),
    [
        (NORMAL, pa.array(["x"] * 5000)),
        (pa.array([b"x"] * 200),) * 2,
        (pa.nulls(200),) * 2,
    ],
    ids=["number against string", "bytes", "nothing but null"],
)
def test_other_kinds_get_null_rates_only(reference: pa.Array, served: pa.Array) -> None:
    """What has no bins in common is compared by its nulls, and does not vanish."""
    row = distribution_row("f", reference, served)
    assert (row.kind, told(row), row.verdict) == ("other", set(), "pass")


@pytest.mark.parametrize(
    ("reference", "served", "kind"),
    [
        (pa.array(["a"] * 200), pa.nulls(200), "categorical"),
        (pa.nulls(200), pa.array(["a"] * 200).cast(pa.string_view()), "categorical"),
        (pa.nulls(200), pa.array([True] * 200), "boolean"),
        (pa.nulls(200), pa.array([1] * 200), "numeric"),
        (pa.nulls(200), pa.array([{"a": 1}] * 200), "other"),
    ],
)
def test_nothing_on_one_side_is_an_act(reference: pa.Array, served: pa.Array, kind: str) -> None:
    """The side with values says the kind, whichever it is."""
    row = distribution_row("f", reference, served)
    assert (row.kind, row.verdict, sorted(row.null_rate)) == (kind, "act", [0.0, 1.0])


@pytest.mark.parametrize("served", [[], [5.0], [math.nan], [math.inf], [None]])
def test_too_few_rows_have_no_verdict(served: list[float | None]) -> None:
    """However far away the few are, and whatever they are."""
    row = distribution_row("f", NORMAL, pa.array(served, pa.float64(), from_pandas=False))
    assert (row.n_served, row.verdict) == (len(served), "too_few")


def test_both_sides_empty() -> None:
    """Nothing is told of nothing, without an error."""
    row = distribution_row("f", pa.array([], pa.float64()), pa.array([], pa.float64()))
    assert (row.kind, told(row), row.null_rate, row.verdict) == ("numeric", set(), (0.0, 0.0), "too_few")


def test_infinities_and_nan_are_seen() -> None:
    """A third of the values became infinite, or NaN: both are an act, and no statistic is NaN."""
    for odd in (math.inf, -math.inf, math.nan):
        served = pa.array(np.where(np.arange(5000) % 3 == 0, odd, NORMAL.to_numpy()), from_pandas=False)
        row = distribution_row("f", NORMAL, served)
        assert row.verdict == "act"
        assert not any(math.isnan(getattr(row, name)) for name in told(row))


def test_a_constant_that_moved_is_seen() -> None:
    """There is no spread to measure by, and still a bin on either side of the constant."""
    row = distribution_row("f", pa.array([1.0] * 200), pa.array([1.5] * 200))
    assert (row.verdict, row.wasserstein, row.mean_z) == ("act", math.inf, math.inf)


def test_sentinels_near_the_largest_double_do_no_harm() -> None:
    """Sums out of range leave out what they would spoil, and the rest is told."""
    row = distribution_row("f", NORMAL, pa.array([1.7976931348623157e308] * 5000))
    assert row.verdict == "act"
    assert not any(math.isnan(getattr(row, name)) for name in told(row))


def test_p_values_are_corrected_over_features() -> None:
    """A change that is barely sure alone is not so among a hundred features."""
    reference, served = pa.array(["a"] * 60 + ["b"] * 60), pa.array(["a"] * 87 + ["b"] * 33)
    alone = distribution_row("f", reference, served)
    among = distribution_rows([("f", reference, served)] + [(f"g{i}", reference, reference) for i in range(99)])[0]
    assert (alone.verdict, among.verdict) == ("act", "pass")
    assert alone.psi == among.psi


def test_thresholds_are_the_callers() -> None:
    """A stricter one tells more, a larger minimum tells nothing."""
    served = pa.array(RNG.normal(0.15, 1, 5000))
    assert distribution_row("f", NORMAL, served).verdict == "pass"
    assert distribution_row("f", NORMAL, served, thresholds=Thresholds(psi_watch=0.01)).verdict == "watch"
    assert distribution_row("f", NORMAL, served, thresholds=Thresholds(minimum_rows=10_000)).verdict == "too_few"
