"""What a reading of the log left out, and why: for a table's metadata, for warnings, and for an audit's findings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

NOTES = b"skew.notes"
"""The key of a table's schema metadata that holds its notes, as a JSON list; it is not there where there are none."""
_MOST_NAMED = 3


class SkewLogWarning(UserWarning):
    """Something in the log's folder could not be read, or is there twice; the rows that were read are right."""


@dataclass(frozen=True, order=True)
class LogNote:
    """A file of the log that was left out, or rows of it that stand in another file too.

    `code` is `unreadable` (damaged, empty, or not permitted), `no_file` (a folder, a link, a pipe), `foreign` (no log
    of ours), `misplaced` (another service's or another day's) or `copied` (rows that another file has too).
    """

    file: str
    code: str
    message: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.file} {self.message}"


def with_notes(table: pa.Table, notes: Iterable[LogNote]) -> pa.Table:
    """Return the table with its notes in the metadata of its schema; as it is where there are none."""
    told = [asdict(note) for note in sorted(set(notes))]
    if not told:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), NOTES: json.dumps(told).encode()})


def notes_of(table: pa.Table) -> list[LogNote]:
    """Return the notes of a table that was read from the log."""
    return [LogNote(**note) for note in json.loads((table.schema.metadata or {}).get(NOTES, b"[]"))]


def notes_text(notes: Sequence[LogNote]) -> str:
    """Return notes in one line; the first few files are named."""
    named = "; ".join(map(str, notes[:_MOST_NAMED]))
    more = f"; and {len(notes) - _MOST_NAMED:,} more" if len(notes) > _MOST_NAMED else ""
    return f"{named}{more}"
