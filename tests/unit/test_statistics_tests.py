"""Each statistic agrees with an independent computation, and stands at the edges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from skew_ext.statistics import (
    NumericSummary,
    benjamini_hochberg,
    chi_square,
    jensen_shannon,
    ks,
    mean_z,
    null_rate_test,
    psi,
    psi_p_value,
    wasserstein,
    wilson,
)

Sample = npt.NDArray[np.float64]
COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=12)
FINITE = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40)


def zero_inflated(rng: np.random.Generator, size: int) -> Sample:
    """Give a gamma sample, 60 % of it zeros."""
    sample: Sample = np.where(rng.random(size) < 0.6, 0.0, rng.gamma(2.0, size=size))
    return sample


SAMPLERS: dict[str, Callable[[np.random.Generator, int], Sample]] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "shifted": lambda rng, size: rng.normal(0.3, 1.5, size),
    "zero_inflated": zero_inflated,
    "integers": lambda rng, size: rng.integers(0, 5, size).astype(float),
    "constant": lambda _, size: np.full(size, 3.25),
}


def psi_by_hand(reference: list[int], served: list[int]) -> float:
    """Compute PSI in plain Python: half a row is added to each cell that either side occupies."""
    cells = [(a, b) for a, b in zip(reference, served, strict=True) if a or b]
    n, m = sum(reference) + len(cells) / 2, sum(served) + len(cells) / 2
    return math.fsum(((b + 0.5) / m - (a + 0.5) / n) * math.log((b + 0.5) * n / ((a + 0.5) * m)) for a, b in cells)


@pytest.mark.filterwarnings("ignore:ks_2samp")
@pytest.mark.parametrize("sizes", [(1, 1), (1, 40), (37, 41), (300, 900), (4000, 5000)])
@pytest.mark.parametrize("served", SAMPLERS)
@pytest.mark.parametrize("reference", SAMPLERS)
def test_ks_agrees_with_scipy(reference: str, served: str, sizes: tuple[int, int]) -> None:
    """Statistic and p-value are SciPy's, ties and constants included."""
    rng = np.random.default_rng(7)
    a, b = SAMPLERS[reference](rng, sizes[0]), SAMPLERS[served](rng, sizes[1])
    exact = sizes[0] * sizes[1] <= 250_000
    ours, scipys = ks(a, b), stats.ks_2samp(a, b, method="exact" if exact else "asymp")
    assert ours is not None
    assert ours.statistic == pytest.approx(scipys.statistic, abs=1e-9)
    assert ours.p_value == pytest.approx(scipys.pvalue, abs=1e-9)


def test_ks_of_large_samples_takes_the_limit() -> None:
    """Over an effective size of 10,000 the p-value is within two per cent of SciPy's."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=40_000), rng.normal(0.012, 1, 50_000)
    ours, scipys = ks(a, b), stats.ks_2samp(a, b, method="asymp")
    assert ours is not None
    assert ours.statistic == pytest.approx(scipys.statistic, abs=1e-12)
    assert 5e-4 < scipys.pvalue < 0.5
    assert ours.p_value == pytest.approx(scipys.pvalue, rel=0.02)


@pytest.mark.parametrize("sizes", [(2, 1), (37, 41), (900, 300)])
@pytest.mark.parametrize("served", SAMPLERS)
@pytest.mark.parametrize("reference", ["normal", "zero_inflated", "integers"])
def test_wasserstein_agrees_with_scipy(reference: str, served: str, sizes: tuple[int, int]) -> None:
    """The distance is SciPy's, over the sample standard deviation of the reference."""
    rng = np.random.default_rng(11)
    a, b = SAMPLERS[reference](rng, sizes[0]), SAMPLERS[served](rng, sizes[1])
    if a.std() == 0.0:
        a[0] += 1.0
    assert wasserstein(a, b) == pytest.approx(stats.wasserstein_distance(a, b) / np.std(a, ddof=1), abs=1e-9)


