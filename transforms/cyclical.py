"""Times of a cycle, as a point on a circle: 23:00 and 00:00 are neighbours there, and 23 and 0 are not.

The sine and cosine come from a table of constants. numpy may compute a sine by another instruction on another machine,
with another last bit; a table that is part of the fingerprint either is the same on both or is seen not to be.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

HOURS, WEEKDAYS = 24, 7
# Day 0 of the epoch was a Thursday; Monday is 0.
EPOCH_WEEKDAY = 3

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]


def circle(steps: int) -> Floats:
    """Give the points of a circle at equal steps: rows of sine and cosine.

    Examples
    --------
    >>> circle(4).round(15).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, -0.0]]
    """
    angles = [2.0 * math.pi * step / steps for step in range(steps)]
    return np.array([[math.sin(angle), math.cos(angle)] for angle in angles])


HOUR_POINTS = circle(HOURS)
WEEKDAY_POINTS = circle(WEEKDAYS)


@feature_transform(
    inputs={"as_of": "UnixTimestamp"},
    outputs={"hour_sin": "Float64", "hour_cos": "Float64", "weekday_sin": "Float64", "weekday_cos": "Float64"},
    version="1",
)
def clock_position(as_of: Times) -> dict[str, Any]:
    """Give the hour of the day and the day of the week, in UTC, each as sine and cosine; null where the time is.

    For a clock on the wall, turn the time into local time first (`transforms.local_time` does for New York).

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> sunday = clock_position.on_row({"as_of": datetime(2026, 3, 1, 6, 59, tzinfo=timezone.utc)})
    >>> {name: round(value, 3) for name, value in sunday.items()}
    {'hour_sin': 1.0, 'hour_cos': 0.0, 'weekday_sin': -0.782, 'weekday_cos': 0.623}
    >>> clock_position.on_row({"as_of": None})["hour_sin"] is None
    True
    """
    missing = np.isnat(as_of)
    seconds = np.where(missing, 0, as_of.astype(np.int64))
    hour = HOUR_POINTS[seconds // 3600 % HOURS]
    weekday = WEEKDAY_POINTS[(seconds // 86_400 + EPOCH_WEEKDAY) % WEEKDAYS]
    points = {"hour": hour, "weekday": weekday}
    return {
        f"{name}_{part}": np.where(missing, np.nan, points[name][:, place])
        for name in points
        for place, part in enumerate(("sin", "cos"))
    }
