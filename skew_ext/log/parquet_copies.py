"""Rows that two files of a log have: a file that was copied by hand, under another name or into another folder.

A row is known by writer, sequence number and place; a file in which two rows have these in common was not written by a
shipper, and its rows are left as they are. Files say which sequence numbers of which writers they may have, of
which schema and which day; only where these ranges meet are the rows themselves looked at.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.log.notes import LogNote
from skew_ext.log.parquet_files import opened_file, unreadable
from skew_ext.schema import ROW, SEQUENCE, WRITER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from skew_ext.log.parquet_files import LogFile

IDENTITY = (WRITER, SEQUENCE, ROW)
Places = dict[str, "NDArray[np.int64]"]
"""For each file's path, the rows in it to leave out, by their places."""


def copied_rows(files: Sequence[LogFile]) -> tuple[Places, list[LogNote]]:
    """Return which rows of which files stand in another of them already, and the notes that say so.

    Raises
    ------
    FileNotFoundError
        A file is gone.
    """
    places: Places = {}
    notes: list[LogNote] = []
    for alike in _meeting(files):
        found, told = _copied(sorted(alike, key=lambda file: (file.is_copy, -file.rows, len(file.name), file.path)))
        places |= found
        notes += told
    return places, notes


def _meeting(files: Sequence[LogFile]) -> Iterable[list[LogFile]]:
    """Return sets of files that may have rows in common; no file is in two of them."""
    ranges: dict[tuple[object, object, str], list[tuple[int, int, int]]] = defaultdict(list)
    parents = list(range(len(files)))
    unknown = []
    for number, file in enumerate(files):
        about = file.about
        if about.spans and (about.schema is None or about.day is None):
            unknown.append(number)
        for writer, spans in about.spans.items():
            ranges[about.schema, about.day, writer].extend((first, last, number) for first, last in spans)
    for found in ranges.values():
        _join_meeting(parents, sorted(found))
    for number in range(len(files)) if unknown else ():
        _join(parents, unknown[0], number)
    sets: dict[int, list[LogFile]] = defaultdict(list)
    for number, file in enumerate(files):
        sets[_root(parents, number)].append(file)
    return [alike for alike in sets.values() if len(alike) > 1]


def _join_meeting(parents: list[int], spans: list[tuple[int, int, int]]) -> None:
    """Join the files whose ranges, in order, meet."""
    reached, holder = -1, -1
    for first, last, number in spans:
        if holder >= 0 and first <= reached:
            _join(parents, holder, number)
        if holder < 0 or last > reached:
            reached, holder = last, number


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def _join(parents: list[int], one: int, other: int) -> None:
    parents[_root(parents, one)] = _root(parents, other)


def _copied(files: list[LogFile]) -> tuple[Places, list[LogNote]]:
    tables, notes, read = [], [], []
    for number, file in enumerate(files):
        try:
            with opened_file(file.path) as opened:
                table = opened.read(columns=list(IDENTITY))
        except FileNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged file stops nothing but itself
            notes.append(unreadable(file.path, error))
            continue
        if table.group_by(list(IDENTITY)).aggregate([]).num_rows < table.num_rows:
            continue
        place = pa.array(np.arange(table.num_rows, dtype=np.int64))
        tables.append(table.append_column("file", pa.array(np.full(table.num_rows, number))).append_column("at", place))
        read.append(number)
    if len(tables) < 2:  # noqa: PLR2004 - a file alone is no copy
        return {}, notes
    rows = pa.concat_tables(tables)
    rows = rows.append_column("n", pa.array(np.arange(rows.num_rows, dtype=np.int64)))
    known = rows.filter(pc.not_equal(rows[WRITER], ""))
    first = known.group_by(list(IDENTITY)).aggregate([("n", "min")])["n_min"].to_numpy()
    if len(first) == known.num_rows:
        return {}, notes
    again = np.setdiff1d(known["n"].to_numpy(), first, assume_unique=True)
    owners, at = rows["file"].to_numpy()[again], rows["at"].to_numpy()[again]
    places = {}
    for number in np.unique(owners):
        file, here = files[int(number)], np.sort(at[owners == number])
        places[file.path] = here
        message = f"has {len(here):,} of its {file.rows:,} rows from another file of the log: they count once"
        notes.append(LogNote(file.path, "copied", message))
    return places, notes
