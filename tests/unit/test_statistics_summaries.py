"""Summaries add up exactly, and every row is in one of their cells."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.statistics import CategorySummary, NumericColumn, NumericSummary, Tally, quantile_edges

ANY_NUMBER = st.one_of(st.none(), st.integers(-5, 5).map(float), st.floats(allow_nan=True, allow_infinity=True))
NUMBERS = st.lists(ANY_NUMBER, max_size=60)
WORDS = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh"), st.text(max_size=2)), max_size=60)


def doubles(values: list[float | None]) -> pa.Array:
    """Give an Arrow column in which NaN stays NaN and only None is null."""
    return pa.array(values, pa.float64(), from_pandas=False)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_numeric_parts_add_up_to_the_whole(
    reference: list[float | None], first: list[float | None], second: list[float | None]
) -> None:
    """Counts are those of the whole, exactly; moments are to rounding, where doubles can hold them."""
    edges = quantile_edges(doubles(reference))
    merged = NumericSummary.of(doubles(first), edges).merge(NumericSummary.of(doubles(second), edges))
    whole = NumericSummary.of(doubles(first + second), edges)
    assert (merged.counts, merged.nulls, merged.nans) == (whole.counts, whole.nulls, whole.nans)
    assert merged.rows == merged.cells.sum() == len(first) + len(second)
    sizes = [abs(value) for value in first + second if value is not None and math.isfinite(value)]
    if max(sizes, default=0.0) < 1e100:
        largest = max(sizes, default=0.0)
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-12 * largest + 1e-300)
        assert merged.m2 == pytest.approx(whole.m2, rel=1e-9, abs=1e-12 * largest**2 + 1e-300)


@given(WORDS, WORDS, WORDS, st.integers(1, 4))
def test_categorical_parts_add_up_to_the_whole(
    reference: list[str | None], first: list[str | None], second: list[str | None], most: int
) -> None:
    """Every row is counted once: under its category, under other, or as null."""
    known = Tally.of(pa.array(reference, pa.string())).top(most)
    parts = [CategorySummary.of(pa.array(part, pa.string()), known) for part in (first, second)]
    whole = CategorySummary.of(pa.array(first + second, pa.string()), known)
    assert parts[0].merge(parts[1]) == whole
    assert whole.rows == len(first) + len(second)
    assert whole.counts == tuple((first + second).count(name) for name in known)


@given(NUMBERS)
def test_quantile_edges_rise_and_bins_are_right_closed(values: list[float | None]) -> None:
    """No edge is there twice, and a bin holds what is over its lower edge and not over its upper one."""
    column = doubles(values)
    edges = quantile_edges(column)
    assert all(low < high for low, high in pairwise(edges))
    bounds = [-math.inf, *edges, math.inf]
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    by_hand = [sum(low < value <= high for value in numbers) for low, high in pairwise(bounds)]
    by_hand[0] += numbers.count(-math.inf)
    assert NumericSummary.of(column, edges).counts == tuple(by_hand)


def test_quantile_edges_are_the_deciles() -> None:
    """Of 1 to 1000 the inner edges are 100, 200, ..., 900, and each bin holds a tenth."""
    edges = quantile_edges(pa.array(range(1, 1001)))
    assert edges == tuple(float(edge) for edge in range(100, 1000, 100))
    assert NumericSummary.of(pa.array(range(1, 1001)), edges).counts == (100,) * 10


def test_mass_on_one_value_gets_its_own_bin() -> None:
    """Zeros among negative and positive values are counted alone."""
    values = pa.array([-1.0] * 10 + [0.0] * 60 + [float(x) for x in range(1, 31)])
    summary = NumericSummary.of(values, quantile_edges(values))
    at_zero = summary.edges.index(0.0)
    assert summary.counts[at_zero] == 60
    assert summary.edges[at_zero - 1] == np.nextafter(0.0, -np.inf)


def test_constant_has_a_bin_and_two_open_sides() -> None:
    """What leaves a constant is seen, on either side."""
    edges = quantile_edges(pa.array([7] * 50))
    assert NumericSummary.of(pa.array([6, 7, 7, 8]), edges).counts == (1, 2, 1)
    assert NumericSummary.of(pa.array([7] * 50), edges).variance == 0.0


def test_infinities_are_ordered_and_nan_is_not_null() -> None:
    """An infinity falls in an outer bin and in no moment; NaN has its own count."""
    summary = NumericSummary.of(doubles([1.0, 3.0, math.inf, -math.inf, math.nan, None]), (2.0,))
    assert (summary.counts, summary.nans, summary.nulls) == ((2, 2), 1, 1)
    assert (summary.finite, summary.mean, summary.variance) == (2, 2.0, 2.0)
    assert summary.cells.tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("values", [[], [None, None], [math.nan], [math.inf]])
def test_without_finite_values_there_is_one_bin(values: list[float | None]) -> None:
    """Nothing to bin by, so everything is in one bin and still counted."""
    assert quantile_edges(doubles(values)) == ()
    assert NumericSummary.of(doubles(values), ()).rows == len(values)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 2], pa.uint64()),
        pa.array([1, None, 2], pa.int8()),
        pa.array([1.0, None, 2.0], pa.float32()),
        pa.array(np.array([1, 2], np.float16)),
        pa.array([Decimal("1.00"), None, Decimal("2.00")]),
        pa.array([1, None, 2]).dictionary_encode(),
        pa.chunked_array([pa.array([2]), pa.array([None, 1], pa.int64())]),
        pa.array([2, None, 1, 9])[:3],
    ],
    ids=lambda column: str(column.type),
)
def test_every_numeric_arrow_type_is_read(column: pa.Array) -> None:
    """Whatever its width or encoding, a column gives its values, sorted, and its nulls."""
    read = NumericColumn.of(column)
    assert read.values.tolist() == [1.0, 2.0]
    assert read.nulls == column.null_count


def test_integers_beyond_doubles_are_counted() -> None:
    """A cast that loses digits is no error here."""
    assert NumericSummary.of(pa.array([2**63 - 1, -(2**63)]), (0.0,)).counts == (1, 1)


def test_sums_beyond_doubles_are_no_error() -> None:
    """Sentinels near the largest double give moments out of range, and right counts."""
    summary = NumericSummary.of(pa.array([1.7e308, 1.6e308, -1.7e308]), (0.0,))
    assert summary.counts == (1, 2)
    assert not math.isfinite(summary.m2)


def test_top_categories_are_the_commonest_ties_by_name() -> None:
    """The same categories are kept whatever the order of the rows."""
    words = ["b", "b", "c", "a", "d", "d", "d", "e"]
    assert Tally.of(pa.array(words)).top(3) == Tally.of(pa.array(words[::-1])).top(3) == ("d", "b", "a")


def test_tallies_add_up() -> None:
    """A merged tally counts both columns."""
    merged = Tally.of(pa.array(["a", "b", None])).merge(Tally.of(pa.array(["b", "c"])))
    assert dict(zip(merged.values.to_pylist(), merged.counts.tolist(), strict=True)) == {"a": 1, "b": 2, "c": 1}
    assert (merged.nulls, merged.present) == (1, 4)


def test_unseen_categories_are_other() -> None:
    """Where all of the reference's categories are kept, other is what it never had."""
    summary = CategorySummary.of(pa.array(["x", "new", None, "x"]).dictionary_encode(), ["x", "y"])
    assert (summary.counts, summary.other, summary.nulls) == ((2, 0), 1, 1)
    assert summary.cells.tolist() == [2, 0, 1, 1]


def test_summaries_on_other_bins_do_not_add_up() -> None:
    """Adding counts of different bins would be a silent lie."""
    column = pa.array([1.0])
    with pytest.raises(ValueError, match="edges"):
        NumericSummary.of(column, (0.0,)).merge(NumericSummary.of(column, (1.0,)))
    with pytest.raises(ValueError, match="categories"):
        CategorySummary(("a",), (1,)).merge(CategorySummary(("b",), (1,)))
