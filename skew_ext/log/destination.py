"""Where the log is kept: one small protocol, and the destinations that `skew.destination` can name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from skew_ext.errors import SettingsError
from skew_ext.log.parquet import ParquetDestination

if TYPE_CHECKING:
    import pyarrow as pa

    from skew_ext.log.query import LogQuery
    from skew_ext.schema import LogSchema


class Destination(Protocol):
    """Takes batches of rows of one schema, and gives rows back."""

    def write(self, table: pa.Table, schema: LogSchema, batch: str) -> None:
        """Store a batch durably before returning, each row once, also when it is sent again under the same name.

        Raises
        ------
        OSError
            The destination cannot take it now; the shipper tries again later.
        """

    def read(self, query: LogQuery) -> pa.Table:
        """Give the rows that fit, in any order; no rows, and at least the system columns, where none do.

        Raises
        ------
        LogError
            The log is there and cannot be read.
        """


def destination_from(settings: dict[str, Any]) -> Destination:
    """Make the destination that the settings describe; SettingsError if there is none of that type."""
    if settings["type"] == "parquet":
        return ParquetDestination(Path(settings["path"]))
    msg = f"no destination of type {settings['type']!r}; this version stores to: parquet"
    raise SettingsError(msg)
