"""Weighted rows: what is told of them is what NumPy's and SciPy's weighted forms tell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skew_ext.audit.training_weights import with_weights
from skew_ext.errors import AuditError
from skew_ext.statistics import distribution_row, effective_rows, psi, weighed

RNG = np.random.default_rng(31)
ROWS = 20_000
VALUES = RNG.gamma(2, 2, ROWS)
WEIGHTS = RNG.exponential(size=ROWS) * (VALUES > 1)
SERVED = RNG.gamma(2.2, 2, 5000)


def test_effective_rows_are_kishs() -> None:
    assert effective_rows([1, 1, 1, 1]) == 4
    assert effective_rows([0.25, 0, 0.25, 0]) == 2
    assert effective_rows([1e300, 1e300, 1e-300]) == 2
    assert effective_rows(WEIGHTS) == round(WEIGHTS.sum() ** 2 / (WEIGHTS**2).sum())


def test_equal_weights_change_nothing() -> None:
    column = pa.array([*VALUES[:500].tolist(), None, None])
    again = weighed(column, np.full(502, 7.5))
    assert again.null_count == 2
    assert np.sort(again.drop_null()).tolist() == np.sort(VALUES[:500]).tolist()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(-3, 3)), st.one_of(st.just(0.0), st.floats(1e-3, 1e3))),
        min_size=1,
        max_size=60,
    )
)
def test_shares_are_the_weighted_ones_to_within_a_row(rows: list[tuple[int | None, float]]) -> None:
    values, weights = [value for value, _ in rows], np.array([weight for _, weight in rows])
    if not weights.any():
        return
    found = weighed(pa.array(values, pa.int64()), weights).to_pylist()
    assert len(found) == effective_rows(weights)
    for one in set(values):
        share = sum(weight for value, weight in rows if value == one) / weights.sum()
        assert abs(found.count(one) / len(found) - share) <= 1 / len(found) + 1e-9


def test_statistics_are_those_of_numpy_and_scipy_with_weights() -> None:
    row = distribution_row("f", weighed(pa.array(VALUES), WEIGHTS), pa.array(SERVED))
    assert row.n_reference == effective_rows(WEIGHTS)
    mean = np.average(VALUES, weights=WEIGHTS)
    spread = math.sqrt(np.cov(VALUES, aweights=WEIGHTS))
    theirs = stats.wasserstein_distance(VALUES, SERVED, u_weights=WEIGHTS) / spread
    assert row.wasserstein == pytest.approx(theirs, abs=1e-3)
    error = math.sqrt(spread**2 / row.n_reference + SERVED.var(ddof=1) / len(SERVED))
    assert row.mean_z == pytest.approx((SERVED.mean() - mean) / error, abs=0.02)
    order = np.argsort(VALUES)
    upto = np.cumsum(WEIGHTS[order]) / WEIGHTS.sum()
    below = np.searchsorted(np.sort(SERVED), VALUES[order], side="right") / len(SERVED)
    assert row.ks == pytest.approx(np.abs(upto - below).max(), abs=1 / row.n_reference + 1 / len(SERVED))
    edges = np.quantile(VALUES, np.arange(0.1, 0.95, 0.1), weights=WEIGHTS, method="inverted_cdf")
    cells = [
        np.bincount(np.searchsorted(edges, values), weights=weights, minlength=10)
        for values, weights in ((VALUES, WEIGHTS), (SERVED, np.ones(len(SERVED))))
    ]
    scaled = np.round(cells[0] * row.n_reference / cells[0].sum())
    assert row.psi == pytest.approx(psi(scaled, cells[1]), abs=2e-3)


def test_categories_and_nulls_are_weighted_too() -> None:
    texts = pa.array(["a", "b", None, "c"] * 500).dictionary_encode()
    row = distribution_row("f", weighed(texts, [1.0, 2.0, 1.0, 0.0] * 500), pa.array(["b", "a", "b", None] * 500))
    assert list(row.null_rate) == pytest.approx([0.25, 0.25], abs=1e-3)
    assert row.psi == pytest.approx(0.0, abs=1e-4)
    assert row.unseen == 0.0


def test_lists_are_taken_in_their_order() -> None:
    vectors = pa.array([[float(number), 1.0] for number in range(100)])
    taken = weighed(vectors, [1.0] * 50 + [0.0] * 50)
    assert taken.to_pylist() == vectors[:50].to_pylist()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0, -1.0], r"1 of the weights 'w' are no finite numbers of 0 or more \(row 1: -1.0\)"),
        ([1.0, None], r"\(row 1: n"),
        ([math.inf, 1.0], r"\(row 0: inf\)"),
        ([0, 0], "all weights 'w' are 0"),
        (["1", "2"], "of type string: give numbers"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights: list[Any], said: str) -> None:
    table = pa.table({"f": [1.0, 2.0], "w": weights})
    with pytest.raises(AuditError, match=said):
        with_weights({"f": table["f"]}, table, "w")


def test_weights_that_are_not_there_are_refused() -> None:
    frame = pd.DataFrame({"f": [1.0], "weight": [1.0]})
    with pytest.raises(AuditError, match=r"no column 'weights', the weights \(did you mean 'weight'\?\)"):
        with_weights({"f": pa.array([1.0])}, frame, "weights")
    with pytest.raises(AuditError, match="no training set is given"):
        with_weights({}, None, "weight")


def test_what_the_weights_are_worth_is_noted() -> None:
    table = pa.table({"f": [1.0, 2.0, 3.0], "w": pa.array([2, 2, 0])})
    columns, (note,) = with_weights({"f": table["f"]}, table, "w")
    assert columns["f"].to_pylist() == [1.0, 2.0]
    assert note.endswith("by 'w': 3 rows tell as much of drift as 2 of equal weight")
