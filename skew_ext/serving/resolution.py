"""How Feast resolves a lookup, read once per feature set: the one place that leans on Feast's request internals."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from feast import FeatureService, OnDemandFeatureView, utils
from feast.feature_view import DUMMY_ENTITY_ID

from skew_ext.schema import Column, LoggedFeature, LogSchema
from skew_ext.transform.registered import FINGERPRINT_TAG, TRANSFORM_TAG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feast.infra.registry.base_registry import BaseRegistry

__all__ = ["FINGERPRINT_TAG", "TRANSFORM_TAG", "resolve"]


def resolve(
    features: list[str] | FeatureService, registry: BaseRegistry, project: str, *, full_feature_names: bool
) -> LogSchema:
    """Give the schema of a lookup: the very resolution that Feast made for it, so that names cannot drift apart."""
    resolved = utils._get_online_request_context(registry, project, features, full_feature_names)  # noqa: SLF001
    references, on_demand, _, key_types, _, grouped, _, request_data, _ = resolved
    views = {view.projection.name_to_use(): view for view in (*(view for view, _ in grouped), *on_demand)}
    return LogSchema(
        project=project,
        feature_service=features.name if isinstance(features, FeatureService) else "",
        features=tuple(_feature(reference, views, full_feature_names=full_feature_names) for reference in references),
        join_keys=tuple(Column(name, kind.name) for name, kind in sorted(key_types.items()) if name != DUMMY_ENTITY_ID),
        request_data=tuple(_request_columns(on_demand, request_data)),
        transforms=tuple(_transforms(on_demand)),
    )


def _feature(reference: str, views: dict[str, Any], *, full_feature_names: bool) -> LoggedFeature:
    view_name, _, name = reference.partition(":")
    view = views[view_name]
    field = next(field for field in view.features if field.name == name)
    on_demand = isinstance(view, OnDemandFeatureView)
    return LoggedFeature(
        view=view_name,
        name=name,
        response_name=f"{view_name}__{name}" if full_feature_names else name,
        value_type=field.dtype.to_value_type().name,
        ttl_microseconds=None if on_demand else _microseconds(view.ttl),
        on_demand=on_demand,
    )


def _microseconds(ttl: timedelta | None) -> int | None:
    # Feast takes a TTL of zero as 'never expires'.
    return ttl // timedelta(microseconds=1) or None if ttl else None


def _request_columns(on_demand: Iterable[OnDemandFeatureView], needed: set[str]) -> Iterable[Column]:
    types: dict[str, str] = {}
    for view in on_demand:
        types.update({name: kind.name for name, kind in view.get_request_data_schema().items()})
    return [Column(name, types[name]) for name in sorted(needed)]


def _transforms(on_demand: Iterable[OnDemandFeatureView]) -> Iterable[tuple[str, str, str]]:
    for view in sorted(on_demand, key=lambda view: str(view.name)):
        if TRANSFORM_TAG in view.tags:
            yield view.projection.name_to_use(), view.tags[TRANSFORM_TAG], view.tags.get(FINGERPRINT_TAG, "")
