"""Where the log is kept: one small protocol, and the destinations that `skew.destination` can name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from skew_ext.errors import SettingsError
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.parquet_files import GROUP, OWNER, Access

if TYPE_CHECKING:
    from collections import Counter
    from datetime import date

    import pyarrow as pa

    from skew_ext.log.query import LogQuery
    from skew_ext.log.upkeep import Upkeep
    from skew_ext.schema import LogSchema


class Destination(Protocol):
    """Takes batches of rows of one schema, and gives rows back."""

    def write(self, table: pa.Table, schema: LogSchema, batch: str) -> None:
        """Store a batch durably before returning, each row once, also when it is sent again under the same name.

        Raises
        ------
        OSError
            The destination cannot take it now; the shipper tries again later.
        RefusedError
            It never will: there is a row in it that does not fit. Nothing of the batch was stored.
        """

    def count_rows(self, owner: str) -> dict[str, dict[date, int]] | None:
        """Count the rows of `owner`'s batches that are there now, by feature service and day (UTC).

        Without reading them. None where the destination cannot tell whose rows are whose.

        Raises
        ------
        LogError
            The log is there and cannot be read.
        """

    def pruned_days(self, owner: str) -> Counter[date]:
        """Return how many of `owner`'s rows were ever pruned, by day; none where `count_rows` is None."""

    @property
    def wants_upkeep(self) -> bool:
        """Whether it is time for `maintain(quick=True)`, also where the shipper is busy."""

    def maintain(self, owner: str, today: date, *, quick: bool = False) -> Upkeep:
        """Look after what is stored, where that is a writer's business: merge small files, let old days go.

        `owner` is what the names of this shipper's batches start with. Called now and then, when no batch is on its
        way; OSError where it cannot be done now. `quick` is only what this destination has written since the last time.
        """

    def prune(self, today: date, *, dry_run: bool = False, trust_clock: bool = False) -> Upkeep:
        """Delete the days that the settings do not keep; with `dry_run`, only count their rows.

        Days are counted from the newest one that the log has rows of, with `trust_clock` from `today`, whatever that
        deletes; see `skew_ext.log.keeping`.
        """

    def read(self, query: LogQuery) -> pa.Table:
        """Give the rows that fit, in any order; no rows, and at least the system columns, where none do.

        Raises
        ------
        LogError
            The log is there and cannot be read.
        """


def destination_from(settings: dict[str, Any]) -> Destination:
    """Make the destination that the settings describe; SettingsError if it cannot be made here."""
    kind = settings["type"]
    if kind == "parquet":
        keeping = {name: settings.get(name) for name in ("keep_days", "max_bytes")}
        return ParquetDestination(Path(settings["path"]), access=_access(settings), **keeping)
    if kind == "postgres":
        return _postgres(settings)
    if kind == "feast":
        from skew_ext.log.feast_destination import FeastDestination  # noqa: PLC0415 - Feast is slow to import

        yaml = settings["yaml"]
        repo, path = Path(settings["repo"]), Path(settings["path"])
        return FeastDestination(repo, path, None if yaml is None else Path(yaml), access=_access(settings))
    msg = f"no destination of type {kind!r}; this version stores to: parquet, postgres, feast"
    raise SettingsError(msg)


def _access(settings: dict[str, Any]) -> Access:
    # A spool of an earlier version does not say it.
    return GROUP if settings.get("access") == "group" else OWNER


def _postgres(settings: dict[str, Any]) -> Destination:
    with needing_psycopg():
        from skew_ext.log.postgres import PostgresDestination  # noqa: PLC0415 - psycopg comes with an extra
    return PostgresDestination(
        settings["dsn_env"], settings["schema_name"], settings["project"], keep_days=settings["keep_days"]
    )


@contextmanager
def needing_psycopg() -> Iterator[None]:
    """Import inside this what needs psycopg; SettingsError says how to get it where it is missing."""
    try:
        yield
    except ImportError as error:
        msg = f"a log in PostgreSQL needs psycopg 3 ({error}): pip install 'skew-ext[postgres]'"
        raise SettingsError(msg) from None
