"""The fingerprint of a transform as it is installed in this process, by name."""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache, reduce

from skew_ext.transform.fingerprint import Manifest


def installed_fingerprint(reference: str) -> str | None:
    """Give the fingerprint of the transform that `reference` ("module:name") means now, or None if there is none.

    It looks each time, in well under a microsecond, so a module that was reloaded or replaced in `sys.modules` shows
    at once. A module that is not imported yet is imported.
    """
    module_name, path = _split(reference)
    module = sys.modules.get(module_name)
    if module is None:
        try:
            module = importlib.import_module(module_name)
        except Exception:  # noqa: BLE001 - whatever its code raises, the transform is not to be had here
            return None
    thing: object = module
    for name in path:
        thing = getattr(thing, name, None)
    fingerprint = getattr(thing, "fingerprint", None)
    return fingerprint if isinstance(fingerprint, str) else None


def installed_manifest(reference: str) -> Manifest | None:
    """Give the manifest of the transform that `reference` means now, or None if there is none."""
    thing: object = None
    if installed_fingerprint(reference) is not None:
        module, path = _split(reference)
        thing = reduce(getattr, path, sys.modules[module])
    manifest = getattr(thing, "manifest", None)
    return manifest if isinstance(manifest, Manifest) else None


@lru_cache(maxsize=1024)
def _split(reference: str) -> tuple[str, tuple[str, ...]]:
    module, _, qualname = reference.partition(":")
    return module, tuple(qualname.split("."))
