"""Files that hold served values: made for their owner alone, whatever the umask."""

from __future__ import annotations

import os
from pathlib import Path

OWNER, GROUP = 0o600, 0o640


def make_private(path: Path, mode: int = OWNER) -> None:
    """Make an empty file with `mode` where there is none; one that is there keeps its own. OSError if it cannot be."""
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER)
    except FileExistsError:
        return
    try:
        os.fchmod(made, mode)  # the umask may have taken the group's right away
    finally:
        os.close(made)
