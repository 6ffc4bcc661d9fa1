"""A plane: how its last leg went, and how many legs it has flown today."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def legs_today(plane: npt.NDArray[Any], day: npt.NDArray[Any]) -> Integers:
    """Count each plane's legs within its day, from 1, over flights in the order of their departure.

    Parameters
    ----------
    plane, day
        Each flight's plane, and the day it departs on by the local calendar; any values that can be compared.

    Examples
    --------
    >>> legs_today(np.array(["A", "B", "A", "A"]), np.array([1, 1, 1, 2])).tolist()
    [1, 1, 2, 1]
    """
    order = np.lexsort((np.arange(len(plane)), day, plane))
    starts = np.ones(len(plane), dtype=bool)
    starts[1:] = (plane[order][1:] != plane[order][:-1]) | (day[order][1:] != day[order][:-1])
    position = np.arange(len(plane))
    legs = np.empty(len(plane), dtype=np.int64)
    legs[order] = position - np.maximum.accumulate(np.where(starts, position, 0)) + 1
    return legs


@feature_transform(
    inputs={"arrival_delay": "Float64", "departure_delay": "Float64", "leg": "Int64"},
    outputs={
        "last_arrival_delay": "Float64",
        "last_departure_delay": "Float64",
        "made_up": "Float64",
        "legs_today": "Int64",
    },
    version="1",
)
def last_leg(arrival_delay: Floats, departure_delay: Floats, leg: Integers) -> dict[str, Any]:
    """Give a plane's last leg: its delays and the minutes made up between them, and its number within the day.

    Delays are in minutes; negative is early.

    Examples
    --------
    >>> last_leg.on_row({"arrival_delay": 12.0, "departure_delay": 20.0, "leg": 3})
    {'last_arrival_delay': 12.0, 'last_departure_delay': 20.0, 'made_up': 8.0, 'legs_today': 3}
    """
    return {
        "last_arrival_delay": arrival_delay,
        "last_departure_delay": departure_delay,
        "made_up": departure_delay - arrival_delay,
        "legs_today": leg,
    }
