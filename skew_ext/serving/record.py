"""The bytes of one logged lookup: a frame in a segment, and the record inside it.

Frame (little endian, padded to 8 bytes): length u32, CRC32C u32, sequence u64, rows u32, zero u32, payload.
The length is written last: a frame whose length is zero is not there yet, so a reader never sees half of one,
also when the writer is killed between two bytes. The CRC covers sequence, rows and payload.

Record: served_at i64 (microseconds since 1970, UTC), the lengths of five parts u32 each, and the parts:
schema hash, request id, constants (JSON), Feast's GetOnlineFeaturesRequest (request data), GetOnlineFeaturesResponse.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c

if TYPE_CHECKING:
    from mmap import mmap

FRAME = struct.Struct("<IIQII")
_COVERED = struct.Struct("<QI")
_HEAD = struct.Struct("<qIIIII")
ALIGNMENT = 8


@dataclass(frozen=True)
class Record:
    """One lookup as it was served. `served_at` is in microseconds since 1970, UTC."""

    served_at: int
    schema: bytes
    request_id: bytes
    constants: bytes
    request: bytes
    response: bytes

    def encode(self) -> bytes:
        """Give the record's bytes."""
        parts = (self.schema, self.request_id, self.constants, self.request, self.response)
        return b"".join((_HEAD.pack(self.served_at, *map(len, parts)), *parts))

    @classmethod
    def decode(cls, payload: bytes) -> Record:
        """Read a record back; ValueError if the lengths do not add up."""
        served_at, *lengths = _HEAD.unpack_from(payload)
        ends, position = [], _HEAD.size
        for length in lengths:
            ends.append(slice(position, position + length))
            position += length
        if position != len(payload):
            msg = f"a record of {len(payload)} bytes says that it has {position}"
            raise ValueError(msg)
        return cls(served_at, *(payload[end] for end in ends))


@dataclass(frozen=True)
class Frame:
    """A frame found in a segment: where it ends, its sequence, its entity rows, its payload (None: damaged)."""

    end: int
    sequence: int
    rows: int
    payload: bytes | None


def framed_size(payload_size: int) -> int:
    """Give the bytes that a payload takes in a segment."""
    return -(-(FRAME.size + payload_size) // ALIGNMENT) * ALIGNMENT


def checksum(sequence: int, rows: int, payload: bytes) -> int:
    """Give the CRC32C of what a frame carries."""
    return int(google_crc32c.extend(google_crc32c.value(_COVERED.pack(sequence, rows)), payload))


def write_frame(segment: mmap, position: int, sequence: int, rows: int, payload: bytes) -> None:
    """Put a frame at `position`, its length last."""
    start = position + FRAME.size
    segment[start : start + len(payload)] = payload
    crc = checksum(sequence, rows, payload)
    FRAME.pack_into(segment, position, 0, crc, sequence, rows, 0)
    struct.pack_into("<I", segment, position, len(payload))


def read_frame(segment: bytes | mmap, position: int) -> Frame | None:
    """Read the frame at `position`; None where there is none yet, or where the segment ends."""
    if position + FRAME.size > len(segment):
        return None
    length, crc, sequence, rows, _ = FRAME.unpack_from(segment, position)
    if length == 0:
        return None
    end = position + framed_size(length)
    if end > len(segment):
        return Frame(len(segment), sequence, rows, None)
    payload = bytes(segment[position + FRAME.size : position + FRAME.size + length])
    intact = checksum(sequence, rows, payload) == crc
    return Frame(end, sequence, rows, payload if intact else None)
