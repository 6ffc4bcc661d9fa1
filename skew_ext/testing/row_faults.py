"""Faults of whole rows: in time, in order, or not there at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from skew_ext.testing.fault import Fault
from skew_ext.testing.timeline import HOUR

if TYPE_CHECKING:
    from skew_ext.testing.views import Row

COIN = 0.5
NOTHING_IN_TIME = 0.2
"""The share of late keys of which no row was known by serving."""


class FutureServed(Fault):
    """The job writes rows that have not happened yet, as with an end date in local time."""

    cause = "future_served"

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Write as if it were two hours later."""
        until = self.times.tick(tick) + 2 * HOUR
        return next((row for row in reversed(rows) if row.event <= until), None)


class ExpiredServed(Fault):
    """The source falls silent, and serving goes on with what it has."""

    cause = "expired_served"

    def fits(self) -> bool:
        """Only where there is a TTL to be past."""
        return bool(self.view.ttl)

    def source(self, rows: list[Row]) -> list[Row]:
        """Drop all that would have been within the TTL of a lookup."""
        silent = self.times.begin - self.view.ttl - timedelta(minutes=1)
        return [row for row in rows if row.event < silent]


class Restated(Fault):
    """Events are rewritten at the source after they were served: in place, or as a further row of the same event."""

    cause = "restated"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.in_place = bool(self.random.random() < COIN)

    def fits(self) -> bool:
        """Only where the source says when a row was created."""
        return self.view.has_created

    def afterwards(self, rows: list[Row]) -> list[Row]:
        """Give what was served other values, created after the last lookup."""
        since, late = self.times.begin - 3 * HOUR, self.times.end + timedelta(minutes=1)
        once = {row.event: row for row in rows if since < row.event < self.times.end}
        again = [replace(row, created=late, values=self.drawn()) for row in once.values()]
        rewritten = set(once) if self.in_place else set()
        return [*(row for row in rows if row.event not in rewritten), *again]


class LateArrival(Fault):
    """Rows come hours after their events; of some keys, all of them."""

    cause = "late_arrival"

    def fits(self) -> bool:
        """Only where the source says when a row was created."""
        return self.view.has_created

    def source(self, rows: list[Row]) -> list[Row]:
        """Let the rows of the last two hours, or all, come after the last lookup."""
        nothing = self.random.random() < NOTHING_IN_TIME
        since = rows[0].event if nothing else self.times.begin - 2 * HOUR
        late = self.times.end + timedelta(minutes=30)
        # Of two rows of one event the one that came second still does.
        return [
            row if row.event < since else replace(row, created=max(late, row.event) + (row.created - row.event))
            for row in rows
        ]


class StaleOnline(Fault):
    """The job stops before the first round."""

    cause = "stale_online"

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Write what was current two hours before the first round, and nothing more."""
        return super().written(rows, -2) if tick == 0 else None


class EvictedOnline(Fault):
    """The online store loses a key that it has served, as with a key TTL that is too short."""

    cause = "evicted_online"

    def fits(self) -> bool:
        """Only where there are keys to lose."""
        return bool(self.view.keys)

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Write in the first round alone."""
        return super().written(rows, tick) if tick == 0 else None

    def evicts(self, tick: int) -> bool:
        """Lose the key before the second round."""
        return tick == 1


class MissingOnline(Fault):
    """The key is never materialized."""

    cause = "missing_online"

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Write nothing."""
        del rows, tick
        return None


class TimestampShift(Fault):
    """Local times are taken for UTC: by the job that writes online, or by the one that writes the source."""

    cause = "timestamp_shift"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._shift = timedelta(minutes=15) * int(self.random.integers(4, 14 * 4 + 1))
        self._online = bool(self.random.random() < COIN)

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Write event times that are too late by the shift, and so older rows, where it is the job that is wrong."""
        return super().written(self._moved(rows) if self._online else rows, tick)

    def afterwards(self, rows: list[Row]) -> list[Row]:
        """Give the source event times that are too late by the shift, where it is the source that is wrong."""
        return rows if self._online else self._moved(rows)

    def _moved(self, rows: Sequence[Row]) -> list[Row]:
        return [replace(row, event=row.event + self._shift) for row in rows]


ROW_FAULTS: tuple[type[Fault], ...] = (
    FutureServed,
    ExpiredServed,
    Restated,
    LateArrival,
    StaleOnline,
    EvictedOnline,
    MissingOnline,
    TimestampShift,
)
