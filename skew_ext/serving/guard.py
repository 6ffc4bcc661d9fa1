"""Enforcement: the shared transform that runs here, at serving and in training, must be the one that is registered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from skew_ext.errors import TransformError
from skew_ext.serving.mismatches import Mismatches
from skew_ext.transform import installed_fingerprint
from skew_ext.transform.changes import changes, summary
from skew_ext.transform.comparing import manifest_of_view
from skew_ext.transform.installed import installed_manifest
from skew_ext.transform.kept import FOLDER, keep_manifest
from skew_ext.transform.registered import FINGERPRINT_TAG, TRANSFORM_TAG

if TYPE_CHECKING:
    from pathlib import Path

    from feast import OnDemandFeatureView
    from feast.infra.registry.base_registry import BaseRegistry

    from skew_ext.schema import LogSchema
    from skew_ext.transform.fingerprint import Manifest

logger = logging.getLogger("skew_ext")

_SHOWN = 12


class TransformGuard:
    """Compares fingerprints for the lookups and retrievals of one store.

    A difference is counted in `mismatches`, and warned of once per view or refused, as it is set. Fingerprints that
    agree cost two look-ups in dictionaries for each transform.
    """

    def __init__(self, on_mismatch: str, spool: Path | None = None) -> None:
        self.mismatches = Mismatches(spool)
        self._raise = on_mismatch == "raise"
        self._spool = spool
        # No lock, which another thread could hold at a fork: setdefault is atomic.
        self._warned: dict[tuple[str, str], object] = {}
        self._said: dict[tuple[str, str, str], str] = {}
        self._kept: set[str | None] = {None}

    def installed(self, schema: LogSchema) -> str:
        """Give the fingerprints of the transforms that a lookup runs: `view=fingerprint`, joined by spaces."""
        return " ".join(f"{view}={installed_fingerprint(where) or 'missing'}" for view, where, _ in schema.transforms)

    def check(self, schema: LogSchema, registry: BaseRegistry | None = None) -> None:
        """Compare before a lookup is served; `registry`, if it is given, tells what changed.

        Raises
        ------
        TransformError
            The installed function is not the registered one and `on_transform_mismatch` is `raise`.
        """
        for view, where, registered in schema.transforms:
            installed = installed_fingerprint(where)
            if installed not in self._kept:
                self._keep(where, installed)
            if installed != registered:
                known = _in_registry(registry, schema.project, where, registered)
                self._mismatch(view, where, installed, registered, known)

    def check_views(self, views: Iterable[OnDemandFeatureView]) -> None:
        """Compare the views of a historical retrieval; the error is that of `check`."""
        for view in views:
            where, registered = view.tags.get(TRANSFORM_TAG), view.tags.get(FINGERPRINT_TAG, "")
            installed = installed_fingerprint(where) if where else registered
            if where and installed != registered:
                name = view.projection.name_to_use()
                self._mismatch(name, where, installed, registered, partial(manifest_of_view, view))

    def _mismatch(
        self, view: str, where: str, installed: str | None, registered: str, known: Callable[[], Manifest | None]
    ) -> None:
        self.mismatches.add(view)
        mine = object()
        if not self._raise and self._warned.setdefault((view, installed or ""), mine) is not mine:
            return
        key = (view, installed or "", registered)
        if key not in self._said:
            self._said[key] = _message(view, where, installed, registered, known)
        if self._raise:
            raise TransformError(self._said[key])
        logger.warning("%s", self._said[key])

    def _keep(self, where: str, installed: str | None) -> None:
        """Keep the manifest of what is served beside the spool, as soon as that is there."""
        if self._spool is None or installed is None or not (self._spool / "spool.json").exists():
            return
        self._kept.add(installed)
        manifest = installed_manifest(where)
        if manifest is not None:
            with suppress(OSError):  # a spool on a full disk has other troubles
                keep_manifest(self._spool / FOLDER, manifest)


def _in_registry(
    registry: BaseRegistry | None, project: str, where: str, registered: str
) -> Callable[[], Manifest | None]:
    def found() -> Manifest | None:
        for view in registry.list_on_demand_feature_views(project, allow_cache=True) if registry is not None else ():
            if (view.tags.get(TRANSFORM_TAG), view.tags.get(FINGERPRINT_TAG)) == (where, registered):
                return manifest_of_view(view)
        return None

    return found


def _message(
    view: str, where: str, installed: str | None, registered: str, known: Callable[[], Manifest | None]
) -> str:
    found = f"has fingerprint {installed[:_SHOWN]}" if installed else "cannot be imported"
    return (
        f"on-demand view {view!r} is registered with {where} at fingerprint {registered[:_SHOWN]}, but the function "
        f"installed here {found}{_because(where, known)}: "
        "deploy the registered code, or run `feast apply` from this code"
    )


def _because(where: str, known: Callable[[], Manifest | None]) -> str:
    """Say what changed, in brackets, where both sides tell."""
    before: Any = None
    with suppress(Exception):  # a registry that cannot be asked now has no part in a lookup
        before = known()
    now = installed_manifest(where)
    said = summary(changes(before, now)) if before is not None and now is not None else ""
    return f" ({said}; see `skew transforms diff`)" if said else ""
