"""The watch of a Parquet log: one SQLite file beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from skew_ext.clock import as_utc
from skew_ext.errors import WatchError
from skew_ext.private_files import make_private
from skew_ext.watch.store import WatchStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from skew_ext.watch.store import Cursor, Transaction

PATIENCE_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS watch_services (
    project TEXT NOT NULL, feature_service TEXT NOT NULL, watermark TEXT NOT NULL, revision INTEGER NOT NULL,
    content TEXT NOT NULL, PRIMARY KEY (project, feature_service)
);
CREATE TABLE IF NOT EXISTS watch_windows (
    project TEXT NOT NULL, feature_service TEXT NOT NULL, level TEXT NOT NULL, starts_at TEXT NOT NULL,
    ends_at TEXT NOT NULL, served_rows INTEGER NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (project, feature_service, level, starts_at)
);
CREATE TABLE IF NOT EXISTS watch_incidents (
    project TEXT NOT NULL, id TEXT NOT NULL, feature_service TEXT NOT NULL, opened_at TEXT NOT NULL, closed_at TEXT,
    content TEXT NOT NULL, PRIMARY KEY (project, id)
);
"""


class SqliteWatchStore(WatchStore):
    """Keeps it in a file, which is made when it is first written."""

    def __init__(self, path: Path, project: str) -> None:
        super().__init__(project)
        self._path = path
        self._made = False

    def time(self, moment: datetime) -> Any:
        """Give a time as text that sorts as times do."""
        return as_utc(moment).isoformat(timespec="microseconds")

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run statements together; WatchError if the file cannot be used."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(self._path)  # SQLite makes its journal with the same mode
            with closing(sqlite3.connect(self._path, timeout=PATIENCE_SECONDS, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                if not self._made:
                    connection.executescript(_TABLES)
                    self._made = True
                connection.execute("BEGIN IMMEDIATE")
                yield _Runner(connection)
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            msg = f"the watch's file {self._path} cannot be used ({error}): it has to be writable for who watches"
            raise WatchError(msg) from None


class _Runner:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __call__(self, statement: str, parameters: tuple[Any, ...] = ()) -> Cursor:
        return self._connection.execute(statement.replace("{}.", "").replace("%s", "?"), parameters)
