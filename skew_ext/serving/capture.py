"""Capture: what runs on the caller's thread when a lookup has been served. It never raises and never waits."""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from feast import FeatureService
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from skew_ext.serving.context import NOT_SET, current, new_request_id
from skew_ext.serving.launcher import ensure_shipper
from skew_ext.serving.record import Record
from skew_ext.serving.resolution import resolve
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.writer import SpoolWriter, writer_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast.infra.registry.base_registry import BaseRegistry
    from feast.online_response import OnlineResponse

    from skew_ext.schema import LogSchema
    from skew_ext.serving.guard import TransformGuard
    from skew_ext.settings import SkewSettings

logger = logging.getLogger("skew_ext")
MOST_CONSTANTS = 1000
"""How many encoded constants are kept: a model version per request must not grow them without bound."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Lookup:
    """One call of `get_online_features`, as it was made."""

    features: list[str] | FeatureService
    entity_rows: Any
    registry: BaseRegistry
    project: str
    full_feature_names: bool

    @property
    def rows(self) -> int:
        """The number of entity rows asked for."""
        if isinstance(self.entity_rows, list):
            return len(self.entity_rows)
        column = next(iter(self.entity_rows.values()), ())
        return len(getattr(column, "val", column))

    def column(self, name: str) -> Sequence[Any]:
        """Give one column of the entity rows."""
        if isinstance(self.entity_rows, list):
            return [row[name] for row in self.entity_rows]
        column = self.entity_rows[name]
        return list(getattr(column, "val", column))


class Capture:
    """Writes served lookups to the spool of one store."""

    def __init__(self, settings: SkewSettings, guard: TransformGuard) -> None:
        self._settings = settings
        self._guard = guard
        self._spool = SpoolDirectory(settings.spool)
        self._schemas: dict[Any, LogSchema] = {}
        self._kept: set[str] = set()
        self._constants: dict[tuple[str, ...], bytes] = {}
        self._ready = False
        self._lock = threading.Lock()
        self._warned = False

    def record(self, lookup: Lookup, response: OnlineResponse) -> None:
        """Append the lookup to the spool. A failure is counted and warned of once; it does not reach the caller."""
        writer: SpoolWriter | None = None
        try:
            writer = self._writer(lookup.project)
            payload = self._encode(lookup, response)
            writer.append(payload, lookup.rows)
        except Exception as error:  # noqa: BLE001 - nothing that logging does may fail a lookup
            self._failed(writer, lookup, error)

    def schema(self, lookup: Lookup) -> LogSchema:
        """Give the lookup's schema, resolved once per feature set and state of the registry."""
        features = lookup.features
        asked = ("service", features.name) if isinstance(features, FeatureService) else tuple(features)
        created = getattr(lookup.registry, "cached_registry_proto_created", None)
        key = (asked, lookup.project, lookup.full_feature_names, created)
        schema = self._schemas.get(key)
        if schema is None:
            schema = resolve(features, lookup.registry, lookup.project, full_feature_names=lookup.full_feature_names)
            if created is not None:
                self._forget_old(created)
                self._schemas[key] = schema
        return schema

    def _encode(self, lookup: Lookup, response: OnlineResponse) -> bytes:
        schema = self._kept_schema(lookup)
        context = current()
        request_id = context.request_id or new_request_id()
        response.request_id = request_id  # type: ignore[attr-defined]
        served_at = (
            time.time_ns() // 1000 if context.served_at is None else (context.served_at - _EPOCH) // _MICROSECOND
        )
        return Record(
            served_at=served_at,
            schema=schema.hash.encode(),
            request_id=request_id.encode(errors="backslashreplace"),
            constants=self._constants_of(schema),
            request=_request_data(schema, lookup),
            response=response.proto.SerializeToString(),
        ).encode()

    def _constants_of(self, schema: LogSchema) -> bytes:
        context, settings = current(), self._settings
        if context is NOT_SET and not schema.transforms:
            key: tuple[str, ...] = (settings.model_name, settings.model_version, settings.environment, "")
        else:
            key = (
                context.model_name or settings.model_name,
                context.model_version or settings.model_version,
                context.environment or settings.environment,
                self._guard.installed(schema),
            )
        encoded = self._constants.get(key)
        if encoded is None:
            if len(self._constants) >= MOST_CONSTANTS:
                self._constants.clear()
            encoded = self._constants[key] = json.dumps(key).encode()
        return encoded

    def _kept_schema(self, lookup: Lookup) -> LogSchema:
        schema = self.schema(lookup)
        if schema.hash not in self._kept:
            self._spool.put_schema(schema.hash, schema.text)
            self._kept.add(schema.hash)
        return schema

    def _forget_old(self, created: datetime) -> None:
        for key in [key for key in self._schemas if key[-1] != created]:
            self._schemas.pop(key, None)

    def _writer(self, project: str) -> SpoolWriter:
        if not self._ready:
            with self._lock:
                self._spool.create(project, self._shipping())
                self._ready = True
            if self._settings.start_shipper:
                # The writer first: a shipper that is about to leave looks once more for living writers.
                writer_for(self._spool, self._settings.segment_bytes, self._settings.spool_max_bytes)
                ensure_shipper(self._spool)
        return writer_for(self._spool, self._settings.segment_bytes, self._settings.spool_max_bytes)

    def _shipping(self) -> dict[str, Any]:
        return self._settings.model_dump(mode="json", include={"destination", "flush_seconds", "sample_rate"})

    def _failed(self, writer: SpoolWriter | None, lookup: Lookup, error: Exception) -> None:
        try:
            if writer is not None:
                writer.drop("not_encodable", lookup.rows)
            if not self._warned:
                self._warned = True
                logger.warning("skew_ext does not log lookups of %s: %s", self._settings.spool, error)
        except Exception:  # noqa: BLE001, S110 - the last line of defence has nobody left to tell
            pass


def _request_data(schema: LogSchema, lookup: Lookup) -> bytes:
    if not schema.request_data:
        return b""
    request = GetOnlineFeaturesRequest()
    for column in schema.request_data:
        # The same conversion that Feast makes for its transforms: what they saw is what is logged.
        values = python_values_to_proto_values(list(lookup.column(column.name)), ValueType.UNKNOWN)
        request.request_context[column.name].val.extend(values)
    encoded: bytes = request.SerializeToString()
    return encoded
