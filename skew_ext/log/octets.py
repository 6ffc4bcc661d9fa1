"""Many small items in one run of bytes, read and written all at once by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Octets = NDArray[np.uint8]
_FEW_LENGTHS = 24


def items(octets: Octets, dtype: str) -> NDArray[Any]:
    """Give a view in which index i is the item that starts at byte i: it may start at any byte."""
    kind = np.dtype(dtype)
    view: NDArray[Any] = np.ndarray((max(0, len(octets) - kind.itemsize + 1),), kind, octets, strides=(1,))
    return view


def copy_runs(source: Octets, starts: Integers, target: Octets, positions: Integers, lengths: Integers) -> None:
    """Copy runs of bytes, none of them empty: `lengths[i]` of them from `starts[i]` to `positions[i]`."""
    distinct = np.unique(lengths)
    if len(distinct) > _FEW_LENGTHS:
        step = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        target[np.repeat(positions, lengths) + step] = source[np.repeat(starts, lengths) + step]
        return
    # Ids, hashes and numbers have few lengths: runs of one length are items of one type, copied as such.
    for length in distinct:
        chosen = lengths == length if len(distinct) > 1 else slice(None)
        items(target, f"V{length}")[positions[chosen]] = items(source, f"V{length}")[starts[chosen]]
