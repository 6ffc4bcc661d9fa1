"""The shipper: takes records from the spool in batches, decodes them, and stores them at the destination."""

from __future__ import annotations

import json
import logging
import random
import shutil
import signal
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from skew_ext.errors import SpoolError
from skew_ext.log.decode import decode
from skew_ext.log.destination import destination_from
from skew_ext.log.sampling import sampled
from skew_ext.log.values import UnexpectedValueError
from skew_ext.schema import LogSchema
from skew_ext.serving.counters import lost_rows, read_counters
from skew_ext.serving.spool import FileLock, SpoolDirectory, segment_number, segments, write_atomically
from skew_ext.shipping.ledger import Ledger, Outcome
from skew_ext.shipping.reader import WriterReader, waiting_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from skew_ext.log.decode import Entry
    from skew_ext.log.destination import Destination
    from skew_ext.shipping.ledger import Position
    from skew_ext.shipping.reader import Batch

logger = logging.getLogger("skew_ext.shipping")
POLL_SECONDS = 0.5
ABANDONED_SECONDS = 5.0
"""How long a shipper that serving started stays when no writer lives and the spool is empty."""
PATIENCE_SECONDS = 60.0
_MAX_BACKOFF_SECONDS = 30.0


class _Pace:
    """When the shipper goes round: every flush interval, sooner when asked, later and later after failures."""

    def __init__(self, flush_seconds: float) -> None:
        self._flush_seconds = flush_seconds
        self._last_round = 0.0
        self._busy_until = time.monotonic()
        self.backoff = 0.0

    def is_due(self, *, at_once: bool) -> bool:
        return at_once or time.monotonic() - self._last_round >= self._flush_seconds

    def went(self, *, moved: bool) -> None:
        self.backoff = 0.0
        if not moved:
            self._last_round = time.monotonic()

    def failed(self) -> None:
        # Jitter, so that the shippers of many spools do not come back to a destination all at once.
        doubled = min(_MAX_BACKOFF_SECONDS, max(POLL_SECONDS, self.backoff * 2))
        self.backoff = doubled * random.uniform(0.8, 1.2)  # noqa: S311

    def busy(self) -> None:
        self._busy_until = time.monotonic()

    def idle_seconds(self) -> float:
        return time.monotonic() - self._busy_until


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
        self._sample_rate = float(marker["shipping"]["sample_rate"])
        self._lock = FileLock(self.spool.shipper_lock, inherited=lock)
        self._schemas: dict[str, LogSchema] = {}
        self._stopping = False

    def drain(self) -> Outcome:
        """Ship all that is in the spool now, and return what became of it.

        Where another shipper is at work it is asked to flush, and waited for.

        Raises
        ------
        SpoolError
            The other shipper makes no progress for a minute.
        OSError
            The destination cannot take it; the records stay in the spool.
        """
        before = Ledger.load(self.spool.ledger).outcome
        if self._lock_or_emptied():
            try:
                ledger = Ledger.load(self.spool.ledger)
                while self._round(ledger):
                    pass
            finally:
                self._lock.release()
        return Ledger.load(self.spool.ledger).outcome.since(before)

    def run(self, *, exit_when_abandoned: bool = False) -> None:
        """Ship until SIGTERM or SIGINT; or, when asked, until no writer lives and the spool is empty."""
        self._stop_on_signals()
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
        pace = _Pace(self._flush_seconds)
        while not self._stopping:
            living = self._has_living_writer()
            asked = self.spool.flush_request.exists()
            moved = False
            if pace.is_due(at_once=asked or not living):
                try:
                    moved = self._round(ledger)
                    pace.went(moved=moved)
                except OSError as error:
                    pace.failed()
                    logger.warning("cannot store yet, trying again in %.1f s: %s", pace.backoff, error)
                    ledger = Ledger.load(self.spool.ledger)
                else:
                    if asked and not moved:
                        self.spool.flush_request.unlink(missing_ok=True)
            if living or moved or pace.backoff:
                pace.busy()
            elif exit_when_abandoned and pace.idle_seconds() > ABANDONED_SECONDS:
                return
            if not moved:
                time.sleep(pace.backoff or POLL_SECONDS)
        while self._round(ledger):  # a last round, so that a stop leaves as little behind as it can
            pass

    def _has_living_writer(self) -> bool:
        return any(WriterReader(folder).is_alive() for folder in self.spool.writer_folders())

    def _round(self, ledger: Ledger) -> bool:
        """Ship one batch of each writer; say whether any had something."""
        moved = [self._ship_writer(WriterReader(folder), ledger) for folder in self.spool.writer_folders()]
        return any(moved)

    def _ship_writer(self, reader: WriterReader, ledger: Ledger) -> bool:
        entry = ledger.entry(reader.name)
        alive = reader.is_alive()
        start = entry.position
        batch = reader.read(start, until=entry.pending)
        if not batch.entries and not batch.damaged_rows:
            entry.position, entry.pending = batch.end, None
            if not alive:
                self._retire(reader, ledger)
            return False
        if entry.pending is None:
            entry.pending = batch.end
            ledger.save(self.spool.ledger)
        outcome = self._store(batch, reader.name, start)
        ledger.outcome.add(outcome)
        entry.position, entry.pending = batch.end, None
        entry.found_rows += batch.rows + batch.damaged_rows
        ledger.save(self.spool.ledger)
        self._delete_shipped(reader, entry.position)
        return True

    def _store(self, batch: Batch, writer: str, start: Position) -> Outcome:
        by_schema: dict[str, list[Entry]] = defaultdict(list)
        for entry in batch.entries:
            by_schema[entry.record.schema.decode(errors="replace")].append(entry)
        outcome = Outcome(dropped={"corrupt": batch.damaged_rows} if batch.damaged_rows else {})
        for schema_hash, entries in sorted(by_schema.items()):
            name = f"{writer}-{start.segment:08d}-{start.offset:010d}-{schema_hash}"
            outcome.add(self._store_entries(entries, schema_hash, name))
        return outcome

    def _store_entries(self, entries: list[Entry], schema_hash: str, name: str) -> Outcome:
        try:
            schema = self._schema(schema_hash)
        except SpoolError as error:
            return self._dead_letter(entries, str(error))
        tables, outcome = self._decode_or_dead_letter(entries, schema)
        keys = [column.name for column in schema.join_keys]
        for part, table in enumerate(tables):
            kept = sampled(table, keys, self._sample_rate)
            if kept.num_rows:
                self._destination.write(kept, schema, name if part == 0 else f"{name}-{part}")
            left_out = table.num_rows - kept.num_rows
            outcome.add(Outcome(stored=kept.num_rows, dropped={"sampled": left_out} if left_out else {}))
        return outcome

    def _decode_or_dead_letter(self, entries: Sequence[Entry], schema: LogSchema) -> tuple[list[pa.Table], Outcome]:
        """Decode a batch; where it fails, halve it until the records that do not fit stand alone."""
        try:
            return [decode(entries, schema)], Outcome()
        except UnexpectedValueError as error:
            if len(entries) == 1:
                return [], self._dead_letter(entries, str(error))
        middle = len(entries) // 2
        tables, outcome = self._decode_or_dead_letter(entries[:middle], schema)
        more, other = self._decode_or_dead_letter(entries[middle:], schema)
        outcome.add(other)
        return tables + more, outcome

    def _dead_letter(self, entries: Sequence[Entry], reason: str) -> Outcome:
        self.spool.dead_letters.mkdir(mode=0o700, exist_ok=True)
        for entry in entries:
            stem = self.spool.dead_letters / f"{entry.writer}-{entry.sequence:012d}"
            stem.with_suffix(".record").write_bytes(entry.record.encode())
            about = {"reason": reason, "rows": entry.rows, "writer": entry.writer, "seq": entry.sequence}
            write_atomically(stem.with_suffix(".json"), json.dumps(about))
        return Outcome(dead_lettered=sum(entry.rows for entry in entries))

    def _schema(self, schema_hash: str) -> LogSchema:
        if schema_hash not in self._schemas:
            self._schemas[schema_hash] = LogSchema.from_text(self.spool.get_schema(schema_hash))
        return self._schemas[schema_hash]

    def _delete_shipped(self, reader: WriterReader, position: Position) -> None:
        for path in segments(reader.folder):
            if segment_number(path) < position.segment:
                path.unlink()

    def _retire(self, reader: WriterReader, ledger: Ledger) -> None:
        """Close a dead writer's account, all of it being stored: keep its counters and losses, delete its folder."""
        counters = read_counters(reader.folder / "state")
        lost = lost_rows(counters, ledger.entry(reader.name).found_rows)
        ledger.outcome.add(Outcome(dropped=lost))
        ledger.retire(reader.name, counters)
        ledger.save(self.spool.ledger)
        shutil.rmtree(reader.folder)

    def _lock_or_emptied(self) -> bool:
        """Take the lock; False if the shipper that held it has emptied the spool meanwhile."""
        last, deadline = -1, 0.0
        while not self._lock.acquire():
            ledger = Ledger.load(self.spool.ledger)
            waiting = sum(
                waiting_rows(folder, ledger.entry(folder.name).position) for folder in self.spool.writer_folders()
            )
            if waiting == 0:
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
