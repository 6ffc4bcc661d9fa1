"""Which columns are identifiers: values that hardly repeat, whose distribution says nothing."""

from __future__ import annotations

import re
from itertools import islice

import numpy as np
import pyarrow as pa

from skew_ext.statistics.arrays import LARGEST_EXACT, NumericColumn
from skew_ext.statistics.category import Tally
from skew_ext.statistics.columns import Column, decoded, parts
from skew_ext.statistics.counted import CountedColumn

LOOKED_AT = 100_000
"""So many values at the head of a column tell whether they repeat."""
DENSE = 2
"""Distinct integers that fill at least half of their range were counted up: drawn by chance, so many would repeat."""
_NAMED = re.compile(r"(?:^|_)(?:id|ids|uid|uuid|guid|key|pk|hash)$", re.IGNORECASE)


def text_identifier(reference: Column, share: float, minimum_rows: int) -> str | None:
    """Say why a column of text is an identifier; None where it is not."""
    tally = Tally.of(head(reference))
    if tally.present < minimum_rows or tally.distinct_share < share:
        return None
    return f"left out as an identifier: {len(tally.counts):,} of {tally.present:,} values are distinct"


def integer_identifier(
    feature: str, reference: NumericColumn | CountedColumn, share: float, minimum_rows: int
) -> str | None:
    """Say why a column of integers is an identifier; None where it is not.

    That its integers hardly repeat is not enough, as amounts in cents hardly repeat either. They must also fill their
    range as only a sequence does, be beyond 2**53 as hashes and time-ordered ids are, or be named as ids are.
    """
    distinct, rows = reference.distinct, len(reference)
    if rows < minimum_rows or distinct < share * rows:
        return None
    why = _why(feature, reference.high - reference.low + 1, distinct, max(-reference.low, reference.high))
    return why and f"left out as an identifier: {distinct:,} of {rows:,} integers are distinct, and {why}"


def _why(feature: str, span: float, distinct: int, largest: float) -> str | None:
    if largest > LARGEST_EXACT:
        return "they go beyond 2**53, as hashes do"
    if span <= DENSE * distinct:
        return "they fill their range, as a sequence does"
    return "the name says so" if _NAMED.search(feature) else None


def head(column: Column) -> pa.ChunkedArray:
    """Give about the first values of a column."""
    kept: list[pa.Array] = []
    for part in islice(parts(column), LOOKED_AT):
        kept.append(decoded(part.slice(0, LOOKED_AT - sum(map(len, kept)))))
        if sum(map(len, kept)) >= LOOKED_AT:
            break
    return pa.chunked_array(kept, kept[0].type) if kept else pa.chunked_array([np.empty(0)])
