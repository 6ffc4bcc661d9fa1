"""The shipper's ledger: how far each writer is shipped, and what became of every row.

A batch, of all writers that have something or of dead letters, is first written down as `pending` with its name, its
exact bounds, what is left out of it and where it goes, then sent, then committed. After a crash between the two, the
same records are read and sent again under the same name, so the destination ends with each row once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from skew_ext.errors import SpoolError
from skew_ext.serving.files import read_regular, write_atomically
from skew_ext.serving.spool import is_writer_name

if TYPE_CHECKING:
    from pathlib import Path

_CHECKSUM = "sha256"


@dataclass
class Position:
    """The next byte to read of a writer: segment number and offset (0 before the first segment).

    `sequence`: the least that the next record can have. A record with a lower one was read before: its segment was
    copied back.
    """

    segment: int = 0
    offset: int = 0
    sequence: int = 0


@dataclass
class Outcome:
    """What became of rows: sums over batches. `dropped` has the shipper's own reasons only.

    `conflicts` are rows that contradict others of their request id. They are stored, and counted there. `pruned` are
    rows that were stored and have gone since, by reason: `age` or `size`. `days` are stored rows by feature service and
    day (ISO, UTC).
    """

    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    pruned: dict[str, int] = field(default_factory=dict)
    days: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Add another outcome to this one."""
        self.stored += other.stored
        self.duplicate += other.duplicate
        self.dead_lettered += other.dead_lettered
        self.conflicts += other.conflicts
        _add(self.dropped, other.dropped)
        _add(self.pruned, other.pruned)
        for service, days in other.days.items():
            _add(self.days.setdefault(service, {}), days)

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
    """A batch that is on its way.

    `name` is what the destination knows it by; `destination` the settings of where it goes. Of the spool: where it ends
    in each writer's segments, and the sequences left out of it. Or `letters`: the names of dead letters that are sent
    again.
    """

    ends: dict[str, Position] = field(default_factory=dict)
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    conflicts: int = 0
    name: str = ""
    destination: dict[str, Any] = field(default_factory=dict)
    letters: list[str] = field(default_factory=list)


@dataclass
class Ledger:
    """The whole ledger. `retired` has the counters of writers that are gone.

    `leaving` names those of them whose folders may still be there: deleting a folder takes several steps, and what a
    kill leaves of it must not be taken for a writer that nobody has read yet. `revived` likewise names dead letters
    that were stored after all. `failing_since` is when the destination began to fail, in microseconds since 1970;
    0 while it does not. `log` stands for whose rows `outcome.days` counts, and where: see `log_identity`.
    """

    writers: dict[str, WriterEntry] = field(default_factory=dict)
    pending: Pending | None = None
    outcome: Outcome = field(default_factory=Outcome)
    retired: dict[str, int] = field(default_factory=dict)
    leaving: list[str] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    failing_since: int = 0
    log: str = ""

    def entry(self, writer: str) -> WriterEntry:
        """Give a writer's entry, new if it was not known."""
        return self.writers.setdefault(writer, WriterEntry())

    def count_days_of(self, log: str) -> None:
        """Count the days of this log; those of another one that was shipped to before are forgotten."""
        if self.log != log:
            self.log, self.outcome.days = log, {}

    def retire(self, writer: str, counters: dict[str, int], *, leaving: bool = True) -> None:
        """Forget a writer, keeping its counters in the sums; `leaving`, if its folder has to be deleted yet."""
        self.writers.pop(writer, None)
        if leaving:
            self.leaving.append(writer)
        _add(self.retired, counters)

    def save(self, path: Path) -> None:
        """Write the ledger so that a crash leaves the old one or the new one."""
        content = asdict(self)
        write_atomically(path, json.dumps({**content, _CHECKSUM: _checksum(content)}, sort_keys=True))

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """Return the ledger that is there, or a new one; SpoolError if it is damaged, or not what was written."""
        try:
            raw = json.loads(read_regular(path))
            checksum = raw.pop(_CHECKSUM, None)  # an earlier version has none
            if checksum is not None and checksum != _checksum(raw):
                raise ValueError("its checksum does not fit")  # noqa: TRY301 - as any other damage
            writers = {_writer(name): _entry(**value) for name, value in raw["writers"].items()}
            pending = None if raw["pending"] is None else _pending(**raw["pending"])
            return cls(
                writers,
                pending,
                Outcome(**raw["outcome"]),
                dict(raw["retired"]),
                [_writer(name) for name in raw["leaving"]],
                list(raw["revived"]),
                int(raw.get("failing_since", 0)),
                str(raw.get("log", "")),
            )
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            msg = (
                f"{path} cannot be read ({error}): restore it, or move it away: shipping then goes on from what each "
                "writer's folder notes, and counts anew"
            )
            raise SpoolError(msg) from None


def log_identity(spool_id: str, destination: dict[str, Any]) -> str:
    """Return what stands for one spool's rows at one destination."""
    place = {name: destination.get(name) for name in ("type", "path", "dsn_env", "schema_name", "project", "repo")}
    return hashlib.sha256(json.dumps([spool_id, place], sort_keys=True).encode()).hexdigest()[:16]


def _add(sums: dict[str, int], more: dict[str, int]) -> None:
    for name, rows in more.items():
        sums[name] = sums.get(name, 0) + rows


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _writer(name: str) -> str:
    # A folder is deleted by this name: it must not lead anywhere else.
    if not is_writer_name(name):
        msg = f"{name[:40]!r} is no writer's name"
        raise ValueError(msg)
    return name


def _entry(position: dict[str, int], found_rows: int) -> WriterEntry:
    return WriterEntry(Position(**position), found_rows)


def _pending(ends: dict[str, dict[str, int]], duplicates: dict[str, list[int]], conflicts: int, **more: Any) -> Pending:
    positions = {_writer(name): Position(**end) for name, end in ends.items()}
    return Pending(positions, duplicates, conflicts, **more)
