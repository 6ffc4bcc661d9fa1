"""Whether what was stored is still there: the shipper's count of each day, against the rows that the log has now."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from skew_ext.log.destination import destination_from
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.shipping.ledger import Ledger, log_identity
from skew_ext.shipping.marker import Asked

if TYPE_CHECKING:
    from skew_ext.settings import SkewSettings


@dataclass(frozen=True)
class Missing:
    """Rows of one feature service and day (UTC) that were stored, and those of them that are there now."""

    feature_service: str
    day: date
    stored: int
    there: int

    @property
    def rows(self) -> int:
        """How many rows are gone."""
        return self.stored - self.there

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {**asdict(self), "day": self.day.isoformat()}


def missing_rows(settings: SkewSettings) -> list[Missing] | None:
    """Return what this spool's shipper has stored and is gone from the log, though nobody pruned it.

    Known are the days since the log has been where it is, and those that this version stored. None where the
    destination does not know whose rows are whose: a database, or a warehouse.

    Raises
    ------
    SpoolError
        There is no spool, or it is damaged.
    LogError
        The log is there and cannot be read.
    """
    spool = SpoolDirectory(settings.spool)
    asked = Asked.by(spool)
    destination = destination_from(asked.destination)
    there = destination.count_rows(asked.spool_id)
    if there is None:
        return None
    ledger = Ledger.load(spool.ledger)
    if ledger.log != log_identity(asked.spool_id, asked.destination):
        return []
    stored: dict[date, dict[str, int]] = defaultdict(dict)
    for service, days in ledger.outcome.days.items():
        for text, rows in days.items():
            stored[date.fromisoformat(text)][service] = rows
    pruned: Counter[date] = destination.pruned_days(asked.spool_id)
    found = []
    for day, by_service in sorted(stored.items()):
        gone = [Missing(service, day, rows, there.get(service, {}).get(day, 0)) for service, rows in by_service.items()]
        gone = sorted((one for one in gone if one.rows > 0), key=lambda one: one.feature_service)
        # Whole days are pruned, of all services.
        if sum(one.rows for one in gone) > pruned[day]:
            found += gone
    return found
