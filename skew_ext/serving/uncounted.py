"""Rows that were lost while no writer was there to count them: a disk that is full at the start, a spool that is gone.

They are kept in memory until a writer counts them. Where there is a spool they go meanwhile into its file `losses`,
which was allocated when the spool was made and so takes a count also on a full disk: `skew log stats` and the metrics
tell them at once. What could be told nowhere is warned of when the process ends.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import struct
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from skew_ext.errors import SpoolError
from skew_ext.serving.counters import DROP_REASONS
from skew_ext.serving.files import open_regular, read_regular
from skew_ext.serving.forks import current_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from skew_ext.serving.spool import SpoolDirectory

logger = logging.getLogger("skew_ext")
SIZE = 512
"""Bytes of the file `losses`: room for as many reasons as there may ever be."""
_MAGIC = b"SKEWLOSS"
_SLOT = struct.Struct("<Q")


class Uncounted:
    """The uncounted rows of one spool in this process.

    Nothing here is locked: each step is one that a fork, a signal or another thread leaves whole.
    """

    def __init__(self, spool: SpoolDirectory) -> None:
        self._spool = spool
        self._process = (0, 0)
        self._rows: deque[tuple[str, int]] = deque()
        self._project = ""
        self._make_spool: Callable[[], object] | None = None

    def add(self, reason: str, rows: int) -> None:
        """Add rows that were lost for a reason."""
        if not rows:
            return
        if self._process != current_process():
            self._process = current_process()
            atexit.register(self.settle)
        self._rows.append((reason, rows))

    def can_be_settled(self, project: str, make_spool: Callable[[], object]) -> None:
        """Note whose rows they are, and how the spool is made anew where it is gone."""
        self._project, self._make_spool = project, make_spool

    def take(self) -> dict[str, int]:
        """Return the rows by reason, and forget them: the caller counts them."""
        taken: Counter[str] = Counter()
        while self._rows:
            try:
                reason, rows = self._rows.popleft()
            except IndexError:  # another thread was quicker
                break
            taken[reason] += rows
        return dict(taken)

    def forget(self) -> None:
        """Forget all, in a forked child: they are the parent's to count."""
        self._rows.clear()

    def save(self, project: str) -> None:
        """Write the rows into the spool's own count, where there is a spool of this project; else keep them."""
        if not self._rows:
            return
        taken = self.take()
        try:
            self._spool.check(project)
            add_losses(self._spool.losses, taken)
        except (OSError, SpoolError):
            self._rows.extend(taken.items())

    def settle(self) -> None:
        """Count what is left, at the process's end: in a spool that is made anew if need be; warn of what cannot be."""
        if self._process != current_process() or not self._rows:
            return
        if self._make_spool is not None:
            with suppress(OSError, SpoolError):
                self._make_spool()
            self.save(self._project)
        rows = sum(rows for _, rows in self._rows)
        if rows:
            logger.warning(
                "skew_ext: %d rows were served and could be neither logged nor counted in the spool %s",
                rows,
                self._spool.path,
            )


def make_losses(path: Path) -> None:
    """Make the file that counts losses, if it is not there; OSError if the disk is full."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return
    try:
        os.posix_fallocate(descriptor, 0, SIZE)
        os.pwrite(descriptor, _MAGIC, 0)
    finally:
        os.close(descriptor)


def add_losses(path: Path, losses: Mapping[str, int]) -> None:
    """Add rows to a spool's count of losses; OSError if the file cannot be had."""
    descriptor = open_regular(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held by others for as long as this takes
        data = os.pread(descriptor, SIZE, 0).ljust(SIZE, b"\0")
        for reason, rows in losses.items():
            place = _place(reason)
            (before,) = _SLOT.unpack_from(data, place)
            os.pwrite(descriptor, _SLOT.pack(before + rows), place)
    finally:
        os.close(descriptor)


def read_losses(path: Path) -> dict[str, int]:
    """Return a spool's count of losses by reason; none where there is no such file."""
    try:
        data = read_regular(path, SIZE)
    except OSError:
        return {}
    if len(data) != SIZE or not data.startswith(_MAGIC):
        return {}
    counts = {reason: int(_SLOT.unpack_from(data, _place(reason))[0]) for reason in DROP_REASONS}
    return {reason: rows for reason, rows in counts.items() if rows}


def _place(reason: str) -> int:
    return len(_MAGIC) + DROP_REASONS.index(reason) * _SLOT.size
