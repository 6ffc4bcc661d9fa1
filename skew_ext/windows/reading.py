"""Events and entity rows on their way in: columns of a frame as typed arrays, one event as typed Python values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.clock import as_utc
from skew_ext.errors import TransformError, nearest
from skew_ext.transform import batches
from skew_ext.transform.reading import read_column
from skew_ext.transform.types import Column, ColumnType
from skew_ext.transform.writing import to_python
from skew_ext.windows.definition import Definition
from skew_ext.windows.errors import WindowError

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_EPOCH: Final = as_utc(datetime(1970, 1, 1))  # noqa: DTZ001 - as_utc makes it aware
_MICROSECOND: Final = timedelta(microseconds=1)
_NOT_A_TIME: Final = np.iinfo(np.int64).min
_EXACT: Final[Mapping[str, type]] = {"Float64": float, "String": str, "Bool": bool}


class Rows(NamedTuple):
    """Rows of a frame: their keys' columns, their times in microseconds, and what else was asked for."""

    keys: dict[str, Column]
    times: Integers
    columns: dict[str, Column]
    arrived: Integers | None = None

    def take(self, chosen: Any) -> Rows:
        """Give the chosen rows, by position or by flag."""
        return Rows(
            {name: _take(column, chosen) for name, column in self.keys.items()},
            self.times[chosen],
            {name: _take(column, chosen) for name, column in self.columns.items()},
            None if self.arrived is None else self.arrived[chosen],
        )


def _take(column: Column, chosen: Any) -> Column:
    return Column(column.data[chosen], None if column.null is None else column.null[chosen])


def read_events(definition: Definition, events: Any) -> Rows:
    """Give a frame of events: a pandas DataFrame, a pyarrow Table, or a mapping of columns.

    Raises
    ------
    WindowError
        A column is missing or of another type; a key, an event time, an id, an order or an arrival is null.
    """
    names = _names(events)
    rows = Rows(
        {name: _column(events, names, name, kind) for name, kind in definition.key_types.items()},
        _times(events, names, definition.timestamp),
        {name: _column(events, names, name, kind) for name, kind in definition.column_types.items()},
        _times(events, names, definition.arrived) if definition.arrived else None,
    )
    needed = {name: definition.column_types[name] for name in (definition.event_id, definition.order) if name}
    _refuse_null({**rows.keys, **{name: rows.columns[name] for name in needed}}, {**definition.key_types, **needed})
    return rows


def read_entities(definition: Definition, entity_rows: Any) -> Rows:
    """Give a frame of entity rows: the keys and, in the column of the event time, the `as_of` of each."""
    names = _names(entity_rows)
    keys = {name: _column(entity_rows, names, name, kind) for name, kind in definition.key_types.items()}
    _refuse_null(keys, definition.key_types)
    return Rows(keys, _times(entity_rows, names, definition.timestamp), {})


def absent(column: Column, kind: ColumnType) -> Flags:
    """Say where a column is null; NaN is."""
    if column.null is not None:
        return column.null
    if kind.dtype.kind == "f":
        return np.isnan(column.data)
    if kind.dtype.kind == "M":
        return np.isnat(column.data)
    if kind.dtype.kind == "O":
        return np.fromiter((value is None for value in column.data), dtype=np.bool_, count=len(column.data))
    return np.zeros(len(column.data), dtype=np.bool_)


def _names(frame: Any) -> set[str]:
    try:
        return set(batches.column_names(frame))
    except TransformError as error:
        raise WindowError(str(error)) from None


def _get(frame: Any, names: Iterable[str], name: str) -> Any:
    if name not in names:
        raise WindowError(f"column {name!r} is missing{nearest(name, names)}")
    return batches.column(frame, name)


def _column(frame: Any, names: Iterable[str], name: str, kind: ColumnType) -> Column:
    values = _get(frame, names, name)
    try:
        return read_column(values, kind, f"column {name!r}")
    except TransformError as error:
        raise WindowError(str(error)) from None


def _refuse_null(columns: Mapping[str, Column], kinds: Mapping[str, ColumnType]) -> None:
    for name, column in columns.items():
        nulls = int(absent(column, kinds[name]).sum())
        if nulls:
            raise WindowError(f"column {name!r} is null in {nulls} rows; leave them out or give them a value")


