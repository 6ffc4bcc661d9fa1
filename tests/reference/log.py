"""The log's columns, from the Arrow schema that a feature set is written with."""

from __future__ import annotations

from typing import Final

from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.value_type import ValueType

from skew_ext import schema as names
from skew_ext.log.notes import LogNote
from skew_ext.log.table import SYSTEM_FIELDS, status, table_schema
from skew_ext.log.values import arrow_type
from skew_ext.schema import Column, LoggedFeature, LogSchema
from tests.reference.markdown import page, paragraphs, table

_SAYS: Final = {
    names.REQUEST_ID: "The request: the caller's id, or a UUIDv7 made for it. All its entity rows have it.",
    names.LOG_TIMESTAMP: "When it was served.",
    names.LOG_DATE: "The day of that, UTC: what the log is partitioned by.",
    names.ROW: "The entity row's place in the request, from 0.",
    names.FEATURE_SERVICE: "The feature service; empty for a lookup by a list of references.",
    names.MODEL_NAME: "From the settings, or the request's context.",
    names.MODEL_VERSION: "From the settings, or the request's context.",
    names.ENVIRONMENT: "From the settings.",
    names.TRANSFORMS: "The shared transforms that ran, as `view=fingerprint`, with blanks between them.",
    names.SCHEMA: "The hash of the feature set's schema.",
    names.WRITER: "The process that served: the id of its part of the spool.",
    names.SEQUENCE: "The lookup's number within that process, rising by 1: a gap is a loss.",
}
_EXAMPLE: Final = LogSchema(
    project="rides",
    feature_service="scoring",
    features=(LoggedFeature("stats", "rating", "rating", "DOUBLE", None, on_demand=False),),
    join_keys=(Column("driver", "INT64"),),
    request_data=(Column("distance", "DOUBLE"),),
)
_ROLES: Final = {
    "driver": "A join key, by its name: as the request has it.",
    "distance": "A field of an on-demand view's request data, by its name.",
    "stats__rating": "A feature, `{view}__{feature}`: what was served, to the bit. An alias of the view stands for it.",
    "stats__rating__timestamp": "The event time that was served with it; null where nothing was found.",
    "stats__rating__status": "Its status, derived; see below.",
}
_STATUSES: Final = ("PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "INVALID")


def log() -> str:
    """Give docs/reference/log.md."""
    columns = [(field.name, f"`{field.type}`") for field in table_schema(_EXAMPLE)]
    says = {**_ROLES, **_SAYS}
    kinds = [(f"`{kind.name}`", f"`{arrow_type(kind.name)}`") for kind in ValueType if kind is not ValueType.UNKNOWN]
    rows = [(f"`{name}`", kind, says[name]) for name, kind in columns]
    return page(
        "The log",
        "One row for each entity row of each lookup, as `read_log` gives it from any destination. Times are UTC, in "
        "microseconds.",
        "What could not be read, or stands in the log twice, is in the metadata of the table's schema, under "
        "`skew.notes`: a JSON list of `file`, `code` and `message`. "
        + paragraphs(LogNote.__doc__).partition("\n")[2].strip(),
        "## Columns",
        "Those of a lookup of `stats:rating` by the join key `driver`, with a field `distance` of request data:",
        table(("column", "Arrow type", "holds"), rows),
        "## Statuses",
        "Feast's numbers. They are not those that Feast served, which differ from store to store: "
        + paragraphs(status.__doc__).partition("\n")[2].strip(),
        table(("status", "number"), [(f"`{name}`", str(FieldStatus.Value(name))) for name in _STATUSES]),
        "A feature that Feast left out of its response is `INVALID`, and not audited.",
        "## Types",
        "A feature's column has the Arrow type of its Feast value type. What Arrow has no type for is kept as the "
        "bytes of Feast's own message.",
        table(("Feast value type", "Arrow type"), kinds),
    )


assert set(_SAYS) == {field.name for field in SYSTEM_FIELDS}
