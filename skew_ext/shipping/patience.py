"""For how long rows wait for a destination that is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.log.table import Entry
    from skew_ext.shipping.ledger import Ledger

_HOUR = 3600 * 10**6
_JUMP_SECONDS = 60.0


class Patience:
    """Tells when rows have waited for long enough: nothing is dropped that was not tried to store all the while.

    Since when the destination fails is kept in the ledger, by the clock on the wall. A clock that is set while this
    process lives begins the waiting anew.
    """

    def __init__(self) -> None:
        self._offset = _offset()

    def failed(self, ledger: Ledger) -> None:
        """Note that the destination could not take a batch."""
        now, offset = time.time_ns() // 1000, _offset()
        was_set = abs(offset - self._offset) > _JUMP_SECONDS
        if was_set or not 0 < ledger.failing_since <= now:
            ledger.failing_since, self._offset = now, offset

    def succeeded(self, ledger: Ledger) -> None:
        """Note that it took one."""
        ledger.failing_since = 0

    def is_over(self, ledger: Ledger, entries: Sequence[Entry], hours: float | None) -> bool:
        """Return whether the destination has been away, and all these records have waited, for `hours`."""
        if hours is None or not entries:
            return False
        oldest = time.time_ns() // 1000 - hours * _HOUR
        return ledger.failing_since <= oldest and all(0 < entry.record.logged_at < oldest for entry in entries)


def _offset() -> float:
    return time.time_ns() / 10**9 - time.monotonic()
