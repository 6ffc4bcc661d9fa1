"""The reading end of the spool: the records of one writer, from a position on."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skew_ext.log.decode import Entry
from skew_ext.serving.record import Record, read_frame
from skew_ext.serving.spool import SEALED_AT, SEGMENT_HEADER, SEGMENT_MAGIC, is_held, segment_number, segments
from skew_ext.shipping.ledger import Position

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Batch:
    """Records read in a row, where the reading ended, and the rows of frames that were damaged."""

    end: Position
    entries: list[Entry] = field(default_factory=list)
    rows: int = 0
    damaged_rows: int = 0
    size: int = 0


class WriterReader:
    """Reads one writer's folder. `is_alive` is asked before reading, so that a dead writer's end is really its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def is_alive(self) -> bool:
        """Say whether the writer's process still lives."""
        return is_held(self.folder / "lock")

    def read(self, start: Position, *, until: Position | None = None, max_bytes: int = 8 << 20) -> Batch:
        """Read records from `start`, to `until` exactly, or up to about `max_bytes` where None."""
        alive = self.is_alive()
        batch = Batch(end=Position(start.segment, start.offset))
        for path in segments(self.folder):
            number = segment_number(path)
            if number < start.segment or (until is not None and number > until.segment):
                continue
            offset = start.offset if number == start.segment else SEGMENT_HEADER
            stop = until.offset if until is not None and number == until.segment else None
            if not self._read_segment(path, offset, batch, stop=stop, max_bytes=max_bytes, alive=alive):
                break
        return batch

    def _read_segment(  # noqa: PLR0913 - the bounds of one segment
        self, path: Path, offset: int, batch: Batch, *, stop: int | None, max_bytes: int, alive: bool
    ) -> bool:
        """Read one segment into `batch`; say whether the next one may be read."""
        number = segment_number(path)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            finished = data[SEALED_AT] == 1 or not alive
            if data[: len(SEGMENT_MAGIC)] != SEGMENT_MAGIC:
                # A writer killed while it made the file: nothing was appended to it yet.
                batch.end = Position(number, offset)
                return finished
            while stop is None or offset < stop:
                frame = read_frame(data, offset)
                if frame is None or (frame.payload is None and not finished):
                    break
                offset = frame.end
                self._take(frame.sequence, frame.rows, frame.payload, batch)
                if stop is None and batch.size >= max_bytes:
                    batch.end = Position(number, offset)
                    return False
            batch.end = Position(number, offset)
            return finished

    def _take(self, sequence: int, rows: int, payload: bytes | None, batch: Batch) -> None:
        record = None
        if payload is not None:
            try:
                record = Record.decode(payload)
            except (ValueError, OverflowError):
                record = None
        if record is None or payload is None:
            batch.damaged_rows += rows
            return
        batch.entries.append(Entry(self.name, sequence, rows, record))
        batch.rows += rows
        batch.size += len(payload)


def waiting_rows(folder: Path, position: Position) -> int:
    """Count the rows that a writer's segments hold from `position` on: read from the frames, not from counters."""
    reader, rows = WriterReader(folder), 0
    while True:
        batch = reader.read(position)
        rows += batch.rows + batch.damaged_rows
        if batch.end == position or not (batch.rows or batch.damaged_rows):
            return rows
        position = batch.end
