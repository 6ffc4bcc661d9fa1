"""Capture: what runs on the caller's thread when a lookup has been served. It never raises and never waits."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from feast import FeatureService
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from skew_ext.serving.context import NOT_SET, RequestContext, current, new_request_id
from skew_ext.serving.opening import Opening
from skew_ext.serving.record import encode_record
from skew_ext.serving.resolution import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast.infra.registry.base_registry import BaseRegistry
    from feast.online_response import OnlineResponse

    from skew_ext.schema import LogSchema
    from skew_ext.serving.guard import TransformGuard
    from skew_ext.serving.writer import SpoolWriter
    from skew_ext.settings import SkewSettings

MOST_CONSTANTS = 1000
"""How many encoded constants are kept: a model version per request must not grow them without bound."""
_ASK_AGAIN_SECONDS = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


class Plan(NamedTuple):
    """What is known of a lookup before it is made: resolved once per feature set and state of the registry."""

    schema: LogSchema
    hash: bytes
    constants: bytes
    """The encoded constants of a lookup without a context of its own."""
    good_until: float
    """When a registry that does not tell its state is asked again, as `time.monotonic` gives it."""


@dataclass(slots=True)
class Lookup:
    """One call of `get_online_features`, as it was made."""

    features: list[str] | FeatureService
    entity_rows: Any
    registry: BaseRegistry
    project: str
    full_feature_names: bool
    plan: Plan | None = None

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
        self._opening = Opening(settings)
        self._plans: dict[Any, Plan] = {}
        self._constants: dict[tuple[str, ...], bytes] = {}

    def record(self, lookup: Lookup, response: OnlineResponse) -> None:
        """Append the lookup to the spool. A failure is counted and warned of once; it does not reach the caller."""
        writer: SpoolWriter | None = None
        try:
            writer = self._opening.writer
            # A number alone is no proof: after two forks, a process may have that of the one that opened it.
            if writer is None or writer.left or writer.process != os.getpid():
                writer = self._opening.open(lookup.project)
            if writer is None:
                self._opening.lost(lookup.rows)
            else:
                writer.append(self._encode(lookup, response, writer), lookup.rows)
        except Exception as error:  # noqa: BLE001 - nothing that logging does may fail a lookup
            self._failed(writer, lookup, error)

    def schema(self, lookup: Lookup) -> LogSchema:
        """Give the lookup's schema, resolved once per feature set and state of the registry."""
        return self.plan(lookup).schema

    def plan(self, lookup: Lookup) -> Plan:
        """Give what is known of a lookup beforehand; errors are those of Feast's own resolution."""
        features = lookup.features
        asked = _service_key(features) if isinstance(features, FeatureService) else tuple(features)
        created = getattr(lookup.registry, "cached_registry_proto_created", None)
        key = (asked, lookup.project, lookup.full_feature_names, created)
        plan = self._plans.get(key)
        if plan is None or (created is None and plan.good_until < time.monotonic()):
            plan = self._resolved(lookup)
            self._forget_old(created)
            self._plans[key] = plan
        lookup.plan = plan
        return plan

    def _failed(self, writer: SpoolWriter | None, lookup: Lookup, error: Exception) -> None:
        try:
            if writer is None:
                self._opening.lost(lookup.rows)
            else:
                writer.drop("not_encodable", lookup.rows, str(error))
        except Exception:  # noqa: BLE001, S110 - the last line of defence has nobody left to tell
            pass

    def _resolved(self, lookup: Lookup) -> Plan:
        schema = resolve(lookup.features, lookup.registry, lookup.project, full_feature_names=lookup.full_feature_names)
        settings = self._settings
        constants = (settings.model_name, settings.model_version, settings.environment, "")
        good_until = time.monotonic() + _ASK_AGAIN_SECONDS
        return Plan(schema, schema.hash.encode(), json.dumps(constants).encode(), good_until)

    def _encode(self, lookup: Lookup, response: OnlineResponse, writer: SpoolWriter) -> bytes:
        plan = lookup.plan or self.plan(lookup)
        schema = plan.schema
        if schema.hash not in writer.schemas:
            writer.keep_schema(schema.hash, schema.text)
        context, now = current(), time.time_ns()
        request_id = context.request_id or new_request_id(now)
        now //= 1000
        response.request_id = request_id  # type: ignore[attr-defined]
        return encode_record(
            now if context.served_at is None else (context.served_at - _EPOCH) // _MICROSECOND,
            plan.hash,
            request_id.encode("utf-8", "backslashreplace"),
            plan.constants if context is NOT_SET and not schema.transforms else self._constants_of(schema, context),
            _request_data(schema, lookup) if schema.request_data else b"",
            response.proto.SerializeToString(),
            not context.request_id,
            now,
        )

    def _constants_of(self, schema: LogSchema, context: RequestContext) -> bytes:
        key = (
            context.model_name or self._settings.model_name,
            context.model_version or self._settings.model_version,
            context.environment or self._settings.environment,
            self._guard.installed(schema),
        )
        encoded = self._constants.get(key)
        if encoded is None:
            if len(self._constants) >= MOST_CONSTANTS:
                self._constants.clear()
            encoded = self._constants[key] = json.dumps(key).encode()
        return encoded

    def _forget_old(self, created: datetime | None) -> None:
        """Forget what was resolved from earlier states of the registry, and what nobody may ask for again."""
        now = time.monotonic()
        for key, plan in list(self._plans.items()):
            if key[-1] != created or (key[-1] is None and plan.good_until < now):
                self._plans.pop(key, None)


def _service_key(service: FeatureService) -> tuple[Any, ...]:
    # A service is what it holds: one that was edited and not applied has the name of the one that was.
    views = [
        (view.name_to_use(), tuple([feature.name for feature in view.features]))
        for view in service.feature_view_projections
    ]
    return ("service", service.name, *views)


def _request_data(schema: LogSchema, lookup: Lookup) -> bytes:
    request = GetOnlineFeaturesRequest()
    for column in schema.request_data:
        # The same conversion that Feast makes for its transforms: what they saw is what is logged.
        values = python_values_to_proto_values(list(lookup.column(column.name)), ValueType.UNKNOWN)
        request.request_context[column.name].val.extend(values)
    encoded: bytes = request.SerializeToString()
    return encoded
