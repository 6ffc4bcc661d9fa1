"""Records of the spool to rows of the log: one Arrow table per schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from feast.protos.feast.serving.ServingService_pb2 import (
    FieldStatus,
    GetOnlineFeaturesRequest,
    GetOnlineFeaturesResponse,
)

from skew_ext.log.values import UnexpectedValueError, arrow_type, to_arrow
from skew_ext.schema import (
    ENVIRONMENT,
    FEATURE_SERVICE,
    LOG_DATE,
    LOG_TIMESTAMP,
    MODEL_NAME,
    MODEL_VERSION,
    REQUEST_ID,
    ROW,
    SCHEMA,
    SEQUENCE,
    STATUS_SUFFIX,
    TIMESTAMP_SUFFIX,
    TRANSFORMS,
    WRITER,
    LogSchema,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast.protos.feast.types.Value_pb2 import Value

    from skew_ext.schema import LoggedFeature
    from skew_ext.serving.record import Record

MICROSECONDS = pa.timestamp("us", tz="UTC")
_SECOND = 1_000_000


@dataclass(frozen=True)
class Entry:
    """A record as it was found in the spool. `rows` is what its frame says: the entity rows that it answers for."""

    writer: str
    sequence: int
    rows: int
    record: Record


@dataclass(frozen=True)
class _Lookup:
    """A record's two messages, by name, and checked: every vector has one value per entity row."""

    entry: Entry
    vectors: dict[str, GetOnlineFeaturesResponse.FeatureVector]
    request: GetOnlineFeaturesRequest

    @classmethod
    def of(cls, entry: Entry) -> _Lookup:
        response = GetOnlineFeaturesResponse.FromString(entry.record.response)
        vectors = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
        for name, vector in vectors.items():
            if len(vector.values) != entry.rows:
                msg = f"{name!r} has {len(vector.values)} values for {entry.rows} entity rows"
                raise UnexpectedValueError(msg)
        return cls(entry, vectors, GetOnlineFeaturesRequest.FromString(entry.record.request))

    def values(self, name: str) -> Sequence[Value]:
        """Give a column that every response of this schema has."""
        if name not in self.vectors:
            msg = f"the response has no {name!r}, which its schema names"
            raise UnexpectedValueError(msg)
        values: Sequence[Value] = self.vectors[name].values
        return values


def decode(entries: Sequence[Entry], schema: LogSchema) -> pa.Table:
    """Decode records of one schema into rows of the log, in the order given.

    Raises
    ------
    UnexpectedValueError
        A record does not fit its schema; the caller finds out which one by halving the batch.
    """
    try:
        lookups = [_Lookup.of(entry) for entry in entries]
    except (ValueError, TypeError) as error:
        raise UnexpectedValueError(str(error)) from None
    except Exception as error:  # protobuf's DecodeError has no public base class in all of its backends
        raise UnexpectedValueError(str(error)) from error
    columns: dict[str, pa.Array] = {}
    for key in schema.join_keys:
        values = [value for lookup in lookups for value in lookup.values(key.name)]
        columns[key.name] = to_arrow(values, key.value_type)
    for field in schema.request_data:
        values = [value for lookup in lookups for value in lookup.request.request_context[field.name].val]
        columns[field.name] = to_arrow(values, field.value_type)
    for feature in schema.features:
        columns.update(_feature_columns(lookups, feature))
    columns.update(_system_columns(entries, schema))
    return pa.table(columns, schema=table_schema(schema))


def table_schema(schema: LogSchema) -> pa.Schema:
    """Give the Arrow schema of a feature set's rows in the log."""
    fields = [pa.field(column.name, arrow_type(column.value_type)) for column in schema.join_keys]
    fields += [pa.field(column.name, arrow_type(column.value_type)) for column in schema.request_data]
    for feature in schema.features:
        fields += [
            pa.field(feature.column, arrow_type(feature.value_type), metadata={"feast_type": feature.value_type}),
            pa.field(feature.column + TIMESTAMP_SUFFIX, MICROSECONDS),
            pa.field(feature.column + STATUS_SUFFIX, pa.int32()),
        ]
    return pa.schema([*fields, *SYSTEM_FIELDS])


