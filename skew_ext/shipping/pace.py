"""When the shipper goes round: every flush interval, sooner when asked, later and later after failures."""

from __future__ import annotations

import random
import time

POLL_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
UPKEEP_SECONDS = 300.0
_BUSY_TIMES = 3


class Pace:
    """Tells when the next round is due, and how long nothing has happened."""

    def __init__(self) -> None:
        self._last_round = 0.0
        self._busy_until = self._kept_up = time.monotonic()
        self.backoff = 0.0

    def is_due(self, flush_seconds: float, *, at_once: bool) -> bool:
        """Say whether to go round now."""
        return at_once or time.monotonic() - self._last_round >= flush_seconds

    def went(self, *, more: bool) -> None:
        """Note a round that went well; if it has left more than fits into a batch, another follows at once.

        Otherwise rows gather for the flush interval: a file for each round would be thousands a day.
        """
        self.backoff = 0.0
        if not more:
            self._last_round = time.monotonic()

    def failed(self) -> None:
        """Note a round that failed: the pause doubles, up to half a minute."""
        # Jitter, so that the shippers of many spools do not come back to a destination all at once.
        doubled = min(MAX_BACKOFF_SECONDS, max(POLL_SECONDS, self.backoff * 2))
        self.backoff = doubled * random.uniform(0.8, 1.2)  # noqa: S311

    def busy(self) -> None:
        """Note that there is reason to stay."""
        self._busy_until = time.monotonic()

    def idle_seconds(self) -> float:
        """Say for how long there was no reason to stay."""
        return time.monotonic() - self._busy_until

    def is_time_for_upkeep(self, *, idle: bool) -> bool:
        """Say whether to look after what is stored: now and then, when there is nothing else to do.

        Where there always is, it has its turn all the same, and less often.
        """
        waited = time.monotonic() - self._kept_up
        due = waited >= (UPKEEP_SECONDS if idle else _BUSY_TIMES * UPKEEP_SECONDS)
        if due:
            self._kept_up = time.monotonic()
        return due
