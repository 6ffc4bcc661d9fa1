"""A week is the sum of its hours: summaries add up, survive JSON, and compare as the values would."""

from __future__ import annotations

import json
import math
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skew_ext.model import DistributionRow
from skew_ext.statistics import (
    CategorySummary,
    EmbeddingSummary,
    NumericSummary,
    distribution_row,
    ks,
    ks_between,
    quantile_edges,
    summary_from_dict,
    summary_rows,
    wasserstein,
)

RNG = np.random.default_rng(4)
Values = list[Any]
ANY = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(allow_nan=True, allow_infinity=True))
MODERATE = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))
WORDS = st.one_of(st.none(), st.sampled_from("abcdefgh"), st.text(max_size=2))


def numbers(values: Values) -> pa.Array:
    """Give a column in which NaN is not null."""
    return pa.array(values, pa.float64(), from_pandas=False)


def through_json(summary: Any) -> Any:
    """Store and read a summary."""
    return summary_from_dict(json.loads(json.dumps(summary.to_dict(), allow_nan=False)))


def hours(column: pa.Array, parts: int) -> list[pa.Array]:
    """Cut a column into parts, some of which may be empty."""
    cuts = [0, *sorted(RNG.integers(0, len(column) + 1, parts - 1).tolist()), len(column)]
    return [column.slice(start, end - start) for start, end in pairwise(cuts)]


@settings(deadline=None)
@given(st.lists(ANY, max_size=50), st.lists(ANY, max_size=80), st.integers(1, 6))
def test_a_week_of_numbers_is_the_sum_of_its_hours(reference: Values, week: Values, parts: int) -> None:
    before = NumericSummary.reference(numbers(reference))
    whole = before.like(numbers(week))
    merged = reduce(NumericSummary.merge, [through_json(before.like(hour)) for hour in hours(numbers(week), parts)])
    assert merged.cells.tolist() == whole.cells.tolist()
    assert (merged.low, merged.high, merged.finite) == (whole.low, whole.high, whole.finite)
    sizes = [abs(value) for value in week if value is not None and math.isfinite(value)]
    if max(sizes, default=0.0) < 1e100:
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9 * max(sizes, default=0.0))


@settings(deadline=None)
@given(st.lists(WORDS, max_size=50), st.lists(WORDS, max_size=80), st.integers(1, 6), st.integers(1, 4))
def test_a_week_of_categories_is_the_sum_of_its_hours(reference: Values, week: Values, parts: int, most: int) -> None:
    before = CategorySummary.reference(pa.array(reference, pa.string()), most)
    column = pa.array(week, pa.string())
    merged = reduce(CategorySummary.merge, [through_json(before.like(hour)) for hour in hours(column, parts)])
    assert merged == before.like(column)
    known = {value for value in reference if value is not None}
    assert merged.unseen == sum(value is not None and value not in known for value in week)
    assert merged.rows == len(week)


