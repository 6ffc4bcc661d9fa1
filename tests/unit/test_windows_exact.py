"""Sums that are exact: against fractions, and where the floats end."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skew_ext.windows.exact import UNIT, range_totals, rounded, units
from skew_ext.windows.ranges import Ranges, pairs, search

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NONE: Any = np.empty(0, dtype=np.int64)


@settings(deadline=None)
@given(FINITE)
def test_a_float_is_a_whole_number_of_units(value: float) -> None:
    assert Fraction(units(value)) * Fraction(2) ** UNIT == Fraction(value)
    assert rounded(units(value), UNIT) == value


@settings(deadline=None)
@given(st.lists(FINITE, max_size=30), st.data())
def test_totals_of_ranges_are_exact(values: list[float], data: Any) -> None:
    low = data.draw(st.integers(0, len(values)))
    high = data.draw(st.integers(low, len(values)))
    ranges = Ranges(np.array([low, 0]), np.array([high, len(values)]), NONE, NONE)
    (part, whole), exponent = range_totals(np.array(values, dtype=np.float64), ranges.sums, 2)
    assert part * Fraction(2) ** exponent == sum(map(Fraction, values[low:high]))
    assert whole * Fraction(2) ** exponent == sum(map(Fraction, values))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_totals_of_integers_do_not_wrap(values: list[int]) -> None:
    ranges = Ranges(np.array([0]), np.array([len(values)]), NONE, NONE)
    totals, exponent = range_totals(np.array(values, dtype=np.int64), ranges.sums, 1)
    assert (list(totals), exponent) == ([sum(values)], 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e308, 1e308, -1e308], 1e308),  # an intermediate sum is beyond the floats, the sum is not
        ([1.7e308, 1.7e308], math.inf),
        ([-1.7e308, -1.7e308], -math.inf),
        ([1e16, 1.0, -1e16], 1.0),
        ([5e-324, 5e-324], 1e-323),
        ([-0.0, -0.0], 0.0),
        ([0.1] * 10, 1.0),  # the true sum of ten doubles next to 0.1, rounded once
    ],
)
def test_rounding_happens_once_at_the_end(values: list[float], expected: float) -> None:
    found = rounded(sum(map(units, values)), UNIT)
    assert (found, math.copysign(1, found)) == (expected, math.copysign(1, expected))


def test_a_mean_is_the_true_mean_rounded_once() -> None:
    assert rounded(sum(map(units, [1.7e308, 1.7e308])), UNIT, 2) == 1.7e308
    assert rounded(sum(map(units, [5e-324, 0.0])), UNIT, 2) == 0.0  # half of the least float: a tie, to even
    assert rounded(10, 0, 3) == 10 / 3


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20), st.integers(1, 50))
def test_a_quotient_is_the_nearest_float_whatever_the_unit(values: list[float], count: int) -> None:
    total = sum(map(units, values))
    expected = float(sum(map(Fraction, values)) / count)
    assert rounded(total, UNIT, count) == expected
    spare = (total & -total).bit_length() - 1  # the same total in the largest unit that it is whole in
    assert rounded(total >> spare, UNIT + spare, count) == expected


CODES = st.lists(st.integers(0, 5), max_size=40)


@settings(deadline=None)
@given(CODES, st.data())
def test_ranges_with_single_positions_reduce_as_a_loop_does(codes: list[int], data: Any) -> None:
    low, middle, high = sorted(data.draw(st.integers(0, len(codes))) for _ in range(3))
    beyond = [place for place in range(middle, high) if data.draw(st.booleans())]
    chosen = [*codes[low:middle], *(codes[place] for place in beyond)]
    array = np.array(codes, dtype=np.int64)
    ranges = Ranges(np.array([low]), np.array([middle]), np.zeros(len(beyond), np.int64), np.array(beyond, np.int64))
    assert ranges.counts().tolist() == [len(chosen)]
    assert ranges.sums(array).tolist() == [sum(chosen)]
    assert ranges.distinct(array).tolist() == [len(set(chosen))]
    if chosen:
        assert ranges.extremes(array, greatest=False).tolist() == [min(chosen)]
        assert ranges.extremes(array, greatest=True).tolist() == [max(chosen)]
        places = [*range(low, middle), *beyond]
        assert (ranges.firsts().tolist(), ranges.lasts().tolist()) == ([places[0]], [places[-1]])


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=30).map(sorted), st.integers(-1, 10), st.data())
def test_search_within_a_slice_is_searchsorted(values: list[int], wanted: int, data: Any) -> None:
    low = data.draw(st.integers(0, len(values)))
    high = data.draw(st.integers(low, len(values)))
    array = np.array(values, dtype=np.int64)
    for side in ("left", "right"):
        found = search(array, np.array([low]), np.array([high]), np.array([wanted]), side=side)
        assert found.tolist() == [low + int(np.searchsorted(array[low:high], wanted, side=side))]


def test_pairs_give_each_position_of_each_range() -> None:
    questions, positions = pairs(np.array([2, 5, 7]), np.array([4, 5, 8]))
    assert (questions.tolist(), positions.tolist()) == ([0, 0, 2], [2, 3, 7])
