"""What a windowed aggregate is: declared once, as plain data, for the history and for the stream.

A window at `as_of` holds the events of one entity key whose event time lies in the look-back before `as_of`. `closed`
says which of its two edges belong to it, in pandas' words: "right", the default, is (as_of - look_back, as_of]: an
event of this very moment counts, as in Feast's point-in-time join, and one that is exactly the look-back old no longer
does. With a `slide_interval` the window moves only at full multiples of it since 1970 UTC (a hopping window; with a
slide interval as long as the look-back, a tumbling one): between two of them the value stays.

A null is not aggregated, as in SQL, and a NaN is a null, as everywhere in shared transforms. Times are whole
microseconds, UTC.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from skew_ext.errors import nearest
from skew_ext.transform.types import ColumnType, column_type
from skew_ext.windows.errors import WindowError
from skew_ext.windows.functions import ANY, FUNCTIONS, NUMERIC

CLOSED: Final = ("right", "left", "both", "neither")
EMPTY: Final = ("null", "zero")
KEY_TYPES: Final = ("Int64", "Int32", "String")
CREATED: Final = "created"
# Moves when the meaning of a definition does, so that a saved state is not read under another meaning.
_MEANING: Final = 1
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000


def microseconds(duration: timedelta) -> int:
    """Give a duration in whole microseconds."""
    return duration // _MICROSECOND


@dataclass(frozen=True)
class WindowedAggregate:
    """One feature: a function over the events of a window.

    Parameters
    ----------
    name
        The feature's name.
    function
        "count", "sum", "mean", "min", "max", "count_distinct", "first" or "last".
    look_back
        The window's length.
    column
        What is aggregated; its nulls are left out. Only "count" may do without: then it counts events.
    closed
        Which edges belong to the window: "right" is (as_of - look_back, as_of], "left" is [as_of - look_back, as_of),
        and there are "both" and "neither".
    slide_interval
        How often the window moves; without it, at every moment.
    empty
        What a window without a value gives: "null" or "zero". Counts give zero if not said otherwise, all else null.
    """

    name: str
    function: str
    look_back: timedelta
    column: str | None = None
    closed: str = "right"
    slide_interval: timedelta | None = None
    empty: str | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without the columns."""
        for option, value, known in (
            ("function", self.function, tuple(FUNCTIONS)),
            ("closed", self.closed, CLOSED),
            ("empty", self.empty or "null", EMPTY),
        ):
            if value not in known:
                said = ", ".join(known)
                raise WindowError(f"{self.name}: {option} {value!r} is not known{nearest(value, known)}; it is: {said}")
        for option, length in (("look_back", self.look_back), ("slide_interval", self.slide_interval)):
            if length is not None and length < _MICROSECOND:
                raise WindowError(f"{self.name}: {option} is {length}; it must be at least a microsecond")
        if self.column is None and self.function != "count":
            raise WindowError(f"{self.name}: {self.function} needs a column; only count does without")

    def bounds(self, as_of: Any) -> tuple[Any, Any]:
        """Give the first and the last event time, both included, of the window at `as_of`: microseconds, or arrays."""
        end = as_of if self.slide_interval is None else as_of - as_of % microseconds(self.slide_interval)
        start = end - microseconds(self.look_back)
        return start + (self.closed in ("right", "neither")), end - (self.closed in ("left", "neither"))

    def changes(self, time: Any) -> tuple[Any, Any]:
        """Give when an event of `time` enters the window and when it has left: the first such `as_of` of each."""
        enters = time + (self.closed in ("left", "neither"))
        leaves = time + microseconds(self.look_back) + (self.closed in ("left", "both"))
        return self._next(enters), self._next(leaves)

    def _next(self, time: Any) -> Any:
        return time if self.slide_interval is None else time + -time % microseconds(self.slide_interval)

    @property
    def shape(self) -> tuple[timedelta, str, timedelta | None]:
        """What makes its windows: two aggregates of one shape look at the same events."""
        return self.look_back, self.closed, self.slide_interval

    @property
    def reach(self) -> int:
        """How far before `as_of` the window may begin, in microseconds."""
        slide = 0 if self.slide_interval is None else microseconds(self.slide_interval)
        return microseconds(self.look_back) + slide

    @property
    def empty_is_zero(self) -> bool:
        """Whether an empty window gives zero rather than null."""
        return (self.empty or FUNCTIONS[self.function].empty) == "zero"


