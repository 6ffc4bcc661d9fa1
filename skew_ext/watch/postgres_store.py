"""The watch of a PostgreSQL log: tables of `sql/migrations/0002_watch.sql` in its schema."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import sql

from skew_ext.errors import WatchError
from skew_ext.log.postgres_session import Database, PostgresError
from skew_ext.log.postgres_types import catalog_text
from skew_ext.watch.store import WatchStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from skew_ext.log.postgres_session import Connection
    from skew_ext.watch.store import Cursor, Transaction


class PostgresWatchStore(WatchStore):
    """Keeps it in the schema of the log; its user needs the roles skew_watcher and skew_auditor."""

    def __init__(self, dsn_env: str, schema: str, project: str) -> None:
        super().__init__(project)
        self._database = Database(dsn_env, schema)

    def time(self, moment: datetime) -> Any:
        """Give a time as psycopg takes it: as it is."""
        return moment

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run statements together; WatchError if the database cannot be used."""
        try:
            with self._database.connected() as connection, connection.transaction():
                yield _Runner(connection, self._database.schema)
        except PostgresError as error:
            msg = f"the watch's tables cannot be used: {error} (to watch, skew_watcher and skew_auditor)"
            raise WatchError(msg) from None


class _Runner:
    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = sql.Identifier(schema).as_string(connection).replace("%", "%%")

    def __call__(self, statement: str, parameters: tuple[Any, ...] = ()) -> Cursor:
        values = tuple(catalog_text(one) if isinstance(one, str) and "\0" in one else one for one in parameters)
        return self._connection.execute(statement.replace("{}", self._schema).encode(), values)
