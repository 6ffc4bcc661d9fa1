"""When things happen in the replay. All times are UTC; the dates are real, and the days are New York's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
FIRST_DAY: Final = datetime(2013, 7, 22, tzinfo=NEW_YORK)
"""A Monday of thunderstorms: four flights in ten of its three days came 15 minutes late or more."""
TRAINING: Final = timedelta(days=21)
LOOK_BACK: Final = timedelta(days=8)
"""How much older than the first training row source rows are kept: time enough for most planes to have flown."""

HOUR: Final = timedelta(hours=1)
PAST_THE_HOUR: Final = timedelta(minutes=5)
MATERIALIZED: Final = timedelta(hours=26)
"""How far back each materialization reads: an incremental one would never see a row that came late."""
INCIDENT_FROM: Final = timedelta(days=1, hours=12)
"""Noon of the second day, from the replay's start."""


@dataclass(frozen=True)
class Schedule:
    """The replay's window [start, end), and what is before it."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, days: int) -> Schedule:
        """Give the schedule of a replay of so many whole New York days."""
        return cls(_utc(FIRST_DAY), _utc(FIRST_DAY + timedelta(days=days)))

    @property
    def trained_from(self) -> datetime:
        """The first departure that the model is trained on; the last is before `start`."""
        return self.start - TRAINING

    @property
    def sources_from(self) -> datetime:
        """The first event of the source rows."""
        return self.trained_from - LOOK_BACK

    def ticks(self) -> Iterator[datetime]:
        """Give the times at which source rows land and are materialized: five minutes past each hour."""
        tick = self.start + PAST_THE_HOUR
        while tick < self.end:
            yield tick
            tick += HOUR

    def incident(self, hours: int) -> tuple[datetime, datetime]:
        """Give the window [from, until) of an incident of so many hours."""
        begin = self.start + INCIDENT_FROM
        return begin, begin + hours * HOUR


def _utc(local: datetime) -> datetime:
    return local.astimezone(ZoneInfo("UTC"))
