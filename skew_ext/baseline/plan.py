"""What of a feature service an audit compares: its views and features, as they are registered now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from feast import OnDemandFeatureView
from feast.feature_view import DUMMY_ENTITY_ID
from feast.feature_view_utils import get_feature_view_from_registry

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

MATERIALIZE_EVERY_TAG = "skew.materialize_every"


@dataclass(frozen=True)
class ViewPlan:
    """One view of the service. `alias` is the name in the log; `join_keys` maps the view's keys to the log's."""

    alias: str
    view: Any
    features: tuple[str, ...]
    join_keys: dict[str, str]
    ttl_microseconds: int | None

    @property
    def on_demand(self) -> bool:
        """Whether the view's features are computed at serving."""
        return isinstance(self.view, OnDemandFeatureView)

    @property
    def materialize_every(self) -> timedelta | None:
        """The interval that the view's tag `skew.materialize_every` declares, such as `15m`, `1h` or `1d`."""
        return parse_interval(str(self.view.tags.get(MATERIALIZE_EVERY_TAG, "")))

    def column(self, feature: str) -> str:
        """Give the feature's column in the log."""
        return f"{self.alias}__{feature}"


def plan_views(store: FeatureStore, service: FeatureService) -> list[ViewPlan]:
    """Give the views of a service, in its order."""
    return [_plan(store, projection) for projection in service.feature_view_projections]


def _plan(store: FeatureStore, projection: Any) -> ViewPlan:
    view: Any = get_feature_view_from_registry(store.registry, projection.name, store.project)
    on_demand = isinstance(view, OnDemandFeatureView)
    names = [] if on_demand else [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    return ViewPlan(
        alias=projection.name_to_use(),
        view=view,
        features=tuple(feature.name for feature in projection.features),
        join_keys={name: projection.join_key_map.get(name, name) for name in names},
        ttl_microseconds=None if on_demand or not view.ttl else view.ttl // timedelta(microseconds=1),
    )


def parse_interval(text: str) -> timedelta | None:
    """Read `90s`, `15m`, `1h` or `1d`; None for anything else."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], text[-1:]
    try:
        return timedelta(**{units[unit]: float(number)})
    except (KeyError, ValueError, OverflowError):
        return None
