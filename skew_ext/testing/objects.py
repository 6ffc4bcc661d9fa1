"""The Feast objects of a synthetic repo, and its feature_store.yaml."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from feast import Entity, FeatureService, FeatureView, Field, PushSource, RequestSource, ValueType
from feast.stream_feature_view import StreamFeatureView
from feast.types import Float64

from skew_ext.testing.transforms import exposure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skew_ext.testing.sources import Sources
    from skew_ext.testing.views import SyntheticView

SERVICE, HALF = "scoring", "half"
"""The services: of all features, and of half of each view's."""
ON_DEMAND = "exposures"
ASKED = "asked"


def configuration(folder: Path, offline: dict[str, Any], online: dict[str, Any] | None) -> dict[str, Any]:
    """Give the content of feature_store.yaml; SQLite serves where nothing else is named."""
    return {
        "project": "synthetic",
        "provider": "skew_ext.SkewProvider",
        "registry": str(folder / "registry.db"),
        "online_store": online or {"type": "sqlite", "path": str(folder / "online.db")},
        "offline_store": offline,
        "entity_key_serialization_version": 3,
        "skew": {"start_shipper": False, "spool": str(folder / "spool"), "destination": {"path": str(folder / "log")}},
    }


def objects(views: Sequence[SyntheticView], sources: Sources) -> list[Any]:
    """Give entities, sources, views, and two services: one that has all features, and one with half of each view's."""
    made: dict[str, Any] = {}
    stored: list[Any] = []
    projections: list[Any] = []
    for view in views:
        made |= {
            name: Entity(name=name, join_keys=[name], value_type=_value_type(kind))
            for name, (kind, _) in view.keys.items()
        }
        kept = _stored(view, [made[name] for name in view.keys], sources)
        stored.append(kept)
        projections += _projections(view, kept)
    on_demand = [_on_demand(view) for view in stored if has_inputs(view)][:1]
    whole = FeatureService(name=SERVICE, features=[*projections, *on_demand])
    half = FeatureService(name=HALF, features=[one[_half(one)] for one in projections])
    sources_of = [source for view in stored for source in (view.batch_source, view.stream_source) if source]
    return [*made.values(), *sources_of, *stored, *on_demand, whole, half]


def _stored(view: SyntheticView, entities: list[Any], sources: Sources) -> Any:
    schema = [Field(name=name, dtype=feature.feast_type) for name, feature in view.features.items()]
    batch = sources.source(view)
    if not view.streamed:
        return FeatureView(name=view.name, entities=entities, ttl=view.ttl, schema=schema, source=batch)
    source = PushSource(name=f"{view.name}_push", batch_source=batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast calls stream feature views experimental
        return StreamFeatureView(name=view.name, entities=entities, ttl=view.ttl, schema=schema, source=source)


def _projections(view: SyntheticView, stored: Any) -> list[Any]:
    if not view.names:
        return [stored]
    return [stored.with_name(name).with_join_key_map(dict(mapped)) for name, mapped in view.names.items()]


def _half(view: Any) -> list[str]:
    return [feature.name for feature in view.features][::2]


def has_inputs(view: Any) -> bool:
    """Tell whether a view has what the shared transform takes."""
    return {"amount", "balance"} <= {feature.name for feature in view.features}


def _on_demand(view: FeatureView) -> Any:
    asked = RequestSource(name="request", schema=[Field(name=ASKED, dtype=Float64)])
    inputs: Any = view[["amount", "balance"]]
    return exposure.on_demand_feature_view(name=ON_DEMAND, sources=[inputs, asked])


def _value_type(kind: pa.DataType) -> ValueType:
    return ValueType.INT64 if pa.types.is_integer(kind) else ValueType.STRING
