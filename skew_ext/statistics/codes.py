"""Which cell each row of a column falls in, in the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from skew_ext.statistics.arrays import Counts, Floats, Numbers, as_numbers
from skew_ext.statistics.category import slots_of
from skew_ext.statistics.columns import Column, decoded, parts


def number_codes(column: Column, edges: Numbers) -> Counts:
    """Give the bin of each value between edges; after the bins come NaN, then null."""
    found = []
    for given in parts(column):
        part = decoded(given)
        codes = np.full(len(part), len(edges) + 2, dtype=np.int64)
        present = part.drop_null()
        values = as_numbers(present, exact=edges.dtype != np.float64)
        codes[part.is_valid().to_numpy(zero_copy_only=False)] = numeric_codes(values, edges)
        found.append(codes)
    return _joined(found)


def numeric_codes(values: Numbers, edges: Floats | Numbers) -> Counts:
    """Give the bin of each number, and the one after the last for NaN."""
    codes = np.searchsorted(edges, values, side="left").astype(np.int64)
    codes[np.isnan(values)] = len(edges) + 1
    return codes


def category_codes(column: Column, categories: Sequence[str]) -> Counts:
    """Give the place of each value in the categories; after them come other, then null."""
    found = []
    for given in parts(column):
        part = decoded(given)
        codes = np.full(len(part), len(categories) + 1, dtype=np.int64)
        codes[part.is_valid().to_numpy(zero_copy_only=False)] = slots_of(
            part.drop_null().cast(pa.large_string()), categories
        )
        found.append(codes)
    return _joined(found)


def _joined(found: list[Counts]) -> Counts:
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
