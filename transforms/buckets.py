"""Buckets with declared edges: never quantiles of the batch at hand, which differ between training and one request."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

# An edge is the first value of the bucket above it: 10.00 is "10 to 50". The outer buckets are open.
AMOUNT_EDGES = (0.0, 10.0, 50.0, 250.0)
AMOUNT_LABELS = ("refund", "under 10", "10 to 50", "50 to 250", "250 and over")

Floats = npt.NDArray[np.float64]


def bucket(values: Floats, edges: tuple[float, ...]) -> npt.NDArray[np.int64]:
    """Give the number of each value's bucket: how many of the rising `edges` it has reached.

    NaN is given the last bucket, as numpy sorts it: mask it.

    Examples
    --------
    >>> bucket(np.array([-1.0, 0.0, 9.99, 10.0, np.inf]), (0.0, 10.0)).tolist()
    [0, 1, 1, 2, 2]
    """
    return np.searchsorted(np.array(edges), values, side="right").astype(np.int64)


@feature_transform(
    inputs={"amount": "Float64"},
    outputs={"amount_bucket": "Int64", "amount_band": "String"},
    version="1",
)
def amount_bucket(amount: Floats) -> dict[str, Any]:
    """Give a payment's bucket, by number from 0 and by name; null where the amount is.

    Examples
    --------
    >>> amount_bucket.on_row({"amount": 10.0})
    {'amount_bucket': 2, 'amount_band': '10 to 50'}
    >>> amount_bucket.on_row({"amount": -3.5})
    {'amount_bucket': 0, 'amount_band': 'refund'}
    >>> amount_bucket.on_row({"amount": None})
    {'amount_bucket': None, 'amount_band': None}
    """
    missing = np.isnan(amount)
    number = bucket(amount, AMOUNT_EDGES)
    names = np.array(AMOUNT_LABELS, dtype=object)[number]
    return {
        "amount_bucket": np.ma.masked_where(missing, number),
        "amount_band": np.ma.masked_where(missing, names),
    }
