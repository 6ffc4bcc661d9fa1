"""The writing end of the spool: one per process, used from any of its threads."""

from __future__ import annotations

import atexit
import os
import shutil
import threading
from pathlib import Path
from typing import Any

from skew_ext.serving.context import new_request_id
from skew_ext.serving.counters import ACCEPTED, APPENDED, DROP_REASONS, PLACES, Counters
from skew_ext.serving.file_lock import FileLock
from skew_ext.serving.files import identity_at
from skew_ext.serving.launcher import ShipperLauncher
from skew_ext.serving.losses import Losses
from skew_ext.serving.record import framed_size, has_frame, write_frame
from skew_ext.serving.segment_file import SEGMENT_HEADER
from skew_ext.serving.segments import Segment, SegmentSupply
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.uncounted import Uncounted

CLOSING_SECONDS = 1.0
"""The longest that the end of a process waits for an append."""


class SpoolWriter:
    """Appends records to this process's segments.

    `append` copies the record into mapped memory under a lock that is held for that copy only: files are made by
    another thread. What cannot be kept is counted under its reason.

    `left` is set once the writer is of no more use, since the process was forked or its folder is gone: what asks for a
    writer then has to open another one.

    A signal's handler may raise at any call in here. So each step leaves a state that the next lookup can go on from:
    assignments that belong together are one statement, and what may have been missed is done again.

    Raises
    ------
    OSError
        The spool cannot take another writer. Nothing of it is left.
    """

    def __init__(
        self,
        spool: SpoolDirectory,
        segment_bytes: int,
        max_bytes: int,
        *,
        start_shipper: bool = False,
        uncounted: Uncounted | None = None,
    ) -> None:
        self.identity = new_request_id().replace("-", "")
        self.process = os.getpid()
        self.left = False
        self.schemas: dict[str, str] = {}
        """The schemas of what was appended: they are kept in the spool for as long as the writer lives."""
        self._spool = spool
        self._segment_bytes = segment_bytes
        self._folder = spool.writers / self.identity
        self._alive, self._counters = _registered(spool, self._folder)
        self._counts = self._counters.slots
        self._place = identity_at(self._folder)
        self._launcher = ShipperLauncher(spool) if start_shipper else None
        self._losses = Losses(str(spool.path))
        self._uncounted = uncounted or Uncounted(spool)
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._filled: Segment | None = None  # the one before
        self._map: Any = None  # the segment's
        self._key = 0  # the segment's
        self._position = 0
        self._limit = 0  # where the next append has to stop and see to a segment
        self._sequence = 0
        self._closed = False
        # Last: its thread calls `_tend`, which needs the rest.
        self._supply = SegmentSupply(spool, self._folder, segment_bytes, max_bytes, self._tend)
        atexit.register(self.close)

    def append(self, payload: bytes, rows: int) -> bool:
        """Append one record of `rows` entity rows; say whether it was kept."""
        size = framed_size(len(payload))
        while True:
            with self._lock:
                position = self._position
                if position + size <= self._limit:
                    accepted, appended = self._counts[ACCEPTED] + rows, self._counts[APPENDED] + rows
                    try:
                        self._counts[ACCEPTED] = accepted
                        write_frame(self._map, position, self._sequence, rows, payload, self._key)
                        self._position = position + size
                        self._counts[APPENDED] = appended
                    except BaseException:
                        self._settle(position, size, rows, accepted, appended)
                        raise
                    self._sequence += 1
                    break
            if not self._has_way(size, rows):
                return False
        if self._losses:
            self._losses.kept()
        return True

    def keep_schema(self, schema_hash: str, text: str) -> None:
        """Keep a schema in the spool, before the first record that needs it; OSError if it cannot be written."""
        self._spool.put_schema(schema_hash, text)
        self.schemas[schema_hash] = text

    def drop(self, reason: str, rows: int, detail: str = "") -> None:
        """Count rows as accepted and as dropped for this reason, and warn if they are the first."""
        self.count_dropped(reason, rows)
        self._losses.lost(reason, rows, detail)

    def count_dropped(self, reason: str, rows: int) -> None:
        """Count rows as accepted and as dropped for this reason."""
        place = PLACES[reason]
        with self._lock:
            if self.left:  # these counts are nobody's any more
                self._uncounted.add(reason, rows)
                return
            self._sequence += 1
            self._counts[ACCEPTED], self._counts[place] = self._counts[ACCEPTED] + rows, self._counts[place] + rows

    def close(self) -> None:
        """Seal the segment and let go of the spool; later appends are dropped as closed."""
        if self.process == os.getpid() and self._is_gone():
            self._leave()
            self._uncounted.settle()
            return
        if self._closed or self.process != os.getpid() or not self._lock.acquire(timeout=CLOSING_SECONDS):
            return  # who holds the lock is not done with it, and to the shipper the process's end is as good
        try:
            self._closed = True
            self._limit = 0
            for segment in (self._filled, self._segment):
                if segment is not None:
                    segment.seal()
                    self._supply.taken(segment)
        finally:
            self._lock.release()
        self._supply.stop()
        self._alive.release()
        if self._launcher is not None:
            self._launcher.last_call()

    def abandon(self) -> None:
        """In a forked child: forget the parent's segments without touching them."""
        self.left = self._closed = True
        self._limit = 0
        self._alive.release()  # the parent's own descriptor keeps its lock; this one would outlive the parent
        atexit.unregister(self.close)

    def _tend(self) -> None:
        """See that the folder and the schemas are still there, and a shipper at work; called every second."""
        if self._is_gone():
            self._leave()
            return
        if not self._closed and not self._alive.is_in_place():
            # The lock's file alone is gone: without it, the shipper would take this process for dead.
            self._alive.release()
            self._alive.acquire()
        for schema_hash, text in list(self.schemas.items()):
            if not self._spool.has_schema(schema_hash):
                self._spool.put_schema(schema_hash, text)
        if self._launcher is not None:
            self._launcher()

    def _is_gone(self) -> bool:
        """Return whether the folder was deleted under this process."""
        return not self._closed and identity_at(self._folder) != self._place

    def _leave(self) -> None:
        """Let go of a folder that was deleted under this process, and note what was lost with it."""
        if not self._lock.acquire(timeout=CLOSING_SECONDS):
            return
        try:
            if self._closed:
                return
            counted, shipped = self._counters.read(), self._counters.shipped().rows
            dropped = {reason: counted[reason] for reason in DROP_REASONS}
            lost = max(0, counted["accepted"] - sum(dropped.values()) - shipped)
            self.left = self._closed = True
            self._limit = 0
            for reason, rows in {**dropped, "spool_deleted": dropped["spool_deleted"] + lost}.items():
                self._uncounted.add(reason, rows)
        finally:
            self._lock.release()
        self._losses.lost("spool_deleted", lost, f"the spool was deleted under this process, and {lost} rows with it")
        self._supply.stop()
        self._alive.release()

    def _settle(self, position: int, size: int, rows: int, accepted: int, appended: int) -> None:
        """Put the books right after an append that was broken off.

        What the shipper can see is appended, else it is dropped.
        """
        self._sequence += 1
        self._counts[ACCEPTED] = accepted
        if has_frame(self._map, position):
            self._position, self._counts[APPENDED] = position + size, appended
        else:
            self._position, self._counts[APPENDED] = position, appended - rows
            self._counts[PLACES["interrupted"]] += rows

    def _has_way(self, size: int, rows: int) -> bool:
        """See to it that a record fits, which may take the next segment; False if it is dropped, and counted."""
        with self._lock:
            if not self._closed and self._make_room(size):
                return True
        reason = self._reason_not_to_keep(size)
        if reason is None:
            return True
        self.drop(reason, rows)
        return False

    def _make_room(self, size: int) -> bool:
        """Go on to where `size` more bytes fit, if that is ready; the lock is held."""
        if self._filled is not None:
            self._filled.seal()
        if self._segment is not None:
            self._supply.taken(self._segment)
            if self._position + size <= self._segment_bytes:
                self._supply.want()
                self._limit = self._segment_bytes
                return True
        fresh = self._supply.spare
        if fresh is None or size + SEGMENT_HEADER > self._segment_bytes:
            return False
        # The next segment is asked for when this one is half full.
        mapped, half = fresh.map, self._segment_bytes // 2
        self._filled, self._segment, self._map, self._key = self._segment, fresh, mapped, fresh.key
        self._position, self._limit = SEGMENT_HEADER, half
        self._supply.taken(fresh)
        if self._filled is not None:
            self._filled.seal()
        return True

    def _reason_not_to_keep(self, size: int) -> str | None:
        if self._closed:
            return "closed"
        if size + SEGMENT_HEADER > self._segment_bytes:
            return "too_large"
        return self._supply.wait()


