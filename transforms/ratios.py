"""Ratios, each with its zero rule said: what it is when there is nothing to divide by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

# A new item starts as this many average ones would: 1 click in 50 impressions.
PRIOR_CLICKS = 1.0
PRIOR_IMPRESSIONS = 50.0

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def ratio(numerator: Floats, denominator: Floats, *, if_zero: float) -> Floats:
    """Give numerator / denominator, and `if_zero` where the denominator is zero (of either sign).

    NaN on either side is NaN; so is infinity over infinity.

    Examples
    --------
    >>> ratio(np.array([1.0, 0.0, np.nan]), np.array([4.0, -0.0, 0.0]), if_zero=0.0).tolist()
    [0.25, 0.0, nan]
    """
    nothing = denominator == 0.0
    divided = numerator / np.where(nothing, 1.0, denominator)
    return np.where(nothing & ~np.isnan(numerator), if_zero, divided)


@feature_transform(
    inputs={"clicks": "Int64", "impressions": "Int64"},
    outputs={"click_rate": "Float64", "click_rate_smoothed": "Float64"},
    version="1",
)
def click_rates(clicks: Integers, impressions: Integers) -> dict[str, Any]:
    """Give the clicks per impression: plain, null without impressions; and smoothed, which always has a value.

    A null count makes both null, for a count that is not known is not zero.

    Examples
    --------
    >>> click_rates.on_row({"clicks": 3, "impressions": 100})
    {'click_rate': 0.03, 'click_rate_smoothed': 0.02666666666666667}
    >>> click_rates.on_row({"clicks": 0, "impressions": 0})
    {'click_rate': None, 'click_rate_smoothed': 0.02}
    >>> click_rates.on_row({"clicks": None, "impressions": 100})
    {'click_rate': None, 'click_rate_smoothed': None}
    """
    clicked, shown = clicks.astype(np.float64), impressions.astype(np.float64)
    return {
        "click_rate": ratio(clicked, shown, if_zero=np.nan),
        "click_rate_smoothed": (clicked + PRIOR_CLICKS) / (shown + PRIOR_IMPRESSIONS),
    }


@feature_transform(
    inputs={"spend_1h": "Float64", "spend_24h": "Float64"},
    outputs={"recent_share": "Float64"},
    version="1",
)
def recent_share(spend_1h: Floats, spend_24h: Floats) -> dict[str, Any]:
    """Give the share of a day's spend that fell into its last hour; 0 when nothing was spent.

    Its inputs are windowed sums (`skew_ext.windows`), for which an empty window is null: nothing was spent.

    Examples
    --------
    >>> recent_share.on_row({"spend_1h": 25.0, "spend_24h": 100.0})
    {'recent_share': 0.25}
    >>> recent_share.on_row({"spend_1h": None, "spend_24h": 80.0})
    {'recent_share': 0.0}
    >>> recent_share.on_row({"spend_1h": None, "spend_24h": None})
    {'recent_share': 0.0}
    """
    hour = np.where(np.isnan(spend_1h), 0.0, spend_1h)
    day = np.where(np.isnan(spend_24h), 0.0, spend_24h)
    return {"recent_share": ratio(hour, day, if_zero=0.0)}
