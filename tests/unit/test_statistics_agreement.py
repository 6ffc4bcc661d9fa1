"""Whole rows agree with SciPy and with a PSI written independently, on the columns that others go wrong on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skew_ext.model import DistributionRow
from skew_ext.statistics import ParquetColumn, as_arrow, distribution_row
from skew_ext.statistics.ordered import distances

RNG = np.random.default_rng(99)
INF, NAN = math.inf, math.nan
Values = list[Any]


def psi_of_values(reference: Values, served: Values, bins: int = 10) -> float:
    """Compute PSI of numbers in plain Python: quantile bins by sorting, one for a value that holds several."""
    ordered = sorted(value for value in reference if value is not None and math.isfinite(value))
    quantiles = [ordered[math.ceil(k * len(ordered) / bins) - 1] for k in range(1, bins)] if ordered else []
    heavy = {value for value, count in Counter(quantiles).items() if count > 1}

    def cell(value: Any) -> Any:
        if value is None or math.isnan(value):
            return "null" if value is None else "NaN"
        if value in heavy:
            return ("at", value)
        edges = sorted(set(quantiles))
        place = next((at for at, edge in enumerate(edges) if value <= edge), len(edges))
        return ("below", edges[place]) if place < len(edges) else "above"

    return psi_of_cells([cell(value) for value in reference], [cell(value) for value in served])


def psi_of_cells(reference: Values, served: Values) -> float:
    """Compute PSI of cells in plain Python, half a row added to each that either side has."""
    a, b = Counter(reference), Counter(served)
    cells = a.keys() | b.keys()
    n, m = len(reference) + len(cells) / 2, len(served) + len(cells) / 2
    shares = [((a[cell] + 0.5) / n, (b[cell] + 0.5) / m) for cell in cells]
    return math.fsum((q - p) * math.log(q / p) for p, q in shares)


def column(values: Values, arrow_type: Any = None) -> pa.Array:
    """Give a column in which NaN is not null."""
    return pa.array(values, arrow_type or pa.float64(), from_pandas=False)


def inflated(share: float, size: int) -> Values:
    """Give a gamma sample with a share of zeros."""
    return [0.0 if RNG.random() < share else float(RNG.gamma(2)) for _ in range(size)]


NUMBERS: dict[str, tuple[Values, Values]] = {
    "normal": (RNG.normal(size=700).tolist(), RNG.normal(0.3, 1.4, 500).tolist()),
    "ties": (RNG.integers(0, 6, 700).astype(float).tolist(), RNG.integers(1, 8, 400).astype(float).tolist()),
    "zero inflated": (inflated(0.6, 600), inflated(0.3, 600)),
    "zeros among negatives": ([*([0.0] * 300), *RNG.normal(size=300).tolist()], RNG.normal(size=300).tolist()),
    "minus zero": ([0.0] * 300 + [1.0] * 50, [-0.0] * 300 + [1.0] * 50),
    "one constant": ([3.0] * 200, [3.0] * 300),
    "constants apart": ([3.0] * 200, [4.0] * 300),
    "infinities": ([*RNG.normal(size=300).tolist(), INF, -INF], [*RNG.normal(size=300).tolist(), *([INF] * 40), -INF]),
    "NaN and null": (
        [*RNG.normal(size=300).tolist(), NAN, None],
        [*RNG.normal(size=200).tolist(), *[NAN] * 30, *[None] * 50],
    ),
    "empty bins": (list(map(float, range(100))), [float(value) for value in range(100) if value < 20 or value > 70]),
    "out of range": (RNG.normal(size=300).tolist(), RNG.normal(50, 1, 300).tolist()),
    "one row": ([1.0], [2.0]),
    "one row against many": (RNG.normal(size=300).tolist(), [0.1]),
    "heavy tail": (RNG.standard_cauchy(900).tolist(), RNG.standard_cauchy(900).tolist()),
    "near the largest": ([1.7e308, -1.7e308, 1.0] * 50, [1.7e308, 1.0, 2.0] * 50),
    "denormal": ([5e-324, 0.0, 1e-310] * 60, [0.0, 0.0, 5e-324] * 60),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_agree_with_scipy_and_an_independent_psi(name: str) -> None:
    reference, served = NUMBERS[name]
    row = distribution_row("f", column(reference), column(served))
    assert row.psi == pytest.approx(psi_of_values(reference, served), abs=1e-9)
    a, b = (np.array([v for v in side if v is not None and not math.isnan(v)]) for side in (reference, served))
    theirs = stats.ks_2samp(a, b, method="exact" if len(a) * len(b) <= 250_000 else "asymp")
    assert row.ks == pytest.approx(theirs.statistic, abs=1e-9)
    assert row.ks_p == pytest.approx(theirs.pvalue, abs=1e-9)
    assert row.ks_error == 0.0
    finite = [one[np.isfinite(one)] for one in (a, b)]
    spread = float(np.std(finite[0], ddof=1)) if len(finite[0]) > 1 else 0.0
    if 0.0 < spread < 1e300 and np.ptp(finite[0]) > 0.0:
        assert row.wasserstein == pytest.approx(stats.wasserstein_distance(*finite) / spread, rel=1e-9, abs=1e-9)
    bounds = (min(a), max(a))
    assert row.out_of_range == pytest.approx(sum(not bounds[0] <= v <= bounds[1] for v in b) / len(b))
    assert row.constant == (len(set(reference)) == 1, len(set(served)) == 1)


ANY = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(allow_nan=True, allow_infinity=True))


@settings(deadline=None)
@given(st.lists(ANY, min_size=1, max_size=60), st.lists(ANY, min_size=1, max_size=60))
def test_psi_of_anything_is_the_independent_one(reference: Values, served: Values) -> None:
    row = distribution_row("f", column(reference), column(served))
    assert row.psi == pytest.approx(psi_of_values(reference, served), abs=1e-9)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning:scipy")
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)
)
def test_distances_of_anything_are_scipys(a: Values, b: Values) -> None:
    found = distances(np.sort(a), np.sort(b))
    assert found.ks is not None
    assert found.ks.statistic == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    assert found.area == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("sizes", [(100_000, 100_000), (150_000, 70_001), (63, 90_000)])
@pytest.mark.parametrize("zeros", [0.0, 0.6])
def test_distances_of_large_samples_are_scipys(sizes: tuple[int, int], zeros: float) -> None:
    """The gap is looked for where it may be, and is that over all values to the last row."""
    a, b = (np.sort(RNG.lognormal(size=size) * (RNG.random(size) >= zeros)) for size in sizes)
    found = distances(a, b)
    assert found.ks is not None
    assert found.ks.statistic == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    assert found.area == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-9)


TEXTS: dict[str, tuple[Values, Values]] = {
    "few": (list("aaabbc") * 50, list("abbbcc") * 40),
    "unseen": (["a"] * 200 + ["b"] * 100, ["a"] * 150 + ["new"] * 50 + [None] * 20),
    "one constant": (["a"] * 200, ["a"] * 150),
    "all null on one side": ([None] * 150, ["a"] * 150),
    "empty text": ([""] * 100 + ["a"] * 100, ["", "a", "a"] * 50),
}


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_categories_agree_with_scipy_and_an_independent_psi(name: str, encoded: bool) -> None:  # noqa: FBT001 - a parameter
    sides = TEXTS[name]
    arrays = [pa.array(side, pa.string()) for side in sides]
    row = distribution_row("f", *(one.dictionary_encode() if encoded else one for one in arrays))
    known = set(sides[0])
    assert row.psi == pytest.approx(
        psi_of_cells(sides[0], [value if value in known or value is None else ("unseen",) for value in sides[1]]),
        abs=1e-9,
    )
    counts = [Counter(side) for side in sides]
    names = sorted(counts[0].keys() | counts[1].keys(), key=str)
    table = np.array([[one[name] for name in names] for one in counts])
    if row.chi2 is not None:
        theirs = stats.chi2_contingency(table, correction=False)
        assert (row.chi2, row.chi2_p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)
    present = [value for value in sides[1] if value is not None]
    expected = sum(value not in known for value in present) / len(present) if known != {None} else None
    assert row.unseen == expected


def test_five_thousand_categories() -> None:
    """On the fifty commonest of the reference, the rest, and unseen; nothing is smoothed by a constant."""
    weights = 1 / np.arange(1, 5001)
    sides = [[f"c{code}" for code in RNG.choice(5000, 40_000, p=weights / weights.sum())] for _ in range(2)]
    sides[1][:100] = ["new"] * 100
    row = distribution_row("f", *(pa.array(side) for side in sides))
    ranked = sorted(Counter(sides[0]).items(), key=lambda item: (-item[1], item[0]))
    top, known = {name for name, _ in ranked[:50]}, set(sides[0])
    cells = [[value if value in top else "other" if value in known else "unseen" for value in side] for side in sides]
    assert row.psi == pytest.approx(psi_of_cells(*cells), abs=1e-9)
    assert row.unseen == pytest.approx(sum(value not in known for value in sides[1]) / 40_000)
    assert row.verdict == "pass"


def test_integers_beyond_doubles_are_told_apart() -> None:
    """2**53 and 2**53 + 1 are one double and two integers."""
    before, after = pa.array([2**53] * 300), pa.array([2**53 + 1] * 300)
    row = distribution_row("amount", before, after)
    assert (row.ks, row.verdict, row.constant) == (1.0, "act", (True, True))
    assert row.psi == pytest.approx(psi_of_cells(["at"] * 300, ["over"] * 300), abs=1e-9)
    assert distribution_row("amount", before, before).psi == 0.0
    wide = distribution_row("amount", pa.array([-(2**63), 2**63 - 1] * 200), pa.array([-(2**63), 0] * 200))
    assert wide.ks == 0.5
    assert wide.wasserstein == pytest.approx((2**63 - 1) / 2 / np.std([-(2.0**63), 2.0**63] * 200, ddof=1), rel=1e-9)


def test_small_and_large_integers_are_compared_as_whole_numbers() -> None:
    row = distribution_row("amount", pa.array([1, 2**60] * 200), pa.array([1, 2] * 200))
    assert row.ks == 0.5


DAY = dt.date(2026, 1, 1)
MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("reference", "served", "shift"),
    [
        ([DAY + dt.timedelta(days=k) for k in range(300)], [DAY + dt.timedelta(days=k + 30) for k in range(300)], 0.1),
        (
            [MOMENT + dt.timedelta(hours=k) for k in range(300)],
            [MOMENT + dt.timedelta(hours=k + 30) for k in range(300)],
            0.1,
        ),
        ([dt.timedelta(seconds=k) for k in range(300)], [dt.timedelta(seconds=k + 30) for k in range(300)], 0.1),
        ([dt.time(k // 60, k % 60) for k in range(300)], [dt.time((k + 30) // 60, k % 60) for k in range(300)], 0.1),
    ],
    ids=["date", "timestamp", "duration", "time"],
)
def test_dates_and_times_have_an_order(reference: Values, served: Values, shift: float) -> None:
    row = distribution_row("f", pa.array(reference), pa.array(served))
    assert row.kind == "datetime"
    assert row.ks == pytest.approx(shift)
    assert row.out_of_range == pytest.approx(0.1)


def test_booleans_against_zeros_and_ones_are_numbers() -> None:
    row = distribution_row("f", pa.array([0, 1] * 200), pa.array([False, True] * 200))
    assert (row.kind, row.psi, row.ks) == ("numeric", 0.0, 0.0)


def test_decimals_are_numbers() -> None:
    row = distribution_row("f", pa.array([Decimal("1.5"), None] * 200), pa.array([1.5, None] * 200))
    assert (row.kind, row.psi, row.null_rate) == ("numeric", 0.0, (0.5, 0.5))


def test_mixed_object_columns_become_text_and_do_not_vanish() -> None:
    mixed = as_arrow(pd.Series([1, "a", 2.5, None, NAN, b"x"] * 50, dtype=object))
    assert mixed.type == pa.large_string()
    assert mixed.to_pylist()[:6] == ["1", "a", "2.5", None, None, "b'x'"]
    row = distribution_row("f", mixed, pa.array([1.0] * 300))
    assert (row.kind, row.null_rate, row.verdict) == ("other", (1 / 3, 0.0), "act")
    assert row.note == "large_string against double: only null rates are compared"
    assert distribution_row("f", mixed, mixed).psi == 0.0


@pytest.mark.parametrize(
    ("feature", "values", "kind"),
    [
        ("order", [f"{k:08x}" for k in range(500)], "identifier"),
        ("order", list(range(10_000, 10_500)), "identifier"),
        ("order", RNG.integers(2**60, 2**62, 500).tolist(), "identifier"),
        ("stats__customer_id", (RNG.permutation(100_000)[:500] * 7).tolist(), "identifier"),
        ("amount_in_cents", (RNG.permutation(100_000)[:500] * 7).tolist(), "numeric"),
        ("amount", RNG.normal(size=500).tolist(), "numeric"),
        ("customer_id", RNG.integers(0, 50, 500).tolist(), "numeric"),
    ],
)
def test_identifiers_are_left_out_and_say_so(feature: str, values: Values, kind: str) -> None:
    row = distribution_row(feature, pa.array(values), pa.array(values))
    assert row.kind == kind
    assert (row.note is not None and "identifier" in row.note) == (kind == "identifier")
    assert (row.psi is None) == (kind == "identifier")


def test_an_identifier_that_became_null_is_seen() -> None:
    row = distribution_row("order", pa.array([f"{k}" for k in range(500)]), pa.array([None] * 250 + ["x"] * 250))
    assert (row.kind, row.null_rate, row.verdict) == ("identifier", (0.0, 0.5), "act")


@pytest.mark.parametrize("name", ["numbers", "texts", "vectors", "whole", "flags", "moments"])
def test_parquet_gives_what_memory_gives(tmp_path: Path, name: str) -> None:
    """Whatever the row groups, and with strings as codes of dictionaries that change from one to the next."""
    random = np.random.default_rng(20_260_301)  # its own, so that the values do not hang on the tests before

    def table(shift: float, size: int) -> pa.Table:
        values = random.normal(shift, 1, size)
        return pa.table(
            {
                "numbers": pa.array(values, mask=random.random(size) < 0.1),
                "texts": pa.array([None if v > 2 else f"t{int(4 * v)}" for v in values]),
                "vectors": pa.array([[v, 1.0, 2.0] for v in values], pa.list_(pa.float32())),
                "whole": pa.array(np.round(values * 2).astype(int) + 2**60),
                "flags": values > 0.5,
                "moments": pa.array((values * 1e9).astype(int)).cast(pa.timestamp("us", "UTC")),
            }
        )

    tables = [table(0.0, 3000), table(0.4, 2000)]
    for side, one in zip("ab", tables, strict=True):
        pq.write_table(one, tmp_path / f"{side}.parquet", row_group_size=700)
    read = [ParquetColumn(tmp_path / f"{side}.parquet", name) for side in "ab"]
    ours, memory = distribution_row("f", *read), distribution_row("f", *(one[name] for one in tables))
    if name != "vectors":
        assert ours == memory
        return
    # Moments of row groups are merged, and so are rounded in another order.
    for field in dataclasses.fields(ours):
        merged, whole = getattr(ours, field.name), getattr(memory, field.name)
        assert merged == (pytest.approx(whole, rel=1e-12, abs=1e-15) if isinstance(whole, float) else whole), field.name


def test_a_column_that_the_file_has_not(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(KeyError):
        ParquetColumn(tmp_path / "a.parquet", "b")


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for values in ([1.0, 2.0], [1.0, 2.0, 3.0], ["x"]):
        pq.write_table(pa.table({"a": values}), path)
        column = ParquetColumn(path, "a")
        assert (len(column), pa.chunked_array(list(column.parts())).to_pylist()) == (len(values), values)


def verdict(reference: pa.Array, served: pa.Array) -> str:
    row: DistributionRow = distribution_row("f", reference, served)
    return row.verdict


def test_a_few_per_cent_far_out_of_range_are_seen() -> None:
    """One in twenty in another unit moves neither decile nor, against the tail, PSI much: the range tells."""
    reference = RNG.normal(100, 10, 5000)
    served = RNG.normal(100, 10, 2000)
    served[:100] *= 60
    assert verdict(pa.array(reference), pa.array(served)) == "act"
    served[:100] /= 60
    assert verdict(pa.array(reference), pa.array(served)) == "pass"
