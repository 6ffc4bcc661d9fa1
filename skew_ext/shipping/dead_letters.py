"""Records that could not be decoded or stored: kept aside, each with its reason, to be sent again when that is mended.

A record's two files are named by its writer and sequence: to set it aside once more replaces them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from skew_ext.log.table import Entry
from skew_ext.serving.record import Record
from skew_ext.serving.spool import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MOST = 50_000
"""How many records are kept: two files each, so that a feature set that never fits does not fill the disk."""
_RECORD, _ABOUT = ".record", ".json"


class DeadLetters:
    """The dead letters of one spool."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        self._folder = folder
        self._most = most

    def put(self, entries: Sequence[Entry], reason: str) -> list[Entry]:
        """Set records aside with their reason; give those that there was no room for."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        there, lost = set(self.names()), []
        for entry in entries:
            if letter_name(entry) in there or len(there) < self._most:
                self._write(entry, reason)
                there.add(letter_name(entry))
            else:
                lost.append(entry)
        return lost

    def names(self) -> list[str]:
        """Give the names of all that are kept, in order."""
        return sorted(path.stem for path in self._folder.glob(f"*{_ABOUT}")) if self._folder.is_dir() else []

    def read(self) -> list[Entry]:
        """Give all that are kept and can be read, in order of their names."""
        found = (self._read(one) for one in self.names())
        return [entry for entry in found if entry is not None]

    def delete(self, names: Iterable[str]) -> None:
        """Forget records; harmless where they are gone."""
        for one in names:
            # The description last: without it, what is left of a record is none.
            (self._folder / f"{one}{_RECORD}").unlink(missing_ok=True)
            (self._folder / f"{one}{_ABOUT}").unlink(missing_ok=True)

    def _write(self, entry: Entry, reason: str) -> None:
        one = letter_name(entry)
        (self._folder / f"{one}{_RECORD}").write_bytes(entry.record.encode())
        about = {"reason": reason, "rows": entry.rows, "writer": entry.writer, "seq": entry.sequence}
        write_atomically(self._folder / f"{one}{_ABOUT}", json.dumps(about))

    def _read(self, one: str) -> Entry | None:
        try:
            about = json.loads((self._folder / f"{one}{_ABOUT}").read_text(encoding="utf-8"))
            record = Record.decode((self._folder / f"{one}{_RECORD}").read_bytes())
            return Entry(about["writer"], about["seq"], about["rows"], record)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # damaged by other hands: it stays where it is


def letter_name(entry: Entry) -> str:
    """Give the name that a record is kept under."""
    return f"{entry.writer}-{entry.sequence:012d}"
