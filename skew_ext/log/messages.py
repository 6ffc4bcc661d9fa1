"""Records to rows of the log by way of protobuf's messages: slow, and right for whatever a message may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from feast.protos.feast.serving.ServingService_pb2 import (
    FieldStatus,
    GetOnlineFeaturesRequest,
    GetOnlineFeaturesResponse,
)

from skew_ext.log.table import MICROSECONDS, status, system_columns, table_schema
from skew_ext.log.values import UnexpectedValueError, to_arrow
from skew_ext.schema import STATUS_SUFFIX, TIMESTAMP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast.protos.feast.types.Value_pb2 import Value

    from skew_ext.log.table import Entry
    from skew_ext.schema import LoggedFeature, LogSchema

_SECOND = 1_000_000


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


def decode_messages(entries: Sequence[Entry], schema: LogSchema) -> pa.Table:
    """Decode records of one schema into rows of the log, in the order given: the reference for `decode`.

    Raises
    ------
    UnexpectedValueError
        A record does not fit its schema.
    """
    try:
        return _table([_Lookup.of(entry) for entry in entries], entries, schema)
    except UnexpectedValueError:
        raise
    except Exception as error:  # a record is poison whatever it is that does not fit, protobuf's own errors included
        raise UnexpectedValueError(" ".join(str(error).split())) from error


def _table(lookups: Sequence[_Lookup], entries: Sequence[Entry], schema: LogSchema) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for key in schema.join_keys:
        values = [value for lookup in lookups for value in lookup.values(key.name)]
        columns[key.name] = to_arrow(values, key.value_type)
    for field in schema.request_data:
        values = [value for lookup in lookups for value in lookup.request.request_context[field.name].val]
        columns[field.name] = to_arrow(values, field.value_type)
    for feature in schema.features:
        columns.update(_feature_columns(lookups, feature))
    columns.update(system_columns(entries, schema))
    return pa.table(columns, schema=table_schema(schema))


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