@given(FINITE, FINITE)
def test_ordered_statistics_agree_with_scipy_on_anything(a: list[float], b: list[float]) -> None:
    """Whatever the values, the gap and the area are SciPy's."""
    ours = ks(a, b)
    assert ours is not None
    assert ours.statistic == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-9)
    spread = float(np.std(a, ddof=1))
    if spread > 1e-3:
        assert wasserstein(a, b) == pytest.approx(stats.wasserstein_distance(a, b) / spread, rel=1e-9, abs=1e-9)


def test_wasserstein_over_a_constant_reference() -> None:
    """There is no spread to measure by: nothing moved, or it moved beyond measure."""
    assert wasserstein([2.0, 2.0], [2.0]) == 0.0
    assert wasserstein([2.0, 2.0], [2.0, 2.5]) == math.inf


def test_infinities_are_ordered_by_ks() -> None:
    """One of four served values is at infinity and none of the reference's: a gap of a quarter."""
    found = ks([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, math.inf])
    assert found is not None
    assert found.statistic == 0.25


@pytest.mark.parametrize("a", [[], [1.0]])
def test_an_empty_side_has_no_distance(a: list[float]) -> None:
    """None, not zero: nothing was compared."""
    assert ks(a, []) is None
    assert wasserstein([], a) is None


@given(COUNTS)
def test_psi_and_jensen_shannon_of_the_same_are_zero(counts: list[int]) -> None:
    """To the bit, whatever the counts."""
    expected = 0.0 if any(counts) else None
    assert psi(counts, counts) == expected
    assert jensen_shannon(counts, counts) == expected


@given(
    COUNTS.flatmap(lambda a: st.tuples(st.just(a), st.lists(st.integers(0, 1000), min_size=len(a), max_size=len(a))))
)
def test_psi_and_jensen_shannon_agree_with_others(pair: tuple[list[int], list[int]]) -> None:
    """PSI is the one by hand, symmetric and not negative; Jensen-Shannon is SciPy's."""
    a, b = pair
    if not any(a) or not any(b):
        assert psi(a, b) is None
        assert jensen_shannon(a, b) is None
        return
    value = psi(a, b)
    assert value == pytest.approx(psi_by_hand(a, b), abs=1e-12)
    assert value == pytest.approx(psi(b, a), abs=1e-12)
    assert value is not None
    assert value >= 0.0
    with np.errstate(invalid="ignore"):  # SciPy takes the root of a negative rounding error
        theirs = float(np.nan_to_num(distance.jensenshannon(a, b, base=2)))
    assert jensen_shannon(a, b) == pytest.approx(theirs, abs=1e-7)


def test_psi_is_the_textbook_value_where_no_cell_is_small() -> None:
    """With a million rows half a row more in each cell changes nothing that is printed."""
    a, b = [100_000] * 10, [50_000] * 5 + [150_000] * 5
    assert psi(a, b) == pytest.approx(5 * -0.05 * math.log(0.5) + 5 * 0.05 * math.log(1.5), abs=1e-5)


