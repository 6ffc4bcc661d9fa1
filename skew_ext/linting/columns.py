"""The columns of a Parquet source, and what its footers say of their values; the values are never read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_FILES = 64
"""How many files' footers are read of a folder: the newest by name."""


@dataclass(frozen=True)
class Range:
    """A column's least and greatest value, and how many of its values are null, as footers state them."""

    least: Any
    greatest: Any
    nulls: int


@dataclass(frozen=True)
class Columns:
    """The schema of a Parquet file, or of the newest file of a folder; `files` are those that footers are read of."""

    schema: pa.Schema
    files: tuple[Path, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """The columns' names, with those that stand in the path of a partitioned folder: `day=2026-03-01`."""
        parts = (part.partition("=") for file in self.files[:1] for part in file.parent.parts)
        return frozenset((*self.schema.names, *(name for name, sign, _ in parts if sign)))

    def type_of(self, name: str) -> pa.DataType | None:
        """Give a column's Arrow type, None if there is no such column, or more than one."""
        index = self.schema.get_field_index(name)
        return None if index < 0 else self.schema.field(index).type

    def range_of(self, name: str) -> Range | None:
        """Give a column's range over all files; None where a footer does not state it."""
        least, greatest, nulls = None, None, 0
        for statistics in self._statistics(name):
            if statistics is None or not statistics.has_null_count:
                return None
            nulls += statistics.null_count
            if statistics.has_min_max:
                least = statistics.min if least is None else min(least, statistics.min)
                greatest = statistics.max if greatest is None else max(greatest, statistics.max)
        return Range(least, greatest, nulls)

    def _statistics(self, name: str) -> Iterator[Any]:
        for file in self.files:
            footer = pq.read_metadata(file)
            places = [at for at in range(footer.num_columns) if footer.schema.column(at).path == name]
            groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
            yield from (group.column(at).statistics for at in places for group in groups if group.num_rows)


def read_columns(path: Path) -> Columns | None:
    """Read the schema of a Parquet file or folder; None where there is none, or it is not Parquet.

    As Feast does, what is not a file is taken as a folder of files.
    """
    files = [path] if path.is_file() else _newest(path)
    try:
        return Columns(pq.read_schema(files[0]), tuple(files)) if files else None
    except (OSError, pa.ArrowException):
        return None


def _newest(folder: Path) -> list[Path]:
    found = (file for file in folder.rglob("*.parquet") if file.is_file() and not file.name.startswith("."))
    return list(islice(sorted(found, reverse=True), MOST_FILES))
