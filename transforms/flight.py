"""A flight as it is asked about: what is known only with the request, and the time is an argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform
from transforms.local_time import new_york

# Band 0 ends and band 1 ends here, in miles: about a quarter, and four fifths, of New York's departures.
SHORT_HAUL = 500.0
LONG_HAUL = 1500.0

# Bad weather costs a longer flight more: its slots are harder to come by again.
RISK_PER_1000_MILES = 0.25
# At night fewer runways and crews are at hand.
NIGHT_RISK = 1.2
NIGHT_ENDS = 6
NIGHT_STARTS = 21

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@feature_transform(
    inputs={"scheduled_departure": "Int64", "asked_at": "Int64", "distance": "Float64", "severity": "Float64"},
    outputs={
        "minutes_to_departure": "Float64",
        "distance_band": "Int64",
        "departure_hour": "Int64",
        "night_departure": "Bool",
        "weather_risk": "Float64",
    },
    version="1",
)
def request_features(
    scheduled_departure: Integers, asked_at: Integers, distance: Floats, severity: Floats
) -> dict[str, Any]:
    """Give a flight's features at the time it is asked about; hours are of New York's clock.

    Parameters
    ----------
    scheduled_departure, asked_at
        Unix seconds.
    distance
        Miles.
    severity
        Of the weather at the origin, from `transforms.weather`.

    Examples
    --------
    >>> request_features.on_row(
    ...     {"scheduled_departure": 1374537600, "asked_at": 1374535200, "distance": 1400.0, "severity": 2.0}
    ... )["departure_hour"]  # 2013-07-23 at 00:00 UTC
    20
    """
    clock = new_york(scheduled_departure.astype("datetime64[s]"))
    hour = ((clock - clock.astype("datetime64[D]")) // np.timedelta64(1, "h")).astype(np.int64)
    night = (hour < NIGHT_ENDS) | (hour >= NIGHT_STARTS)
    band = np.searchsorted([SHORT_HAUL, LONG_HAUL], distance, side="right").astype(np.int64)
    reach = 1.0 + RISK_PER_1000_MILES * distance / 1000.0
    return {
        "minutes_to_departure": (scheduled_departure - asked_at) / 60.0,
        "distance_band": np.ma.masked_where(np.isnan(distance), band),
        "departure_hour": hour,
        "night_departure": night,
        "weather_risk": severity * reach * np.where(night, NIGHT_RISK, 1.0),
    }
