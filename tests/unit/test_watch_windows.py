"""Which stretches are audited, and how slices become hours and days."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.statistics import Thresholds
from skew_ext.watch.ages import AgeSketch
from skew_ext.watch.detector import DetectorState, Observation, observe
from skew_ext.watch.incident import Incident, Sighting
from skew_ext.watch.spread import Scale, divergence, merged, spread_from_json, spread_to_json
from skew_ext.watch.summary import EQUAL, FeatureSummary, WindowSummary, together
from skew_ext.watch.windows import (
    DAY,
    HOUR,
    LONGEST_SLICE,
    Kept,
    cuts,
    due_for_merging,
    may_grow,
    outdated,
    within,
)
from tests.kit import MINUTE, NOON

SECOND = timedelta(seconds=1)


def slice_of(start: datetime, length: timedelta, rows: int = 10) -> Kept:
    return Kept("slice", WindowSummary(start, start + length, rows))


@given(
    start=st.datetimes(NOON.replace(tzinfo=None), (NOON + DAY).replace(tzinfo=None)),
    seconds=st.integers(1, 3 * 86400),
    every=st.integers(1, 7200),
)
def test_cuts_cover_a_stretch_once_and_cross_no_hour(start: datetime, seconds: int, every: int) -> None:
    start = start.replace(tzinfo=NOON.tzinfo)
    end = start + timedelta(seconds=seconds)
    pieces = list(cuts(start, end, timedelta(seconds=every)))
    assert pieces[0][0] == start
    assert pieces[-1][1] == end
    assert all(one[1] == two[0] for one, two in itertools.pairwise(pieces))
    for first, last in pieces:
        assert first < last
        assert last - first <= LONGEST_SLICE * 1.25
        assert (last - timedelta(microseconds=1)).replace(minute=0, second=0, microsecond=0) <= first


def test_a_round_sees_two_windows() -> None:
    assert [last - first for first, last in cuts(NOON, NOON + MINUTE, MINUTE)] == [30 * SECOND, 30 * SECOND]
    assert len(list(cuts(NOON, NOON + 10 * MINUTE, MINUTE))) == 2  # cron, every ten minutes


@pytest.mark.parametrize("begins", [0.0, 0.3, 0.5, 14.9, 29.9, 30.1, 44.0, 59.9])
def test_what_is_over_the_threshold_for_good_is_told_within_two_minutes(begins: float) -> None:
    fault = NOON + 10 * MINUTE + begins * SECOND
    state, watermark, now = DetectorState(observed=9), NOON, NOON + MINUTE
    told: list[Incident] = []
    while not told:
        for first, last in cuts(watermark, now - 15 * SECOND, MINUTE):
            over = last - max(first, fault) >= (last - first) / 100
            window = Observation(first, last, 100, [Sighting("v", "rescaled", "fail", (), 1, 100, "m", "r")] * over)
            outcome = observe("scoring", state, window, told, burn_in=0, now=now)
            state, told = outcome.state, told + outcome.opened
        watermark, now = now - 15 * SECOND, now + MINUTE
    assert told[0].opened_at - fault < 2 * MINUTE - 10 * SECOND  # which are left for the audit


def test_slices_become_hours_once_nothing_late_is_expected_and_hours_days() -> None:
    slices = [slice_of(NOON + minute * MINUTE, MINUTE) for minute in range(60)]
    assert list(due_for_merging(slices, NOON + HOUR - SECOND)) == []
    assert list(due_for_merging(slices, NOON + HOUR)) == [("hour", slices)]
    midnight = NOON + 12 * HOUR
    hours = [Kept("hour", WindowSummary(midnight + n * HOUR, midnight + (n + 1) * HOUR, 5)) for n in range(24)]
    assert list(due_for_merging(hours, midnight + 2 * DAY - SECOND)) == []
    assert list(due_for_merging(hours, midnight + 2 * DAY)) == [("day", hours)]


def test_a_window_is_the_sum_of_what_reaches_into_it() -> None:
    kept = [
        Kept("day", WindowSummary(NOON - 3 * DAY - 12 * HOUR, NOON - 2 * DAY - 12 * HOUR, 1000)),
        Kept("hour", WindowSummary(NOON - 3 * HOUR, NOON - 2 * HOUR, 100)),
        slice_of(NOON - 30 * MINUTE, MINUTE, 10),
    ]
    sums = {
        name: together(within(kept, NOON, span), NOON - span, NOON).rows
        for name, span in (("1h", HOUR), ("1d", DAY), ("7d", 7 * DAY))
    }
    assert sums == {"1h": 10, "1d": 110, "7d": 1110}
    assert outdated(kept, NOON + 4 * DAY) == []
    assert outdated(kept, NOON + 6 * DAY) == kept[:1]


def test_late_rows_are_looked_for_in_the_last_hour_and_in_what_was_empty_before() -> None:
    old = [slice_of(NOON - 4 * HOUR, MINUTE), slice_of(NOON - 3 * HOUR, MINUTE, rows=7)]
    empty = [Kept("hour", WindowSummary(NOON - 2 * HOUR, NOON - HOUR, 0))]
    recent = [slice_of(NOON - 20 * MINUTE, MINUTE), slice_of(NOON - 19 * MINUTE, MINUTE, rows=0)]
    assert may_grow([*old, *empty, *recent], NOON, HOUR) == [*empty, *recent]
    assert may_grow([*old, *recent], NOON, HOUR) == recent


def numbers(values: list[float | None]) -> pa.Array:
    return pa.array(values, pa.float64())


@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=200))
def test_quantiles_of_a_sketch_are_within_one_per_cent(ages: list[int]) -> None:
    sketch = AgeSketch.of(np.array(ages, dtype=np.int64))
    for share in (0.0, 0.5, 0.95, 1.0):
        found = sketch.quantile(share)
        right = float(np.quantile(np.array(ages) / 1e6, share, method="lower"))
        assert found == pytest.approx(right, rel=0.0101)
    assert sketch.oldest == max(ages) / 1e6


@given(st.lists(st.integers(-5, 10**12)), st.lists(st.integers(-5, 10**12)))
def test_sketches_add_up(one: list[int], other: list[int]) -> None:
    parts = [AgeSketch.of(np.array(ages, dtype=np.int64)) for ages in (one, other)]
    whole = AgeSketch.of(np.array([*one, *other], dtype=np.int64))
    joined = parts[0].merge(parts[1])
    assert Counter(joined.counts) == Counter(whole.counts)
    assert joined.rows == len(one) + len(other)


def test_a_window_is_the_same_after_json_and_adds_up() -> None:
    rng = np.random.default_rng(3)
    reference = numbers([*rng.normal(size=500).tolist(), None])
    scale = Scale.of("v__f", reference, reference, Thresholds())
    assert scale is not None
    scales = {"v__f": scale}

    def window(start: datetime, values: pa.Array) -> WindowSummary:
        served = scale.count(values)
        feature = FeatureSummary(10, 3, {"rescaled": 2, "unexplained": 1}, len(values), values.null_count, served)
        ages = AgeSketch.of(np.array([10**6, 10**9]))
        return WindowSummary(start, start + MINUTE, 10, {"v__f": feature}, {"v": ages})

    first, second = window(NOON, reference.slice(0, 200)), window(NOON + MINUTE, reference.slice(200))
    for one in (first, second):
        assert WindowSummary.from_json(json.loads(json.dumps(one.to_json())), scales) == one
    both = first.merge(second)
    assert both.features["v__f"].cells == {EQUAL: 14, "rescaled": 4, "unexplained": 2}
    assert both.features["v__f"].null_ratio == 1 / 501
    whole = scale.count(reference)
    assert both.features["v__f"].served is not None
    assert both.features["v__f"].served.cells.tolist() == (whole.cells.tolist() if whole else None)
    assert both.ages["v"].rows == 4


def test_counts_on_another_scale_are_not_taken_for_counts_on_this_one() -> None:
    one, other = Scale(edges=(1.0, 2.0)), Scale(edges=(1.0, 3.0))
    counted = one.count(numbers([0.5, 1.5, 2.5]))
    assert counted is not None
    content = json.loads(json.dumps(spread_to_json(counted)))
    assert spread_from_json(content, one) == counted
    assert spread_from_json(content, other) is None
    assert merged(counted, other.count(numbers([9.0]))) == other.count(numbers([9.0]))
    assert Scale.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_scales_of_text_and_of_what_has_none() -> None:
    cities = pa.array(["Oslo", "Rome"] * 80)
    scale = Scale.of("v__f", cities, cities, Thresholds())
    assert scale == Scale(categories=("Oslo", "Rome"))
    counted = scale.count(pa.array(["Rome", "Paris", None]))
    assert counted is not None
    assert counted.cells.tolist() == [0, 1, 1, 1]
    assert spread_from_json(spread_to_json(counted), scale) == counted
    assert Scale.of("v__f", pa.array([str(n) for n in range(200)]), cities, Thresholds()) is None  # identifiers
    assert Scale.of("v__f", cities.slice(0, 50), cities, Thresholds()) is None  # too few
    assert Scale.of("v__f", pa.array([[1.0]] * 200), pa.array([[1.0]]), Thresholds()) is None
    assert Scale.of("v__f", pa.array(range(1000, 1200)), pa.array([1]), Thresholds()) is None  # a sequence
    assert Scale.of("v__f", pa.array(range(0, 200_000, 1000)), pa.array([1]), Thresholds()) is not None  # amounts
    assert Scale.of("v__trip_id", pa.array(range(0, 200_000, 1000)), pa.array([1]), Thresholds()) is None
    assert scale.count(numbers([1.0])) is None
    assert divergence(counted, counted, enough=100) is None
    shifted = divergence(scale.count(cities), scale.count(pa.array(["Rome"] * 160)), enough=100)
    assert shifted is not None
    assert shifted[0] > 0.2
    assert shifted[1] < 1e-6
