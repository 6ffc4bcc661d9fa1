"""Arrow to PostgreSQL's binary COPY format, a column at a time.

The binary format carries every bit: a NaN's payload, -0.0, a float32 as four bytes. A row is a count of fields and, for
each field, its length (-1 for null) and its bytes, all big-endian. numpy places a column's cells of all rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.log.octets import copy_runs, items
from skew_ext.log.postgres_types import OIDS, PG_EPOCH_DAYS, PG_EPOCH_MICROSECONDS, TIMESTAMP_BOUNDS, pg_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from skew_ext.log.octets import Integers, Octets

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
ROWS = 4096
"""Rows encoded at once: a megabyte or two, which stays in the processor's cache."""
COUNT, LENGTH = 2, 4
"""Bytes of a row's count of fields, and of a field's length."""
ARRAY_HEADER, EMPTY_ARRAY = 20, 12
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class _Cells:
    """A column: the length of each cell, -1 for null, and its bytes from `starts` in `data`."""

    lengths: Integers
    starts: Integers
    data: Octets

    @property
    def sizes(self) -> Integers:
        return LENGTH + np.maximum(self.lengths, 0)

    def place(self, out: Octets, positions: Integers) -> None:
        """Put each cell, its length before it, at its position."""
        items(out, ">i4")[positions] = self.lengths
        filled = self.lengths > 0
        if not filled.all():
            copy_runs(self.data, self.starts[filled], out, positions[filled] + LENGTH, self.lengths[filled])
            return
        copy_runs(self.data, self.starts, out, positions + LENGTH, self.lengths)


def encode(columns: Sequence[pa.Array]) -> Iterator[bytes]:
    """Give columns of one length as a stream of binary COPY, in pieces."""
    yield HEADER
    rows = len(columns[0]) if columns else 0
    for start in range(0, rows, ROWS):
        yield _rows([_cells(column.slice(start, ROWS)) for column in columns])
    yield TRAILER


def unholdable(array: pa.Array) -> NDArray[np.bool_]:
    """Say which cells PostgreSQL cannot hold: text with a NUL, a time before 4713 BC or after 294247."""
    if pa.types.is_list(array.type):
        found = np.zeros(len(array), dtype=bool)
        found[pc.list_parent_indices(array).to_numpy()[unholdable(array.flatten())]] = True
        return found
    if pa.types.is_string(array.type):
        bad = pc.match_substring(array, "\0")
    elif pa.types.is_timestamp(array.type):
        _, lowest, highest = TIMESTAMP_BOUNDS[array.type.unit]
        number = array.cast(pa.int64())
        bad = pc.or_(pc.less(number, lowest), pc.greater(number, highest))
    else:
        return np.zeros(len(array), dtype=bool)
    return np.asarray(bad.fill_null(fill_value=False).to_numpy(zero_copy_only=False))


def holdable(array: pa.Array) -> pa.Array:
    """Give the array with each NUL in a text as U+FFFD; a time out of bounds is made infinite where it is encoded."""
    if pa.types.is_list(array.type):
        values = holdable(array.flatten())
        counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        return pa.ListArray.from_arrays(offsets, values, type=array.type, mask=array.is_null())
    return pc.replace_substring(array, "\0", "\ufffd") if pa.types.is_string(array.type) else array


def _rows(columns: Sequence[_Cells]) -> bytes:
    sizes = COUNT + np.sum([cells.sizes for cells in columns], axis=0, dtype=np.int64)
    positions = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), dtype=np.uint8)
    items(out, ">i2")[positions] = len(columns)
    positions += COUNT
    for cells in columns:
        cells.place(out, positions)
        positions += cells.sizes
    return out.tobytes()


def _cells(array: pa.Array) -> _Cells:
    if pa.types.is_list(array.type):
        return _lists(array)
    valid = np.asarray(array.is_valid())
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        _, offsets, data = array.buffers()
        bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
        return _Cells(np.where(valid, np.diff(bounds), -1), bounds[:-1], np.frombuffer(data or b"", np.uint8))
    values = _big_endian(array, valid)
    width = values.dtype.itemsize
    starts = np.arange(len(array), dtype=np.int64) * width
    return _Cells(np.where(valid, np.int64(width), np.int64(-1)), starts, values.view(np.uint8))


def _big_endian(array: pa.Array, valid: NDArray[np.bool_]) -> NDArray[Any]:
    if pa.types.is_boolean(array.type):
        return np.asarray(array.fill_null(fill_value=False)).astype(np.uint8)
    plain, reversed_ = ("<i4", ">i4") if array.type.bit_width == 32 else ("<i8", ">i8")  # noqa: PLR2004 - bits
    # The bits as they are: floats too travel as integers, so that no NaN is made another on the way.
    values = np.frombuffer(array.buffers()[1] or b"", plain)[array.offset : array.offset + len(array)]
    if pa.types.is_date(array.type):
        values = values - np.int32(PG_EPOCH_DAYS)
    elif pa.types.is_timestamp(array.type):
        values = _since_2000(np.where(valid, values, 0), array.type.unit)
    return values.astype(reversed_)


def _since_2000(values: Integers, unit: str) -> Integers:
    scale, lowest, highest = TIMESTAMP_BOUNDS[unit]
    moved = np.clip(values, lowest, highest) * scale - PG_EPOCH_MICROSECONDS
    # PostgreSQL's own infinities.
    return np.where(values < lowest, _INT64.min, np.where(values > highest, _INT64.max, moved))


def _lists(array: pa.Array) -> _Cells:
    valid, elements = np.asarray(array.is_valid()), array.flatten()
    cells = _cells(elements)
    counts = np.asarray(pc.list_value_length(array).fill_null(0)).astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(cells.sizes)])
    last = np.cumsum(counts)
    first = last - counts
    lengths = np.where(counts > 0, ARRAY_HEADER + bounds[last] - bounds[first], EMPTY_ARRAY)
    starts = np.cumsum(lengths) - lengths
    out = np.zeros(int(lengths.sum()), dtype=np.uint8)
    _place_headers(out, starts, counts, elements)
    cells.place(out, np.repeat(starts + ARRAY_HEADER - bounds[first], counts) + bounds[:-1])
    return _Cells(np.where(valid, lengths, -1), starts, out)


def _place_headers(out: Octets, starts: Integers, counts: Integers, elements: pa.Array) -> None:
    # Dimensions, whether an element is null, the elements' type; then, where not empty, the length and the first index.
    words, filled = items(out, ">i4"), counts > 0
    words[starts] = filled
    words[starts + 4] = int(elements.null_count > 0)
    words[starts + 8] = OIDS[pg_type(elements.type)]
    words[starts[filled] + 12] = counts[filled]
    words[starts[filled] + 16] = 1
