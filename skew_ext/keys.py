"""Composite keys as integers, so that rows of two tables can be set beside one another by one number each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]
ABSENT = -1
"""The code of a row that has a null in its key, or whose key the first table has not."""


def key_codes(
    ours: Sequence[pa.Array | pa.ChunkedArray], theirs: Sequence[pa.Array | pa.ChunkedArray], rows: tuple[int, int]
) -> tuple[Codes, Codes]:
    """Code the keys of two tables, given column by column, pairwise of one type: equal keys have equal codes.

    A row with a null in its key is `ABSENT`, and so is one of the second table whose key the first has not. Without a
    key, as in a view without entities, every row has the same.

    Parameters
    ----------
    ours, theirs
        The columns of the keys in each table.
    rows
        How many rows each table has.
    """
    first, second = np.zeros(rows[0], dtype=np.int64), np.zeros(rows[1], dtype=np.int64)
    for one, other in zip(ours, theirs, strict=True):
        known = pc.drop_null(pc.unique(one))
        distinct = known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known
        first, second = _joined((first, second), _places(one, distinct), _places(other, distinct), len(distinct))
    return first, second


def _joined(codes: tuple[Codes, Codes], ours: Codes, theirs: Codes, distinct: int) -> tuple[Codes, Codes]:
    """Give the codes of keys with one column more."""
    combined = [
        np.where((so_far >= 0) & (places >= 0), so_far * (distinct + 1) + places, ABSENT)
        for so_far, places in zip(codes, (ours, theirs), strict=True)
    ]
    both, inverse = np.unique(combined[0], return_inverse=True)
    both, inverse = (both[1:], inverse - 1) if len(both) and both[0] == ABSENT else (both, inverse)
    found = np.searchsorted(both, combined[1])
    there = found < len(both)
    there[there] = both[found[there]] == combined[1][there]
    return inverse.astype(np.int64), np.where(there & (combined[1] >= 0), found, ABSENT)


def _places(values: Any, distinct: pa.Array) -> Codes:
    """Give each value's place among the distinct ones; `ABSENT` for null and for what is not among them."""
    return np.asarray(pc.fill_null(pc.index_in(values, value_set=distinct), ABSENT), dtype=np.int64)
