"""Large columns are not sorted: what is told of them is what sorting would tell, and what SciPy tells."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skew_ext.model import DistributionRow
from skew_ext.statistics import counted, distribution_row, located
from skew_ext.statistics.arrays import NumericColumn
from skew_ext.statistics.counted import CountedColumn
from skew_ext.statistics.grid import Grid
from skew_ext.statistics.located import LocatedColumn
from skew_ext.statistics.ordered import distances
from skew_ext.statistics.pairs import columns_of, distances_between

RNG = np.random.default_rng(77)
N, M = 240_000, 210_000
Values = npt.NDArray[Any]


def zeros(values: Values, share: float = 0.6) -> Values:
    """Make a share of the values 0, some of them -0.0."""
    drawn = RNG.random(len(values))
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, -0.0, values))


NORMAL = RNG.normal(size=N)
LOCATED: dict[str, tuple[Values, Values]] = {
    "normal": (NORMAL, RNG.normal(size=M)),
    "of equal size": (NORMAL, RNG.normal(size=N)),
    "moved": (NORMAL, RNG.normal(0.4, 1.3, M)),
    "the same": (NORMAL, NORMAL.copy()),
    "the same in another order": (NORMAL, RNG.permutation(NORMAL)),
    "one in a hundred differs": (NORMAL, np.where(RNG.random(N) < 0.01, 3 * NORMAL, NORMAL)),
    "lognormal": (RNG.lognormal(size=N), RNG.lognormal(0.01, 1, M)),
    "no mean": (RNG.standard_cauchy(N), RNG.standard_cauchy(M)),
    "zeros": (zeros(RNG.gamma(2, size=N)), zeros(RNG.gamma(2, size=M))),
    "zeros between": (zeros(NORMAL), zeros(RNG.normal(size=M))),
    "imputed": (
        np.where(RNG.random(N) < 0.3, 1.23456, NORMAL),
        np.where(RNG.random(M) < 0.28, 1.23456, RNG.normal(size=M)),
    ),
    "times": (1.7e15 + 1e9 * NORMAL, 1.7e15 + 1e9 * RNG.normal(size=M)),
    "cents": (np.round(RNG.lognormal(3, 1, N), 2), np.round(RNG.lognormal(3, 1, M), 2)),
    "negative": (-RNG.lognormal(size=N), -RNG.lognormal(size=M)),
    "beyond the range": (RNG.uniform(0, 1, N), RNG.uniform(-0.1, 1.1, M)),
    "one far away": (NORMAL, np.append(RNG.normal(size=M - 1), 1e100)),
    "small": (1e-100 * NORMAL, 1e-100 * RNG.normal(size=M)),
}
COUNTED: dict[str, tuple[Values, Values]] = {
    "counts": (RNG.poisson(3, N), RNG.poisson(3.1, M)),
    "thousands": (RNG.poisson(10_000, N), RNG.poisson(10_010, M)),
    "beyond doubles": (2**53 + RNG.integers(0, 50, N), 2**53 + RNG.integers(1, 52, M)),
    "whole doubles": (RNG.poisson(40, N).astype(float), RNG.poisson(40, M).astype(float)),
    "halves": (RNG.integers(-8, 9, N) / 2, RNG.integers(-8, 10, M) / 2),
    "constants": (np.full(N, 0.1), np.full(M, 0.1)),
    "few, with infinities": (
        RNG.choice([-math.inf, 0.5, 1.5, math.inf], N),
        RNG.choice([-math.inf, 0.5, 1.5, 2.5, math.inf], M),
    ),
}


@pytest.mark.parametrize("name", LOCATED)
def test_columns_that_are_located_are_compared_as_if_sorted(name: str) -> None:
    pair = columns_of(*map(pa.array, LOCATED[name]))
    assert isinstance(pair[0], LocatedColumn)
    found, exact = distances_between(pair), distances(*map(np.sort, LOCATED[name]))
    assert found.ks is not None
    assert exact.ks is not None
    assert (found.ks.statistic, found.ks.p_value) == (exact.ks.statistic, exact.ks.p_value)
    assert found.area is not None
    assert exact.area is not None
    rounding = 1e-12 * max(exact.area, float(np.std(LOCATED[name][0])))
    assert found.area - rounding <= exact.area <= found.area + found.error + rounding
    assert found.error <= 1e-3 * float(np.std(LOCATED[name][0]))


@pytest.mark.parametrize("name", COUNTED)
def test_columns_that_are_counted_are_compared_as_if_sorted(name: str) -> None:
    pair = columns_of(*map(pa.array, COUNTED[name]))
    assert isinstance(pair[0], CountedColumn)
    found, exact = distances_between(pair), distances(*map(np.sort, COUNTED[name]))
    assert found.ks == exact.ks
    assert found.area == pytest.approx(exact.area, rel=1e-12)
    assert found.error == 0.0


@pytest.mark.parametrize("name", [*LOCATED, *COUNTED])
def test_order_and_moments_are_those_of_the_values(name: str) -> None:
    values = (LOCATED | COUNTED)[name][0]
    one = columns_of(*map(pa.array, (LOCATED | COUNTED)[name]))[0]
    finite = np.sort(values[np.isfinite(values)]) if values.dtype == float else np.sort(values)
    assert (len(one), one.size, one.low, one.high) == (len(values), len(finite), values.min(), values.max())
    ranks = np.array([0, 1, 17, len(finite) // 3, len(finite) - 2, len(finite) - 1])
    assert one.at(ranks).tolist() == finite[ranks].tolist()
    edges = np.concatenate([finite[ranks], finite[ranks] + 1])
    assert one.upto(edges).tolist() == [np.count_nonzero(values <= edge) for edge in edges]
    mean, m2 = one.moments()
    assert mean == pytest.approx(finite.mean(), rel=1e-12, abs=1e-13 * float(finite.std()))
    moved = finite - finite[0]  # whole numbers beyond doubles have no other squares
    # Their mean is no double, and to which one it is rounded depends on the order in which a processor adds.
    assert m2 == pytest.approx(((moved - moved.mean()) ** 2).sum(), rel=1e-9 if name != "beyond doubles" else 0.05)


@pytest.mark.parametrize("name", ["moved", "zeros", "one in a hundred differs"])
def test_scipy_says_the_same(name: str) -> None:
    a, b = LOCATED[name]
    row = distribution_row("f", pa.array(a), pa.array(b))
    assert row.ks == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    theirs = stats.wasserstein_distance(a, b) / a.std(ddof=1)
    assert row.wasserstein is not None
    assert row.wasserstein_error is not None
    assert row.wasserstein - 1e-9 <= theirs <= row.wasserstein + row.wasserstein_error + 1e-9
    assert row.mean_z == pytest.approx(stats.ttest_ind(b, a, equal_var=False).statistic, abs=1e-9)


def absent(values: Values) -> pa.Array:
    """Give values of which some are NaN, and some null."""
    drawn = RNG.random(len(values))
    return pa.array(np.where(drawn < 0.01, math.nan, values), mask=drawn > 0.97)


def rows_both_ways(a: pa.Array, b: pa.Array, patch: pytest.MonkeyPatch) -> tuple[DistributionRow, DistributionRow]:
    """Give the row as large columns are compared, and as sorted ones are."""
    large = distribution_row("f", a, b)
    with patch.context() as changed:
        changed.setattr(located, "ENOUGH", 10**9)
        changed.setattr(counted, "ENOUGH", 10**9)
        return large, distribution_row("f", a, b)


@pytest.mark.parametrize(
    "name", ["normal", "zeros", "beyond the range", "no mean", "imputed", "whole doubles", "halves"]
)
def test_a_row_is_the_same_as_if_sorted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = map(absent, (LOCATED | COUNTED)[name])
    large, plain = rows_both_ways(a, b, monkeypatch)
    assert large.histogram == plain.histogram
    for field in dataclasses.fields(DistributionRow):
        if field.name not in ("histogram", "wasserstein", "wasserstein_error"):
            theirs = getattr(plain, field.name)
            exact = not isinstance(theirs, float)
            assert getattr(large, field.name) == (theirs if exact else pytest.approx(theirs, rel=1e-9, abs=1e-9))
    assert large.wasserstein is not None
    assert large.wasserstein == pytest.approx(plain.wasserstein, abs=1e-9 + (large.wasserstein_error or 0.0))


@pytest.mark.parametrize("scale", [1.0, 1e-300], ids=str)
@pytest.mark.parametrize("odd", [math.inf, -math.inf, 1e300], ids=str)
def test_columns_with_values_out_of_all_bounds_are_sorted(odd: float, scale: float) -> None:
    a, b = scale * NORMAL, np.append(scale * RNG.normal(size=M), odd if scale == 1.0 else 0.0)
    assert isinstance(columns_of(pa.array(a), pa.array(b))[0], NumericColumn)
    theirs = stats.ks_2samp(a, b, method="asymp").statistic
    assert distribution_row("f", pa.array(a), pa.array(b)).ks == pytest.approx(theirs, abs=1e-12)


def test_zeros_of_either_sign_are_one_value() -> None:
    """Some of them beside NaN, so that they are told apart by their bits and not as whole numbers."""
    signed = zeros(np.zeros(N))
    row = distribution_row("f", pa.array(signed), pa.array(np.where(RNG.random(N) < 0.01, math.nan, signed)))
    assert (row.ks, row.wasserstein, row.constant) == (0.0, 0.0, (True, False))
    assert distribution_row("f", pa.array(signed), pa.array(np.append(signed, 0.5))).constant == (True, False)


def test_nothing_but_nan_is_no_number() -> None:
    row = distribution_row("f", pa.array(np.full(N, math.nan)), pa.array(NORMAL))
    assert (row.ks, row.wasserstein, row.mean_z) == (None, None, None)
    assert row.verdict == "act"


DOUBLES = st.floats(-1e150, 1e150)


@settings(deadline=None, max_examples=200)
@given(st.lists(DOUBLES, min_size=1, max_size=50), st.lists(DOUBLES, min_size=1, max_size=50))
def test_cells_rise_with_the_values(sample: list[float], values: list[float]) -> None:
    grid = Grid.over(np.array(sample), low=min(0.0, *sample, *values))
    ordered = np.sort(np.array([*sample, *values]))
    cells = grid.of(ordered)
    assert np.all(np.diff(cells) >= 0)
    assert cells.min() >= 0
    assert cells.max() < grid.cells <= 1 << 15
    assert len(grid.ends) == grid.cells - 1
    for value, cell in zip(ordered, cells, strict=True):
        assert cell == grid.cells - 1 or value <= grid.ends[cell]
        assert cell == 0 or value >= grid.ends[cell - 1]


MODERATE = st.one_of(st.sampled_from([0.0, 1.0, -0.5]), st.floats(-1e3, -1e-3), st.floats(1e-3, 1e3))


@settings(deadline=None, max_examples=100)
@given(st.lists(MODERATE, min_size=1, max_size=120), st.lists(MODERATE, min_size=1, max_size=120))
def test_located_columns_of_anything_are_compared_as_if_sorted(a: list[float], b: list[float]) -> None:
    """The smallest columns take the same way here, so that every corner of it is gone into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(located, "ENOUGH", 1)
        pair = located.located_pair((np.array(a), 0), (np.array(b), 0))
    assert pair is not None
    found, exact = located.located_gaps(*pair), distances(np.sort(a), np.sort(b))
    assert exact.ks is not None
    assert exact.area is not None
    assert found.largest / (len(a) * len(b)) == exact.ks.statistic
    rounding = 1e-12 * max(map(abs, [*a, *b]))
    assert found.area - rounding <= exact.area <= found.area + found.error + rounding
    ordered = np.sort(np.array(a))
    assert pair[0].at(np.arange(len(a))).tolist() == ordered.tolist()
    assert pair[0].upto(np.array(b)).tolist() == np.searchsorted(ordered, b, side="right").tolist()
