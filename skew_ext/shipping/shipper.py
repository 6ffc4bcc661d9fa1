"""The shipper: takes records from the spool in batches, decodes them, and stores them at the destination."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import shutil
import signal
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from skew_ext.clock import utc_now
from skew_ext.errors import SpoolError
from skew_ext.log.destination import destination_from
from skew_ext.serving.counters import lost_rows, read_counters
from skew_ext.serving.spool import FileLock, SpoolDirectory, segment_number, segments
from skew_ext.shipping.dead_letters import DeadLetters, letter_name
from skew_ext.shipping.duplicates import CONFLICT, DUPLICATE, NEW, RecentRequests
from skew_ext.shipping.ledger import Ledger, Outcome, Pending
from skew_ext.shipping.pace import POLL_SECONDS, Pace
from skew_ext.shipping.reader import WriterReader, waiting_rows
from skew_ext.shipping.storing import Storing, rows_of, schema_hash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skew_ext.log.destination import Destination
    from skew_ext.log.table import Entry
    from skew_ext.shipping.ledger import Position
    from skew_ext.shipping.reader import Batch

logger = logging.getLogger("skew_ext.shipping")
BATCH_BYTES = 64 << 20
"""How much of the spool a batch takes: what becomes a file at the destination, and what the shipper's memory holds."""
LEAST_BYTES = 1 << 20
"""What a batch takes of each writer, however many there are."""
ABANDONED_SECONDS = 5.0
"""How long a shipper that serving started stays when no writer lives and the spool is empty."""
PATIENCE_SECONDS = 60.0
_HOUR = 3600_000_000


