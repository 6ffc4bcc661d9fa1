"""Files that hold served values: made for their owner alone, whatever the umask, and durable where they must be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

OWNER, GROUP = 0o600, 0o640


def make_private(path: Path, mode: int = OWNER) -> None:
    """Make an empty file with `mode` where there is none; one that is there keeps its own. OSError if it cannot be."""
    try:
        made = os.open(os.path.realpath(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER)
    except FileExistsError:
        return
    try:
        os.fchmod(made, mode)  # the umask may have taken the group's right away
    finally:
        os.close(made)


def sync_folder(folder: Path) -> None:
    """Make what was renamed or deleted in a folder durable; where a file system cannot, it is left to that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
