"""The conservation law: accepted = stored + duplicate + dead_lettered + dropped{reason} + in_spool, in rows.

Each side is counted by itself: `accepted` and the capture's drops by the processes that serve, `stored` and its
kin by the shipper, and `in_spool` from the frames that lie in the segments. So the law can fail, and then says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from skew_ext.serving.counters import DROP_REASONS, at_least, lost_rows, read_counters
from skew_ext.serving.mismatches import read_mismatches
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.uncounted import read_losses
from skew_ext.shipping.ledger import Ledger
from skew_ext.shipping.reader import WriterReader, waiting_rows
from skew_ext.shipping.strangers import strangers

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class LogStats:
    """Counts of entity rows since the spool was made.

    No sides of the law: `conflicts`, stored rows that contradict others of their request id; `pruned`, rows that
    were stored and that the shipper has deleted since, by reason; `transform_mismatches`, lookups and retrievals
    that met a shared transform which is not the registered one, by view; `strangers`, what lies among the writers and
    is not theirs; and `unreadable`, writers whose segments cannot be read now: their rows are counted by what they say
    themselves.
    """

    accepted: int
    stored: int
    duplicate: int
    dead_lettered: int
    dropped: dict[str, int]
    in_spool: int
    conflicts: int = 0
    pruned: dict[str, int] = field(default_factory=dict)
    transform_mismatches: dict[str, int] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def unaccounted(self) -> int:
        """Rows that the law misses: 0, or there is a bug."""
        return (
            self.accepted
            - self.stored
            - self.duplicate
            - self.dead_lettered
            - self.in_spool
            - sum(self.dropped.values())
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the counts by their contract names, with `unaccounted`."""
        return {**asdict(self), "unaccounted": self.unaccounted}


def log_stats(path: Path) -> LogStats:
    """Count the rows of the spool at `path`; SpoolError if it is not one of ours.

    Taken while rows move, the counts can be a moment apart from each other.
    """
    spool = SpoolDirectory(path)
    spool.check()
    ledger = Ledger.load(spool.ledger)
    folders = spool.writer_folders()
    counted, waiting, lost, unreadable = Counter(ledger.retired), 0, Counter[str](), []
    for folder in folders:
        if folder.name in ledger.leaving:
            continue
        reader = WriterReader(folder)
        entry, alive = reader.entry(ledger), reader.is_alive()
        counters = read_counters(folder / "state")
        try:
            here = waiting_rows(folder, entry.position)
        except OSError:
            unreadable.append(folder.name)
            here = max(0, counters["appended"] - entry.found_rows)
        counted.update(at_least(counters, entry.found_rows + here))
        waiting += here
        lost.update(lost_rows(counters, entry.found_rows + here, alive=alive))
    there = {folder.name for folder in folders}
    for name in ledger.writers.keys() - there:  # deleted: what was found of it is what it accepted
        counted["accepted"] += ledger.writers[name].found_rows
    losses = read_losses(spool.losses)
    counted["accepted"] += sum(losses.values())
    dropped = Counter({reason: counted[reason] for reason in DROP_REASONS})
    dropped.update(losses)
    dropped.update(lost)
    dropped.update(ledger.outcome.dropped)
    return LogStats(
        accepted=counted["accepted"],
        stored=ledger.outcome.stored,
        duplicate=ledger.outcome.duplicate,
        dead_lettered=ledger.outcome.dead_lettered,
        dropped={reason: rows for reason, rows in sorted(dropped.items()) if rows},
        in_spool=waiting,
        conflicts=ledger.outcome.conflicts,
        pruned=ledger.outcome.pruned,
        transform_mismatches=read_mismatches(path),
        strangers=strangers(spool),
        unreadable=unreadable,
    )
