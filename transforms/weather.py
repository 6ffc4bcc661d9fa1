"""Weather at an origin airport: how bad for departures, from 0 (fair) to 10.

Units are the sources': wind in miles per hour, visibility in miles, precipitation in inches per hour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform

KNOTS_PER_MILE_PER_HOUR = 0.868976

# Up to 4 points for wind: none to 10 mph, all from 45 mph, about where ground handling stops.
CALM_WIND = 10.0
STOPPING_WIND = 45.0
WIND_POINTS = 4.0
# Up to 3 points for visibility: none from 10 miles, which is as far as the stations report.
CLEAR_VISIBILITY = 10.0
VISIBILITY_POINTS = 3.0
# Up to 3 points for precipitation: all from 0.3 inches per hour, which the US Weather Service calls heavy rain.
HEAVY_RAIN = 0.3
RAIN_POINTS = 3.0

Floats = npt.NDArray[np.float64]


def knots(miles_per_hour: Floats) -> Floats:
    """Give a speed in knots.

    Examples
    --------
    >>> knots(np.array([10.0])).round(3).tolist()
    [8.69]
    """
    return miles_per_hour * KNOTS_PER_MILE_PER_HOUR


@feature_transform(
    inputs={"wind_speed": "Float64", "wind_gust": "Float64", "visib": "Float64", "precip": "Float64"},
    outputs={"severity": "Float64"},
    version="1",
)
def severity(wind_speed: Floats, wind_gust: Floats, visib: Floats, precip: Floats) -> dict[str, Any]:
    """Give the severity of the weather, from 0 to 10; null where wind, visibility or precipitation is.

    A null gust means that none was observed: then the steady wind alone counts.

    Examples
    --------
    >>> severity.on_row({"wind_speed": 8.0, "wind_gust": None, "visib": 10.0, "precip": 0.0})
    {'severity': 0.0}
    >>> severity.on_row({"wind_speed": 20.0, "wind_gust": 45.0, "visib": 0.0, "precip": 0.5})
    {'severity': 10.0}
    """
    wind = np.where(np.isnan(wind_speed), np.nan, np.fmax(wind_speed, wind_gust))
    windy = np.clip((wind - CALM_WIND) / (STOPPING_WIND - CALM_WIND), 0.0, 1.0)
    dim = np.clip(1.0 - visib / CLEAR_VISIBILITY, 0.0, 1.0)
    wet = np.clip(precip / HEAVY_RAIN, 0.0, 1.0)
    return {"severity": WIND_POINTS * windy + VISIBILITY_POINTS * dim + RAIN_POINTS * wet}
