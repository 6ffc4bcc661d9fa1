"""PostgreSQL's binary COPY format to Arrow, a column at a time: the mirror of `postgres_encode`.

The server sends a message per row, so it is known where each row starts; then each column's cells of all rows are read
at once, and the next column starts where they end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skew_ext.log.octets import copy_runs, items
from skew_ext.log.postgres_encode import ARRAY_HEADER, COUNT, EMPTY_ARRAY, HEADER, LENGTH, TRAILER
from skew_ext.log.postgres_types import PG_EPOCH_DAYS, PG_EPOCH_MICROSECONDS, PG_TYPES, SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from skew_ext.log.octets import Integers, Octets

CHUNK_BYTES = 16 << 20
ARROW_TYPES = {name: kind for kind, name in PG_TYPES.items() if kind != SECONDS}
_INFINITE = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)


def decode(messages: Iterable[Any], types: Sequence[str]) -> Iterator[list[pa.Array]]:
    """Give the rows of a COPY as columns, some ten thousand rows at a time, so that memory is bounded."""
    for rows in _chunks(messages):
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        octets = np.frombuffer(b"".join(rows), np.uint8)
        positions = np.cumsum(lengths) - lengths + COUNT
        columns = []
        for name in types:
            sizes = items(octets, ">i4")[positions].astype(np.int64)
            columns.append(_column(octets, positions + LENGTH, sizes, name))
            positions += LENGTH + np.maximum(sizes, 0)
        yield columns


def _chunks(messages: Iterable[Any]) -> Iterator[list[bytes]]:
    rows: list[bytes] = []
    size = 0
    for message in messages:
        row = bytes(message).removeprefix(HEADER)
        if not row or row == TRAILER:
            continue
        rows.append(row)
        size += len(row)
        if size >= CHUNK_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _column(octets: Octets, starts: Integers, lengths: Integers, pg_type: str) -> pa.Array:
    if pg_type.endswith("[]"):
        return _lists(octets, starts, lengths, pg_type.removesuffix("[]"))
    kind, valid = ARROW_TYPES[pg_type], lengths >= 0
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _texts(octets, starts, lengths, kind)
    if pa.types.is_boolean(kind):
        return pa.array(octets[np.where(valid, starts, 0)] != 0, mask=~valid)
    big, native = (">i4", np.int32) if kind.bit_width == 32 else (">i8", np.int64)  # noqa: PLR2004 - bits
    values = (
        items(octets, big)[np.where(valid, starts, 0)].astype(native) if valid.any() else np.zeros(len(lengths), native)
    )
    if pa.types.is_date(kind):
        values += np.int32(PG_EPOCH_DAYS)
    elif pa.types.is_timestamp(kind):
        # An infinite time stands for one that PostgreSQL cannot hold; its row keeps it apart.
        values = np.where(np.isin(values, _INFINITE), 0, values) + PG_EPOCH_MICROSECONDS
    return pa.Array.from_buffers(kind, len(values), [_bitmap(valid), pa.py_buffer(values)])


def _bitmap(valid: NDArray[np.bool_]) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _texts(octets: Octets, starts: Integers, lengths: Integers, kind: pa.DataType) -> pa.Array:
    sizes = np.maximum(lengths, 0)
    offsets = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    data, filled = np.empty(int(offsets[-1]), np.uint8), sizes > 0
    copy_runs(octets, starts[filled], data, offsets[:-1][filled].astype(np.int64), sizes[filled])
    buffers = [_bitmap(lengths >= 0), pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(sizes), buffers)


def _lists(octets: Octets, starts: Integers, lengths: Integers, element: str) -> pa.Array:
    counts = np.zeros(len(starts), dtype=np.int64)
    filled = lengths > EMPTY_ARRAY
    words = items(octets, ">i4")
    counts[filled] = words[starts[filled] + EMPTY_ARRAY]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    positions = np.zeros(int(offsets[-1]), dtype=np.int64)
    at, left = starts[filled] + ARRAY_HEADER, np.flatnonzero(filled)
    # The n-th elements of all lists at once: only those before it say where it starts.
    for index in range(int(counts.max(initial=0))):
        longer = counts[left] > index
        at, left = at[longer], left[longer]
        positions[offsets[left] + index] = at
        at = at + LENGTH + np.maximum(words[at], 0)
    values = _column(octets, positions + LENGTH, words[positions].astype(np.int64), element)
    bounds = pa.array(offsets, pa.int32())
    return pa.ListArray.from_arrays(bounds, values, mask=pa.array(lengths < 0) if (lengths < 0).any() else None)
