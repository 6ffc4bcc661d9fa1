"""Which columns of the frame are which features of the repo."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from feast import FeatureService
from feast.errors import FeastObjectNotFoundException
from feast.feature_view_utils import get_feature_view_from_registry

from skew_ext.baseline.plan import ViewPlan, plan_views
from skew_ext.errors import TrainingSetError, nearest
from skew_ext.frames import listed
from skew_ext.leakage.frame import WHAT, TrainingFrame
from skew_ext.leakage.naming import by_name
from skew_ext.repo import feature_service

if TYPE_CHECKING:
    from feast import FeatureStore

NAME = "skew_leakage_check"


@dataclass
class Wanted:
    """The features to check: the service that retrieves them, their views, and the frame's column of each.

    `columns` maps `view__feature` to the column's name; a column of `unclear` stands there under several, until it is
    settled which of them it is. `notes` say what could not be taken, and why.
    """

    service: FeatureService
    views: list[ViewPlan]
    columns: dict[str, str]
    unclear: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The join keys, by the frame's names."""
        return sorted({key for view in self.views for key in view.join_keys.values()})

    @property
    def request_data(self) -> list[str]:
        """The fields of request data that on-demand views take."""
        return sorted({name for view in self.views if view.on_demand for name in view.view.get_request_data_schema()})


def wanted_features(
    store: FeatureStore, frame: TrainingFrame, features: Sequence[str] | FeatureService | str | None, own: set[str]
) -> Wanted:
    """Find the features of a list of references, a feature service or its name; None finds them by the columns' names.

    `own` are columns that are no features: the label, the time.

    Raises
    ------
    TrainingSetError
        A feature that was asked for has no column in the frame, or is none of the repo's; the nearest is suggested.
    RepoError
        There is no such feature service.
    """
    if features is None:
        return _inferred(store, frame, own)
    service = features
    if isinstance(features, str):
        service = feature_service(store, features)
    elif not isinstance(features, FeatureService):
        service = _of_references(store, features)
    assert isinstance(service, FeatureService)  # noqa: S101 - the other kinds were made into one
    views = plan_views(store, service)
    named = [(view, name) for view in views for name in view.features]
    bare = [name for _, name in named]
    columns = {}
    for view, name in named:
        full = view.column(name)
        there = full if full in frame.columns else name if bare.count(name) == 1 and name in frame.columns else None
        if there is None:
            close = nearest(full, frame.columns) or nearest(name, frame.columns)
            msg = f"{WHAT} has no column {full!r} for a feature to check{close}; it has: {listed(list(frame.columns))}"
            raise TrainingSetError(msg)
        columns[full] = there
    return _with_keys(Wanted(service, views, columns), frame)


def _of_references(store: FeatureStore, references: Sequence[str]) -> FeatureService:
    chosen: dict[str, list[str]] = defaultdict(list)
    for reference in references:
        view, separator, feature = reference.partition(":")
        if not separator:
            view, separator, feature = reference.partition("__")
        if not separator:
            msg = f"{reference!r} is no feature reference: write it as view:feature"
            raise TrainingSetError(msg)
        chosen[view].append(feature)
    return FeatureService(name=NAME, features=[_part(store, view, names) for view, names in chosen.items()])


def _part(store: FeatureStore, name: str, features: list[str]) -> Any:
    try:
        view: Any = get_feature_view_from_registry(store.registry, name, store.project)
    except FeastObjectNotFoundException:
        known = [one.name for one in _all_views(store)]
        msg = f"no feature view {name!r} in project {store.project!r}{nearest(name, known)}; it has: {listed(known)}"
        raise TrainingSetError(msg) from None
    known = [feature.name for feature in view.features]
    absent = next((feature for feature in features if feature not in known), None)
    if absent is not None:
        msg = f"feature view {name!r} has no feature {absent!r}{nearest(absent, known)}; it has: {listed(known)}"
        raise TrainingSetError(msg)
    return view[features]


def _all_views(store: FeatureStore) -> list[Any]:
    return [
        *store.list_batch_feature_views(),
        *store.list_stream_feature_views(),
        *store.list_on_demand_feature_views(),
    ]


def _inferred(store: FeatureStore, frame: TrainingFrame, own: set[str]) -> Wanted:
    found = by_name(_all_views(store), frame, own)
    chosen: dict[str, list[str]] = defaultdict(list)
    for view, feature, _ in found.named:
        chosen[view].append(feature)
    service = FeatureService(name=NAME, features=[_part(store, name, names) for name, names in chosen.items()])
    columns = {f"{view}__{feature}": column for view, feature, column in found.named}
    return _with_keys(Wanted(service, plan_views(store, service), columns, found.unclear, found.notes), frame)


def _with_keys(wanted: Wanted, frame: TrainingFrame) -> Wanted:
    """Leave out views whose keys the frame lacks: nothing can be retrieved for them."""
    kept = []
    for view in wanted.views:
        missing = next((key for key in view.join_keys.values() if key not in frame.columns), None)
        if missing is None:
            kept.append(view)
            continue
        hint = nearest(missing, frame.columns)
        wanted.notes.append(f"{view.alias} was not checked: the frame lacks its join key {missing!r}{hint}")
        for name in view.features:
            wanted.columns.pop(view.column(name), None)
    names = {view.alias for view in kept}
    service = copy.copy(wanted.service)
    service.feature_view_projections = [
        one for one in wanted.service.feature_view_projections if one.name_to_use() in names
    ]
    return replace(wanted, service=service, views=kept)