def test_an_empty_cell_scores_by_its_rows() -> None:
    """One per cent in a new cell: the share goes from half a row to ten, a hundred, ten thousand and a half."""
    scores = [psi([n, 0], [n - n // 100, n // 100]) for n in (1_000, 10_000, 1_000_000)]
    odds = [math.log(21), math.log(201), math.log(20_001)]
    assert scores == pytest.approx([0.01 * value for value in odds], abs=3e-4)


def test_a_jump_of_nulls_is_seen_by_psi() -> None:
    """From 2 % to 20 % null, all else equal."""
    value = psi([490, 490, 20], [400, 400, 200])
    assert value is not None
    assert value > 0.4


def test_psi_p_values_are_uniform_where_nothing_changed() -> None:
    """Two samples of one distribution are called different at 0.05 about one time in twenty."""
    rng = np.random.default_rng(3)
    shares = [0.1] * 8 + [0.2]
    pairs = [(rng.multinomial(500, shares), rng.multinomial(2000, shares)) for _ in range(2000)]
    rejected = np.mean([psi_p_value(psi(a, b), a, b) < 0.05 for a, b in pairs])
    assert 0.035 < rejected < 0.065
    assert psi_p_value(psi([500, 500], [800, 200]), [500, 500], [800, 200]) < 1e-6


def test_chi_square_agrees_with_scipy() -> None:
    """Where every cell expects five rows, the statistic and p-value are SciPy's."""
    a, b = [120, 80, 33, 19, 0], [100, 95, 20, 44, 0]
    theirs = stats.chi2_contingency([a[:4], b[:4]], correction=False)
    assert chi_square(a, b) == pytest.approx((theirs.statistic, theirs.pvalue, theirs.dof), abs=1e-9)


def test_chi_square_pools_rare_cells() -> None:
    """Cells that expect fewer than five rows are one cell, and so are those it takes to reach five."""
    a, b = [100, 50, 2, 1, 3], [90, 60, 3, 2, 0]
    theirs = stats.chi2_contingency([[100, 50, 6], [90, 60, 5]], correction=False)
    assert chi_square(a, b) == pytest.approx((theirs.statistic, theirs.pvalue, theirs.dof), abs=1e-9)


@pytest.mark.parametrize(("a", "b"), [([], []), ([3, 0], [0, 4]), ([100, 1], [100, 1]), ([50, 60], [0, 0])])
def test_chi_square_without_two_large_cells_is_none(a: list[int], b: list[int]) -> None:
    """Nothing is told of what cannot be trusted."""
    assert chi_square(a, b) is None


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (1, 7), (300, 10_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_agrees_with_scipy(count: int, n: int, confidence: float) -> None:
    """The interval is SciPy's, and its ends are exact at no and at all."""
    theirs = stats.binomtest(count, n).proportion_ci(confidence, method="wilson")
    assert wilson(count, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_ends() -> None:
    """No more than a share can be, and everything where nothing was counted."""
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


def test_null_rate_test_is_the_root_of_chi_square() -> None:
    """The pooled z squared is Pearson's chi-square of the same table; its sign says where more is null."""
    theirs = stats.chi2_contingency([[20, 980], [55, 1945]], correction=False)
    found = null_rate_test(20, 1000, 55, 2000)
    assert found.statistic**2 == pytest.approx(theirs.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(theirs.pvalue, abs=1e-9)
    assert found.statistic > 0
    assert null_rate_test(55, 2000, 20, 1000).statistic < 0


@pytest.mark.parametrize("counts", [(0, 10, 0, 20), (10, 10, 20, 20), (0, 0, 3, 5), (3, 5, 0, 0)])
def test_null_rates_that_cannot_differ(counts: tuple[int, int, int, int]) -> None:
    """No division by zero, and no evidence."""
    assert null_rate_test(*counts) == (0.0, 1.0)


def summary(values: list[float]) -> NumericSummary:
    """Summarize in a single bin."""
    return NumericSummary.of(pa.array(values, pa.float64()), ())


def test_mean_z_agrees_with_welch() -> None:
    """It is Welch's t of SciPy, with the sign of served minus reference."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=400).tolist(), rng.normal(0.2, 2, 300).tolist()
    theirs = stats.ttest_ind(b, a, equal_var=False).statistic
    assert mean_z(summary(a), summary(b)) == pytest.approx(theirs, abs=1e-9)


def test_mean_z_at_the_edges() -> None:
    """Constants that differ are infinitely far; one value has no variance; sums out of range say nothing."""
    assert mean_z(summary([1.0, 1.0]), summary([1.0, 1.0])) == 0.0
    assert mean_z(summary([1.0, 1.0]), summary([0.0, 0.0])) == -math.inf
    assert mean_z(summary([1.0]), summary([0.0, 0.0])) is None
    assert mean_z(summary([1.7e308, 1.7e308, 1.6e308]), summary([0.0, 1.0])) is None


def test_benjamini_hochberg_agrees_with_scipy() -> None:
    """In the order given, ties and extremes included."""
    p = [0.04, 1e-9, 0.5, 0.04, 1.0, 0.0, 0.012]
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p).tolist(), abs=1e-12)
    assert benjamini_hochberg([]) == []
