"""The rows of the log as an Arrow table: its columns, and those that every row has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from skew_ext.log.values import arrow_type
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

    from skew_ext.serving.record import Record

MICROSECONDS = pa.timestamp("us", tz="UTC")


class Entry(NamedTuple):
    """A record as it was found in the spool. `rows` is what its frame says: the entity rows that it answers for."""

    writer: str
    sequence: int
    rows: int
    record: Record


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


def _encodable(text: str) -> str:
    """Give a text with its lone surrogates, which UTF-8 has no place for, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def system_columns(entries: Sequence[Entry], schema: LogSchema) -> dict[str, pa.Array]:
    """Give the columns of `SYSTEM_FIELDS` for records of one schema."""
    counts = np.array([entry.rows for entry in entries], dtype=np.int64)
    places = pa.array(np.repeat(np.arange(len(entries)), counts))
    known: dict[bytes, list[str]] = {}
    for entry in entries:
        if entry.record.constants not in known:
            known[entry.record.constants] = [_encodable(text) for text in json.loads(entry.record.constants)]
    constants = [known[entry.record.constants] for entry in entries]

    def repeated(values: Sequence[object], kind: pa.DataType) -> pa.Array:
        return pa.array(values, type=kind).take(places)

    served = repeated([entry.record.served_at for entry in entries], pa.int64()).cast(MICROSECONDS)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    return {
        REQUEST_ID: repeated([entry.record.request_id.decode() for entry in entries], pa.string()),
        LOG_TIMESTAMP: served,
        LOG_DATE: served.cast(pa.date32()),
        ROW: pa.array((np.arange(len(firsts)) - firsts).astype(np.int32)),
        FEATURE_SERVICE: pa.repeat(pa.scalar(schema.feature_service, pa.string()), len(firsts)),
        MODEL_NAME: repeated([constant[0] for constant in constants], pa.string()),
        MODEL_VERSION: repeated([constant[1] for constant in constants], pa.string()),
        ENVIRONMENT: repeated([constant[2] for constant in constants], pa.string()),
        TRANSFORMS: repeated([constant[3] for constant in constants], pa.string()),
        SCHEMA: pa.repeat(pa.scalar(schema.hash, pa.string()), len(firsts)),
        WRITER: repeated([entry.writer for entry in entries], pa.string()),
        SEQUENCE: repeated([entry.sequence for entry in entries], pa.int64()),
    }
