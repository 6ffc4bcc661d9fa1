"""Which thresholds judge a feature's distribution: the caller's, its field's and view's tags', or the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from skew_ext.errors import AuditError, nearest
from skew_ext.statistics import Thresholds

if TYPE_CHECKING:
    from skew_ext.baseline.plan import ViewPlan

Given: TypeAlias = Mapping[str, "float | Mapping[str, float]"]
"""Thresholds by name, such as psi_act; and, under a feature's or a view's name, its own by name."""
TAG = "skew."
NAMES = tuple(field.name for field in fields(Thresholds))
_WHOLE = ("bins", "top_categories", "minimum_rows")


@dataclass(frozen=True)
class Limits:
    """The thresholds of all features, and of those that have their own."""

    default: Thresholds
    own: Mapping[str, Thresholds]

    def of(self, feature: str) -> Thresholds:
        """Give a feature's."""
        return self.own.get(feature, self.default)

    def used(self) -> dict[str, dict[str, float]]:
        """Give all of them for the report: under "default", and under a feature's name where it has its own."""
        return {"default": asdict(self.default)} | {feature: asdict(own) for feature, own in sorted(self.own.items())}


def limits_of(given: Given | None, views: Sequence[ViewPlan]) -> Limits:
    """Put thresholds together; what is nearer to the feature holds, and the caller before the tags.

    From the first to the last to hold: the defaults, the caller's for all, the tags of the view (such as
    `skew.psi_act: "0.3"`), those of the field, the caller's for the view, the caller's for the feature.

    Raises
    ------
    AuditError
        A threshold, feature or view that there is not, with the nearest that there is; a value that can mean nothing.
    """
    given = given or {}
    named = {name: value for name, value in given.items() if isinstance(value, Mapping)}
    features = {view.column(name): (view, name) for view in views for name in view.features}
    known = {*features, *(view.alias for view in views)}
    for name in named:
        if name not in known:
            raise AuditError(f"thresholds are given for {name!r}, which the service has not{nearest(name, known)}")
    default = _changed(Thresholds(), {k: v for k, v in given.items() if not isinstance(v, Mapping)}, "thresholds")
    own = {}
    for feature, (view, name) in features.items():
        changed = _changed(default, _tagged(view.view.tags), f"the tags of view {view.alias}")
        changed = _changed(changed, _tagged(_field_tags(view, name)), f"the tags of field {feature}")
        for of in (view.alias, feature):
            changed = _changed(changed, named.get(of, {}), f"thresholds[{of!r}]")
        if changed != default:
            own[feature] = changed
    return Limits(default, own)


def _tagged(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Give the thresholds among tags; other tags of ours have other names."""
    return {name: tags[TAG + name] for name in NAMES if TAG + name in tags} if tags else {}


def _field_tags(view: ViewPlan, name: str) -> Mapping[str, str]:
    return next((field.tags or {} for field in view.view.features if field.name == name), {})


def _changed(thresholds: Thresholds, changes: Mapping[str, Any], where: str) -> Thresholds:
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in NAMES:
            raise AuditError(f"{where}: there is no threshold {name!r}{nearest(str(name), NAMES)}")
        if isinstance(value, bool):
            raise AuditError(f"{where}: {name} must be a number, not {value!r}")
        try:
            values[name] = int(value) if name in _WHOLE and float(value) == int(float(value)) else float(value)
        except (TypeError, ValueError, OverflowError):
            raise AuditError(f"{where}: {name} must be a number, not {value!r}") from None
    try:
        return replace(thresholds, **values)
    except ValueError as error:
        raise AuditError(f"{where}: {error}") from None
