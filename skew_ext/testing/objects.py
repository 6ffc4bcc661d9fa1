"""The Feast objects of a synthetic repo, and its feature_store.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from feast import Entity, FeatureService, FeatureView, Field, RequestSource, ValueType
from feast.types import Float64

from skew_ext.testing.transforms import exposure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skew_ext.testing.sources import Sources
    from skew_ext.testing.views import SyntheticView

SERVICE = "scoring"
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
    """Give entities, sources, views, and one service that has them all."""
    made: list[Any] = []
    served: list[Any] = []
    for view in views:
        entities = [
            Entity(name=name, join_keys=[name], value_type=_value_type(kind)) for name, (kind, _) in view.keys.items()
        ]
        source = sources.source(view)
        stored = FeatureView(
            name=view.name,
            entities=entities,
            ttl=view.ttl,
            schema=[Field(name=name, dtype=feature.feast_type) for name, feature in view.features.items()],
            source=source,
        )
        made += [*entities, source, stored]
        served.append(stored)
    on_demand = [_on_demand(view) for view in served if has_inputs(view)][:1]
    return [*made, *on_demand, FeatureService(name=SERVICE, features=[*served, *on_demand])]


def has_inputs(view: Any) -> bool:
    """Tell whether a view has what the shared transform takes."""
    return {"amount", "balance"} <= {feature.name for feature in view.features}


def _on_demand(view: FeatureView) -> Any:
    asked = RequestSource(name="request", schema=[Field(name=ASKED, dtype=Float64)])
    inputs: Any = view[["amount", "balance"]]
    return exposure.on_demand_feature_view(name=ON_DEMAND, sources=[inputs, asked])


def _value_type(kind: pa.DataType) -> ValueType:
    return ValueType.INT64 if pa.types.is_integer(kind) else ValueType.STRING