def _registered(spool: SpoolDirectory, folder: Path) -> tuple[FileLock, Counters]:
    """Make a writer's folder, locked and with its counters; OSError if it cannot be, and then nothing is left of it."""
    # Made aside and locked before it gets its name: a folder that the shipper sees unlocked is a dead writer's.
    aside = spool.aside(folder.name)
    lock = FileLock(aside / "lock")
    try:
        aside.mkdir(mode=0o700)
        lock.acquire()
        counters = Counters(aside / "state")
        aside.rename(folder)
    except BaseException:
        lock.release()
        shutil.rmtree(aside, ignore_errors=True)
        raise
    lock.moved(folder / "lock")
    return lock, counters


_writers: dict[Path, SpoolWriter] = {}
_uncounted: dict[Path, Uncounted] = {}
_writers_lock = threading.Lock()


def uncounted_of(spool: SpoolDirectory) -> Uncounted:
    """Return what this process has lost of a spool's rows while it had no writer to it."""
    return _uncounted.setdefault(spool.path, Uncounted(spool))


def writer_for(
    spool: SpoolDirectory, segment_bytes: int, max_bytes: int, *, start_shipper: bool = False
) -> SpoolWriter:
    """Give this process's writer to a spool: one for all stores that log there; a new one after a fork.

    `max_bytes` bounds the whole spool. With `start_shipper`, a shipper is kept at work as long as the process lives.

    Raises
    ------
    OSError
        The spool's folder cannot take a writer.
    """
    writer = _writers.get(spool.path)
    if writer is not None and not writer.left:
        return writer
    with _writers_lock:
        writer = _writers.get(spool.path)
        if writer is None or writer.left:
            writer = _writers[spool.path] = SpoolWriter(
                spool, segment_bytes, max_bytes, start_shipper=start_shipper, uncounted=uncounted_of(spool)
            )
    return writer


def _forget_after_fork() -> None:
    global _writers_lock  # noqa: PLW0603 - a lock that another thread held at the fork would stay locked here
    _writers_lock = threading.Lock()
    for writer in _writers.values():
        writer.abandon()
    _writers.clear()
    for uncounted in _uncounted.values():
        uncounted.forget()


os.register_at_fork(after_in_child=_forget_after_fork)
