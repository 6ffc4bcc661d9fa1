"""Whom the features describe: an airport of departure, a carrier, a plane."""

from feast import Entity, ValueType

origin = Entity(
    name="origin", join_keys=["origin"], value_type=ValueType.STRING, description="Airport of departure: EWR, JFK, LGA."
)
carrier = Entity(
    name="carrier", join_keys=["carrier"], value_type=ValueType.STRING, description="Airline, by its two-letter code."
)
plane = Entity(
    name="plane", join_keys=["tailnum"], value_type=ValueType.STRING, description="Plane, by its tail number."
)
