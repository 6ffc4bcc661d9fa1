"""Telling people of losses: one warning when rows begin to be lost for a reason, and one when that has ended."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("skew_ext")
QUIET_SECONDS = 10.0
"""How long a reason has to be quiet to have ended: a spool that is full time and again is one loss, not many."""


class Losses:
    """The reasons for which one spool loses rows at present. Its warnings are the only logging that serving does."""

    def __init__(self, spool: str) -> None:
        self._spool = spool
        self._open: dict[str, tuple[int, float]] = {}

    def __bool__(self) -> bool:
        """Say whether any reason is open: an append that was kept asks for no more than this."""
        return bool(self._open)

    def lost(self, reason: str, rows: int, detail: str = "") -> None:
        """Note rows that were lost, and warn if they are the first for this reason."""
        before = self._open.get(reason)
        self._open[reason] = (rows + (before[0] if before else 0), time.monotonic())
        if before is None:
            logger.warning("skew_ext does not log lookups of %s: %s", self._spool, detail or reason)

    def kept(self, quiet: float = QUIET_SECONDS) -> None:
        """Note that a lookup was kept, and tell of reasons that have been quiet for a while."""
        for reason, (rows, last) in list(self._open.items()):
            if time.monotonic() - last >= quiet and self._open.pop(reason, None) is not None:
                logger.warning("skew_ext logs lookups of %s again: %d rows were lost (%s)", self._spool, rows, reason)
