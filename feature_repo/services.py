"""What the model asks for."""

from feast import FeatureService
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from sources import DATA
from views import carrier_delay, flight_request, origin_weather, plane_history

# The inputs of flight_request stand in origin_weather, so what it was computed from is logged with it.
departure_delay = FeatureService(
    name="departure_delay",
    features=[origin_weather, carrier_delay, plane_history, flight_request],
    logging_config=LoggingConfig(
        destination=FileLoggingDestination(path=str(DATA / "skew" / "log" / "departure_delay")),
    ),
    description="Will a departure from New York arrive 15 minutes late or more?",
)
