"""Time since an event. The time to look from is an input, `as_of`: no clock is read, in training or in serving.

In training `as_of` is the entity row's event timestamp; in serving it is the time of the request, which the caller
sends as request data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

DAY = np.timedelta64(86_400, "s")
# Beyond this the exact age says nothing more: the feature stays in the range that training has seen.
LONGEST_DAYS = 365.0

Times = npt.NDArray[np.datetime64]


@feature_transform(
    inputs={"last_order": "UnixTimestamp", "as_of": "UnixTimestamp"},
    outputs={"days_since_order": "Float64", "ordered_before": "Bool"},
    version="1",
)
def order_recency(last_order: Times, as_of: Times) -> dict[str, Any]:
    """Give the days from the last order to `as_of`, at most 365, and whether there was an order at all.

    Without an order the days are null. So they are for an order after `as_of`: at that time nobody knew of it, and a
    negative age would tell the model that its row was joined to the future.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    >>> order_recency.on_row({"last_order": datetime(2026, 2, 27, tzinfo=timezone.utc), "as_of": noon})
    {'days_since_order': 2.5, 'ordered_before': True}
    >>> order_recency.on_row({"last_order": None, "as_of": noon})
    {'days_since_order': None, 'ordered_before': False}
    >>> order_recency.on_row({"last_order": datetime(2026, 3, 2, tzinfo=timezone.utc), "as_of": noon})
    {'days_since_order': None, 'ordered_before': False}
    """
    known = last_order <= as_of  # False where either is null
    days = (as_of - last_order) / DAY
    return {
        "days_since_order": np.where(known, np.minimum(days, LONGEST_DAYS), np.nan),
        "ordered_before": known,
    }