def _times(frame: Any, names: Iterable[str], name: str) -> Integers:
    """Give a column of times in microseconds since 1970 UTC, finer digits cut off; a naive time is UTC."""
    values = _get(frame, names, name)
    try:
        array = _as_times(values)
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise WindowError(f"column {name!r} cannot be read as times: {error}") from None
    micros: Integers = array.astype("datetime64[us]").astype(np.int64)
    nulls = int((micros == _NOT_A_TIME).sum())
    if nulls:
        raise WindowError(f"column {name!r} has no time in {nulls} rows; leave them out or give them one")
    return micros


def _as_times(values: Any) -> npt.NDArray[Any]:
    if isinstance(values, (list, tuple)) or (isinstance(values, np.ndarray) and values.dtype.kind == "O"):
        return np.array([microseconds_of(value) for value in values], dtype=np.int64).astype("datetime64[us]")
    if not isinstance(values, np.ndarray):
        arrow = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.Array.from_pandas(values)
        if not pa.types.is_timestamp(arrow.type):
            raise TypeError(f"it holds {arrow.type}")
        values = arrow.cast(pa.timestamp(arrow.type.unit)).to_numpy(zero_copy_only=False)
    elif values.dtype.kind != "M":
        raise TypeError(f"it holds {values.dtype}")
    return np.asarray(values)


def microseconds_of(value: Any) -> int:
    """Give a datetime (a naive one is UTC) or a datetime64 in microseconds since 1970 UTC; TypeError if it is none."""
    if isinstance(value, np.datetime64) and not np.isnat(value):
        return int(value.astype("datetime64[us]").astype(np.int64))
    # NaT is a datetime by its class, and unlike itself.
    if not isinstance(value, datetime) or value != value:  # noqa: PLR0124
        raise TypeError(f"it holds {value!r}, which is no time")
    return (as_utc(value) - _EPOCH) // _MICROSECOND


def moment(value: Any, name: str) -> int:
    """Give a time that a caller passed as `name` in microseconds since 1970 UTC; WindowError if it is none."""
    try:
        return microseconds_of(value)
    except TypeError:
        raise WindowError(f"{name} is {value!r}, which is no time; give a datetime") from None


class Event(NamedTuple):
    """One event: its entity key, its event time in microseconds, and its other columns' values in declared order."""

    key: tuple[Any, ...]
    time: int
    values: tuple[Any, ...]


class EventReader:
    """Reads events one at a time, as `read_events` reads them by the frame."""

    def __init__(self, definition: Definition) -> None:
        self._timestamp = definition.timestamp
        self._keys = [(name, _scalar(name, kind)) for name, kind in definition.key_types.items()]
        self._columns = [(name, _scalar(name, kind)) for name, kind in definition.column_types.items()]
        self._needed = frozenset({*definition.key_types, definition.event_id, definition.order})

    def event(self, event: Mapping[str, Any]) -> Event:
        """Give an event as typed values; NaN is None, a timestamp is in seconds."""
        time = self.time(event, self._timestamp)
        return Event(self.key(event), time, tuple(self._value(event, name, read) for name, read in self._columns))

    def key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """Give the entity key of an event or entity row."""
        return tuple(self._value(row, name, read) for name, read in self._keys)

    def time(self, row: Mapping[str, Any], name: str) -> int:
        """Give a time of an event in microseconds."""
        try:
            return microseconds_of(row[name])
        except KeyError:
            raise WindowError(f"{name!r} is missing{nearest(name, row)}") from None
        except (TypeError, OverflowError) as error:
            raise WindowError(f"{name!r} cannot be read as a time: {error}") from None

    def _value(self, row: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> Any:
        if name not in row:
            raise WindowError(f"{name!r} is missing{nearest(name, row)}")
        value = read(row[name])
        if value is None and name in self._needed:
            raise WindowError(f"{name!r} is null; an event needs it")
        return value


def _scalar(name: str, kind: ColumnType) -> Callable[[Any], Any]:
    exact = _EXACT.get(kind.name)

    def read(value: Any) -> Any:
        if type(value) is exact and (not isinstance(value, str) or value.isascii()):
            return value if value == value else None  # noqa: PLR0124 - only NaN is unlike itself
        try:
            column = read_column([value], kind, repr(name))
        except TransformError as error:
            raise WindowError(str(error)) from None
        if kind.dtype.kind == "M":
            return None if np.isnat(column.data[0]) else int(column.data.astype(np.int64)[0])
        return to_python(column, kind)[0]

    limits = np.iinfo(kind.dtype) if kind.dtype.kind == "i" else None
    if limits is None:
        return read
    least, most = int(limits.min), int(limits.max)

    def read_integer(value: Any) -> Any:
        return value if type(value) is int and least <= value <= most else read(value)

    return read_integer
