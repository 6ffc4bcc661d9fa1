"""Where the feature rows lie: folders of Parquet files that pipeline.py writes, or tables in PostgreSQL.

Every source has `event_timestamp` and `created`, in UTC with microseconds: what a row is about, and when it was known.
"""

from __future__ import annotations

import os
from pathlib import Path

from feast import FileSource
from feast.data_format import ParquetFormat
from feast.data_source import DataSource

# Absolute, since the DuckDB offline store reads relative paths from wherever the process happens to be.
DATA = Path(__file__).resolve().parent / "data"
EVENT = "event_timestamp"
CREATED = "created"


def source(name: str) -> DataSource:
    """Give the source `name`: a table when FLIGHTS_SOURCES=postgres, else a folder of Parquet files."""
    if os.environ.get("FLIGHTS_SOURCES") == "postgres":
        from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (  # noqa: PLC0415
            PostgreSQLSource,  # needs the postgres extra
        )

        return PostgreSQLSource(
            name=name, table=f"flights.{name}", timestamp_field=EVENT, created_timestamp_column=CREATED
        )
    return FileSource(
        name=name,
        path=str(DATA / "sources" / name),
        file_format=ParquetFormat(),
        timestamp_field=EVENT,
        created_timestamp_column=CREATED,
    )


weather_source = source("origin_weather")
carrier_source = source("carrier_delay")
plane_source = source("plane_history")
