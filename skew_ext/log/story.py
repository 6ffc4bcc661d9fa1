"""The whole story of one request: its lookups, the model's inputs, its prediction, and the label, in order of time."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from skew_ext.log.opaque import is_opaque, opened
from skew_ext.schema import (
    ENVIRONMENT,
    FEATURE_SERVICE,
    INFERENCE,
    LABEL,
    LOG_TIMESTAMP,
    MODEL_NAME,
    MODEL_VERSION,
    PREDICTION,
    REQUEST_ID,
    ROW,
    SCHEMA,
    SEQUENCE,
    STATUS_SUFFIX,
    TIMESTAMP_SUFFIX,
    TRANSFORMS,
    WRITER,
    are_records,
)

LOOKUP = "lookup"
_KINDS = {INFERENCE: "inference", PREDICTION: "prediction", LABEL: "label"}


@dataclass(frozen=True)
class Cell:
    """A logged value. `age` is how old it was when it was served; None for what has no event time of its own."""

    feature: str
    value: Any
    status: str
    event_time: datetime | None
    age: timedelta | None

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return {
            "feature": self.feature,
            "value": plain(self.value),
            "status": self.status,
            "event_time": plain(self.event_time),
            "age_seconds": None if self.age is None else self.age.total_seconds(),
        }


@dataclass(frozen=True)
class Row:
    """One entity row: what it was asked with (keys and request data), and its cells."""

    place: int
    given: dict[str, Any]
    cells: tuple[Cell, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        given = {name: plain(value) for name, value in self.given.items()}
        return {"row": self.place, "given": given, "features": [cell.as_dict() for cell in self.cells]}


@dataclass(frozen=True)
class Event:
    """One thing that was logged: a `lookup`, or an `inference`, `prediction` or `label` of `ServingLogger`.

    `at` is when it happened: when it was served, and for a label when it was observed. `delay` is from the request's
    first event to its label.
    """

    kind: str
    request_id: str
    at: datetime
    logged_at: datetime
    feature_service: str
    model_name: str
    model_version: str
    environment: str
    transforms: dict[str, str]
    schema: str
    writer: str
    sequence: int
    rows: tuple[Row, ...]
    delay: timedelta | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        delay = {} if self.delay is None else {"delay_seconds": self.delay.total_seconds()}
        return {
            "kind": self.kind,
            "request_id": self.request_id,
            "at": plain(self.at),
            **delay,
            "logged_at": plain(self.logged_at),
            "feature_service": self.feature_service,
            "model_name": self.model_name,
            "model_version": self.model_version,
            "environment": self.environment,
            "transforms": self.transforms,
            "schema": self.schema,
            "writer": self.writer,
            "seq": self.sequence,
            "rows": [row.as_dict() for row in self.rows],
        }


@dataclass(frozen=True)
class Story:
    """All that was logged under one request id."""

    request_id: str
    events: tuple[Event, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return {"request_id": self.request_id, "events": [event.as_dict() for event in self.events]}


def story(request_id: str, log: pa.Table) -> Story:
    """Tell the story of one request from its rows of the log, in whatever order they come."""
    order = sorted(events(log), key=lambda event: (event.at, event.logged_at, event.writer, event.sequence))
    served = [event.at for event in order if event.kind != "label"]
    return Story(request_id, tuple(_with_delay(event, served) for event in order))


def events(log: pa.Table) -> list[Event]:
    """Give the log's rows as events, one for each record, in the order of the rows."""
    reader = _Reader(log)
    records = groupby(log.to_pylist(), key=lambda row: (row[WRITER], row[SEQUENCE], row[SCHEMA]))
    return [reader.event(list(rows)) for _, rows in records]


def plain(value: Any) -> Any:
    """Give a logged value as JSON can hold it: NaN and infinities by name, bytes in base64, times as ISO 8601."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


class _Reader:
    """Reads events from rows of one table, whose columns it knows."""

    def __init__(self, log: pa.Table) -> None:
        names = set(log.column_names)
        self._features = [name for name in log.column_names if name + STATUS_SUFFIX in names]
        derived = {name + suffix for name in self._features for suffix in ("", STATUS_SUFFIX, TIMESTAMP_SUFFIX)}
        self._given = [name for name in log.column_names if name not in derived and not name.startswith("__")]
        self._opaque = {field.name for field in log.schema if is_opaque(field)}

    def event(self, rows: list[dict[str, Any]]) -> Event:
        first = rows[0]
        kind = self._kind(first)
        read = tuple(self._row(row, kind) for row in rows)
        return Event(
            kind=kind,
            request_id=first[REQUEST_ID],
            at=_happened(kind, first[LOG_TIMESTAMP], read[0].cells),
            logged_at=first[LOG_TIMESTAMP],
            feature_service=first[FEATURE_SERVICE],
            model_name=first[MODEL_NAME],
            model_version=first[MODEL_VERSION],
            environment=first[ENVIRONMENT],
            transforms=dict(_pairs(first[TRANSFORMS])),
            schema=first[SCHEMA],
            writer=first[WRITER],
            sequence=first[SEQUENCE],
            rows=read,
        )

    def _kind(self, row: dict[str, Any]) -> str:
        # A feature service may have one of these names too; its features are of other views.
        kind = _KINDS.get(row[FEATURE_SERVICE], LOOKUP)
        views = {name.partition("__")[0] for name in self._features if row[name + STATUS_SUFFIX] is not None}
        return kind if kind == LOOKUP or are_records(row[FEATURE_SERVICE], views) else LOOKUP

    def _row(self, row: dict[str, Any], kind: str) -> Row:
        # A feature without a status, or a key without a value, belongs to another feature set's rows.
        given = {name: row[name] for name in self._given if row[name] is not None}
        cells = (self._cell(row, name, kind) for name in self._features if row[name + STATUS_SUFFIX] is not None)
        return Row(row[ROW], given, tuple(cells))

    def _cell(self, row: dict[str, Any], name: str, kind: str) -> Cell:
        value, event = row[name], row[name + TIMESTAMP_SUFFIX]
        if name in self._opaque and value is not None:
            value = opened(value)
        if kind in ("inference", "prediction"):
            event = None  # the time of the call: it stands there so that null and unknown can be told apart
        age = row[LOG_TIMESTAMP] - event if kind == LOOKUP and event is not None else None
        return Cell(name, value, FieldStatus.Name(row[name + STATUS_SUFFIX]), event, age)


def _happened(kind: str, logged_at: datetime, cells: Iterable[Cell]) -> datetime:
    observed = next((cell.event_time for cell in cells if kind == "label"), None)
    return logged_at if observed is None else observed


def _with_delay(event: Event, served: list[datetime]) -> Event:
    if event.kind != "label" or not served or not any(cell.event_time for row in event.rows for cell in row.cells):
        return event
    return Event(**{**vars(event), "delay": event.at - served[0]})


def _pairs(transforms: str | None) -> Iterable[tuple[str, str]]:
    for pair in (transforms or "").split():
        view, _, fingerprint = pair.partition("=")
        yield view, fingerprint
