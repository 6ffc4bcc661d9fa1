"""The reading end of the spool: the records of one writer, from a position on."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skew_ext.log.decode import Entry
from skew_ext.serving.record import Record, next_frame, read_frame
from skew_ext.serving.spool import SEALED_AT, SEGMENT_HEADER, SEGMENT_MAGIC, is_held, segment_number, segments
from skew_ext.shipping.ledger import Position

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Batch:
    """Records read in a row, where the reading ended, and how many frames were damaged: their rows nobody knows."""

    end: Position
    entries: list[Entry] = field(default_factory=list)
    rows: int = 0
    damaged: int = 0
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
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                finished = data[SEALED_AT] == 1 or not alive
                if data[: len(SEGMENT_MAGIC)] == SEGMENT_MAGIC:
                    offset = self._read_frames(data, offset, batch, stop, max_bytes, finished=finished)
                # Without its magic: of a writer that was killed while it made the file. Nothing was appended to it.
                batch.end = Position(number, offset)
                return finished and (stop is not None or batch.size < max_bytes)
        except (FileNotFoundError, ValueError):
            # A spare that its writer just threw away, or that has no size yet: nothing is in it, nor behind it.
            return not alive

    def _read_frames(  # noqa: PLR0913 - the bounds of one segment
        self, data: mmap.mmap, offset: int, batch: Batch, stop: int | None, max_bytes: int, *, finished: bool
    ) -> int:
        """Read frames from `offset` on; give where that ended."""
        size, rows, entries, name = batch.size, batch.rows, batch.entries, self.name
        while offset < stop if stop is not None else size < max_bytes:
            frame = read_frame(data, offset)
            if frame is None:
                break
            end, sequence, frame_rows, payload = frame
            record = None if payload is None else _record(payload)
            if record is not None and payload is not None:
                entries.append(Entry(name, sequence, frame_rows, record))
                size += len(payload)
                rows += frame_rows
                offset = end
            elif finished:
                # What a damaged frame says of itself, its length and its rows, is not to be believed.
                offset = next_frame(data, offset)
                batch.damaged += 1
            else:
                break  # it may be on its way
        batch.size, batch.rows = size, rows
        return offset


def _record(payload: bytes) -> Record | None:
    try:
        return Record.decode(payload)
    except ValueError:
        return None


def waiting_rows(folder: Path, position: Position) -> int:
    """Count the rows that a writer's segments hold from `position` on: read from the frames, not from counters."""
    reader, rows = WriterReader(folder), 0
    while True:
        batch = reader.read(position)
        rows += batch.rows
        if batch.end == position or not (batch.entries or batch.damaged):
            return rows
        position = batch.end
