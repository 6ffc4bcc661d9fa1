"""The histogram that a person looks at: few cells at round numbers, every row in one of them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skew_ext.model import Histogram
from skew_ext.report.as_json import encoded
from skew_ext.statistics import CategorySummary, NumericSummary, distribution_row, summary_rows

RNG = np.random.default_rng(20)
Values = list[Any]
ANY = st.one_of(st.none(), st.integers(-30, 30).map(float), st.floats(allow_nan=True, allow_infinity=True))
WORDS = st.one_of(st.none(), st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.text(max_size=2))


def numbers(values: Values) -> pa.Array:
    """Give a column in which NaN is not null."""
    return pa.array(values, pa.float64(), from_pandas=False)


def seen(reference: Any, served: Any, **options: Any) -> Histogram:
    """Give the histogram of a row; there is one."""
    columns = [pa.array(one) for one in (reference, served)]
    found = distribution_row("f", *columns, **options).histogram
    assert found is not None
    return found


def shares(histogram: Histogram) -> dict[str, tuple[float, float]]:
    """Give both shares of each cell by its label."""
    pairs = zip(histogram.reference, histogram.served, strict=True)
    return dict(zip(histogram.labels, pairs, strict=True))


@settings(deadline=None)
@given(st.lists(ANY, min_size=1, max_size=60), st.lists(ANY, max_size=60))
def test_every_row_is_in_one_cell(reference: Values, served: Values) -> None:
    histogram = distribution_row("f", numbers(reference), numbers(served)).histogram
    finite = [value for side in (reference, served) for value in side if value is not None and math.isfinite(value)]
    if histogram is None:
        assert not finite
        return
    edges = histogram.edges
    assert all(a < b for a, b in pairwise(edges))
    assert len(histogram.labels) == len(histogram.reference) == len(histogram.served) == len(edges) + 1 <= 20
    json.dumps(encoded(histogram), allow_nan=False)
    assert all(math.isfinite(edge) for edge in edges)
    for side, values in enumerate((reference, served)):
        of = max(len(values), 1)
        placed = [sum(edge < value for edge in edges) for value in values if value is not None and value == value]  # noqa: PLR0124
        cells = np.bincount(np.array(placed, dtype=int), minlength=len(edges) + 1)
        assert (histogram.reference, histogram.served)[side] == pytest.approx(cells / of)
        assert histogram.nulls[side] == pytest.approx(sum(value is None for value in values) / of)
        assert histogram.nans[side] == pytest.approx(sum(value != value for value in values) / of)  # noqa: PLR0124


@settings(deadline=None)
@given(st.lists(ANY, min_size=1, max_size=60), st.lists(ANY, max_size=60), st.integers(2, 40))
def test_summaries_give_the_same_histogram(reference: Values, served: Values, bins: int) -> None:
    """It is taken from what is kept anyway: no second pass over the values."""
    exact = distribution_row("f", numbers(reference), numbers(served)).histogram
    before = NumericSummary.reference(numbers(reference), bins)
    (row,) = summary_rows([("f", before, before.like(numbers(served)))])
    if before.finite:
        assert row.histogram is not None
        assert exact is not None
        assert row.histogram.edges == exact.edges
        assert (row.histogram.reference, row.histogram.served) == (exact.reference, exact.served)
        assert (row.histogram.nulls, row.histogram.nans) == (exact.nulls, exact.nans)


def test_summaries_on_other_edges_give_the_nearest() -> None:
    column = pa.array(RNG.normal(size=1000))
    before = NumericSummary.of(column, (-1.1, -0.6, 0.1, 0.4, 1.2))
    (row,) = summary_rows([("f", before, before)])
    assert row.histogram is not None
    assert set(row.histogram.edges) <= set(before.edges)
    assert sum(row.histogram.served) == pytest.approx(1.0)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=60), st.lists(WORDS, max_size=60))
@example([*"abcdefgh", "", "0", "1", "2", "3", "4", "5", "6", "00"], ["h"])  # the 17th of the reference, and served
def test_every_category_is_in_one_cell(reference: Values, served: Values) -> None:
    columns = [pa.array(values, pa.string()) for values in (reference, served)]
    histogram = distribution_row("f", *columns).histogram
    if histogram is None:
        assert not any(value is not None for value in [*reference, *served])
        return
    assert histogram.edges == ()
    assert len(set(histogram.labels)) == len(histogram.labels) <= 19
    for side, values in enumerate((reference, served)):
        of = max(len(values), 1)
        cells = (histogram.reference, histogram.served)[side]
        assert list(cells) == pytest.approx([values.count(name) / of for name in histogram.labels])
        rest = [value for value in values if value is not None and value not in histogram.labels]
        assert histogram.other[side] == pytest.approx(len(rest) / of)
        assert histogram.nulls[side] == pytest.approx(values.count(None) / of)


def test_edges_are_round_numbers_over_the_bulk() -> None:
    histogram = seen(RNG.normal(size=20_000), [1e9, *RNG.normal(size=99)])
    assert histogram.edges == tuple(np.arange(-5, 6) / 2)
    assert histogram.labels[0] == "up to -2.5"
    assert histogram.labels[5] == "-0.5 to 0"
    assert histogram.served[-1] == pytest.approx(0.01, abs=0.02)


def test_zeros_of_an_amount_have_a_cell_of_their_own() -> None:
    amounts = RNG.gamma(2, size=10_000) * (RNG.random(10_000) > 0.7)
    histogram = seen(amounts, amounts)
    assert histogram.labels[:3] == ("under 0", "0", "0 to 0.5")
    assert histogram.reference[:2] == (0.0, np.mean(amounts == 0))


def test_small_integers_have_a_cell_each() -> None:
    histogram = seen([0, 1, 2, 3] * 100, [0, 1, 2, 7] * 100)
    assert histogram.labels == ("up to -1", "0", "1", "2", "3", "over 3")
    assert histogram.served == (0.0, 0.25, 0.25, 0.25, 0.0, 0.25)
    assert seen([0, 1, 2, 3], [0.5, 1.5, 2.5, 3.0]).labels[1:3] == ("-1 to 0", "0 to 1")


def test_larger_integers_are_named_by_those_that_a_cell_holds() -> None:
    histogram = seen(np.arange(1, 181) % 100, np.arange(100))
    assert histogram.labels[:3] == ("up to 0", "1 to 10", "11 to 20")


def test_a_constant_is_cut_out() -> None:
    assert shares(seen([3.5] * 10, [3.5] * 5 + [4.0] * 3 + [1.0] * 2)) == {
        "under 3.5": (0.0, 0.2),
        "3.5": (1.0, 0.5),
        "over 3.5": (0.0, 0.3),
    }


@pytest.mark.parametrize(
    "values",
    [
        [-1.7976931348623157e308, 1.7976931348623157e308],
        [1.0, 1.0 + 2**-52, 1.0 + 2**-51],
        [0.0, 5e-324],
        [1e300, 1e301, 1e302],
        [2**53 + 1, 2**53 + 3, 2**62],
        [-(2**63), 2**63 - 1],
    ],
    ids=str,
)
def test_ends_of_the_doubles_are_cut_too(values: list[float]) -> None:
    histogram = seen(values, values)
    assert sum(histogram.served) == pytest.approx(1.0)
    assert max(histogram.served) <= 0.7
    assert all(map(math.isfinite, histogram.edges))


def test_a_reference_without_values_takes_the_edges_of_what_was_served() -> None:
    histogram = seen(pa.nulls(10, pa.float64()), [0.0, 1.0, 2.0] * 4)
    assert histogram.nulls == (1.0, 0.0)
    assert sum(histogram.reference) == 0.0
    assert sum(histogram.served) == pytest.approx(1.0)


def test_days_and_hours_are_where_clocks_have_them() -> None:
    start = np.datetime64("2026-03-01", "us")
    hours = start + (np.arange(3 * 1440) * 60_000_000).astype("m8[us]")
    histogram = seen(hours, hours)
    assert histogram.labels[:2] == ("up to 2026-03-01 00:00", "2026-03-01 00:00 to 2026-03-01 06:00")
    days = start.astype("M8[D]") + np.arange(100)
    assert seen(days, days).labels[1] == "2026-02-26 to 2026-03-05"
    assert seen(hours - start, hours - start).labels[1] == "0:00:00 to 6:00:00"


def test_a_category_that_is_new_is_named() -> None:
    """What the reference never had is what one looks for: it is no part of "other", where it is common."""
    trained = [f"city {number}" for number in range(40) for _ in range(100 - number)]
    histogram = seen(trained, [*trained, *["new"] * 1000])
    assert histogram.labels[0] == "city 0"
    assert histogram.labels[16] == "new"
    reference, served = shares(histogram)["new"]
    assert reference == 0.0
    assert served == pytest.approx(1000 / (len(trained) + 1000))


def test_categories_of_any_length_are_cut() -> None:
    histogram = seen(["x" * 10_000, "y"] * 60, ["y"] * 10)
    assert sorted(map(len, histogram.labels)) == [1, 80]


def test_summaries_of_categories_give_the_reference_s_commonest() -> None:
    trained = pa.array([f"c{k}" for k in RNG.integers(0, 30, 2000)])
    before = CategorySummary.reference(trained)
    (row,) = summary_rows([("f", before, before.like(pa.array(["c0", "new", None, "c1"])))])
    assert row.histogram is not None
    assert row.histogram.labels == before.categories[:19]
    assert sum(row.histogram.served) + row.histogram.other[1] == pytest.approx(0.75)
    assert row.histogram.nulls == (0.0, 0.25)


def test_what_has_no_order_and_no_category_has_none() -> None:
    assert distribution_row("f", pa.array([b"x"] * 200), pa.array([b"x"] * 200)).histogram is None
    assert distribution_row("f", pa.nulls(200, pa.float64()), pa.nulls(200, pa.float64())).histogram is None
