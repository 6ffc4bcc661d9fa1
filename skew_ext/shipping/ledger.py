"""The shipper's ledger: how far each writer is shipped, and what became of every row.

A batch, of all writers that have something, is first written down as `pending` with its exact bounds and what is left
out of it, then sent, then committed. After a crash between the two, the same records are read and sent again under the
same name, so the destination ends with each row once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from skew_ext.errors import SpoolError
from skew_ext.serving.spool import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Position:
    """The next byte to read of a writer: segment number and offset (0 before the first segment)."""

    segment: int = 0
    offset: int = 0


@dataclass
class Outcome:
    """What became of rows: sums over batches. `dropped` has the shipper's own reasons only.

    `conflicts` are rows that contradict others of their request id. They are stored, and counted there. `pruned` are
    rows that were stored and have gone since, by reason: `age` or `size`.
    """

    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    pruned: dict[str, int] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Add another outcome to this one."""
        self.stored += other.stored
        self.duplicate += other.duplicate
        self.dead_lettered += other.dead_lettered
        self.conflicts += other.conflicts
        for sums, more in ((self.dropped, other.dropped), (self.pruned, other.pruned)):
            for reason, rows in more.items():
                sums[reason] = sums.get(reason, 0) + rows

    def since(self, before: Outcome) -> Outcome:
        """Give what was added since `before`."""
        dropped = {reason: rows - before.dropped.get(reason, 0) for reason, rows in self.dropped.items()}
        return Outcome(
            self.stored - before.stored,
            self.duplicate - before.duplicate,
            self.dead_lettered - before.dead_lettered,
            {reason: rows for reason, rows in dropped.items() if rows},
            self.conflicts - before.conflicts,
        )


@dataclass
class WriterEntry:
    """How far one writer is shipped. `found_rows` counts the rows of all records that were found up to there."""

    position: Position = field(default_factory=Position)
    found_rows: int = 0


@dataclass
class Pending:
    """A batch that is on its way: where it ends in each writer's segments, and the sequences left out of it."""

    ends: dict[str, Position] = field(default_factory=dict)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    conflicts: int = 0


@dataclass
class Ledger:
    """The whole ledger. `retired` has the counters of writers that are gone.

    `leaving` names those of them whose folders may still be there: deleting a folder takes several steps, and what a
    kill leaves of it must not be taken for a writer that nobody has read yet. `revived` likewise names dead letters
    that were stored after all.
    """

    writers: dict[str, WriterEntry] = field(default_factory=dict)
    pending: Pending | None = None
    outcome: Outcome = field(default_factory=Outcome)
    retired: dict[str, int] = field(default_factory=dict)
    leaving: list[str] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)

    def entry(self, writer: str) -> WriterEntry:
        """Give a writer's entry, new if it was not known."""
        return self.writers.setdefault(writer, WriterEntry())

    def retire(self, writer: str, counters: dict[str, int]) -> None:
        """Forget a writer, keeping its counters in the sums."""
        self.writers.pop(writer, None)
        self.leaving.append(writer)
        for name, rows in counters.items():
            self.retired[name] = self.retired.get(name, 0) + rows

    def save(self, path: Path) -> None:
        """Write the ledger so that a crash leaves the old one or the new one."""
        write_atomically(path, json.dumps(asdict(self), sort_keys=True))

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """Read the ledger; a new one if there is none; SpoolError if it is damaged."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            writers = {name: _entry(**value) for name, value in raw["writers"].items()}
            pending = None if raw["pending"] is None else _pending(**raw["pending"])
            outcome, retired = Outcome(**raw["outcome"]), dict(raw["retired"])
            return cls(writers, pending, outcome, retired, list(raw["leaving"]), list(raw["revived"]))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{path} cannot be read ({error}): restore it, or move it away to ship all segments again"
            raise SpoolError(msg) from None


def _entry(position: dict[str, int], found_rows: int) -> WriterEntry:
    return WriterEntry(Position(**position), found_rows)


def _pending(ends: dict[str, dict[str, int]], duplicates: dict[str, list[int]], conflicts: int) -> Pending:
    return Pending({name: Position(**end) for name, end in ends.items()}, duplicates, conflicts)
