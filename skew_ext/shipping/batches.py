"""One batch after the other: planned, stored, committed."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from skew_ext.errors import SettingsError, SpoolError
from skew_ext.shipping.dead_letters import DeadLetters, letter_name
from skew_ext.shipping.duplicates import CONFLICT, DUPLICATE, NEW, Judge, RecentRequests
from skew_ext.shipping.ledger import Outcome, Pending, log_identity
from skew_ext.shipping.patience import Patience
from skew_ext.shipping.storing import rows_of, schema_hash

if TYPE_CHECKING:
    from pathlib import Path

    from skew_ext.log.table import Entry
    from skew_ext.serving.spool import SpoolDirectory
    from skew_ext.shipping.ledger import Ledger, Position
    from skew_ext.shipping.marker import Following
    from skew_ext.shipping.reader import Batch, WriterReader
    from skew_ext.shipping.writers import Writers

logger = logging.getLogger("skew_ext.shipping")
BATCH_BYTES = 64 << 20
"""How much of the spool a batch takes: what becomes a file at the destination, and what the shipper's memory holds."""


class _Stored(NamedTuple):
    outcome: Outcome
    dead_lettered: set[str]


class Batches:
    """Ships a spool's batches. What is remembered here between them is no part of what a crash must not lose."""

    def __init__(self, spool: SpoolDirectory, following: Following, writers: Writers) -> None:
        self._spool = spool
        self._following = following
        self._writers = writers
        self._letters = DeadLetters(spool.dead_letters)
        self._recent = RecentRequests()
        self._patience = Patience()
        self._more = False

    @property
    def has_more(self) -> bool:
        """Whether the last batch was as large as one may be, so that there is more to ship."""
        return self._more

    def ship(self, ledger: Ledger) -> bool:
        """Ship one batch of all writers that have something, or of dead letters; return whether there was any.

        Raises
        ------
        OSError
            The destination cannot take it now, or the spool cannot be written; the ledger in memory is not to be used
            any more.
        """
        self._following.refresh()
        if ledger.pending is None and _is_requested(self._spool.retry_request):
            self._plan_retry(ledger)
        if ledger.pending is not None and ledger.pending.letters:
            self._retry(ledger, ledger.pending)
        most = self._writers.share_of(BATCH_BYTES)
        batches = self._writers.read(ledger, most)
        self._more = any(batch.size >= most for _, batch in batches)
        # A server changes the marker before it logs anything: what was read is shipped as the marker says only now.
        self._following.refresh()
        if self._following.is_outdated:
            return False
        if not batches:
            ledger.pending = None
            return False
        judge = Judge(self._recent)
        planned = self._planned(batches, ledger, judge)
        if ledger.pending is None:
            ledger.pending = planned
            ledger.save(self._spool.ledger)
        outcome = self._outcome(batches, ledger, ledger.pending)
        self._commit(batches, ledger, ledger.pending, outcome)
        if not outcome.dropped.get("too_old"):
            self._recent.remember(judge.judged)
        return True

    def _planned(self, batches: list[tuple[WriterReader, Batch]], ledger: Ledger, judge: Judge) -> Pending:
        pending = Pending(
            {reader.name: batch.end for reader, batch in batches},
            name=f"{self._following.asked.spool_id}-{_bounds(batches, ledger)}",
            destination=self._following.asked.destination,
        )
        for reader, batch in batches:
            for entry in batch.entries:
                if entry.record.own_id:
                    continue
                judged = self._judged(judge, entry)
                if judged == DUPLICATE:
                    pending.duplicates.setdefault(reader.name, []).append(entry.sequence)
                elif judged == CONFLICT:
                    pending.conflicts += entry.rows
        return pending

    def _judged(self, judge: Judge, entry: Entry) -> str:
        try:
            return judge.judge(entry, self._following.storing.schema(schema_hash(entry)))
        except SpoolError:
            return NEW  # it has no schema, and will be set aside

    def _outcome(self, batches: list[tuple[WriterReader, Batch]], ledger: Ledger, pending: Pending) -> Outcome:
        """Store a planned batch, and return what became of it."""
        duplicates = {(writer, number) for writer, numbers in pending.duplicates.items() for number in numbers}
        entries = [entry for _, batch in batches for entry in batch.entries]
        kept = [entry for entry in entries if (entry.writer, entry.sequence) not in duplicates]
        # The ledger of an earlier version has no names: they were made so.
        name = pending.name or f"{self._following.asked.spool_id}-{_bounds(batches, ledger)}"
        try:
            outcome = self._stored(kept, name, ledger, pending).outcome
        except OSError:
            self._patience.failed(ledger)
            if self._patience.is_over(ledger, entries, self._following.asked.max_hours):
                return Outcome(dropped={"too_old": rows_of(entries)})
            with suppress(OSError):
                ledger.save(self._spool.ledger)
            raise
        self._patience.succeeded(ledger)
        outcome.duplicate = rows_of(entries) - rows_of(kept)
        outcome.conflicts = pending.conflicts
        return outcome

    def _stored(self, entries: list[Entry], name: str, ledger: Ledger, pending: Pending) -> _Stored:
        """Store a batch where it was planned to go; where that cannot be reached any more, where it goes now."""
        now = self._following.storing
        try:
            storing = self._following.storing_to(pending.destination)
            return _Stored(storing.store(entries, name), storing.dead_lettered)
        except (OSError, SettingsError) as error:
            if pending.destination in ({}, self._following.asked.destination):
                raise
            logger.warning("a batch on its way to the former destination goes to the present one: %s", error)
        pending.destination = self._following.asked.destination
        ledger.save(self._spool.ledger)
        return _Stored(now.store(entries, name), now.dead_lettered)

    def _commit(
        self, batches: list[tuple[WriterReader, Batch]], ledger: Ledger, pending: Pending, outcome: Outcome
    ) -> None:
        ledger.count_days_of(log_identity(self._following.asked.spool_id, self._following.asked.destination))
        ledger.outcome.add(outcome)
        for reader, batch in batches:
            entry = ledger.entry(reader.name)
            entry.position = pending.ends.get(reader.name, batch.end)
            entry.found_rows += batch.rows
        ledger.pending = None
        ledger.save(self._spool.ledger)
        for reader, _ in batches:
            self._writers.note(reader, ledger)

    def _plan_retry(self, ledger: Ledger) -> None:
        """Plan to send the dead letters again: those that are there now, and no others when it is tried again."""
        self._letters.delete(ledger.revived)
        ledger.revived = []
        names = self._letters.names()
        if not names:
            self._spool.retry_request.unlink(missing_ok=True)
            return
        name = f"{self._following.asked.spool_id}-dead-{_digest(names)}"
        ledger.pending = Pending(name=name, destination=self._following.asked.destination, letters=names)
        ledger.save(self._spool.ledger)

    def _retry(self, ledger: Ledger, pending: Pending) -> None:
        """Send the planned dead letters again; those that are refused again stay where they are."""
        entries = self._letters.read(pending.letters)
        outcome, again = self._stored(entries, pending.name, ledger, pending)
        ledger.count_days_of(log_identity(self._following.asked.spool_id, self._following.asked.destination))
        ledger.outcome.add(outcome)
        ledger.outcome.dead_lettered -= rows_of(entries)
        ledger.revived = [name for name in map(letter_name, entries) if name not in again]
        ledger.pending = None
        ledger.save(self._spool.ledger)
        self._letters.delete(ledger.revived)
        self._spool.retry_request.unlink(missing_ok=True)


def _bounds(batches: list[tuple[WriterReader, Batch]], ledger: Ledger) -> str:
    """Return what stands for a batch's bounds: the same for the same records, and never another's."""
    bounds = [(reader.name, _place(ledger.entry(reader.name).position), _place(batch.end)) for reader, batch in batches]
    return _digest(sorted(bounds, key=str))


def _place(position: Position) -> dict[str, int]:
    return {"segment": position.segment, "offset": position.offset}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _is_requested(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
