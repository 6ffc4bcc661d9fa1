"""How often a transform ran, or was refused, that is not the registered one: counted where `skew log stats` sees it.

Each process has one small file for each view that differs, in the spool's folder, and counts in it through memory: a
kill -9 loses nothing, and a process whose transforms are the registered ones has no file and does no work.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from skew_ext.serving.files import read_regular
from skew_ext.serving.forks import current_process

FOLDER: Final = "mismatches"
"""The name of the folder, in a spool's."""
_COUNT: Final = struct.Struct("=Q")


class _Tally:
    """The count of one view in one process; it goes to its file from when the spool is there."""

    def __init__(self, view: str) -> None:
        self._view = view
        self._next = count(1)
        self._map: mmap.mmap | None = None
        self.total = 0

    def add(self, spool: Path) -> None:
        """Count one. No lock, which another thread could hold at a fork: `next` is atomic."""
        self.total = number = next(self._next)
        if self._map is None and (spool / "spool.json").exists():
            self._map = self._opened(spool / FOLDER)
        if self._map is not None:
            _COUNT.pack_into(self._map, 0, number)

    def _opened(self, folder: Path) -> mmap.mmap:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, _COUNT.pack(self.total) + self._view.encode("utf-8", "backslashreplace"))
            return mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)


class Mismatches:
    """Counts, by view, for the lookups and retrievals of one store in this process; a fork counts by itself."""

    def __init__(self, spool: Path | None) -> None:
        self._spool = spool or Path(os.devnull)
        self._tallies: dict[tuple[tuple[int, int], str], _Tally] = {}

    def add(self, view: str) -> None:
        """Count one for a view. It never raises: to count is not worth a lookup."""
        key = (current_process(), view)
        tally = self._tallies.get(key) or self._tallies.setdefault(key, _Tally(view))
        with suppress(OSError):  # the count in memory stands
            tally.add(self._spool)

    def totals(self) -> dict[str, int]:
        """Give this process's counts by view."""
        own = current_process()
        return {view: tally.total for (process, view), tally in self._tallies.items() if process == own}


def read_mismatches(spool: Path) -> dict[str, int]:
    """Give the counts of all processes that have served from a spool, living and dead, by view."""
    totals: Counter[str] = Counter()
    for view, number in _files(spool / FOLDER):
        totals[view] += number
    return dict(sorted(totals.items()))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    for path in folder.glob("*-*"):
        try:
            data = read_regular(path)
        except OSError:
            continue  # put there by other hands
        if len(data) > _COUNT.size:
            yield data[_COUNT.size :].decode("utf-8", "replace"), _COUNT.unpack_from(data)[0]
