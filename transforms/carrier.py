"""A carrier at an origin: how late its flights have been landing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

WINDOW_SECONDS = 6 * 3600
LATE_MINUTES = 15.0

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Landings(NamedTuple):
    """What landed in a window: how many flights, their total arrival delay in minutes, how many over 15 minutes."""

    landed: Integers
    delay_total: Floats
    late: Integers


def recent_landings(landed_at: Integers, arrival_delay: Floats, at: Integers) -> Landings:
    """Count the landings of the last six hours, (at - 6 h, at], for each time of `at`.

    Parameters
    ----------
    landed_at
        When each flight landed, in unix seconds, rising.
    arrival_delay
        Its arrival delay in whole minutes, so that sums are exact in any order.
    at
        The times to look back from, in unix seconds.

    Examples
    --------
    >>> landed_at = np.array([0, 3600, 7200])
    >>> recent_landings(landed_at, np.array([5.0, 40.0, -3.0]), np.array([3600, 6 * 3600]))
    Landings(landed=array([2, 2]), delay_total=array([45., 37.]), late=array([1, 1]))
    """
    first = np.searchsorted(landed_at, at - WINDOW_SECONDS, side="right")
    last = np.searchsorted(landed_at, at, side="right")
    total = np.concatenate(([0.0], np.cumsum(arrival_delay)))
    late = np.concatenate(([0], np.cumsum(arrival_delay > LATE_MINUTES)))
    return Landings(last - first, total[last] - total[first], late[last] - late[first])


@feature_transform(
    inputs={"landed": "Int64", "delay_total": "Float64", "late": "Int64"},
    outputs={"mean_arrival_delay": "Float64", "late_share": "Float64", "landed_flights": "Int64"},
    version="1",
)
def delay_summary(landed: Integers, delay_total: Floats, late: Integers) -> dict[str, Any]:
    """Give the mean arrival delay (minutes), the share over 15 minutes late, and how many landed.

    With nothing landed the mean and the share are null.

    Examples
    --------
    >>> delay_summary.on_row({"landed": 4, "delay_total": 90.0, "late": 1})
    {'mean_arrival_delay': 22.5, 'late_share': 0.25, 'landed_flights': 4}
    >>> delay_summary.on_row({"landed": 0, "delay_total": 0.0, "late": 0})
    {'mean_arrival_delay': None, 'late_share': None, 'landed_flights': 0}
    """
    flights = np.where(landed > 0, landed, np.nan)
    return {"mean_arrival_delay": delay_total / flights, "late_share": late / flights, "landed_flights": landed}
