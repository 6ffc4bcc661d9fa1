"""The writing end of the spool: one per process, used from any of its threads."""

from __future__ import annotations

import atexit
import mmap
import os
import threading
from pathlib import Path

from skew_ext.serving.context import new_request_id
from skew_ext.serving.counters import Counters
from skew_ext.serving.record import framed_size, write_frame
from skew_ext.serving.spool import (
    SEALED_AT,
    SEGMENT_HEADER,
    SEGMENT_MAGIC,
    SEGMENT_SUFFIX,
    FileLock,
    SpoolDirectory,
    segments,
)


class SpoolWriter:
    """Appends records to this process's segments.

    `append` copies the record into mapped memory under a lock that is held for that copy only, and once per segment
    for making the next file. It never raises: what cannot be kept is counted under its reason.
    """

    def __init__(self, spool: SpoolDirectory, segment_bytes: int, max_bytes: int) -> None:
        self.identity = new_request_id().replace("-", "")
        self.process = os.getpid()
        self._segment_bytes = segment_bytes
        self._max_segments = max(1, max_bytes // segment_bytes)
        self._folder = spool.writers / self.identity
        # Made aside and locked before it gets its name: a folder that the shipper sees unlocked is a dead writer's.
        aside = spool.writers / f".{self.identity}"
        aside.mkdir(mode=0o700)
        self._alive = FileLock(aside / "lock")
        self._alive.acquire()
        self._counters = Counters(aside / "state")
        aside.rename(self._folder)
        self._lock = threading.Lock()
        self._segment: mmap.mmap | None = None
        self._number = 0
        self._position = 0
        self._sequence = 0
        self._closed = False
        atexit.register(self.close)

    def append(self, payload: bytes, rows: int) -> bool:
        """Append one record of `rows` entity rows; say whether it was kept."""
        size = framed_size(len(payload))
        with self._lock:
            self._counters.add("accepted", rows)
            sequence = self._sequence
            self._sequence += 1
            reason = self._make_room(size)
            if reason is not None:
                self._counters.add(reason, rows)
                return False
            assert self._segment is not None  # noqa: S101 - _make_room gave one
            write_frame(self._segment, self._position, sequence, rows, payload)
            self._position += size
            self._counters.add("appended", rows)
        return True

    def drop(self, reason: str, rows: int) -> None:
        """Count rows that were accepted and could not even be encoded."""
        with self._lock:
            if not self._closed:
                self._counters.add("accepted", rows)
                self._counters.add(reason, rows)

    def close(self) -> None:
        """Seal the segment and let go of the spool; later appends are dropped as closed."""
        with self._lock:
            if self._closed or self.process != os.getpid():
                return
            self._seal()
            self._closed = True
            self._alive.release()

    def abandon(self) -> None:
        """In a forked child: forget the parent's segments without touching them."""
        self._closed = True
        self._alive.release()  # the parent's own descriptor keeps its lock; this one would outlive the parent
        atexit.unregister(self.close)

    def _make_room(self, size: int) -> str | None:
        if self._closed:
            return "closed"
        if size + SEGMENT_HEADER > self._segment_bytes:
            return "too_large"
        if self._segment is not None and self._position + size <= self._segment_bytes:
            return None
        try:
            return self._next_segment()
        except OSError:
            return "spool_unavailable"

    def _next_segment(self) -> str | None:
        if len(segments(self._folder)) >= self._max_segments:
            return "spool_full"
        path = self._folder / f"{self._number + 1:08d}{SEGMENT_SUFFIX}"
        fresh = _preallocate(path, self._segment_bytes)
        self._seal()
        self._segment, self._number, self._position = fresh, self._number + 1, SEGMENT_HEADER
        return None

    def _seal(self) -> None:
        if self._segment is not None:
            self._segment[SEALED_AT] = 1
            self._segment.close()
            self._segment = None


def _preallocate(path: Path, size: int) -> mmap.mmap:
    # Blocks are allocated now: a full disk is an error here, not a SIGBUS at some later store into the mapping.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        mapped = mmap.mmap(descriptor, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    mapped[: len(SEGMENT_MAGIC)] = SEGMENT_MAGIC
    return mapped


_writers: dict[Path, SpoolWriter] = {}
_writers_lock = threading.Lock()


def writer_for(spool: SpoolDirectory, segment_bytes: int, max_bytes: int) -> SpoolWriter:
    """Give this process's writer to a spool: one for all stores that log there; a new one after a fork."""
    writer = _writers.get(spool.path)
    if writer is not None and writer.process == os.getpid():
        return writer
    with _writers_lock:
        writer = _writers.get(spool.path)
        if writer is None or writer.process != os.getpid():
            writer = _writers[spool.path] = SpoolWriter(spool, segment_bytes, max_bytes)
    return writer


def _forget_after_fork() -> None:
    global _writers_lock  # noqa: PLW0603 - a lock that another thread held at the fork would stay locked here
    _writers_lock = threading.Lock()
    for writer in _writers.values():
        writer.abandon()
    _writers.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
