"""Columns that are named like the repo's features: `view__feature`, or `feature` where it is clear which is meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from feast import OnDemandFeatureView
from feast.feature_view import DUMMY_ENTITY_ID

from skew_ext.errors import nearest

if TYPE_CHECKING:
    from skew_ext.leakage.frame import TrainingFrame


@dataclass
class Named:
    """Columns that are features, as (view, feature, column), and notes on those that may be and were not taken.

    `unclear` are columns whose name several views have: each of them is in `named`.
    """

    named: list[tuple[str, str, str]] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def by_name(views: Sequence[Any], frame: TrainingFrame, own: set[str]) -> Named:
    """Find columns that are named like features of `views`.

    A bare name is taken of each view that has such a feature, and its keys in the frame.
    `own` are columns that are no features: the label, the time.
    """
    result = Named()
    bare: dict[str, list[Any]] = defaultdict(list)
    for view in views:
        for feature in view.features:
            full = f"{view.name}__{feature.name}"
            if full in frame.columns:
                result.named.append((view.name, feature.name, full))
            elif feature.name in frame.columns and feature.name not in own.union(_keys(view)):
                bare[feature.name].append(view)
    for name, holders in bare.items():
        _bare(name, holders, frame, result)
    if not result.named:
        result.notes.append(_none(views, frame, own))
    return result


def _bare(name: str, holders: list[Any], frame: TrainingFrame, result: Named) -> None:
    joinable = [view for view in holders if _lacking(view, frame) is None]
    result.named += [(view.name, name, name) for view in joinable]
    if len(joinable) > 1:
        result.unclear.append(name)
    elif not joinable:
        key = _lacking(holders[0], frame)
        hint = nearest(str(key), frame.columns)
        said = f"{holders[0].name} has it, and the frame lacks its key {key!r}{hint}"
        result.notes.append(f"{name!r} was not checked: {said}")


def _lacking(view: Any, frame: TrainingFrame) -> str | None:
    return next((key for key in _keys(view) if key not in frame.columns), None)


def _keys(view: Any) -> list[str]:
    if isinstance(view, OnDemandFeatureView):
        return list(view.get_request_data_schema())
    return [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]


def _none(views: Sequence[Any], frame: TrainingFrame, own: set[str]) -> str:
    known = [name for view in views for one in view.features for name in (f"{view.name}__{one.name}", one.name)]
    hints = (nearest(name, known) for name in frame.columns if name not in own)
    hint = next((hint for hint in hints if hint), "")
    return (
        "no cell was set against its point-in-time value: no column is named like a feature of the project"
        f"{hint}; name them view__feature, or give features=[...]"
    )
