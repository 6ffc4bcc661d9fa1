"""Each incident changes one thing, in its window, and nothing else."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

import transforms.flight
from skew_ext.demo.incidents import INCIDENTS, Incident, incident_of
from skew_ext.demo.schedule import Schedule
from skew_ext.errors import DemoError
from skew_ext.transform import installed_fingerprint

SCHEDULE = Schedule.of(3)
NOON = datetime(2013, 7, 23, 16, tzinfo=timezone.utc)
"""Noon of the second day in New York."""
HOURS = pd.date_range(SCHEDULE.start, SCHEDULE.end, freq="h", inclusive="left").as_unit("us")
ROWS = {"origin_weather": pd.DataFrame({"origin": "JFK", "event_timestamp": HOURS, "created": HOURS, "temp": 70.0})}


def test_schedule_is_of_new_york_days_and_ticks_past_each_hour() -> None:
    assert SCHEDULE.start == datetime(2013, 7, 22, 4, tzinfo=timezone.utc)
    assert SCHEDULE.end - SCHEDULE.start == timedelta(days=3)
    ticks = list(SCHEDULE.ticks())
    assert (len(ticks), {tick.minute for tick in ticks}) == (72, {5})


def test_every_incident_begins_at_noon_of_the_second_day() -> None:
    assert {incident_of(name, SCHEDULE).begin for name in INCIDENTS} == {NOON}


@pytest.mark.parametrize("name", ["none", "stale", "units", "transform"])
def test_source_rows_come_as_they_are(name: str) -> None:
    assert incident_of(name, SCHEDULE).source_rows(ROWS) is ROWS


def test_stale_skips_six_materializations() -> None:
    incident = incident_of("stale", SCHEDULE)
    skipped = [tick for tick in SCHEDULE.ticks() if not incident.materializes(tick)]
    assert (len(skipped), skipped[0]) == (6, NOON + timedelta(minutes=5))


def test_ttl_drops_eight_hours_of_weather() -> None:
    left = incident_of("ttl", SCHEDULE).source_rows(ROWS)["origin_weather"]["event_timestamp"]
    assert sorted(set(HOURS) - set(left)) == [pd.Timestamp(NOON) + pd.Timedelta(hours=hour) for hour in range(8)]


def test_late_moves_when_six_hours_of_weather_come_to_be_known() -> None:
    rows = incident_of("late", SCHEDULE).source_rows(ROWS)["origin_weather"]
    late = rows[rows["created"] != rows["event_timestamp"]]
    assert (late["created"] - late["event_timestamp"]).unique().tolist() == [pd.Timedelta(hours=2)]
    assert (len(late), late["event_timestamp"].min()) == (6, pd.Timestamp(NOON))
    assert (ROWS["origin_weather"]["created"] == HOURS).all()


def test_transform_serves_an_edited_copy_and_puts_the_registered_one_back(tmp_path: Path) -> None:
    registered = transforms.flight.request_features.fingerprint
    row = {"scheduled_departure": 1374537600, "asked_at": 1374535200, "distance": 1000.0, "severity": 2.0}
    with incident_of("transform", SCHEDULE).serving(tmp_path):
        assert installed_fingerprint("transforms.flight:request_features") != registered
        edited = sys.modules["transforms.flight"].request_features.on_row(row)
    assert installed_fingerprint("transforms.flight:request_features") == registered
    assert edited["weather_risk"] > transforms.flight.request_features.on_row(row)["weather_risk"]


def test_transform_is_put_back_after_an_error_too(tmp_path: Path) -> None:
    def fail() -> None:
        with incident_of("transform", SCHEDULE).serving(tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert sys.modules["transforms.flight"] is transforms.flight


def test_unknown_incident_is_named() -> None:
    with pytest.raises(DemoError, match="no incident 'fire'; there are: none, stale"):
        incident_of("fire", SCHEDULE)


def test_command_offers_every_incident() -> None:
    from skew_ext.cli import demo  # noqa: PLC0415 - the command imports Feast

    assert set(demo.INCIDENTS) == set(INCIDENTS)
    assert all(issubclass(kind, Incident) for kind in INCIDENTS.values())
