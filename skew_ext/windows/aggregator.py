"""Windowed aggregates on a stream, for serving: events one at a time, in whatever order they arrive.

Memory is bounded: an event is kept until no window that may still be read can hold it, which is `allowed_lateness` plus
the longest look-back after its event time, and at most a thirty-second more. The clock is the latest arrival so far, so
arrivals must come from a clock that can be trusted: one stamped a year ahead would let go of all that is older. An
event that arrives more than `allowed_lateness` after its event time is left out, and counted.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from math import copysign
from typing import Any, Final, Literal

from skew_ext.clock import Clock, utc_now
from skew_ext.windows.definition import Definition, WindowedAggregate, microseconds
from skew_ext.windows.errors import WindowError
from skew_ext.windows.reading import Event, EventReader, moment
from skew_ext.windows.series import REDUCERS, Series, exponent_of

Outcome = Literal["added", "duplicate", "late"]
Key = tuple[Any, ...]
Kept = tuple[Event, int]
_TOTALLED: Final = ("sum", "mean")
_NO_TIME: Final = -(2**63)
# Old events are swept out by the bucket: more of them keep fewer events too long, and cost more bookkeeping.
_BUCKETS: Final = 32


class _KeyState:
    """One entity key: its events by bucket, for a saved state and to know a duplicate; and a series for each column."""

    __slots__ = ("events", "series")

    def __init__(self, series: dict[str | None, Series]) -> None:
        self.events: dict[int, dict[Any, Kept]] = {}
        self.series = series


class Aggregator:
    """The aggregates of a definition over the events added so far; safe to use from several threads.

    Attributes
    ----------
    outcomes : Counter
        How many events were "added", were a "duplicate", were "late".
    """

    def __init__(self, definition: Definition, *, clock: Clock = utc_now) -> None:
        """Make an empty one; `clock` says when an event arrives that comes without its time of arrival."""
        self.definition = definition
        self.outcomes: Counter[Outcome] = Counter()
        self._clock = clock
        self._reader = EventReader(definition)
        self._lateness = microseconds(definition.allowed_lateness)
        self._kept = self._lateness + definition.reach
        self._bucket = max(1, self._kept // _BUCKETS)
        self._columns = list(definition.column_types)
        self._states: dict[Key, _KeyState] = {}
        self._buckets: dict[int, set[Key]] = {}
        self._oldest: list[int] = []
        self._now = _NO_TIME
        self._size = 0
        self._serial = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many events are kept."""
        return self._size

    @property
    def now(self) -> datetime | None:
        """The latest arrival so far; None before the first."""
        return None if self._now == _NO_TIME else _datetime(self._now)

    def add(self, event: Mapping[str, Any], arrived: datetime | None = None) -> Outcome:
        """Take in one event.

        Parameters
        ----------
        event
            Its columns by name; others are ignored.
        arrived
            When it arrived; without it the event's own `arrived` column, if there is one, else the clock says.

        Returns
        -------
        "added"; or "duplicate" or "late", and then it does not count.

        Raises
        ------
        WindowError
            A column is missing or of another type.
        """
        read = self._reader.event(event)
        if arrived is not None:
            at = moment(arrived, "arrived")
        elif self.definition.arrived:
            at = self._reader.time(event, self.definition.arrived)
        else:
            at = moment(self._clock(), "the clock")
        with self._lock:
            outcome = self._take(read, at)
            self.outcomes[outcome] += 1
        return outcome

    def value(self, key: Any, as_of: datetime) -> dict[str, Any]:
        """Give the aggregates of one entity key at a time, over the events that have arrived.

        Parameters
        ----------
        key
            The join keys by name, as in an entity row of Feast; where there is one, its value alone will do.
        as_of
            The time to look back from; a naive one is UTC.

        Returns
        -------
        Each feature by name, None for null; timestamps are aware datetimes in UTC.

        Raises
        ------
        WindowError
            `as_of` lies further back than `allowed_lateness`: the events may be gone.
        """
        if not isinstance(key, Mapping):
            if len(self.definition.key_types) != 1:
                raise WindowError(f"give the key by name: {', '.join(self.definition.key_types)}")
            key = {next(iter(self.definition.key_types)): key}
        read = self._reader.key(key)
        asked = moment(as_of, "as_of")
        with self._lock:
            if asked < self._now - self._lateness:
                kept = self.definition.allowed_lateness
                raise WindowError(f"as_of {as_of} is more than {kept} back; a longer allowed_lateness keeps more")
            state = self._states.get(read)
            return {each.name: self._value(each, state, asked) for each in self.definition.aggregates}

    def kept(self) -> tuple[list[Kept], int]:
        """Give all of the state: the events kept, each with when it arrived, and the latest arrival (microseconds)."""
        with self._lock:
            buckets = [bucket for state in self._states.values() for bucket in state.events.values()]
            return [kept for bucket in buckets for kept in bucket.values()], self._now

    def restore(self, kept: Iterable[Kept], now: int) -> None:
        """Take in what an aggregator of the same definition kept."""
        with self._lock:
            self._now = max(self._now, now)
            for event, arrived in kept:
                self._keep(event, arrived)

    def _value(self, each: WindowedAggregate, state: _KeyState | None, as_of: int) -> Any:
        if state is not None:
            series = state.series[each.column]
            low, high = series.span(*each.bounds(as_of))
            if low < high:
                return self._told(each, REDUCERS[each.function](series, low, high))
        if not each.empty_is_zero:
            return None
        return 0.0 if self.definition.output_types[each.name].dtype.kind == "f" else 0

    def _told(self, each: WindowedAggregate, value: Any) -> Any:
        kind = self.definition.output_types[each.name].dtype.kind
        if kind == "M":
            return _datetime(value * 1_000_000)
        return None if value != value else value  # noqa: PLR0124 - only NaN is unlike itself

    def _take(self, event: Event, arrived: int) -> Outcome:
        if arrived > self._now:
            self._now = arrived
            self._sweep(arrived - self._kept)
        return "late" if arrived - event.time > self._lateness else self._keep(event, arrived)

    def _keep(self, event: Event, arrived: int) -> Outcome:
        if event.time < self._now - self._kept:
            return "late"  # it arrived out of turn: no window that may still be read holds it
        state = self._states.get(event.key)
        if state is None:
            state = self._states[event.key] = _KeyState(self._empty_series())
        number = event.time // self._bucket
        bucket = state.events.setdefault(number, {})
        identity = self._identity(event)
        if identity in bucket:
            return "duplicate"
        bucket[identity] = event, arrived
        self._size += 1
        self._add_to_series(event, state)
        self._note(number, event.key)
        return "added"

    def _identity(self, event: Event) -> Any:
        if self.definition.event_id is not None:
            return event.time, tuple(map(_payload, event.values))
        self._serial += 1  # without an id each delivery is an event of its own
        return self._serial

    def _empty_series(self) -> dict[str | None, Series]:
        made: dict[str | None, Series] = {}
        for each in self.definition.aggregates:
            totalled = any(
                other.column == each.column and other.function in _TOTALLED for other in self.definition.aggregates
            )
            exponent = exponent_of(self.definition.column_types[str(each.column)].name) if totalled else None
            made.setdefault(each.column, Series(exponent=exponent, ordered=self.definition.order is not None))
        return made

    def _add_to_series(self, event: Event, state: _KeyState) -> None:
        values = dict(zip(self._columns, event.values, strict=True))
        order = values[self.definition.order] if self.definition.order else None
        for name, series in state.series.items():
            value = True if name is None else values[name]
            if value is not None:
                series.add(event.time, value, order)

    def _note(self, number: int, key: Key) -> None:
        if number not in self._buckets:
            self._buckets[number] = set()
            heapq.heappush(self._oldest, number)
        self._buckets[number].add(key)

    def _sweep(self, horizon: int) -> None:
        """Drop the events of every bucket that lies before `horizon` as a whole."""
        while self._oldest and (self._oldest[0] + 1) * self._bucket <= horizon:
            number = heapq.heappop(self._oldest)
            for key in self._buckets.pop(number):
                self._drop(key, number)

    def _drop(self, key: Key, number: int) -> None:
        state = self._states[key]
        self._size -= len(state.events.pop(number))
        for series in state.series.values():
            series.drop_before((number + 1) * self._bucket)
        if not state.events:
            del self._states[key]


def _payload(value: Any) -> Any:
    # 0.0 and -0.0 are equal, and yet two payloads.
    return "-0.0" if isinstance(value, float) and value == 0 and copysign(1.0, value) < 0 else value


def _datetime(micros: int) -> datetime:
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, tz=timezone.utc).replace(microsecond=rest)