@dataclass(frozen=True)
class Definition:
    """The events of one stream, and the windowed aggregates over them.

    Parameters
    ----------
    keys
        The entity's join keys and their types (Int64, Int32, String).
    columns
        The events' other columns and their types, as `feature_transform` declares them.
    aggregates
        The features, in the order of the outputs.
    timestamp
        The column of the event time.
    arrived
        The column that says when an event came to be known. With it an event counts from that time on and not
        earlier, and one that was more than `allowed_lateness` late counts never: as in serving.
    event_id
        One of `columns` that identifies an event. With it, the same event delivered again counts once. (The same id
        with another time or other values is another event.)
    order
        One of `columns` that orders events of one key and time, for "first" and "last": a sequence number, an offset.
        Events that it leaves tied are ordered by their value.
    allowed_lateness
        How long after its event time an event may arrive and still count; how far back reads may go, too.
    """

    keys: Mapping[str, object]
    columns: Mapping[str, object]
    aggregates: Sequence[WindowedAggregate]
    timestamp: str = "event_timestamp"
    arrived: str | None = None
    event_id: str | None = None
    order: str | None = None
    allowed_lateness: timedelta = timedelta(days=1)
    key_types: dict[str, ColumnType] = field(init=False, repr=False)
    column_types: dict[str, ColumnType] = field(init=False, repr=False)
    output_types: dict[str, ColumnType] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Resolve the types, and check that the parts fit."""
        set_field = object.__setattr__  # the way of a frozen dataclass
        set_field(self, "key_types", {name: column_type(kind, name) for name, kind in self.keys.items()})
        set_field(self, "column_types", {name: column_type(kind, name) for name, kind in self.columns.items()})
        set_field(self, "aggregates", tuple(self.aggregates))
        self._check_keys()
        self._check_names()
        outputs = {each.name: column_type(self._output(each), each.name) for each in self.aggregates}
        set_field(self, "output_types", outputs)
        if self.allowed_lateness < timedelta(0):
            raise WindowError(f"allowed_lateness is {self.allowed_lateness}; it must not be negative")

    def _check_keys(self) -> None:
        if not self.key_types or not self.aggregates:
            raise WindowError("windows need at least one key and one aggregate")
        for name, kind in self.key_types.items():
            if kind.name not in KEY_TYPES:
                raise WindowError(f"key {name!r} is {kind.name}; a key is one of: {', '.join(KEY_TYPES)}")
        for name, kind in self.column_types.items():
            if kind.name not in ANY:
                raise WindowError(f"column {name!r} is {kind.name}; windows take: {', '.join(ANY)}")
        for option in ("event_id", "order"):
            name = getattr(self, option)
            if name is not None and name not in self.column_types:
                hint = nearest(name, self.column_types)
                raise WindowError(f"{option} is {name!r}, which columns does not declare{hint}")

    def _check_names(self) -> None:
        inputs = [*self.key_types, *self.column_types, self.timestamp, *([self.arrived] if self.arrived else [])]
        # The features stand beside the keys, the timestamp and `created` in a source of Feast.
        outputs = [*self.key_types, self.timestamp, CREATED, *(each.name for each in self.aggregates)]
        for names in (inputs, outputs):
            for name in names:
                if names.count(name) > 1:
                    raise WindowError(f"the name {name!r} stands for two columns; rename one")

    def _output(self, aggregate: WindowedAggregate) -> str:
        function = FUNCTIONS[aggregate.function]
        if aggregate.column is None:
            return function.output_type(None)
        if aggregate.column not in self.column_types:
            hint = nearest(aggregate.column, self.column_types)
            raise WindowError(f"{aggregate.name}: columns does not declare {aggregate.column!r}{hint}")
        kind = self.column_types[aggregate.column].name
        if kind not in function.takes:
            said = ", ".join(function.takes)
            raise WindowError(f"{aggregate.name}: {aggregate.function} of {kind} is not defined; it takes {said}")
        output = function.output_type(kind)
        if aggregate.empty == "zero" and output not in NUMERIC:
            raise WindowError(f"{aggregate.name}: empty is 'zero', but the output is {output}; leave it null")
        return output

    @property
    def inputs(self) -> dict[str, str]:
        """The declared columns of an event, keys first, with their types by name."""
        return {name: kind.name for name, kind in {**self.key_types, **self.column_types}.items()}

    @property
    def outputs(self) -> dict[str, str]:
        """The features and their types by name, as a `feature_transform` that goes on from them declares its inputs."""
        return {name: kind.name for name, kind in self.output_types.items()}

    @property
    def reach(self) -> int:
        """The longest way back from `as_of` that any of the windows looks, in microseconds."""
        return max(each.reach for each in self.aggregates)

    @property
    def tags(self) -> dict[str, str]:
        """Tags for the view of `source_rows`: the look-back, for `skew lint`, and the fingerprint, for `feast plan`."""
        seconds = -(-self.reach // _SECOND)  # rounded up
        return {"skew.lookback": f"{seconds}s", "skew.windows": self.fingerprint}

    @property
    def fingerprint(self) -> str:
        """The definition in one hash: 64 hex digits of SHA-256, the same in every process."""
        parts = {
            "meaning": _MEANING,
            "keys": {name: kind.name for name, kind in self.key_types.items()},
            "columns": {name: kind.name for name, kind in self.column_types.items()},
            "events": [self.timestamp, self.arrived, self.event_id, self.order, microseconds(self.allowed_lateness)],
            "aggregates": [list(_plain(each)) for each in self.aggregates],
        }
        return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def _plain(aggregate: WindowedAggregate) -> Iterator[object]:
    slide = aggregate.slide_interval
    yield from (aggregate.name, aggregate.function, aggregate.column, aggregate.closed, aggregate.empty_is_zero)
    yield from (microseconds(aggregate.look_back), None if slide is None else microseconds(slide))
