"""A small Parquet log for tests, written as the shipper writes it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from feast.protos.feast.types.Value_pb2 import Value

from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.query import LogQuery
from tests.integration.test_postgres_exact import schema_of, served
from tests.kit import NOON

if TYPE_CHECKING:
    from pathlib import Path

    from skew_ext.log.destination import Destination

DAY = timedelta(days=1)
TODAY = NOON.date()
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def stored(  # noqa: PLR0913 - all but the first two by name
    log: Path, rows: int, *, owner: str = "mine", start: int = 0, at: datetime = NOON, service: str = "scoring"
) -> ParquetDestination:
    """Store so many rows, a file for each; their value is their number."""
    destination, schema = ParquetDestination(log), schema_of({"f": "INT64"}, service)
    for number in range(start, start + rows):
        values = [{"f": Value(int64_val=number)}]
        table = served(schema, values, microseconds(at), request_id=f"r{number}")
        destination.write(table, schema, f"{owner}-{number:04}")
    return destination


def microseconds(at: datetime) -> int:
    """Return a moment in microseconds since the epoch."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def files(log: Path) -> list[Path]:
    """Return the log's files."""
    return sorted(log.rglob("*.parquet"))


def values(destination: Destination, **query: object) -> list[int]:
    """Return the values of the rows that fit."""
    return sorted(destination.read(LogQuery(**query))["v__f"].to_pylist())  # type: ignore[arg-type]
