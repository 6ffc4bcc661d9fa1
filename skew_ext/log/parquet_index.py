"""The index of a day's files: what each says of itself, so that a reading opens only those that it needs.

It is a cache, and never trusted over the files: an entry holds only for the file of that name with the same size, times
and inode, and a file without one is opened and asked. So an index that is missing, cut off or damaged makes a reading
slower, and no row comes later or goes missing for it. Every writer of the log has an index of its own in each day's
folder, so that none waits for another; entries are put behind one another, and the last one of a name holds.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from skew_ext.log.parquet_files import About, Access, Group, LogFile, Stamp, opened_new
from skew_ext.log.request_filter import may_hold

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PREFIX = ".skew-index-"
_MAGIC = b"SKX1"
_HEAD = struct.Struct("<4sIHIIqqqQqqIq3q")
"""Magic; checksum of the entry without its filter; lengths of name, description and filter; the file's size, times and
inode; first and last serving time; checksum of the filter; rows, and the times of the latest of them."""
_CHECKED = 8
_UNKNOWN = -(1 << 63)
_MOST_BYTES = 1 << 30


class Entry(NamedTuple):
    """A file's entry, its description not yet read."""

    stamp: Stamp
    first: int | None
    last: int | None
    description: memoryview
    request_filter: memoryview
    filter_check: int
    rows: int
    latest: tuple[int | None, ...]
    whole: memoryview


@dataclass(frozen=True)
class DayIndex:
    """What the indexes of a day's folder say, by the files' names."""

    folder: str
    entries: dict[str, Entry]

    @classmethod
    def load(cls, folder: Path | str, names: Iterable[str] | None = None) -> DayIndex:
        """Read the indexes of a folder: all, or those of these file names."""
        entries: dict[str, Entry] = {}
        for name in sorted(_index_names(folder) if names is None else names):
            entries.update(_entries(os.path.join(folder, name)))  # noqa: PTH118 - a path is slow to make
        return cls(str(folder), entries)

    def get(self, name: str, stamp: Stamp | None) -> Entry | None:
        """Return the entry of a file as it is now."""
        entry = self.entries.get(name)
        return entry if entry is not None and entry.stamp == stamp else None

    def file(self, name: str, entry: Entry) -> LogFile | None:
        """Return a file's description; None where the entry has none that can be read."""
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            told = json.loads(bytes(entry.description))
            ids = told["ids"]
            return LogFile(
                f"{self.folder}/{name}",
                About.decoded(told["about"].encode()),
                tuple(Group(*group) for group in told["groups"]),
                str(told["shape"]),
                None if ids is None else (str(ids[0]), str(ids[1])),
                tuple(map(str, told["replaces"])),
            )
        return None


def may_have(entry: Entry, key: int) -> bool:
    """Say whether the file of an entry may have rows of the request with this hash."""
    content = entry.request_filter
    return not len(content) or zlib.crc32(content) != entry.filter_check or may_hold(content, key)


def encoded(file: LogFile, stamp: Stamp, request_filter: bytes) -> bytes:
    """Return the entry of a file; an empty filter is none."""
    described = {
        "about": file.about.encoded().decode(),
        "groups": file.groups,
        "shape": file.shape,
        "ids": file.ids,
        "replaces": file.replaces,
    }
    name, description = file.name.encode(), json.dumps(described, separators=(",", ":")).encode()
    first, last, *latest = (
        _UNKNOWN if moment is None else moment for moment in (file.first, file.last, *file.about.latest)
    )
    lengths = len(name), len(description), len(request_filter)
    head = _HEAD.pack(_MAGIC, 0, *lengths, *stamp, first, last, zlib.crc32(request_filter), file.rows, *latest)
    checked = zlib.crc32(head[_CHECKED:] + name + description)
    return head[:4] + checked.to_bytes(4, "little") + head[_CHECKED:] + name + description + request_filter


def index_name(owner: str) -> str:
    """Return the name of a writer's index in a day's folder."""
    return f"{PREFIX}{owner}"


def append(folder: Path, owner: str, entries: Iterable[bytes], access: Access) -> None:
    """Put entries into a writer's index; where that cannot be done, readings are slower and nothing else."""
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(folder / index_name(owner), flags, access.file)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.fchmod(descriptor, access.file)
            os.write(descriptor, b"".join(entries))
        finally:
            os.close(descriptor)


def rewrite(folder: Path, owner: str, entries: Iterable[bytes], access: Access) -> None:
    """Put an index of these entries in the place of a writer's."""
    with suppress(OSError):
        temporary = folder / f".{index_name(owner)}.tmp"
        with opened_new(temporary, access) as file:
            for entry in entries:
                file.write(entry)
        temporary.replace(folder / index_name(owner))


def index_size(folder: Path, owner: str) -> int:
    """Return the bytes of a writer's index."""
    with suppress(OSError):
        return (folder / index_name(owner)).lstat().st_size
    return 0


def _index_names(folder: Path | str) -> list[str]:
    with suppress(OSError), os.scandir(folder) as found:
        return [each.name for each in found if each.name.startswith(PREFIX)]
    return []


def _entries(path: str) -> dict[str, Entry]:
    content = memoryview(_content(path))
    found: dict[str, Entry] = {}
    at, size, head = 0, len(content), _HEAD.size
    while at + head <= size:
        magic, check, named, described, filtered, length, modified, changed, inode, *told = _HEAD.unpack_from(
            content, at
        )
        described_at = at + head + named
        filter_at = described_at + described
        end = filter_at + filtered
        if magic != _MAGIC or end > size or zlib.crc32(content[at + _CHECKED : filter_at]) != check:
            break  # what a kill cut off, or damage; files of later entries are opened and asked
        name = bytes(content[at + head : described_at]).decode(errors="replace")
        first, last, filter_check, rows, *latest = told
        found[name] = Entry(
            Stamp(length, modified, changed, inode),
            None if first == _UNKNOWN else first,
            None if last == _UNKNOWN else last,
            content[described_at:filter_at],
            content[filter_at:end],
            filter_check,
            rows,
            tuple(None if moment == _UNKNOWN else moment for moment in latest),
            content[at:end],
        )
        at = end
    return found


def _content(path: str) -> bytes:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES:
                with open(descriptor, "rb", closefd=False) as file:
                    return file.read()
        finally:
            os.close(descriptor)
    return b""
