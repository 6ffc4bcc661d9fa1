"""The feature views. The tags tell `skew lint` how often a view is materialized and how far back its values look."""

from datetime import timedelta

from entities import carrier, origin, plane
from feast import FeatureView, Field, RequestSource
from feast.types import Float64, Int64
from sources import carrier_source, plane_source, weather_source

from transforms.flight import request_features

HOURLY = {"skew.materialize_every": "1h"}

origin_weather = FeatureView(
    name="origin_weather",
    entities=[origin],
    ttl=timedelta(hours=3),
    schema=[
        Field(name="temp", dtype=Float64, description="Degrees Fahrenheit."),
        Field(name="dewp", dtype=Float64, description="Dew point, degrees Fahrenheit."),
        Field(name="humid", dtype=Float64, description="Relative humidity, percent."),
        Field(name="wind_speed", dtype=Float64, description="Miles per hour."),
        Field(name="wind_gust", dtype=Float64, description="Miles per hour; null when no gust was observed."),
        Field(name="precip", dtype=Float64, description="Inches in the hour."),
        Field(name="pressure", dtype=Float64, description="At sea level, millibars."),
        Field(name="visib", dtype=Float64, description="Miles, at most 10."),
        Field(name="severity", dtype=Float64, description="transforms.weather:severity, 0 to 10."),
    ],
    source=weather_source,
    tags={**HOURLY, "skew.lookback": "1h"},
    description="Hourly weather at the airport. Known at once: the data tell no other time than the hour's.",
)

carrier_delay = FeatureView(
    name="carrier_delay",
    entities=[carrier, origin],
    ttl=timedelta(hours=24),
    schema=[
        Field(name="mean_arrival_delay", dtype=Float64, description="Minutes, over the landings of the last 6 hours."),
        Field(name="late_share", dtype=Float64, description="Share of them over 15 minutes late."),
        Field(name="landed_flights", dtype=Int64, description="How many landed."),
    ],
    source=carrier_source,
    # A carrier has two letters and an airport three: their texts, run together, name one pair only.
    tags={**HOURLY, "skew.lookback": "6h", "skew.ignore": "SKW028"},
    description="How late the carrier's flights from this airport have been landing, at each full hour.",
)

plane_history = FeatureView(
    name="plane_history",
    entities=[plane],
    ttl=timedelta(days=60),
    schema=[
        Field(name="last_arrival_delay", dtype=Float64, description="Minutes; negative is early."),
        Field(name="last_departure_delay", dtype=Float64, description="Minutes; negative is early."),
        Field(name="made_up", dtype=Float64, description="Departure delay less arrival delay, minutes."),
        Field(name="legs_today", dtype=Int64, description="The leg's number from New York in that local day."),
    ],
    source=plane_source,
    tags={**HOURLY, "skew.lookback": "24h"},
    description=(
        "A plane's last leg. The event is the scheduled departure, but a row is known only when the plane has landed: "
        "a join on event time alone lets training see what serving could not."
    ),
)

flight_ask = RequestSource(
    name="flight_ask",
    schema=[
        Field(name="scheduled_departure", dtype=Int64, description="Unix seconds."),
        Field(name="asked_at", dtype=Int64, description="Unix seconds."),
        Field(name="distance", dtype=Float64, description="Miles."),
    ],
)

flight_request = request_features.on_demand_feature_view(
    name="flight_request",
    sources=[flight_ask, origin_weather[["severity"]]],
    description="What is known only when a flight is asked about.",
)
