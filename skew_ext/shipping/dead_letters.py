"""Records that could not be decoded or stored: kept aside, each with its reason, to be sent again when that is mended.

A record's two files are named by its writer and sequence: to set it aside once more replaces them.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from skew_ext.log.table import Entry
from skew_ext.serving.files import read_regular, write_atomically
from skew_ext.serving.record import Record
from skew_ext.serving.spool import is_writer_name

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
        """Set records aside with their reason; return those that there was no room for."""
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
        """Return the names of all that are kept, in order."""
        try:
            with os.scandir(self._folder) as found:
                names = [one.name[: -len(_ABOUT)] for one in found if one.name.endswith(_ABOUT)]
        except OSError:
            return []
        return sorted(name for name in names if _is_letter_name(name))

    def read(self, names: Iterable[str]) -> list[Entry]:
        """Return those of these names that are there and can be read."""
        found = (self._read(one) for one in names if _is_letter_name(one))
        return [entry for entry in found if entry is not None]

    def delete(self, names: Iterable[str]) -> None:
        """Forget records; harmless where they are gone."""
        for one in filter(_is_letter_name, names):
            # The description last: without it, what is left of a record is none.
            (self._folder / f"{one}{_RECORD}").unlink(missing_ok=True)
            (self._folder / f"{one}{_ABOUT}").unlink(missing_ok=True)

    def _write(self, entry: Entry, reason: str) -> None:
        one = letter_name(entry)
        # As durable as the spool that they come from, which a kill does not touch and a power failure does.
        write_atomically(self._folder / f"{one}{_RECORD}", entry.record.encode(), durable=False)
        about = {"reason": reason, "rows": entry.rows, "writer": entry.writer, "seq": entry.sequence}
        write_atomically(self._folder / f"{one}{_ABOUT}", json.dumps(about), durable=False)

    def _read(self, one: str) -> Entry | None:
        try:
            about = json.loads(read_regular(self._folder / f"{one}{_ABOUT}"))
            record = Record.decode(read_regular(self._folder / f"{one}{_RECORD}"))
            entry = Entry(str(about["writer"]), int(about["seq"]), int(about["rows"]), record)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # damaged by other hands: it stays where it is
        # A copy under another name would be stored a second time.
        return entry if letter_name(entry) == one else None


def letter_name(entry: Entry) -> str:
    """Return the name that a record is kept under."""
    return f"{entry.writer}-{entry.sequence:012d}"


def _is_letter_name(name: str) -> bool:
    writer, _, sequence = name.partition("-")
    return is_writer_name(writer) and sequence.isascii() and sequence.isdigit()
