"""The replay's truth, on rows few enough to count by hand."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest

from skew_ext.demo.truth import ViewTruth

NOON = datetime(2013, 7, 22, 12, tzinfo=timezone.utc)
TTL = timedelta(hours=3)
Hours = float


def at(hours: Hours) -> datetime:
    return NOON + timedelta(hours=hours)


def view(*rows: tuple[Hours, Hours, float | None]) -> ViewTruth:
    """Make a view of one key from (event, created, value), in hours from noon."""
    frame = pd.DataFrame(
        {
            "key": "JFK",
            "event_timestamp": pd.to_datetime([at(event) for event, _, _ in rows], utc=True),
            "created": pd.to_datetime([at(created) for _, created, _ in rows], utc=True),
            "value": [value for _, _, value in rows],
        }
    )
    return ViewTruth(frame, ["key"], ["value"], TTL)


def counted(truth: ViewTruth, hours: Hours) -> dict[str, int]:
    truth.lookup(("JFK",), at(hours))
    return dict(truth.causes["value"])


def materialized(truth: ViewTruth, hours: Hours) -> ViewTruth:
    truth.materialize(at(hours - 26), at(hours))
    return truth


def test_what_is_online_and_right_differs_in_nothing() -> None:
    assert counted(materialized(view((0, 0, 1.0)), 0), 2) == {}


def test_row_not_yet_materialized_is_stale_and_says_how_long_it_waited() -> None:
    truth = materialized(view((0, 0, 1.0), (1, 1.5, 2.0), (2, 2, 3.0)), 0.5)
    assert counted(truth, 2.25) == {"stale_online": 1}
    assert truth.lags["value"] == [0.75 * 3600]


def test_equal_value_of_another_row_does_not_differ() -> None:
    assert counted(materialized(view((0, 0, 1.0), (1, 1, 1.0)), 0), 2) == {}


def test_row_known_only_later_is_a_late_arrival() -> None:
    assert counted(materialized(view((0, 0, 1.0), (1, 5, 2.0)), 2), 2) == {"late_arrival": 1}


def test_row_that_nobody_knew_and_nothing_online_is_a_late_arrival_too() -> None:
    assert counted(materialized(view((1, 5, 2.0)), 2), 2) == {"late_arrival": 1}


def test_value_past_its_ttl_is_expired() -> None:
    assert counted(materialized(view((0, 0, 1.0)), 0), 3) == {}
    assert counted(materialized(view((0, 0, 1.0)), 0), 3.5) == {"expired_served": 1}


def test_known_row_that_was_never_online_is_missing() -> None:
    assert counted(view((0, 0, 1.0)), 1) == {"missing_online": 1}


def test_null_of_both_sides_is_equal() -> None:
    assert counted(materialized(view((0, 0, None)), 0), 1) == {}
    assert counted(view((2, 2, 1.0)), 1) == {}


@pytest.mark.parametrize(("hours", "cause"), [(0.5, "rescaled"), (1.5, "mixed")])
def test_value_written_in_another_unit(hours: Hours, cause: str) -> None:
    truth = materialized(view((0, 0, 2.0), (1, 1, 3.0)), 0)
    truth.rescale("value", 0.5)
    assert truth.online(("JFK",), "value") == 1.0
    assert counted(truth, hours) == {cause: 1}


def test_materialization_reads_its_window_alone() -> None:
    truth = view((-30, -30, 1.0))
    truth.materialize(at(-26), at(0))
    assert truth.online(("JFK",), "value") is None


def test_lookup_tells_the_rows_behind_it() -> None:
    truth = materialized(view((0, 0, 1.0), (1, 1, 2.0), (2, 4, 3.0)), 0)
    assert truth.lookup(("JFK",), at(2.5)) == (at(0), at(1), at(2))
