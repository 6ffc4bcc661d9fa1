"""The reading end of the spool: the records of one writer, from a position on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from skew_ext.log.decode import Entry
from skew_ext.serving.counters import read_shipped
from skew_ext.serving.file_lock import is_held
from skew_ext.serving.record import Record, read_frame
from skew_ext.serving.segment_file import (
    SEGMENT_HEADER,
    belongs,
    frame_key,
    mapped,
    read_header,
    segment_number,
    segments,
)
from skew_ext.shipping.ledger import Position, WriterEntry
from skew_ext.shipping.resync import Resync

if TYPE_CHECKING:
    import mmap
    from pathlib import Path

    from skew_ext.shipping.ledger import Ledger


@dataclass
class Batch:
    """Records read in a row, where the reading ended, and how many frames were damaged: their rows nobody knows."""

    end: Position
    entries: list[Entry] = field(default_factory=list)
    rows: int = 0
    damaged: int = 0
    size: int = 0


@dataclass(frozen=True)
class _Bounds:
    """How far a segment is read: to `stop` exactly where it is planned, else up to about `max_bytes` of the batch."""

    stop: int | None
    planned: bool
    max_bytes: int
    alive: bool


class WriterReader:
    """Reads one writer's folder. `is_alive` is asked before reading, so that a dead writer's end is really its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def is_alive(self) -> bool:
        """Return whether the writer's process still lives."""
        return is_held(self.folder / "lock")

    def entry(self, ledger: Ledger) -> WriterEntry:
        """Return the ledger's entry, or where the writer's folder notes more than the ledger knows, one of that.

        The ledger is saved before the note is made. So it knows less only if it was deleted, or replaced by an old one:
        what had been stored is not stored again then.
        """
        known, noted = ledger.entry(self.name), read_shipped(self.folder / "state")
        if (noted.segment, noted.offset) > (known.position.segment, known.position.offset):
            position = Position(noted.segment, noted.offset, noted.sequence)
            known = ledger.writers[self.name] = WriterEntry(position, noted.rows)
        return known

    def read(self, start: Position, *, until: Position | None = None, max_bytes: int = 8 << 20) -> Batch:
        """Read records from `start`, to `until` exactly, or up to about `max_bytes` where None.

        Raises
        ------
        OSError
            A segment is there and cannot be read now.
        """
        alive = self.is_alive()
        batch = Batch(end=replace(start))
        for path in segments(self.folder):
            number = segment_number(path)
            if number < start.segment or (until is not None and number > until.segment):
                continue
            offset = start.offset if number == start.segment else SEGMENT_HEADER
            stop = until.offset if until is not None and number == until.segment else None
            bounds = _Bounds(stop, until is not None, max_bytes, alive)
            if not self._read_segment(path, offset, batch, bounds):
                break
        return batch

    def _read_segment(self, path: Path, offset: int, batch: Batch, bounds: _Bounds) -> bool:
        """Read one segment into `batch`; return whether the next one may be read."""
        try:
            data = mapped(path)
        except (FileNotFoundError, ValueError):
            # A spare that its writer just threw away, or that has no size yet: nothing is in it, nor behind it.
            return not bounds.alive
        with data:
            header = read_header(data)
            if not belongs(header, path):
                return True  # a copy of another segment: what is in it is read there
            key = frame_key(data, header)
            finished = not bounds.alive or (header is not None and header.sealed)
            if key is not None:
                offset = self._read_frames(data, offset, batch, bounds, key=key, finished=finished)
            elif bounds.alive and not finished:
                return False  # it is being made
            # Else without its magic: of a writer that was killed while it made the file. Nothing was appended to it.
            batch.end = Position(segment_number(path), offset, batch.end.sequence)
            return finished and (bounds.planned or batch.size < bounds.max_bytes)

    def _read_frames(  # noqa: PLR0913 - a segment has these
        self, data: mmap.mmap, offset: int, batch: Batch, bounds: _Bounds, *, key: int, finished: bool
    ) -> int:
        """Read frames from `offset` on; return where that ended."""
        size, rows, entries, name = batch.size, batch.rows, batch.entries, self.name
        sequence, most = batch.end.sequence, bounds.max_bytes
        stop = len(data) if bounds.planned and bounds.stop is None else bounds.stop
        resync: Resync | None = None
        while offset < stop if stop is not None else size < most:
            frame = read_frame(data, offset, key) if resync is None else resync.frame(offset)
            payload = None if frame is None else frame.payload
            record = None if payload is None else _record(payload)
            if frame is not None and record is not None and payload is not None:
                if frame.sequence >= sequence:
                    entries.append(Entry(name, frame.sequence, frame.rows, record))
                    size += len(payload)
                    rows += frame.rows
                    sequence = frame.sequence + 1
                offset = frame.end
                continue
            if not finished:
                break  # it may be on its way
            # What a damaged frame says of itself, its length and its rows, is not to be believed.
            resync = resync or Resync(data, key)
            following = resync.next_frame(offset, sequence)
            if frame is None and following == len(data):
                break  # nothing was damaged: here the writer ended
            batch.damaged += 1
            offset = following
        batch.size, batch.rows = size, rows
        batch.end.sequence = sequence
        return offset


def _record(payload: bytes) -> Record | None:
    try:
        return Record.decode(payload)
    except ValueError:
        return None


def waiting_rows(folder: Path, position: Position) -> int:
    """Count the rows that a writer's segments hold from `position` on: read from the frames, not from counters.

    Raises
    ------
    OSError
        A segment is there and cannot be read now.
    """
    reader, rows = WriterReader(folder), 0
    while True:
        batch = reader.read(position)
        rows += batch.rows
        if batch.end == position or not (batch.entries or batch.damaged):
            return rows
        position = batch.end
