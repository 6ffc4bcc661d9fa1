"""Columns as they are read, part by part: of Arrow arrays, and of Parquet files without the file in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

Arrow: TypeAlias = pa.Array | pa.ChunkedArray


class ParquetColumn:
    """One column of a Parquet file, read a row group at a time whenever it is gone through.

    Parameters
    ----------
    path
        The file.
    name
        The column, a top-level one. KeyError if the file has none of that name.
    """

    def __init__(self, path: str | PathLike[str], name: str) -> None:
        self._path = path
        self._name = name
        self._metadata, schema = footer(path)
        if name not in schema.names:
            raise KeyError(name)
        self.type: Any = schema.field(name).type
        self._rows = int(self._metadata.num_rows)
        # Strings come as codes of a dictionary, where the file has one: counting codes is many times faster.
        text = pa.types.is_string(self.type) or pa.types.is_large_string(self.type)
        self._coded: list[str] = [name] if text else []

    def __len__(self) -> int:
        return self._rows

    @cached_property
    def null_count(self) -> int:
        """How many values are null; reads the column."""
        return sum(part.null_count for part in self.parts())

    def parts(self) -> Iterator[pa.Array]:
        """Give the column's values, a row group at a time."""
        with self._open() as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, columns=[self._name], use_threads=False).column(0).chunks

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path, metadata=self._metadata, read_dictionary=self._coded)


def footer(path: str | PathLike[str]) -> tuple[pq.FileMetaData, pa.Schema]:
    """Give a Parquet file's metadata and schema, read once for all of its columns while the file does not change."""
    stat = Path(path).stat()
    return _footer(str(path), (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=16)
def _footer(path: str, state: tuple[int, int, int]) -> tuple[pq.FileMetaData, pa.Schema]:
    del state  # in another one it is another file
    with pq.ParquetFile(path) as file:
        return file.metadata, file.schema_arrow


Column: TypeAlias = Arrow | ParquetColumn


def parts(column: Column) -> Iterator[pa.Array]:
    """Give a column's values in parts."""
    if isinstance(column, ParquetColumn):
        yield from column.parts()
    elif isinstance(column, pa.ChunkedArray):
        yield from column.chunks
    else:
        yield column


def decoded(part: pa.Array) -> pa.Array:
    """Give a dictionary-encoded array as its values; any other as it is."""
    return part.dictionary_decode() if pa.types.is_dictionary(part.type) else part


def as_arrow(values: Any) -> Arrow:
    """Give a pandas Series, a numpy array or a list as an Arrow column; NaN of pandas is null, as Arrow has it.

    An object column of mixed types, which Arrow has no type for, becomes text, each value as Python prints it: it can
    then be counted by category, and set against numbers only by its nulls.
    """
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        nulls = pa.array([_absent(value) for value in values])
        text = pa.array([str(value) for value in values], pa.large_string())
        return pa.compute.if_else(nulls, pa.scalar(None, pa.large_string()), text)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - only NaN differs from itself
