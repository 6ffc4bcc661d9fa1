"""When things happen in a synthetic world: source rows every hour, then a job, then lookups, round by round.

Events happen, and come to be known, between a quarter past and five to the hour; the job runs on the hour, and lookups
follow within a quarter of an hour. So in a world without a fault what is online is what is newest, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np

HOUR = timedelta(hours=1)
HISTORY, FUTURE = 26, 18
"""Hours of source rows before the first round and after it: more than the 14 hours that a time zone can be off."""
_FIRST_EVENT, _LAST_EVENT, _LAST_LOOKUP, _REGULAR = 15 * 60, 53 * 60, 14 * 60, 30 * 60


@dataclass(frozen=True)
class Timeline:
    """The times of a world: it begins with the first round's job, on the hour, and has a round in each hour.

    With `regular` all keys have their events at the same minute of each hour, as aggregates have.
    """

    begin: datetime = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    rounds: int = 3
    regular: bool = False

    @property
    def end(self) -> datetime:
        """When all lookups have been served."""
        return self.begin + self.rounds * HOUR

    def tick(self, number: int) -> datetime:
        """Give the time of a round's job."""
        return self.begin + number * HOUR

    def events(self, random: np.random.Generator) -> list[datetime]:
        """Draw a key's event times: one in each hour, to the microsecond."""
        hours = range(-HISTORY, FUTURE)
        seconds = random.uniform(_FIRST_EVENT, _LAST_EVENT, size=len(hours))
        if self.regular:
            seconds[:] = _REGULAR
        return [self.begin + hour * HOUR + _seconds(second) for hour, second in zip(hours, seconds, strict=True)]

    @staticmethod
    def created(event: datetime, random: np.random.Generator) -> datetime:
        """Draw when a row came to be known: within two minutes of its event."""
        return event + _seconds(random.uniform(1, 119))

    def lookups(self, number: int, count: int, random: np.random.Generator) -> list[datetime]:
        """Draw the times of a round's lookups, in order."""
        return [self.tick(number) + _seconds(second) for second in np.sort(random.uniform(1, _LAST_LOOKUP, size=count))]


def _seconds(seconds: float) -> timedelta:
    return timedelta(microseconds=round(float(seconds) * 1e6))
