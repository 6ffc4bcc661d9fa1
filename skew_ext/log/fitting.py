"""The schema that a record really has, where a served value is not of the type that its schema declares.

A feature's type changes while a server still has the old registry in its cache; request data have the type of whatever
the caller gave. Such a record is logged as it was served, under a schema of its own: a column takes the one of its
values' own types that holds them all exactly, and where there is none, Feast's own messages.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest, GetOnlineFeaturesResponse

from skew_ext.log.values import UnexpectedValueError, to_arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast.protos.feast.types.Value_pb2 import Value

    from skew_ext.log.table import Entry
    from skew_ext.schema import LogSchema

ANY = "VALUE"
"""The type of a column that is kept as Feast's messages, since its values have no type in common."""
_FIELD_SUFFIX = "_val"


def by_fitted_schema(entries: Sequence[Entry], schema: LogSchema) -> list[tuple[LogSchema, list[Entry]]]:
    """Return records by the schema that holds them exactly, in order; by the given one where none is found."""
    found: dict[LogSchema, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[_fitted(entry, schema)].append(entry)
    return list(found.items())


def _fitted(entry: Entry, schema: LogSchema) -> LogSchema:
    try:
        response = GetOnlineFeaturesResponse.FromString(entry.record.response)
        request = GetOnlineFeaturesRequest.FromString(entry.record.request)
        served = {
            name: vector.values
            for name, vector in zip(response.metadata.feature_names.val, response.results, strict=True)
        }
        given = {name: values.val for name, values in request.request_context.items()}
    except Exception:  # noqa: BLE001 - damaged: protobuf's DecodeError has no public base class in all of its backends
        return schema
    return replace(
        schema,
        join_keys=tuple(
            replace(key, value_type=_type(served.get(key.name), key.value_type)) for key in schema.join_keys
        ),
        request_data=tuple(
            replace(one, value_type=_type(given.get(one.name), one.value_type)) for one in schema.request_data
        ),
        features=tuple(
            replace(one, value_type=_type(served.get(one.response_name), one.value_type)) for one in schema.features
        ),
    )


def _type(values: Sequence[Value] | None, declared: str) -> str:
    """Return the declared type if it holds the values exactly, else one of their own that does."""
    if values is None:
        return declared
    fields = dict.fromkeys(value.WhichOneof("val") or "" for value in values)
    own = (name[: -len(_FIELD_SUFFIX)].upper() for name in fields if name.endswith(_FIELD_SUFFIX))
    for candidate in (declared, *own):
        if _holds(candidate, values):
            return candidate
    return ANY


def _holds(value_type: str, values: Sequence[Value]) -> bool:
    try:
        to_arrow(values, value_type)
    except UnexpectedValueError:
        return False
    return True
