"""New York's wall clock, from UTC, by the rule of the Energy Policy Act of 2005 (in force since 2007)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

STANDARD_OFFSET = np.timedelta64(-5, "h")
DAYLIGHT_SAVING = np.timedelta64(1, "h")
# Clocks change at 2:00 local time: 7:00 UTC from standard time in March, 6:00 UTC from daylight time in November.
MARCH_CHANGE = np.timedelta64(7, "h")
NOVEMBER_CHANGE = np.timedelta64(6, "h")

Times = npt.NDArray[np.datetime64]


def new_york(utc: Times) -> Times:
    """Give times in UTC (datetime64[s]) as New York's wall clock shows them, from 2007 on.

    Examples
    --------
    >>> new_york(np.array(["2013-01-01T10:15", "2013-07-01T10:15"], dtype="datetime64[s]")).tolist()
    [datetime.datetime(2013, 1, 1, 5, 15), datetime.datetime(2013, 7, 1, 6, 15)]
    """
    january = utc.astype("datetime64[Y]")
    starts = _sunday(january, month=3, which=2) + MARCH_CHANGE
    ends = _sunday(january, month=11, which=1) + NOVEMBER_CHANGE
    daylight = (utc >= starts) & (utc < ends)
    clock: Times = utc + STANDARD_OFFSET + daylight * DAYLIGHT_SAVING
    return clock


def _sunday(january: Any, *, month: int, which: int) -> Any:
    first = (january.astype("datetime64[M]") + np.timedelta64(month - 1, "M")).astype("datetime64[D]")
    weekday = (first.astype(np.int64) + 3) % 7  # 0 is Monday: day 0 of the epoch was a Thursday
    return (first + (6 - weekday) + 7 * (which - 1)).astype("datetime64[s]")
