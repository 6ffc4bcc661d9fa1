"""Enforcement at serving: the shared transform that runs here must be the one that is registered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from skew_ext.errors import TransformError
from skew_ext.transform import installed_fingerprint

if TYPE_CHECKING:
    from skew_ext.schema import LogSchema

logger = logging.getLogger("skew_ext")


class TransformGuard:
    """Compares fingerprints for the lookups of one store, and warns once per view or refuses, as it is set."""

    def __init__(self, on_mismatch: str) -> None:
        self._raise = on_mismatch == "raise"
        # No lock, which another thread could hold at a fork: setdefault is atomic.
        self._warned: dict[tuple[str, str], object] = {}

    def installed(self, schema: LogSchema) -> str:
        """Give the fingerprints of the transforms that a lookup runs: `view=fingerprint`, joined by spaces."""
        return " ".join(f"{view}={installed_fingerprint(where) or 'missing'}" for view, where, _ in schema.transforms)

    def check(self, schema: LogSchema) -> None:
        """Compare before a lookup is served.

        Raises
        ------
        TransformError
            The installed function is not the registered one and `on_transform_mismatch` is `raise`.
        """
        for view, where, registered in schema.transforms:
            installed = installed_fingerprint(where)
            if installed != registered:
                self._mismatch(view, where, installed, registered)

    def _mismatch(self, view: str, where: str, installed: str | None, registered: str) -> None:
        found = f"has fingerprint {installed[:12]}" if installed else "cannot be imported"
        message = (
            f"on-demand view {view!r} is registered with {where} at fingerprint {registered[:12]}, but the function "
            f"installed here {found}: deploy the registered code, or run `feast apply` from this code"
        )
        if self._raise:
            raise TransformError(message)
        mine = object()
        if self._warned.setdefault((view, installed or ""), mine) is mine:
            logger.warning("%s", message)
