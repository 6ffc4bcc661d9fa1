"""What goes wrong in a replay: one incident at most, on the second day from noon, New York time."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from skew_ext.demo.repo import quiet
from skew_ext.errors import DemoError

if TYPE_CHECKING:
    from feast import FeatureStore

    from skew_ext.demo.schedule import Schedule

Rows = Mapping[str, pd.DataFrame]
WEATHER = "origin_weather"


@dataclass(frozen=True)
class Incident:
    """The base of the incidents: each changes one thing in [begin, until), and the rest goes as it should."""

    begin: datetime
    until: datetime
    name: ClassVar[str]
    edits: ClassVar[str | None] = None
    """The on-demand feature that serving computes otherwise."""
    says: ClassVar[str]
    hours: ClassVar[int] = 6

    def active(self, at: datetime) -> bool:
        """Tell whether the incident is on."""
        return self.begin <= at < self.until

    def source_rows(self, rows: Rows) -> Rows:
        """Give the source rows as they come in this replay."""
        return rows

    def materializes(self, tick: datetime) -> bool:
        """Tell whether the materialization of `tick` runs."""
        del tick
        return True

    def after_materialization(
        self, store: FeatureStore, tick: datetime, weather: pd.DataFrame
    ) -> tuple[str, float] | None:
        """Do what the job does to the weather online after it has materialized.

        `weather` is the newest row of each airport by then. Gives the feature that was changed and by which factor,
        for the replay's truth; None where nothing was.
        """
        del store, tick, weather
        return None

    @contextmanager
    def serving(self, scratch: Path) -> Iterator[None]:
        """Serve inside the block as serving is during the incident; `scratch` is a folder for files."""
        del scratch
        yield


class Nothing(Incident):
    """A clean replay."""

    name = "none"
    says = "Nothing goes wrong in this replay."


class Stale(Incident):
    """Materialization stops."""

    name = "stale"
    says = "Materialization stops for six hours."

    def materializes(self, tick: datetime) -> bool:
        """Skip the runs of the window."""
        return not self.active(tick)


class Silent(Incident):
    """The weather feed goes silent, and its rows never come."""

    name = "ttl"
    hours = 8
    says = (
        "The weather feed is silent for eight hours: past its TTL of 3 hours training sees null, and serving a value."
    )

    def source_rows(self, rows: Rows) -> Rows:
        """Drop the window's weather for good."""
        weather = rows[WEATHER]
        gone = weather["event_timestamp"].between(self.begin, self.until, inclusive="left")
        return {**rows, WEATHER: weather[~gone]}


class Late(Incident):
    """Weather comes late: still within its TTL, so that lateness is all that is wrong."""

    name = "late"
    says = "For six hours weather comes two hours late: training sees rows that serving could not."
    delay: ClassVar[timedelta] = timedelta(hours=2)

    def source_rows(self, rows: Rows) -> Rows:
        """Let the window's weather be created, and so land, two hours after its event."""
        weather = rows[WEATHER].copy()
        late = weather["event_timestamp"].between(self.begin, self.until, inclusive="left")
        weather.loc[late, "created"] += self.delay
        return {**rows, WEATHER: weather}


class Units(Incident):
    """The job that writes wind speeds online writes another unit."""

    name = "units"
    says = "For six hours the job writes wind speed online in knots; offline it stays in miles per hour."

    def after_materialization(
        self, store: FeatureStore, tick: datetime, weather: pd.DataFrame
    ) -> tuple[str, float] | None:
        """Write the newest weather again, in knots."""
        from transforms.weather import KNOTS_PER_MILE_PER_HOUR, knots  # noqa: PLC0415 - only the clone has it

        if not self.active(tick):
            return None
        with quiet():
            store.write_to_online_store(WEATHER, weather.assign(wind_speed=knots(weather["wind_speed"].to_numpy())))
        return "wind_speed", KNOTS_PER_MILE_PER_HOUR


class Transform(Incident):
    """Serving runs an edited copy of a shared function, and the registry knows the one before the edit."""

    name = "transform"
    says = "For six hours serving runs an edited transforms/flight.py, which was never applied to the registry."
    edits = "flight_request__weather_risk"
    module: ClassVar[str] = "transforms.flight"
    edit: ClassVar[tuple[str, str]] = ("RISK_PER_1000_MILES = 0.25", "RISK_PER_1000_MILES = 0.4")

    @contextmanager
    def serving(self, scratch: Path) -> Iterator[None]:
        """Put the edited module in the place of the registered one."""
        registered = importlib.import_module(self.module)
        sys.modules[self.module] = self._edited(Path(str(registered.__file__)), scratch)
        try:
            yield
        finally:
            sys.modules[self.module] = registered

    def _edited(self, original: Path, scratch: Path) -> ModuleType:
        text = original.read_text(encoding="utf-8")
        if self.edit[0] not in text:
            raise DemoError(f"{original} has no {self.edit[0]!r} for the incident to edit; undo your edit of it")
        copy = scratch / original.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text.replace(*self.edit), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(self.module, copy)
        assert spec is not None and spec.loader is not None  # noqa: PT018, S101 - a .py file has a loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


INCIDENTS: dict[str, type[Incident]] = {kind.name: kind for kind in (Nothing, Stale, Silent, Late, Units, Transform)}


def incident_of(name: str, schedule: Schedule) -> Incident:
    """Give the incident called `name`, at its time in the schedule; DemoError if there is none."""
    if name not in INCIDENTS:
        raise DemoError(f"no incident {name!r}; there are: {', '.join(INCIDENTS)}")
    kind = INCIDENTS[name]
    return kind(*schedule.incident(kind.hours))
