"""Weighted rows as fewer rows of equal weight, so that every statistic and every guard holds for them as it stands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.statistics.arrays import Floats
from skew_ext.statistics.columns import Arrow, decoded


def effective_rows(weights: npt.ArrayLike) -> int:
    """Give how many rows of equal weight tell as much: the squared sum over the sum of squares, at least 1.

    Kish, "Survey Sampling" (1965). A weight of 0 is a row less, and a scale of all weights changes nothing.
    """
    known = np.asarray(weights, dtype=np.float64)
    shares = known / known.max()  # so that no square is out of range
    return max(round(float(shares.sum() ** 2 / np.square(shares).sum())), 1)


def weighed(column: Arrow, weights: npt.ArrayLike) -> Arrow:
    """Give `effective_rows` rows of equal weight that have a column's weighted distribution.

    The rows are put in the order of their values, and those are taken that stand at evenly spaced shares of the
    weight. So the share at or below any value, and the share of each category and of null, is that of the weighted
    rows to within one row of those given. Values without an order, such as lists, are taken in the order of the rows.

    Parameters
    ----------
    column
        Of any type, n rows.
    weights
        n finite numbers of 0 or more, at least one of them over 0.
    """
    known: Floats = np.asarray(weights, dtype=np.float64)
    order = _order(column)
    upto = np.cumsum((known / known.max())[order])
    rows = effective_rows(known)
    shares = (np.arange(rows) + 0.5) / rows * upto[-1]
    return column.take(pa.array(order[np.searchsorted(upto, shares, side="right")]))


def _order(column: Arrow) -> npt.NDArray[np.int64]:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    try:
        return np.asarray(pc.array_sort_indices(decoded(whole)), dtype=np.int64)
    except pa.ArrowNotImplementedError:  # lists and maps: theirs are drawn evenly along the rows
        return np.arange(len(column), dtype=np.int64)
