"""The shared transforms of flights: their arithmetic, and their rule of New York's clock."""

from __future__ import annotations

import doctest
import importlib
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from transforms.carrier import delay_summary, recent_landings
from transforms.flight import request_features
from transforms.local_time import new_york
from transforms.plane import last_leg, legs_today
from transforms.weather import severity

MODULES = ["local_time", "weather", "carrier", "plane", "flight"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"transforms.{name}"))
    assert (result.failed, result.attempted > 0) == (0, True)


def test_new_york_agrees_with_the_time_zone_database() -> None:
    hours = np.arange("2007-01-01T00:30", "2037-01-01", dtype="datetime64[h]").astype("datetime64[s]")
    zone = ZoneInfo("America/New_York")
    expected = [
        datetime.fromtimestamp(int(second), tz=timezone.utc).astimezone(zone).replace(tzinfo=None)
        for second in hours.astype(np.int64)
    ]
    assert new_york(hours).tolist() == expected


def test_severity_runs_from_fair_to_ten() -> None:
    fair = {"wind_speed": 5.0, "wind_gust": None, "visib": 10.0, "precip": 0.0}
    foul = {"wind_speed": 90.0, "wind_gust": 120.0, "visib": 0.0, "precip": 2.0}
    assert severity.on_row(fair) == {"severity": 0.0}
    assert severity.on_row(foul) == {"severity": 10.0}
    assert severity.on_row({**fair, "wind_speed": None, "wind_gust": 30.0}) == {"severity": None}


def test_recent_landings_count_what_a_loop_counts() -> None:
    random = np.random.default_rng(3)
    landed_at = np.sort(random.integers(0, 86_400, 400))
    delay = random.integers(-30, 120, 400).astype(np.float64)
    at = np.arange(0, 90_000, 3600)
    counts = recent_landings(landed_at, delay, at)
    for position, moment in enumerate(at):
        chosen = (landed_at > moment - 6 * 3600) & (landed_at <= moment)
        expected = (int(chosen.sum()), float(delay[chosen].sum()), int((delay[chosen] > 15).sum()))
        assert tuple(column[position] for column in counts) == expected


def test_delay_summary_of_no_landing_is_null() -> None:
    assert delay_summary.on_row({"landed": 0, "delay_total": 0.0, "late": 0})["late_share"] is None


def test_legs_are_counted_per_plane_and_day() -> None:
    planes = np.array(["B", "A", "A", "B", "A"])
    assert legs_today(planes, np.array([1, 1, 1, 2, 2])).tolist() == [1, 1, 2, 1, 1]
    assert legs_today(np.array([], dtype=str), np.array([], dtype=int)).tolist() == []


def test_last_leg_without_a_departure_delay_has_made_up_nothing_known() -> None:
    assert last_leg.on_row({"arrival_delay": 1.0, "departure_delay": None, "leg": 1})["made_up"] is None


def asked(**changes: Any) -> dict[str, Any]:
    departure = int(datetime(2013, 7, 23, 0, 0, tzinfo=timezone.utc).timestamp())
    row = {"scheduled_departure": departure, "asked_at": departure - 2400, "distance": 1400.0, "severity": 2.0}
    return request_features.on_row({**row, **changes})


def test_request_features_of_an_evening_flight() -> None:
    assert asked() == {
        "minutes_to_departure": 40.0,
        "distance_band": 1,
        "departure_hour": 20,
        "night_departure": False,
        "weather_risk": 2.7,
    }


def test_request_features_without_weather_or_distance() -> None:
    assert asked(severity=None)["weather_risk"] is None
    assert asked(distance=None)["distance_band"] is None
    assert asked(distance=None)["minutes_to_departure"] == 40.0
