"""Manifests of the transforms that have served, kept beside the spool under their fingerprints.

So `skew transforms diff` can tell two logged fingerprints apart when neither the registry nor the code has them any
more.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

from skew_ext.private_files import make_private
from skew_ext.transform.fingerprint import Manifest

FOLDER = "transforms"
"""The name of the folder, in a spool's."""


def keep_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest where it is not kept yet; OSError if it cannot be written."""
    path = folder / f"{manifest.fingerprint}.json"
    if path.exists():
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    # A reader never sees half of one, and of two writers either's is whole. Two containers may share it.
    draft = folder / f".{manifest.fingerprint}.{secrets.token_hex(8)}"
    make_private(draft)
    try:
        draft.write_text(json.dumps(manifest.as_dict()), encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def kept_manifests(folder: Path) -> Iterator[Manifest]:
    """Give the manifests that are kept; one that cannot be read, or is not what its name says, is passed over."""
    for path in sorted(folder.glob("*.json")):
        try:
            manifest = Manifest.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if manifest.fingerprint == path.stem:
            yield manifest
