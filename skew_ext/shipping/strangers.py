"""What lies in a spool and is not ours: copies made by hand, links, pipes, files of other names."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from skew_ext.serving.segment_file import belongs, frame_key, mapped, read_header, segments
from skew_ext.serving.spool import is_writer_name

if TYPE_CHECKING:
    from pathlib import Path

    from skew_ext.serving.spool import SpoolDirectory

_FILES = ("lock", "state")
MOST = 1000
"""How many are named: a folder of a million strange files is one fault."""


def strangers(spool: SpoolDirectory) -> list[str]:
    """Return the paths, from the spool's folder on, of what is among the writers and is not theirs; at most `MOST`."""
    found: list[str] = []
    for path in _entries(spool.writers):
        if path.name.startswith("."):
            continue  # being made, or left by a process that died making it
        if not is_writer_name(path.name) or not stat.S_ISDIR(_mode(path)):
            found.append(f"writers/{path.name}")
            continue
        ours = {one.name for one in segments(path) if is_ours(one)}
        ours |= {name for name in _FILES if stat.S_ISREG(_mode(path / name))}
        found += [f"writers/{path.name}/{one.name}" for one in _entries(path) if one.name not in ours]
        if len(found) >= MOST:
            break
    return found[:MOST]


def is_ours(segment: Path) -> bool:
    """Return whether a segment is one that its writer made, here and under this name; one being made is too."""
    try:
        with mapped(segment) as data:
            header = read_header(data)
            if not belongs(header, segment):
                return False
            return frame_key(data, header) is not None or not any(data[:64])
    except FileNotFoundError:
        return False
    except ValueError:
        return True  # it is empty: of a writer that was killed while it made it
    except OSError:
        return False


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0
