"""What stands in the log's folder and was not read: each file is a finding, since its rows were not audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skew_ext.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from skew_ext.log.notes import LogNote

_MOST = 20
"""So many files have findings of their own; the others are counted."""
_AWAY = "move it out of the log's folder"
_REMEDIES = {
    "unreadable": "restore the file from a backup, or move it out of the log's folder; then audit again",
    "no_file": _AWAY,
    "foreign": _AWAY,
    "misplaced": "move it to the folder of its own service and day, or out of the log's folder",
    "copied": "delete the copy",
}


def missing_findings(service: str, missing: Iterable[tuple[date, int, int]]) -> Iterable[Finding]:
    """Rows of the window that were stored are gone from the log: given by day, as rows stored and rows there now."""
    for day, stored, there in missing:
        message = (
            f"{stored - there:,} of {stored:,} rows of {service!r} that were stored for {day} are gone from the log, "
            "and were not pruned: they were not audited"
        )
        yield Finding("incomplete_log", "warn", None, None, message, "restore the log's files from a backup")


def left_out_findings(notes: Sequence[LogNote]) -> Iterable[Finding]:
    """Rows of the window are not in the log as it could be read, or a file of the log's folder is none of its own."""
    different = sorted(set(notes))
    for note in different[:_MOST]:
        yield Finding("incomplete_log", "warn", None, None, f"of the log, {note}", _REMEDIES[note.code])
    if len(different) > _MOST:
        message = f"{len(different) - _MOST:,} more files of the log were left out, or have rows that others have"
        yield Finding("incomplete_log", "warn", None, None, message, "see `read_log`: it names all of them")
