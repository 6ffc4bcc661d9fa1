"""Connections to the log's PostgreSQL, and its errors said without its password."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from skew_ext.errors import SettingsError
from skew_ext.text import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[tuple[Any, ...]]

PATIENCE_SECONDS = 300.0
"""How long one batch or one piece of reading may take before the connection is taken for dead."""
_DEFAULTS = {
    "connect_timeout": "10",
    "application_name": "skew_ext",
    "client_encoding": "UTF8",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# The server too must notice that we are gone: a transaction of the dead would hold a batch's name, and its resend.
_PRUDENCE = (
    b"SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; "
    b"SET lock_timeout = '30s'"
)
_TOO_WIDE = (errors.ProgramLimitExceeded, errors.TooManyColumns)
_NOT_MIGRATED = (errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn)


_REFUSALS = (errors.DataError, errors.NotNullViolation, *_TOO_WIDE)
"""What the rows are the reason of, and not the server's state: the same rows will meet it again."""


class PostgresError(OSError):
    """PostgreSQL cannot be reached, or cannot do what was asked, now; trying again later may help.

    Unless `refused`: then the rows are the reason.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Database:
    """A database that an environment variable names. Neither its repr nor its errors show a password.

    Raises
    ------
    SettingsError
        The environment variable is not set, or holds no connection string.
    """

    def __init__(self, dsn_env: str, schema: str, patience_seconds: float | None = None) -> None:
        self.schema = schema
        self._env = dsn_env
        self._patience_seconds = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
        self._parameters = _parameters(dsn_env)

    def __repr__(self) -> str:
        """Say which database, without its password."""
        return f"Database({self._env}, schema={self.schema!r})"

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Give a connection for one piece of work; PostgresError if anything goes wrong.

        One for each: it costs milliseconds, and what the last one met (a failover, a pooler's restart) is over.
        """
        try:
            with self._connect() as connection, self._deadline(connection):
                yield connection
        except psycopg.Error as error:
            raise PostgresError(self.explain(error), refused=isinstance(error, _REFUSALS)) from None

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        connection = psycopg.connect(make_conninfo(**self._parameters), autocommit=True, prepare_threshold=None)
        try:
            connection.execute(_PRUDENCE)
            yield connection
        finally:
            connection.close()

    def explain(self, error: psycopg.Error) -> str:
        """Say in one line what went wrong and what to do, without the password."""
        text = " ".join(str(error.diag.message_primary or error).split())
        password = self._parameters.get("password")
        if password:
            text = text.replace(password, "***")
        if isinstance(error, _NOT_MIGRATED):
            return f"schema {self.schema!r} of the database that {self._env} names is not made: run `skew db upgrade`"
        if isinstance(error, errors.InsufficientPrivilege):
            return f"{text}: the user that {self._env} names needs skew_writer to log, and skew_auditor to read"
        if isinstance(error, _TOO_WIDE):
            return f"{text}: a PostgreSQL row has room for some 390 features; split the feature service, or use parquet"
        return f"the database that {self._env} names: {text}"

    @contextmanager
    def _deadline(self, connection: Connection) -> Iterator[None]:
        # A peer that goes silent would hold us for ever: no setting of libpq bounds a wait for an answer.
        timer = threading.Timer(self._patience_seconds, _cut, [connection])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut(connection: Connection) -> None:
    import socket  # noqa: PLC0415 - only where a deadline has passed

    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        pass


def _parameters(dsn_env: str) -> dict[str, Any]:
    dsn = os.environ.get(dsn_env)
    if not dsn:
        msg = (
            f"the environment variable {masked(dsn_env)}, which names the log's database, is not set: set it to its DSN"
        )
        raise SettingsError(msg)
    try:
        return {**_DEFAULTS, **conninfo_to_dict(dsn)}
    except psycopg.Error:
        # The parser's message quotes the string, password and all.
        msg = f"what {masked(dsn_env)} holds is no connection string: write it as postgresql://user:password@host:5432/database"
        raise SettingsError(msg) from None
