"""Transforms set against each other: registered against installed, or one fingerprint against another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skew_ext.errors import TransformError, nearest
from skew_ext.transform.changes import Change, changes
from skew_ext.transform.fingerprint import Manifest
from skew_ext.transform.installed import installed_fingerprint, installed_manifest
from skew_ext.transform.kept import FOLDER, kept_manifests
from skew_ext.transform.registered import FINGERPRINT_TAG, TRANSFORM_TAG, registered_manifest

if TYPE_CHECKING:
    from feast import FeatureStore, OnDemandFeatureView

SHOWN: Final = 12
"""How much of a fingerprint is shown to people."""
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Comparison:
    """Two states of a transform: what they are called, their fingerprints, and what changed where that is known."""

    what: str
    old: str
    new: str
    changes: list[Change] = field(default_factory=list)
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.old != self.new

    @property
    def headline(self) -> str:
        """One line for people."""
        if not self.differs:
            return f"same     {self.what}  {self.old[:SHOWN]}"
        note = f"  ({self.note})" if self.note else ""
        return f"changed  {self.what}  {self.old[:SHOWN] or 'none'} -> {self.new[:SHOWN] or 'none'}{note}"

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return {
            "transform": self.what,
            "old": self.old,
            "new": self.new,
            "same": not self.differs,
            "changes": [change.as_dict() for change in self.changes],
            "note": self.note,
        }


def is_fingerprint(text: str) -> bool:
    """Say whether a text can be a fingerprint, or the first digits of one (8 at least)."""
    return _FINGERPRINT.fullmatch(text.lower()) is not None


def compare_views(store: FeatureStore, names: Sequence[str] = ()) -> list[Comparison]:
    """Compare the registered on-demand views of shared transforms, or those named, with the code installed here.

    Raises
    ------
    TransformError
        There is no such view, it is not of a shared transform, or the registry has none.
    """
    views = {view.name: view for view in _shared_views(store)}
    for name in names:
        if name not in views:
            there = f"the registry has: {', '.join(sorted(views))}" if views else "the registry has none"
            raise TransformError(f"no on-demand view {name!r} of a shared transform{nearest(name, views)}; {there}")
    if not views:
        raise TransformError(
            f"project {store.project!r} has no on-demand view of a shared transform: run `feast apply`"
        )
    return [_with_installed(views[name]) for name in names or sorted(views)]


def _with_installed(view: OnDemandFeatureView) -> Comparison:
    reference, registered = view.tags[TRANSFORM_TAG], view.tags.get(FINGERPRINT_TAG, "")
    installed = installed_fingerprint(reference) or ""
    what = f"{view.name} ({reference})"
    if installed == registered:
        return Comparison(what, registered, installed)
    if not installed:
        return Comparison(what, registered, "", note=f"{reference} cannot be imported here")
    return _compared(what, (registered, manifest_of_view(view)), (installed, installed_manifest(reference)))


def compare_fingerprints(store: FeatureStore, spool: Path, old: str, new: str) -> Comparison:
    """Compare two fingerprints, or their first digits, that the registry, the code, or this machine's spool knows.

    Raises
    ------
    TransformError
        The digits fit more than one fingerprint.
    """
    known = {manifest.fingerprint: manifest for manifest in _known(store, spool)}
    return _compared("fingerprints", _found(old, known), _found(new, known))


def manifest_of_view(view: OnDemandFeatureView) -> Manifest | None:
    """Give the manifest that a registered view carries, or None where it carries none."""
    text = getattr(view.feature_transformation, "udf_string", None)
    return registered_manifest(text) if isinstance(text, str) else None


def _compared(what: str, old: tuple[str, Manifest | None], new: tuple[str, Manifest | None]) -> Comparison:
    (before, known_before), (after, known_after) = old, new
    if known_before is None or known_after is None:
        unknown = " and ".join(mark[:SHOWN] for mark, manifest in (old, new) if manifest is None)
        note = f"the source of {unknown} is not known: not registered, not installed, not served on this machine"
        return Comparison(what, before, after, note=note)
    return Comparison(what, before, after, changes(known_before, known_after))


def _shared_views(store: FeatureStore) -> Iterator[OnDemandFeatureView]:
    for view in store.list_on_demand_feature_views():
        if TRANSFORM_TAG in view.tags:
            yield view


def _known(store: FeatureStore, spool: Path) -> Iterator[Manifest]:
    yield from kept_manifests(spool / FOLDER)
    for view in _shared_views(store):
        for manifest in (manifest_of_view(view), installed_manifest(view.tags[TRANSFORM_TAG])):
            if manifest is not None:
                yield manifest


def _found(digits: str, known: dict[str, Manifest]) -> tuple[str, Manifest | None]:
    fitting = [fingerprint for fingerprint in known if fingerprint.startswith(digits.lower())]
    if len(fitting) > 1:
        raise TransformError(f"{digits} begins {len(fitting)} fingerprints; give more digits")
    return (fitting[0], known[fitting[0]]) if fitting else (digits.lower(), None)
