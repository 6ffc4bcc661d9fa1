"""Segment files: their names, their header, and the mapping of one that other hands may have damaged.

The header, of 64 bytes: magic, whether it is sealed, the key of its frames, its number, its size, and its writer. So a
file that was copied, renamed or moved between writers is known for what it is. The key stands in each frame too: what
looks like a frame inside of a served value, in a damaged segment, has not the key and is not taken for one. A header of
an earlier version has zeros from the key on, and its frames have zero for a key.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
import struct
from typing import TYPE_CHECKING, NamedTuple

from skew_ext.serving.files import open_regular
from skew_ext.serving.record import read_frame

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT_MAGIC = b"SKEWSEG1"
SEGMENT_HEADER = 64
"""Bytes before the first frame."""
SEALED_AT = 8
"""The byte of the header that the writer sets when it will append no more."""
SEGMENT_SUFFIX = ".seg"
_HEADER = struct.Struct("<8sB7xIIQ16s")
_NAME = re.compile(r"[0-9]{8,12}\.seg", re.ASCII)


class SegmentHeader(NamedTuple):
    """What a segment says of itself; zeros where an earlier version wrote it."""

    sealed: bool
    key: int
    number: int
    size: int
    writer: bytes


def segment_name(number: int) -> str:
    """Return the name of a writer's segment of this number."""
    return f"{number:08d}{SEGMENT_SUFFIX}"


def segment_number(path: Path) -> int:
    """Return the number that a segment's name carries."""
    return int(path.stem)


def segments(folder: Path) -> list[Path]:
    """Return a writer's segments, oldest first: regular files of the right name, and nothing else."""
    try:
        with os.scandir(folder) as entries:
            names = [one.name for one in entries if _NAME.fullmatch(one.name) and one.is_file(follow_symlinks=False)]
    except OSError:  # the shipper has deleted it, all of it being stored
        return []
    return sorted((folder / name for name in names), key=segment_number)


def write_header(segment: mmap.mmap, number: int, writer: str) -> int:
    """Write the header of a new segment, and return the key of its frames."""
    key = secrets.randbits(32) | 1  # never 0, which stands for none
    segment[: _HEADER.size] = _HEADER.pack(SEGMENT_MAGIC, 0, key, number, len(segment), _writer_bytes(writer))
    return key


def read_header(segment: mmap.mmap | bytes) -> SegmentHeader | None:
    """Return a segment's header; None where it is none, or damaged."""
    if len(segment) < SEGMENT_HEADER:
        return None
    magic, sealed, key, number, size, writer = _HEADER.unpack_from(segment)
    return SegmentHeader(sealed == 1, key, number, size, writer) if magic == SEGMENT_MAGIC else None


def frame_key(segment: mmap.mmap, header: SegmentHeader | None) -> int | None:
    """Return the key of a segment's frames; from its first frame where the header is damaged; None if there is none."""
    if header is not None:
        return header.key
    if len(segment) < SEGMENT_HEADER:
        return None
    first = read_frame(segment, SEGMENT_HEADER, None)
    return first.key if first is not None and first.payload is not None else None


def belongs(header: SegmentHeader | None, path: Path) -> bool:
    """Return whether a segment is the one that its place and name say; an earlier version's says nothing else."""
    if header is None or not header.key:
        return True
    return header.number == segment_number(path) and header.writer == _writer_bytes(path.parent.name)


def mapped(path: Path) -> mmap.mmap:
    """Return a segment, mapped for reading.

    Raises
    ------
    FileNotFoundError
        It is gone.
    ValueError
        It is empty.
    OSError
        It is no regular file, or cannot be read.
    """
    descriptor = open_regular(path)
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _writer_bytes(writer: str) -> bytes:
    try:
        return bytes.fromhex(writer)[:16].ljust(16, b"\0")
    except ValueError:
        return bytes(16)
