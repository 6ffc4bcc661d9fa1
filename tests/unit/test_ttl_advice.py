"""The TTL matrix by parts, and the TTL and interval that a source's events ask for."""

from __future__ import annotations

import numpy as np
import pytest

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.audit.ttl import TtlCounts, ttl_findings
from skew_ext.audit.ttl_advice import ttl_advice

SECOND = 1_000_000
HOUR = 3600 * SECOND
KEYS = np.repeat(np.arange(50), 10)
HOURLY = np.tile(np.arange(10) * HOUR, 50)


def test_hourly_events_that_come_at_once() -> None:
    advice = ttl_advice(KEYS, HOURLY, HOURLY)
    assert advice is not None
    assert advice.gap == {"p50": 3600.0, "p95": 3600.0, "p99": 3600.0}
    assert (advice.materialize_every, advice.ttl) == (1800.0, 5400.0)
    assert "99 % of a key's events follow within 1 h, 99 % of rows arrive within 0 s" in advice.reason


def test_late_arrivals_lengthen_the_ttl_and_not_the_interval() -> None:
    late = HOURLY.copy()
    late[::10] += 6 * HOUR
    advice = ttl_advice(KEYS, HOURLY, late)
    assert advice is not None
    assert (advice.materialize_every, advice.ttl) == (1800.0, 8 * 3600.0)  # 1 h + 6 h + 30 min, rounded up


def test_order_repeats_and_missing_created_times_do_not_matter() -> None:
    shuffled = np.random.default_rng(7).permutation(np.repeat(np.arange(len(KEYS)), 2))
    advice = ttl_advice(KEYS[shuffled], HOURLY[shuffled], None)
    assert advice is not None
    assert (advice.gap["p50"], advice.ttl, advice.arrival) == (3600.0, 5400.0, {})
    assert "has no created times" in advice.reason


def test_few_events_give_no_advice() -> None:
    assert ttl_advice(np.arange(100), np.arange(100) * HOUR, None) is None


def test_gaps_of_years_are_rounded_to_days() -> None:
    advice = ttl_advice(KEYS, HOURLY * 24 * 900, None)
    assert advice is not None
    assert advice.ttl % 86400 == 0
    assert advice.ttl >= 900 * 86400


@pytest.mark.parametrize("parts", [1, 3, 100])
def test_counts_add_up(parts: int) -> None:
    rng = np.random.default_rng(1)
    served_at = np.full(1000, 100 * HOUR)
    events = served_at - rng.integers(0, 4 * HOUR, 1000)
    events[:100] = NO_TIME
    present = rng.random(1000) < 0.8
    counts = TtlCounts("stats", 2 * HOUR)
    for some in np.array_split(np.arange(1000), parts):
        counts.add(events[some], served_at[some], present[some])
    ttl = counts.summary()
    ages = (served_at - events)[100:] / SECOND
    assert (ttl.rows, sum(ttl.matrix.values()), ttl.matrix["absent_inside"]) == (1000, 1000, int(present[:100].sum()))
    assert ttl.served_past_ttl == int((ages > 7200).sum())
    assert ttl.share_past_ttl == ttl.served_past_ttl / 900
    assert ttl.staleness_quantiles["p50"] == np.quantile(ages, 0.5)
    assert ttl.staleness_seconds is not None
    assert ttl.staleness_seconds.max == ages.max()


def test_a_view_that_served_nothing_has_no_staleness() -> None:
    counts = TtlCounts("stats", None)
    counts.add(np.full(3, NO_TIME), np.full(3, HOUR), np.zeros(3, dtype=bool))
    ttl = counts.summary()
    assert (ttl.staleness_seconds, ttl.staleness_quantiles, ttl.share_past_ttl) == (None, {}, 0.0)


def test_a_short_ttl_is_told_only_where_it_did_something() -> None:
    advice = ttl_advice(KEYS, HOURLY, HOURLY)
    for event, told in ((98, ["ttl_too_short"]), (100, [])):
        counts = TtlCounts("stats", HOUR // 2)
        counts.add(np.array([event * HOUR]), np.array([100 * HOUR]), np.array([event == 100]))
        assert [finding.code for finding in ttl_findings(counts.summary(advice))] == told
