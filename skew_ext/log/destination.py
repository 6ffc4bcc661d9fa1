"""Where the log is kept: one small protocol, and the destinations that `skew.destination` can name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from skew_ext.errors import SettingsError
from skew_ext.log.parquet import ParquetDestination

if TYPE_CHECKING:
    import pyarrow as pa


class Destination(Protocol):
    """Takes batches of rows of one schema. Writing a batch again under the same name must not double its rows."""

    def write(self, table: pa.Table, feature_service: str, batch: str) -> None:
        """Store a batch durably before returning; OSError when the destination cannot take it now."""


def destination_from(settings: dict[str, Any]) -> Destination:
    """Make the destination that the settings describe; SettingsError if there is none of that type."""
    if settings["type"] == "parquet":
        return ParquetDestination(Path(settings["path"]))
    msg = f"no destination of type {settings['type']!r}; this version stores to: parquet"
    raise SettingsError(msg)
