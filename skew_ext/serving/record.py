"""The bytes of one logged lookup: a frame in a segment, and the record inside it.

Frame (little endian, padded to 8 bytes): length u32, CRC32C u32, sequence u64, rows u32, key u32, payload.
The length and the CRC are written last: a frame whose length is zero is not there yet, and one whose CRC does not fit
is not there yet or damaged, so a reader never takes half of one, also when the writer is killed between two bytes. The
CRC covers what follows it: sequence, rows, key and payload. The key is the segment's, drawn by chance.

Record: served_at and logged_at i64 (microseconds since 1970, UTC), whether the request id was made here u32, the
lengths of five parts u32 each, and the parts: schema hash, request id, constants (JSON), Feast's
GetOnlineFeaturesRequest (request data), GetOnlineFeaturesResponse.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from google_crc32c import value as crc_of

if TYPE_CHECKING:
    from mmap import mmap

FRAME = struct.Struct("<IIQII")
_LENGTH = struct.Struct("<I")
_COVERED = struct.Struct("<QII")
_LAST = struct.Struct("<II")
_HEAD = struct.Struct("<qqIIIIII")
ALIGNMENT = 8


class Record(NamedTuple):
    """One lookup as it was served. Times are in microseconds since 1970, UTC.

    `own_id`: the request id was made for this lookup alone, so none but this one can have it by right.
    `logged_at`: when it came into the spool, which a replay's `served_at` does not say; 0 is unknown.
    """

    served_at: int
    schema: bytes
    request_id: bytes
    constants: bytes
    request: bytes
    response: bytes
    own_id: bool = False
    logged_at: int = 0

    def encode(self) -> bytes:
        """Give the record's bytes."""
        return encode_record(*self)

    @classmethod
    def decode(cls, payload: bytes) -> Record:
        """Read a record back; ValueError if the lengths do not add up."""
        if len(payload) < _HEAD.size:
            msg = f"a record of {len(payload)} bytes is shorter than its head"
            raise ValueError(msg)
        # Each length becomes the end of its part.
        served_at, logged_at, own_id, schema, request_id, constants, request, response = _HEAD.unpack_from(payload)
        schema += _HEAD.size
        request_id += schema
        constants += request_id
        request += constants
        response += request
        if response != len(payload):
            msg = f"a record of {len(payload)} bytes says that it has {response}"
            raise ValueError(msg)
        return cls(
            served_at,
            payload[_HEAD.size : schema],
            payload[schema:request_id],
            payload[request_id:constants],
            payload[constants:request],
            payload[request:],
            bool(own_id),
            logged_at,
        )


def encode_record(  # noqa: PLR0913 - one argument for each part, since the caller's thread pays for each indirection
    served_at: int,
    schema: bytes,
    request_id: bytes,
    constants: bytes,
    request: bytes,
    response: bytes,
    own_id: bool = False,  # noqa: FBT001, FBT002
    logged_at: int = 0,
) -> bytes:
    """Give the bytes of the `Record` of these parts."""
    lengths = len(schema), len(request_id), len(constants), len(request), len(response)
    head = _HEAD.pack(served_at, logged_at, own_id, *lengths)
    return b"".join((head, schema, request_id, constants, request, response))


class Frame(NamedTuple):
    """A frame found in a segment: where it ends, its sequence, entity rows and key, its payload (None: damaged)."""

    end: int
    sequence: int
    rows: int
    key: int
    payload: bytes | None


def framed_size(payload_size: int) -> int:
    """Give the bytes that a payload takes in a segment."""
    return (FRAME.size + payload_size + ALIGNMENT - 1) & -ALIGNMENT


def write_frame(  # noqa: PLR0913 - the caller's thread pays for each indirection
    segment: mmap, position: int, sequence: int, rows: int, payload: bytes, key: int = 0
) -> None:
    """Put a frame at `position`, its length and checksum last."""
    covered = _COVERED.pack(sequence, rows, key) + payload
    start = position + _LAST.size
    segment[start : start + len(covered)] = covered
    _LAST.pack_into(segment, position, len(payload), crc_of(covered))


def has_frame(segment: mmap, position: int) -> bool:
    """Say whether a whole frame stands at `position`."""
    return bool(_LENGTH.unpack_from(segment, position)[0])


def read_frame(segment: bytes | mmap, position: int, key: int | None = 0) -> Frame | None:
    """Return the frame at `position`; None where there is none yet, or where the segment ends.

    One of another key than `key` is damaged; None takes any.
    """
    if position + FRAME.size > len(segment):
        return None
    length, crc, sequence, rows, found = FRAME.unpack_from(segment, position)
    if length == 0:
        return None
    end = position + ((FRAME.size + length + ALIGNMENT - 1) & -ALIGNMENT)
    if end > len(segment) or (found != key and key is not None):
        return Frame(len(segment), sequence, rows, found, None)
    covered = segment[position + _LAST.size : position + FRAME.size + length]
    return Frame(end, sequence, rows, found, covered[_COVERED.size :] if crc_of(covered) == crc else None)
