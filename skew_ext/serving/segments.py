"""Segments of the spool, made ahead of need on a thread of their own, so that no lookup waits for a file."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skew_ext.serving.segment_file import SEALED_AT, segment_name, write_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from skew_ext.serving.spool import SpoolDirectory

PATIENCE_SECONDS = 0.2
"""The longest that a lookup waits for a segment that should be there, once; until one is made, later lookups drop."""
RETRY_SECONDS = 0.1
TEND_SECONDS = 1.0
"""How often the thread looks after what its writer has around it, when no segment is asked for."""
_GLANCE_SECONDS = 0.0005
_MADV_POPULATE_WRITE = 23  # Linux 5.14, from asm-generic/mman-common.h


@dataclass(eq=False)
class Segment:
    """A preallocated file, mapped."""

    path: Path
    map: mmap.mmap
    key: int
    """What stands in each of its frames."""

    def seal(self) -> None:
        """Say that nothing more will be appended, and let go of the mapping; harmless if that was said before."""
        if not self.map.closed:
            self.map[SEALED_AT] = 1
            self.close()

    def discard(self) -> None:
        """Delete a segment that was never used."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the mapping."""
        with contextlib.suppress(BufferError):  # its pages are being populated: it closes when that thread lets go
            self.map.close()

    def populate(self) -> None:
        """Fault all pages in for writing: some microseconds a page, which the lookup that meets it should not pay."""
        if sys.platform != "linux":
            return
        # mmap.madvise would hold the interpreter's lock all the while; a call through ctypes does not.
        libc = ctypes.CDLL(None)
        try:
            first = ctypes.c_char.from_buffer(self.map)
        except ValueError:
            return  # it is closed already
        # Where the kernel does not know it, the pages are faulted in one by one, as they are written.
        libc.madvise(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(self.map)), _MADV_POPULATE_WRITE)


def preallocated(folder: Path, number: int, size: int) -> Segment:
    """Make the file of a writer's segment and map it; OSError if the disk cannot take it."""
    path = folder / segment_name(number)
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
    return Segment(path, mapped, write_header(mapped, number, path.parent.name))


class SegmentSupply:
    """Keeps one segment ahead of a writer, within the bound of the whole spool.

    The thread is a daemon: it never keeps a process from ending. `tend` is called on it every second, and after each
    segment that was made or could not be. Nothing here is locked: each attribute is set in one step, `spare` to a
    segment by the thread alone and to None by the writer alone. A lock could be left held by a signal's handler that
    raises.
    """

    def __init__(
        self, spool: SpoolDirectory, folder: Path, size: int, max_bytes: int, tend: Callable[[], None]
    ) -> None:
        self._spool = spool
        self._folder = folder
        self._size = size
        self._most = max(1, max_bytes // size)
        self._tend = tend
        self._number = self._taken = 0
        # The first one is made here and now: a lookup is waiting for it, and a thread takes longer to begin.
        made = self._make()
        self.spare: Segment | None = made if isinstance(made, Segment) else None
        self._reason: str | None = made if isinstance(made, str) else None
        self._unpopulated = self.spare
        self._stopped = False
        self._retry_at = 0.0
        self._bell = threading.Lock()  # held, but for a moment when it is rung
        self._bell.acquire()
        self._started = threading.Lock()  # held from the start of the thread on
        self._start()

    def want(self) -> None:
        """Ask for a segment to be made, if none is there yet; returns at once."""
        self._start()
        with contextlib.suppress(RuntimeError):  # it rings already
            self._bell.release()

    def wait(self) -> str | None:
        """Wait a moment for a segment: None when it is worth to look again, else the reason for which there is none."""
        if self.spare is None and self._reason is None:
            taken, deadline = self._taken, time.monotonic() + PATIENCE_SECONDS
            self.want()
            # Another thread may be quicker and take it: there is room in it for this one too.
            while not self._is_settled() and self._taken == taken:
                if time.monotonic() > deadline:
                    self._reason = "spool_unavailable"  # the disk stalls: no second lookup waits for it
                time.sleep(_GLANCE_SECONDS)
        elif self.spare is None and time.monotonic() >= self._retry_at:
            self.want()
        return "closed" if self._stopped else self._reason if self.spare is None else None

    def taken(self, segment: Segment) -> None:
        """Note that the spare segment is in use; the writer's lock is held."""
        if self.spare is segment:
            self.spare, self._taken = None, self._taken + 1

    def stop(self) -> None:
        """Make no more segments, and delete the one that is ready; the writer takes no more."""
        self._stopped = True
        spare = self.spare
        if spare is not None:
            spare.discard()
        self.want()

    def _is_settled(self) -> bool:
        return self.spare is not None or self._reason is not None or self._stopped

    def _start(self) -> None:
        if self._stopped or not self._started.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._run, name="skew-ext-segments", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter is on its way out
            self._reason = "spool_unavailable"
            self._started.release()

    def _run(self) -> None:
        if self._unpopulated is not None:
            self._unpopulated.populate()
            self._unpopulated = None
        while not self._stopped:
            with contextlib.suppress(OSError):  # a disk that stalls or is full: looked at again in a second
                self._tend()
            if self._bell.acquire(timeout=TEND_SECONDS) and self.spare is None and not self._stopped:
                made = self._make()
                if isinstance(made, Segment):
                    made.populate()
                self._hand_over(made)

    def _hand_over(self, made: Segment | str) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if isinstance(made, str):
            self._reason = made
            return
        self.spare, self._reason = made, None
        if self._stopped:
            made.discard()

    def _make(self) -> Segment | str:
        try:
            if self._spool.count_segments() >= self._most:
                return "spool_full"
            self._number += 1
            return preallocated(self._folder, self._number, self._size)
        except OSError:
            return "spool_unavailable"