SYSTEM_FIELDS = (
    pa.field(REQUEST_ID, pa.string()),
    pa.field(LOG_TIMESTAMP, MICROSECONDS),
    pa.field(LOG_DATE, pa.date32()),
    pa.field(ROW, pa.int32()),
    pa.field(FEATURE_SERVICE, pa.string()),
    pa.field(MODEL_NAME, pa.string()),
    pa.field(MODEL_VERSION, pa.string()),
    pa.field(ENVIRONMENT, pa.string()),
    pa.field(TRANSFORMS, pa.string()),
    pa.field(SCHEMA, pa.string()),
    pa.field(WRITER, pa.string()),
    pa.field(SEQUENCE, pa.int64()),
)
"""The columns that every row of the log has, whatever its feature set."""


def _feature_columns(lookups: Sequence[_Lookup], feature: LoggedFeature) -> dict[str, pa.Array]:
    values: list[Value] = []
    events: list[int | None] = []
    served: list[int | None] = []
    for lookup in lookups:
        vector = lookup.vectors.get(feature.response_name)
        if vector is None:
            # Feast leaves python-mode outputs out of a response with full feature names.
            vector = _nothing_served(lookup.entry.rows)
            served += [None] * lookup.entry.rows
        else:
            served += [lookup.entry.record.served_at] * lookup.entry.rows
        values += vector.values
        events += [event.seconds * _SECOND + event.nanos // 1000 or None for event in vector.event_timestamps]
    array = to_arrow(values, feature.value_type)
    statuses = [
        int(FieldStatus.INVALID) if at is None else status(event, at, feature.ttl_microseconds, null=null)
        for null, event, at in zip(array.is_null().to_pylist(), events, served, strict=True)
    ]
    return {
        feature.column: array,
        feature.column + TIMESTAMP_SUFFIX: pa.array(events, type=MICROSECONDS),
        feature.column + STATUS_SUFFIX: pa.array(statuses, type=pa.int32()),
    }


def _nothing_served(rows: int) -> GetOnlineFeaturesResponse.FeatureVector:
    vector = GetOnlineFeaturesResponse.FeatureVector()
    for _ in range(rows):
        vector.values.add()
        vector.event_timestamps.add()
    return vector


def status(event: int | None, served_at: int, ttl: int | None, *, null: bool) -> int:
    """Derive a cell's status, since online stores report it in ways of their own; all times in microseconds.

    No value and no event time: NOT_FOUND. No value: NULL_VALUE. A value older than the view's TTL when it was
    served: OUTSIDE_MAX_AGE (Feast's bound is inclusive: exactly the TTL is still within). Else PRESENT.
    """
    if null:
        return int(FieldStatus.NOT_FOUND if event is None else FieldStatus.NULL_VALUE)
    if ttl is not None and event is not None and event < served_at - ttl:
        return int(FieldStatus.OUTSIDE_MAX_AGE)
    return int(FieldStatus.PRESENT)


def _system_columns(entries: Sequence[Entry], schema: LogSchema) -> dict[str, pa.Array]:
    counts = [entry.rows for entry in entries]
    constants = [json.loads(entry.record.constants) for entry in entries]

    def repeated(values: Sequence[object], kind: pa.DataType) -> pa.Array:
        return pa.array([value for value, count in zip(values, counts, strict=True) for _ in range(count)], type=kind)

    served = repeated([entry.record.served_at for entry in entries], pa.int64()).cast(MICROSECONDS)
    return {
        REQUEST_ID: repeated([entry.record.request_id.decode() for entry in entries], pa.string()),
        LOG_TIMESTAMP: served,
        LOG_DATE: served.cast(pa.date32()),
        ROW: pa.array([row for count in counts for row in range(count)], type=pa.int32()),
        FEATURE_SERVICE: pa.array([schema.feature_service] * sum(counts), type=pa.string()),
        MODEL_NAME: repeated([constant[0] for constant in constants], pa.string()),
        MODEL_VERSION: repeated([constant[1] for constant in constants], pa.string()),
        ENVIRONMENT: repeated([constant[2] for constant in constants], pa.string()),
        TRANSFORMS: repeated([constant[3] for constant in constants], pa.string()),
        SCHEMA: pa.array([schema.hash] * sum(counts), type=pa.string()),
        WRITER: repeated([entry.writer for entry in entries], pa.string()),
        SEQUENCE: repeated([entry.sequence for entry in entries], pa.int64()),
    }
