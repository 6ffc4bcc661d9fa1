"""`Windows`: one definition of windowed aggregates, run on history for training and on a stream for serving."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from skew_ext.clock import Clock, utc_now
from skew_ext.transform.batches import like
from skew_ext.windows import state
from skew_ext.windows.aggregator import Aggregator
from skew_ext.windows.definition import Definition, microseconds
from skew_ext.windows.errors import WindowError
from skew_ext.windows.reading import moment, read_entities, read_events

Batch = TypeVar("Batch")


class Windows(Definition):
    """Windowed aggregates over the events of one stream; `Definition` says what each part means.

    Examples
    --------
    >>> from datetime import datetime, timedelta, timezone
    >>> from skew_ext.windows import WindowedAggregate
    >>> spending = Windows(
    ...     keys={"card": "Int64"},
    ...     columns={"amount": "Float64"},
    ...     aggregates=[WindowedAggregate("spend_1h", "sum", timedelta(hours=1), column="amount")],
    ... )
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    >>> events = [
    ...     {"card": 7, "event_timestamp": noon, "amount": 0.1},
    ...     {"card": 7, "event_timestamp": noon + timedelta(minutes=20), "amount": 0.2},
    ... ]

    For training, on history: each entity row at its own time.

    >>> asked = {"card": [7, 7, 7], "event_timestamp": [noon, noon + timedelta(minutes=30), noon + timedelta(hours=1)]}
    >>> spending.on_history(pa.Table.from_pylist(events), asked)["spend_1h"].tolist()
    [0.1, 0.30000000000000004, 0.2]

    For serving, on the stream; at one o'clock the first payment is exactly the look-back old, and has left:

    >>> aggregator = spending.aggregator(clock=lambda: noon + timedelta(minutes=20))
    >>> [aggregator.add(event) for event in events]
    ['added', 'added']
    >>> aggregator.value(7, noon + timedelta(hours=1))
    {'spend_1h': 0.2}
    """

    def on_history(self, events: Any, entity_rows: Batch) -> Batch:
        """Give each entity row's aggregates at its own time, from no event of later.

        Parameters
        ----------
        events
            A pandas DataFrame, a pyarrow Table, or a mapping of columns; in any order.
        entity_rows
            Likewise: the join keys, and in the column of the event time the `as_of` of each row.

        Returns
        -------
        The features alone, row for row, in a container of the kind that `entity_rows` is.

        Raises
        ------
        WindowError
            A column is missing or of another type, a key or a time is null, or a sum of integers lies beyond int64.
        """
        from skew_ext.windows.history import aggregate  # noqa: PLC0415 - serving does without

        asked = read_entities(self, entity_rows)
        return like(entity_rows, aggregate(self, read_events(self, events), asked), self.output_types)

    def aggregator(self, *, clock: Clock = utc_now) -> Aggregator:
        """Give an empty aggregator; `clock` says when an event arrives that comes without its time of arrival."""
        return Aggregator(self, clock=clock)

    def save(self, aggregator: Aggregator, path: str | Path) -> None:
        """Save an aggregator's state to a file, in whole or not at all."""
        state.save(aggregator, Path(path))

    def load(self, path: str | Path, *, clock: Clock = utc_now) -> Aggregator:
        """Give an aggregator with a saved state; WindowError if it is the state of another definition."""
        aggregator = self.aggregator(clock=clock)
        state.load(aggregator, Path(path))
        return aggregator

    def source_rows(
        self,
        events: Any,
        start: datetime | None = None,
        end: datetime | None = None,
        created: datetime | None = None,
    ) -> pa.Table:
        """Give the rows of a Feast source: one for each moment at which an event enters a window or has left one.

        Parameters
        ----------
        events
            As for `on_history`: all that may count in [start, end), so from the longest look-back before `start` on.
        start, end
            Only rows with an event time in [start, end). A batch job gives its own interval, and so writes an expiry
            when its time has come; rows beyond the present would have to be written again after each new event.
        created
            What `created` says; without it, the row's own time: nothing in a row was known later.

        Returns
        -------
        The join keys, the event time, `created` and the features, sorted by event time; timestamps in microseconds,
        UTC. For each event there are as many rows as there are distinct windows, and one more.

        Notes
        -----
        Give the feature view no TTL (`ttl=timedelta(0)`): the last row of a silent key, "nothing in the window",
        holds for ever.
        """
        from skew_ext.windows.source import source_table  # noqa: PLC0415 - serving does without

        given = {"start": start, "end": end, "created": created}
        bounds = {name: None if bound is None else moment(bound, name) for name, bound in given.items()}
        return source_table(self, read_events(self, events), **bounds)

    def due(self, aggregator: Aggregator, start: datetime, end: datetime) -> pa.Table:
        """Give the rows of `source_rows` in [start, end), from what an aggregator keeps: to push as time goes on.

        Parameters
        ----------
        aggregator
            One of this definition.
        start, end
            The interval, by the clock that stamps arrivals: from the last call's `end` up to now. What arrives at
            `end` itself is the next interval's.

        Raises
        ------
        WindowError
            `start` lies further back than `allowed_lateness`: the events may be gone.
        """
        from skew_ext.windows.source import kept_rows, source_table  # noqa: PLC0415 - serving does without

        kept, now = aggregator.kept()
        first, last = moment(start, "start"), moment(end, "end")
        if kept and first < now - microseconds(self.allowed_lateness):
            raise WindowError(
                f"start {start} is more than {self.allowed_lateness} back; call it more often, or allow more lateness"
            )
        return source_table(self, kept_rows(self, kept), first, last, None)
