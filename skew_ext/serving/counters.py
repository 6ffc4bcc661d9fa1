"""A writer's counters, in a memory-mapped file, so that a killed process still says what it accepted and dropped."""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from skew_ext.serving.files import open_regular, read_regular

DROP_REASONS = (
    "spool_full",
    "too_large",
    "not_encodable",
    "spool_unavailable",
    "closed",
    "interrupted",
    "spool_deleted",
)
"""Why the capture drops: the order is the file's, so new reasons go to the end."""

_SLOTS = ("accepted", "appended", *DROP_REASONS)
ACCEPTED, APPENDED = 0, 1
PLACES = {name: place for place, name in enumerate(_SLOTS)}
_SLOT = struct.Struct("=Q")
SIZE = 4096
_SHIPPED_AT = 2048
_SHIPPED = struct.Struct("<QQQQ")
_CHECK = struct.Struct("<I")


class Shipped(NamedTuple):
    """How far the shipper says that a writer is shipped: the next byte and sequence to read, and the rows before it."""

    segment: int = 0
    offset: int = 0
    sequence: int = 0
    rows: int = 0


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

    def read(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: int(self.slots[place]) for name, place in PLACES.items()}

    def shipped(self) -> Shipped:
        """Return what the shipper has noted last."""
        return _shipped(bytes(self._map))


def read_counters(path: Path) -> dict[str, int]:
    """Return the counts of a counter file, read from outside its process; zeros if none can be read."""
    data = _content(path)
    return {name: int(_SLOT.unpack_from(data, place * _SLOT.size)[0]) for place, name in enumerate(_SLOTS)}


def read_shipped(path: Path) -> Shipped:
    """Return how far a writer is shipped by what is noted in its counter file; zeros if nothing is."""
    return _shipped(_content(path))


def note_shipped(path: Path, shipped: Shipped) -> None:
    """Note in a writer's counter file how far it is shipped.

    For the writer, which should know what is lost when the spool is deleted under it, and for a shipper without its
    ledger. Not being able to is no failure: the ledger is what counts.
    """
    packed = _SHIPPED.pack(*shipped)
    with suppress(OSError):
        descriptor = open_regular(path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, packed + _CHECK.pack(zlib.crc32(packed)), _SHIPPED_AT)
        finally:
            os.close(descriptor)


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


def at_least(counters: dict[str, int], found: int) -> dict[str, int]:
    """Return counters with no less accepted than was found and dropped: a counter file may be damaged, or gone."""
    accounted = found + sum(counters[reason] for reason in DROP_REASONS)
    return {**counters, "accepted": max(counters["accepted"], accounted)}


def _content(path: Path) -> bytes:
    try:
        data = read_regular(path)
    except OSError:
        data = b""
    return data if len(data) == SIZE else bytes(SIZE)


def _shipped(data: bytes) -> Shipped:
    packed = data[_SHIPPED_AT : _SHIPPED_AT + _SHIPPED.size]
    (check,) = _CHECK.unpack_from(data, _SHIPPED_AT + _SHIPPED.size)
    return Shipped(*_SHIPPED.unpack(packed)) if check and check == zlib.crc32(packed) else Shipped()