@pytest.mark.parametrize("parts", [1, 5])
def test_a_week_of_embeddings_is_the_sum_of_its_hours(parts: int) -> None:
    reference = pa.array(RNG.normal(size=(300, 4)).tolist())
    odd = [None, [1.0, 2.0], [], [1.0, None, 2.0, 3.0], [math.nan, 0.0, 0.0, 0.0], [math.inf, 0.0, 0.0, 0.0]]
    week = pa.array([*RNG.normal(1, 2, (200, 4)).tolist(), *odd, *RNG.normal(size=(50, 4)).tolist()])
    before = EmbeddingSummary.reference(reference)
    assert before is not None
    whole = before.like(week)
    assert (whole.vectors, whole.nulls, whole.wrong, whole.broken, whole.rows) == (250, 1, 2, 3, 256)
    merged = reduce(EmbeddingSummary.merge, [through_json(before.like(hour)) for hour in hours(week, parts)])
    assert (merged.vectors, merged.nulls, merged.wrong, merged.broken) == (250, 1, 2, 3)
    good = np.array([row for row in week.to_pylist() if row and len(row) == 4 and None not in row], dtype=float)
    good = good[np.isfinite(good).all(axis=1)]
    for summary in (whole, merged):
        np.testing.assert_allclose(summary.mean, good.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(summary.m2, ((good - good.mean(axis=0)) ** 2).sum(axis=0), rtol=1e-10)
        norms = np.linalg.norm(good, axis=1)
        assert summary.norm_mean == pytest.approx(norms.mean())
        assert summary.norm_m2 == pytest.approx(norms.var() * len(norms))


@settings(deadline=None, max_examples=60)
@given(st.lists(ANY, min_size=1, max_size=200), st.integers(2, 20))
def test_a_reference_keeps_its_quantile_edges(values: Values, bins: int) -> None:
    """The coarse edges that a stored reference gives are those of the values, to the bit."""
    summary = through_json(NumericSummary.reference(numbers(values), bins))
    assert summary.quantile_edges(bins) == quantile_edges(numbers(values), bins)
    coarse = summary.on(summary.quantile_edges(bins))
    assert coarse.counts == NumericSummary.of(numbers(values), coarse.edges).counts


@settings(deadline=None, max_examples=60)
@given(st.lists(MODERATE, min_size=1, max_size=200), st.lists(MODERATE, min_size=1, max_size=200))
def test_ks_of_summaries_is_within_its_stated_error(reference: Values, served: Values) -> None:
    before = NumericSummary.reference(numbers(reference))
    found, exact = ks_between(before, before.like(numbers(served))), ks(reference, served)
    assert found is not None
    assert exact is not None
    assert found[0] <= exact.statistic + 1e-12
    assert exact.statistic <= found[0] + found[1] + 1e-12


@settings(deadline=None, max_examples=100)
@given(st.lists(MODERATE, min_size=2, max_size=200), st.lists(MODERATE, min_size=1, max_size=200), st.integers(2, 12))
def test_wasserstein_of_summaries_is_within_its_stated_error(reference: Values, served: Values, bins: int) -> None:
    before = NumericSummary.reference(numbers(reference), bins)
    (row,) = summary_rows([("f", before, before.like(numbers(served)))])
    exact = wasserstein(reference, served)
    assert row.wasserstein is not None
    assert row.wasserstein_error is not None
    assert exact is not None
    if math.isinf(exact):
        assert math.isinf(row.wasserstein + row.wasserstein_error)
    else:
        rounding = 1e-9 * max(1.0, exact)
        assert abs(row.wasserstein - exact) <= row.wasserstein_error + rounding


def same(of_values: DistributionRow, of_summaries: DistributionRow, *names: str) -> None:
    for name in names:
        assert getattr(of_summaries, name) == pytest.approx(getattr(of_values, name), rel=1e-9), name


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.6])
def test_summaries_tell_what_values_tell_of_numbers(shift: float) -> None:
    random = np.random.default_rng(17)  # its own, whatever tests ran before
    reference = numbers([*random.lognormal(size=5000).tolist(), None, math.nan])
    served = numbers([*(random.lognormal(size=4000) + shift).tolist(), *[None] * 50])
    before = NumericSummary.reference(reference)
    exact, (row,) = distribution_row("f", reference, served), summary_rows([("f", before, before.like(served))])
    same(exact, row, "psi", "js", "mean_z", "out_of_range", "n_reference", "n_served")
    assert (row.verdict, row.null_rate, row.kind) == (exact.verdict, exact.null_rate, exact.kind)
    assert row.ks is not None
    assert row.ks_error is not None
    assert exact.ks is not None
    rounding = 1e-12  # shares are added up in another order
    assert row.ks - rounding <= exact.ks <= row.ks + row.ks_error + rounding
    assert row.ks_error < 0.03
    if shift > 0.1:
        assert row.wasserstein == pytest.approx(exact.wasserstein, rel=0.2)


def test_summaries_tell_what_values_tell_of_categories_and_embeddings() -> None:
    texts = [pa.array([f"c{k}" for k in RNG.integers(0, high, 4000)]) for high in (60, 70)]
    before = CategorySummary.reference(texts[0])
    exact, (row,) = distribution_row("f", *texts), summary_rows([("f", before, before.like(texts[1]))])
    same(exact, row, "psi", "js", "unseen")
    assert row.verdict == exact.verdict
    vectors = [pa.array(RNG.normal(mean, 1, (500, 8)).tolist()) for mean in ([1.0] * 8, [1.0] * 4 + [-1.0] * 4)]
    first = EmbeddingSummary.reference(vectors[0])
    assert first is not None
    exact, (row,) = distribution_row("f", *vectors), summary_rows([("f", first, first.like(vectors[1]))])
    same(exact, row, "cosine", "norm_ratio", "wrong_dimension")
    assert (row.verdict, row.kind) == (exact.verdict, "embedding") == ("act", "embedding")


def test_what_does_not_fit_is_said() -> None:
    number, text = NumericSummary.reference(numbers([1.0])), CategorySummary.reference(pa.array(["a"]))
    with pytest.raises(ValueError, match="kinds"):
        summary_rows([("f", number, text)])
    with pytest.raises(ValueError, match="edges"):
        summary_rows([("f", number, NumericSummary.of(numbers([1.0]), (5.0,)))])
    with pytest.raises(ValueError, match="dimension"):
        EmbeddingSummary.empty(3).merge(EmbeddingSummary.empty(4))
    with pytest.raises(ValueError, match="divided"):
        number.on((0.123,))


@pytest.mark.parametrize(
    "summary",
    [
        NumericSummary.reference(numbers([])),
        NumericSummary.reference(numbers([math.inf, -math.inf, math.nan, None])),
        NumericSummary.reference(numbers([-1.7976931348623157e308, 1.7976931348623157e308])),
        NumericSummary.reference(pa.array([2**53 + 1, 2**62])),
        CategorySummary.reference(pa.array([None, "", "\U0001f600", "\x00"], pa.string())),
        CategorySummary.of(pa.array(["a"]), ["b"]),
    ],
    ids=str,
)
def test_summaries_survive_json(summary: Any) -> None:
    again = through_json(summary)
    assert again == summary
    assert again.to_dict() == summary.to_dict()
