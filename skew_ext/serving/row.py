"""One row that `ServingLogger` logs: its typed values, their schema, and the response that Feast would have given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value

from skew_ext.schema import STATUS_SUFFIX, TIMESTAMP_SUFFIX, Column, LoggedFeature, LogSchema
from skew_ext.serving.typed import NULL, typed

MOST_NAMES = 100_000
"""How many columns' types are remembered: names that never repeat must not grow them without bound."""
_SECOND = 1_000_000


class UnloggableRowError(ValueError):
    """A row that has no place in the log; the message names what is wrong with it."""


class Cell(NamedTuple):
    """A value and its column's type. What is not `held` is null since no type holds it."""

    value_type: str
    message: Value
    held: bool


@dataclass
class LoggedRow:
    """A row on its way to the spool.

    `service` and `view` name where its columns stand; `event` is its values' time in microseconds, 0 where none.
    """

    service: str
    view: str
    event: int
    keys: dict[str, Cell] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[str, frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
        """What tells its schema from others: the names and types, in any order."""
        return (
            self.service,
            frozenset((name, key.value_type) for name, key in self.keys.items()),
            frozenset((name, cell.value_type) for name, cell in self.cells.items()),
        )

    def schema(self, project: str) -> LogSchema:
        """Give the schema of these names and types; UnloggableRowError if two columns would have one name."""
        suffixes = ("", TIMESTAMP_SUFFIX, STATUS_SUFFIX)
        columns = [*self.keys, *(self._column(name) + suffix for name in self.cells for suffix in suffixes)]
        if len(set(columns)) < len(columns) or any(name.startswith("__") for name in self.keys):
            msg = f"names that make one column twice, or one of the log's own: {', '.join([*self.keys, *self.cells])}"
            raise UnloggableRowError(msg)
        return LogSchema(
            project=project,
            feature_service=self.service,
            features=tuple(
                LoggedFeature(self.view, name, self._column(name), cell.value_type, None, on_demand=False)
                for name, cell in self.cells.items()
            ),
            join_keys=tuple(Column(name, key.value_type) for name, key in self.keys.items()),
            request_data=(),
            records=True,
        )

    def response(self) -> bytes:
        """Give the row as Feast would have answered it. What could not be held is left out, and so read as INVALID."""
        response = GetOnlineFeaturesResponse()
        held = [(self._column(name), cell) for name, cell in self.cells.items() if cell.held]
        response.metadata.feature_names.val.extend([*self.keys, *(column for column, _ in held)])
        for key in self.keys.values():
            response.results.add().values.append(key.message)
        seconds, nanos = self.event // _SECOND, self.event % _SECOND * 1000
        for _, cell in held:
            vector = response.results.add()
            vector.values.append(cell.message)
            vector.event_timestamps.add(seconds=seconds, nanos=nanos)
        encoded: bytes = response.SerializeToString()
        return encoded

    def _column(self, name: str) -> str:
        return f"{self.view}__{name}"


class RowMaker:
    """Makes rows, and remembers the type that each column had: a null, or 3 where 2.5 was before, keeps to it.

    `on_invalid` is told of each value that no type holds, with its column and the reason.
    """

    def __init__(self, on_invalid: Callable[[str, Exception], None]) -> None:
        self._types: dict[tuple[str, str], str] = {}
        self._on_invalid = on_invalid

    def make(
        self, service: str, view: str, keys: Mapping[Any, Any], values: Iterable[tuple[Any, Any]], event: int
    ) -> LoggedRow:
        """Make a row whose values all have the event time `event`."""
        row = LoggedRow(service, view, event)
        for given, value in keys.items():
            name = _name(given)
            row.keys[name] = self._cell(service, name, value)
        for given, value in values:
            name = _name(given)
            if name in row.cells:
                msg = f"two values are named {name!r}"
                raise UnloggableRowError(msg)
            row.cells[name] = self._cell(service, f"{view}__{name}", value)
        return row

    def _cell(self, service: str, column: str, value: Any) -> Cell:
        known = self._types.get((service, column))
        try:
            exact = typed(value).within(known)
            cell = Cell(exact.value_type, exact.message(), held=True)
        except Exception as error:  # noqa: BLE001 - a value of any class may come, with any __array__ or __iter__
            self._on_invalid(column, error)
            cell = Cell(known or NULL, Value(), held=False)
        if cell.value_type not in (known, NULL):
            if len(self._types) >= MOST_NAMES:
                self._types.clear()
            self._types[service, column] = cell.value_type
        return cell


def _name(given: Any) -> str:
    # The columns of a frame without names are numbers; neither Arrow nor a database has NUL or half a character in one.
    return str(given).encode(errors="backslashreplace").decode().replace("\0", "\\x00")
