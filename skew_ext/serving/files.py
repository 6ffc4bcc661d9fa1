"""Small files that other hands can reach: read without following a link or waiting, and written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from skew_ext.private_files import OWNER, sync_folder

LARGEST_BYTES = 256 << 20
"""The most that is read of a small file: what is larger was made by nobody here."""


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file of this user's, and return its descriptor.

    No link is followed, no pipe or device is waited for, and nothing is taken that another user put there: OSError
    (ELOOP, EINVAL or EPERM) in their place.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, OWNER)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if status.st_uid != os.geteuid():
        os.close(descriptor)
        raise OSError(errno.EPERM, "the file of another user", str(path))
    return descriptor


def read_regular(path: Path, most: int = LARGEST_BYTES) -> bytes:
    """Return the content of a regular file; OSError if it is none, or larger than `most` bytes."""
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content


def write_atomically(target: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write a small private file so that a reader sees the old content or the new, also when the process is killed.

    What is `durable` survives a power failure too, its rename included: that could else be undone, and what was written
    after it be kept.
    """
    # A name by chance: in containers on one volume every process may have the same number.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    data = content.encode() if isinstance(content, str) else content
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, OWNER)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):  # the disk was full: what was begun must not fill it further
            temporary.unlink()
        raise
    if durable:
        sync_folder(target.parent)


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return what tells a file from another that took its name."""
    return status.st_dev, status.st_ino


def identity_at(path: Path) -> Any:
    """Return the identity of the file that has this name now; None if there is none, or it cannot be asked."""
    try:
        return identity(path.lstat())
    except OSError:
        return None
