"""Locks that the kernel releases when their holder dies."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from skew_ext.serving.files import identity, identity_at, open_regular

if TYPE_CHECKING:
    from pathlib import Path


class FileLock:
    """An flock on a file: released by the kernel when its holder dies, however it dies.

    A holder can hand it to a child: `inherited` is the descriptor that the child got it as.
    """

    def __init__(self, path: Path, inherited: int | None = None) -> None:
        self._path = path
        self._descriptor = inherited

    @property
    def descriptor(self) -> int:
        """The descriptor that holds the lock; -1 where it is not held."""
        return -1 if self._descriptor is None else self._descriptor

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether it is held now."""
        if self._descriptor is not None:
            return True
        descriptor = open_regular(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def moved(self, path: Path) -> None:
        """Note that the file has another name now."""
        self._path = path

    def is_in_place(self) -> bool:
        """Return whether the file that is held is still the one of that name: else it guards nothing any more."""
        return self._descriptor is not None and identity(os.fstat(self._descriptor)) == identity_at(self._path)

    def release(self) -> None:
        """Give the lock back; harmless if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock file at `path`; what is no file is held by nobody."""
    try:
        descriptor = open_regular(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
