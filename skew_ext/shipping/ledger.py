"""The shipper's ledger: how far each writer is shipped, and what became of every row.

A batch is first written down as `pending` with its exact bounds, then sent, then committed. After a crash between
the two, the same bounds are read and sent again under the same name, so the destination ends with each row once.
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
    """What became of rows: sums over batches. `dropped` has the shipper's own reasons only."""

    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Add another outcome to this one."""
        self.stored += other.stored
        self.duplicate += other.duplicate
        self.dead_lettered += other.dead_lettered
        for reason, rows in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + rows

    def since(self, before: Outcome) -> Outcome:
        """Give what was added since `before`."""
        dropped = {reason: rows - before.dropped.get(reason, 0) for reason, rows in self.dropped.items()}
        return Outcome(
            self.stored - before.stored,
            self.duplicate - before.duplicate,
            self.dead_lettered - before.dead_lettered,
            {reason: rows for reason, rows in dropped.items() if rows},
        )


@dataclass
class WriterEntry:
    """One writer: what is shipped of it, and the batch that is on its way, if any, by where it ends.

    `found_rows` counts the rows of all frames up to `position`, damaged ones included.
    """

    position: Position = field(default_factory=Position)
    pending: Position | None = None
    found_rows: int = 0


@dataclass
class Ledger:
    """The whole ledger. `retired` has the counters of writers that are gone and whose folders are deleted."""

    writers: dict[str, WriterEntry] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    retired: dict[str, int] = field(default_factory=dict)

    def entry(self, writer: str) -> WriterEntry:
        """Give a writer's entry, new if it was not known."""
        return self.writers.setdefault(writer, WriterEntry())

    def retire(self, writer: str, counters: dict[str, int]) -> None:
        """Forget a writer, keeping its counters in the sums."""
        self.writers.pop(writer, None)
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
            writers = {name: _entry(value) for name, value in raw["writers"].items()}
            return cls(writers=writers, outcome=Outcome(**raw["outcome"]), retired=raw["retired"])
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = f"{path} cannot be read ({error}): restore it, or move it away to ship all segments again"
            raise SpoolError(msg) from None


def _entry(raw: dict[str, object]) -> WriterEntry:
    position, pending = raw["position"], raw["pending"]
    if not isinstance(position, dict) or not (pending is None or isinstance(pending, dict)):
        msg = "a position is not a mapping"
        raise TypeError(msg)
    return WriterEntry(
        position=Position(**position),
        pending=None if pending is None else Position(**pending),
        found_rows=int(str(raw["found_rows"])),
    )