class Shipper:
    """Ships one spool. There is one at a time: a second one finds the lock held.

    `lock` is the descriptor of the spool's shipper lock, where who started this process has taken it already.

    Raises
    ------
    SpoolError
        The folder is no spool of ours, or its ledger is damaged.
    """

    def __init__(self, spool: Path, *, lock: int | None = None) -> None:
        self.spool = SpoolDirectory(spool)
        marker = self.spool.check()
        self._destination: Destination = destination_from(marker["shipping"]["destination"])
        self._flush_seconds = float(marker["shipping"]["flush_seconds"])
        self._storing = Storing(self.spool, self._destination, float(marker["shipping"]["sample_rate"]))
        self._owner = str(marker["id"])
        self._patience = marker["shipping"]["spool_max_hours"]
        self._recent = RecentRequests()
        self._lock = FileLock(self.spool.shipper_lock, inherited=lock)
        self._stopping = False

    def drain(self, *, retry_dead_letters: bool = False) -> Outcome:
        """Ship all that is in the spool now, and return what became of it; dead letters too, where that is asked for.

        Where another shipper is at work it is asked to do so, and waited for.

        Raises
        ------
        SpoolError
            The other shipper makes no progress for a minute.
        OSError
            The destination cannot take it; the records stay in the spool.
        """
        before = Ledger.load(self.spool.ledger).outcome
        if retry_dead_letters:
            self.spool.retry_request.touch(mode=0o600)
        if self._lock_or_emptied():
            try:
                ledger = Ledger.load(self.spool.ledger)
                while self._round(ledger):
                    pass
                self._maintain(ledger)
            finally:
                self._lock.release()
        return Ledger.load(self.spool.ledger).outcome.since(before)

    def run(self, *, exit_when_abandoned: bool = False) -> None:
        """Ship until SIGTERM or SIGINT; or, when asked, until no writer lives and the spool is empty."""
        self._stop_on_signals()
        calm_collector()
        while self._lock.acquire():
            try:
                self._loop(exit_when_abandoned=exit_when_abandoned)
            finally:
                self._lock.release()
            # A writer that came while the lock was still held has started no shipper of its own.
            if self._stopping or not self._has_living_writer():
                return
        logger.info("another shipper is at work on %s", self.spool.path)

    def _loop(self, *, exit_when_abandoned: bool) -> None:
        ledger = Ledger.load(self.spool.ledger)
        pace = Pace(self._flush_seconds)
        while not self._stopping:
            living = self._has_living_writer()
            ledger, moved = self._attempt(ledger, pace, at_once=not living)
            if pace.is_time_for_upkeep(idle=not moved and not pace.backoff):
                self._maintain(ledger)
            if living or moved or pace.backoff:
                pace.busy()
            elif exit_when_abandoned and pace.idle_seconds() > ABANDONED_SECONDS:
                return
            if not moved:
                time.sleep(pace.backoff or POLL_SECONDS)
        while self._round(ledger):  # a last round, so that a stop leaves as little behind as it can
            pass

    def _attempt(self, ledger: Ledger, pace: Pace, *, at_once: bool) -> tuple[Ledger, bool]:
        """Go round if it is time; give the ledger as it is then, and whether anything moved."""
        asked = self.spool.flush_request.exists()
        if not pace.is_due(at_once=asked or at_once):
            return ledger, False
        try:
            moved = self._round(ledger)
        except OSError as error:
            pace.failed()
            logger.warning("cannot store yet, trying again in %.1f s: %s", pace.backoff, error)
            return Ledger.load(self.spool.ledger), False
        pace.went(moved=moved)
        if asked and not moved:
            self.spool.flush_request.unlink(missing_ok=True)
        return ledger, moved

    def _maintain(self, ledger: Ledger) -> None:
        """Look after what is stored; nothing is on its way now, so no batch's name may be needed again."""
        if ledger.pending is not None:
            return
        try:
            done = self._destination.maintain(self._owner, utc_now().date())
        except OSError as error:
            logger.warning("cannot look after the log now: %s", error)
            return
        if done.merged or done.pruned:
            logger.info("merged %d files away; deleted rows of old days: %s", done.merged, done.pruned or "none")
            ledger.outcome.add(Outcome(pruned=done.pruned))
            ledger.save(self.spool.ledger)

    def _has_living_writer(self) -> bool:
        return any(WriterReader(folder).is_alive() for folder in self.spool.writer_folders())

    def _round(self, ledger: Ledger) -> bool:
        """Ship one batch of all writers that have something; say whether any had."""
        if ledger.pending is None and self.spool.retry_request.exists():
            self._retry(ledger)
        batches = self._read(ledger)
        if not batches:
            ledger.pending = None
            return False
        if ledger.pending is None:
            ledger.pending = self._planned(batches)
            ledger.save(self.spool.ledger)
        outcome = self._store(batches, ledger)
        ledger.outcome.add(outcome)
        ledger.pending = None
        for reader, batch in batches:
            entry = ledger.entry(reader.name)
            entry.position = batch.end
            entry.found_rows += batch.rows
        ledger.save(self.spool.ledger)
        for reader, batch in batches:
            _delete_shipped(reader, batch.end)
        return True

    def _read(self, ledger: Ledger) -> list[tuple[WriterReader, Batch]]:
        """Read what is pending, or else what is new; writers that are gone and have nothing more are retired."""
        self._delete_left(ledger)
        folders, pending = self.spool.writer_folders(), ledger.pending
        most = max(LEAST_BYTES, BATCH_BYTES // max(1, len(folders)))
        found = []
        for reader in map(WriterReader, folders):
            if pending is not None and reader.name not in pending.ends:
                continue
            entry, alive = ledger.entry(reader.name), reader.is_alive()
            until = None if pending is None else pending.ends[reader.name]
            batch = reader.read(entry.position, until=until, max_bytes=most)
            if batch.entries or batch.damaged:
                found.append((reader, batch))
                continue
            entry.position = batch.end
            if not alive:
                self._retire(reader, ledger)
        return found

    def _planned(self, batches: list[tuple[WriterReader, Batch]]) -> Pending:
        pending = Pending({reader.name: batch.end for reader, batch in batches})
        for reader, batch in batches:
            for entry in batch.entries:
                if entry.record.own_id:
                    continue
                judged = self._judge(entry)
                if judged == DUPLICATE:
                    pending.duplicates.setdefault(reader.name, []).append(entry.sequence)
                elif judged == CONFLICT:
                    pending.conflicts += entry.rows
        return pending

    def _judge(self, entry: Entry) -> str:
        try:
            return self._recent.judge(entry, self._storing.schema(schema_hash(entry)))
        except SpoolError:
            return NEW  # it has no schema, and will be set aside

    def _store(self, batches: list[tuple[WriterReader, Batch]], ledger: Ledger) -> Outcome:
        pending = ledger.pending or Pending()
        duplicates = {(writer, number) for writer, numbers in pending.duplicates.items() for number in numbers}
        entries = [entry for _, batch in batches for entry in batch.entries]
        kept = [entry for entry in entries if (entry.writer, entry.sequence) not in duplicates]
        if self._is_too_old(entries):
            return Outcome(dropped={"too_old": rows_of(entries)})
        outcome = self._storing.store(kept, f"{self._owner}-{_name(batches, ledger)}")
        outcome.duplicate = rows_of(entries) - rows_of(kept)
        outcome.conflicts = pending.conflicts
        return outcome

    def _is_too_old(self, entries: Sequence[Entry]) -> bool:
        """Say whether the destination has been away for longer than the rows may wait for it."""
        if self._patience is None or not entries:
            return False
        oldest = time.time_ns() // 1000 - float(self._patience) * _HOUR
        return all(0 < entry.record.logged_at < oldest for entry in entries)

    def _retry(self, ledger: Ledger) -> None:
        """Send the dead letters again; those that are refused again stay where they are."""
        letters = DeadLetters(self.spool.dead_letters)
        letters.delete(ledger.revived)
        entries = letters.read()
        names = [letter_name(entry) for entry in entries]
        outcome = self._storing.store(entries, f"{self._owner}-dead-{_digest(names)}")
        again = self._storing.dead_lettered
        ledger.outcome.add(outcome)
        ledger.outcome.dead_lettered -= rows_of(entries)
        ledger.revived = [name for name in names if name not in again]
        ledger.save(self.spool.ledger)
        letters.delete(ledger.revived)
        self.spool.retry_request.unlink(missing_ok=True)

    def _retire(self, reader: WriterReader, ledger: Ledger) -> None:
        """Close a dead writer's account, all of it being stored: keep its counters and losses, delete its folder."""
        counters = read_counters(reader.folder / "state")
        lost = lost_rows(counters, ledger.entry(reader.name).found_rows)
        ledger.outcome.add(Outcome(dropped=lost))
        ledger.retire(reader.name, counters)
        ledger.save(self.spool.ledger)
        self._delete_left(ledger)

    def _delete_left(self, ledger: Ledger) -> None:
        for writer in ledger.leaving:
            if (folder := self.spool.writers / writer).exists():
                shutil.rmtree(folder)
        ledger.leaving.clear()  # saved with the next batch; to delete what is gone is no harm

    def _lock_or_emptied(self) -> bool:
        """Take the lock; False if the shipper that held it has emptied the spool meanwhile."""
        last, deadline = -1, 0.0
        while not self._lock.acquire():
            ledger = Ledger.load(self.spool.ledger)
            waiting = sum(
                waiting_rows(folder, ledger.entry(folder.name).position) for folder in self.spool.writer_folders()
            )
            if waiting == 0 and not self.spool.retry_request.exists():
                return False
            if waiting != last:
                last, deadline = waiting, time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline:
                msg = (
                    f"another shipper holds {self.spool.path} and has shipped nothing for {PATIENCE_SECONDS:.0f} s: "
                    f"see {self.spool.path / 'shipper.log'}"
                )
                raise SpoolError(msg)
            self.spool.flush_request.touch(mode=0o600)
            time.sleep(0.1)
        return True

    def _stop_on_signals(self) -> None:
        def stop(*_: object) -> None:
            self._stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)


def _name(batches: list[tuple[WriterReader, Batch]], ledger: Ledger) -> str:
    """Name a batch by its bounds: the same when it is sent again, and never another's."""
    bounds = [(reader.name, asdict(ledger.entry(reader.name).position), asdict(batch.end)) for reader, batch in batches]
    return _digest(sorted(bounds, key=str))


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _delete_shipped(reader: WriterReader, position: Position) -> None:
    for path in segments(reader.folder):
        if segment_number(path) < position.segment:
            path.unlink()


def calm_collector() -> None:
    """Let the garbage collector look less often: a batch is many small objects, and all of them are needed."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
