"""The world that a replay plays back: every view's source rows, and who asks for which flight when."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa

from skew_ext.demo.repo import modules_of

if TYPE_CHECKING:
    from skew_ext.demo.schedule import Schedule

LATE_MINUTES: Final = 15.0
SHORTEST_LEAD: Final = 30
LEADS: Final = 31
REQUEST: Final = ["origin", "carrier", "tailnum", "scheduled_departure", "asked_at", "distance"]
"""An entity row: the join keys, and the request data of the on-demand view."""
KEYS: Final = {"origin_weather": ["origin"], "carrier_delay": ["carrier", "origin"], "plane_history": ["tailnum"]}


@dataclass(frozen=True)
class World:
    """Source rows by view as they will come, and lookups in the order of their time.

    A lookup has an entity row's columns, `event_timestamp` (when it is asked), `request_id` and `late`: whether the
    flight came 15 minutes late or more, null for one that did not arrive.
    """

    rows: Mapping[str, pd.DataFrame]
    schemas: Mapping[str, pa.Schema]
    training: pd.DataFrame
    lookups: pd.DataFrame
    write: Callable[[pa.Table, Path, str], None]
    """The pipeline's own way to add a table to a source's folder, as a file of that name."""


def load_world(repo: Path, schedule: Schedule) -> World:
    """Compute the world with the repo's own pipeline."""
    with modules_of(repo):
        pipeline: Any = importlib.import_module("pipeline")
        tables = pipeline.source_rows(schedule.sources_from, schedule.end)
        flights = pipeline.load_flights()
    return World(
        rows={name: table.to_pandas() for name, table in tables.items()},
        schemas={name: table.schema for name, table in tables.items()},
        training=_lookups(flights, schedule.trained_from, schedule.start).dropna(subset=["late"]),
        lookups=_lookups(flights, schedule.start, schedule.end),
        write=pipeline.write_rows,
    )


def _lookups(flights: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """Give one lookup for every departure scheduled in [start, end), those cancelled later too.

    It is made 30 to 60 minutes before departure: how long, depends on the flight's number alone.
    """
    flights = flights[flights["scheduled_departure"].between(start, end, inclusive="left")]
    lead = SHORTEST_LEAD + flights["flight"] * 7 % LEADS
    asked = flights["scheduled_departure"] - pd.to_timedelta(lead, unit="min")
    lookups = flights.assign(
        event_timestamp=asked.astype("datetime64[us, UTC]"),
        scheduled_departure=_unix(flights["scheduled_departure"]),
        asked_at=_unix(asked),
        late=(flights["arr_delay"] >= LATE_MINUTES).astype("float64").where(flights["arr_delay"].notna()),
        request_id=_request_ids(flights),
    )
    columns = [*REQUEST, "event_timestamp", "request_id", "late"]
    return lookups.sort_values(["event_timestamp", "request_id"], ignore_index=True)[columns]


def _unix(times: pd.Series) -> pd.Series:
    seconds: pd.Series[int] = times.dt.tz_localize(None).astype("datetime64[s]").astype("int64")
    return seconds


def _request_ids(flights: pd.DataFrame) -> pd.Series:
    day = flights["scheduled_departure"].dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")
    number = flights["carrier"] + flights["flight"].astype(str)
    request_ids: pd.Series[str] = number + "-" + flights["origin"] + "-" + flights["dest"] + "-" + day
    return request_ids
