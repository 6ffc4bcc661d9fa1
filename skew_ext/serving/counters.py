"""A writer's counters, in a memory-mapped file, so that a killed process still says what it accepted and dropped."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

DROP_REASONS = ("spool_full", "too_large", "not_encodable", "spool_unavailable", "closed", "interrupted")
"""Why the capture drops: the order is the file's, so new reasons go to the end."""

_SLOTS = ("accepted", "appended", *DROP_REASONS)
ACCEPTED, APPENDED = 0, 1
PLACES = {name: place for place, name in enumerate(_SLOTS)}
_SLOT = struct.Struct("=Q")
SIZE = 4096


class Counters:
    """Counts of entity rows: accepted by the capture, appended to segments, dropped by reason.

    `slots` are there for the writer to count in place, under its lock; `PLACES` says which is which.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Allocated now: on a full disk this is an error here, not a SIGBUS at the first count.
            os.posix_fallocate(descriptor, 0, SIZE)
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self.slots = memoryview(self._map).cast("Q")


def read_counters(path: Path) -> dict[str, int]:
    """Read a counter file from outside its process; all zero if it is not there."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    data = data.ljust(SIZE, b"\0")
    return {name: int(_SLOT.unpack_from(data, place * _SLOT.size)[0]) for place, name in enumerate(_SLOTS)}


def lost_rows(counters: dict[str, int], found: int, *, alive: bool = False) -> dict[str, int]:
    """Say what a writer accepted and no record in its segments gives back, by reason.

    `found` is the rows of all records that were found, since `counters` were read. What had been appended and is not
    found was damaged or lost with its segment: `corrupt`. What had been accepted only was on its way in when the
    process died: `killed`; in a living one it still is.
    """
    corrupt = max(0, counters["appended"] - found)
    on_its_way = counters["accepted"] - sum(counters[reason] for reason in DROP_REASONS) - found - corrupt
    killed = 0 if alive else max(0, on_its_way)
    return {reason: rows for reason, rows in (("corrupt", corrupt), ("killed", killed)) if rows}
