"""Where the watch keeps its windows and incidents: with the log. One step of it is one transaction.

Beside a Parquet log that is an SQLite file, in a PostgreSQL log two or three tables: the same statements for both.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from skew_ext.errors import WatchError
from skew_ext.log.destination import needing_psycopg
from skew_ext.settings import PostgresSettings
from skew_ext.watch.incident import Incident
from skew_ext.watch.state import ServiceState
from skew_ext.watch.summary import WindowSummary
from skew_ext.watch.windows import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skew_ext.settings import SkewSettings


class OtherWatchError(WatchError):
    """Another watch of the same log has moved on: what was just done is given up, and nothing of it was kept."""


@dataclass(frozen=True)
class Commit:
    """One step of a service's watch: its new state, and with it what was added, what was dropped, and incidents."""

    state: ServiceState
    added: Sequence[Kept] = ()
    dropped: Sequence[Kept] = ()
    incidents: Sequence[Incident] = field(default=())


class Cursor(Protocol):
    """What a statement gives, of either database."""

    @property
    def rowcount(self) -> int:
        """How many rows it touched."""

    def fetchall(self) -> list[Any]:
        """Give its rows."""


class Transaction(Protocol):
    """Runs statements of one transaction; `%s` stands for a parameter, `{}.` for the schema."""

    def __call__(self, statement: str, parameters: tuple[Any, ...] = ()) -> Cursor:
        """Run one."""


_STATE = "SELECT watermark, revision, content FROM {}.watch_services WHERE project = %s AND feature_service = %s"
_BEGIN = (
    "INSERT INTO {}.watch_services (project, feature_service, watermark, revision, content) "
    "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (project, feature_service) DO NOTHING"
)
_MOVE = (
    "UPDATE {}.watch_services SET watermark = %s, revision = %s, content = %s "
    "WHERE project = %s AND feature_service = %s AND revision = %s"
)
_WINDOWS = (
    "SELECT level, content FROM {}.watch_windows WHERE project = %s AND feature_service = %s ORDER BY starts_at, level"
)
_DROP = "DELETE FROM {}.watch_windows WHERE project = %s AND feature_service = %s AND level = %s AND starts_at = %s"
_ADD = (
    "INSERT INTO {}.watch_windows (project, feature_service, level, starts_at, ends_at, served_rows, content) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
_INCIDENT = (
    "INSERT INTO {}.watch_incidents (project, id, feature_service, opened_at, closed_at, content) "
    "VALUES (%s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (project, id) DO UPDATE SET closed_at = excluded.closed_at, content = excluded.content"
)
_INCIDENTS = "SELECT content FROM {}.watch_incidents WHERE project = %s"


class WatchStore(ABC):
    """Keeps what the watch of one project knows. Subclasses say how a transaction is run."""

    def __init__(self, project: str) -> None:
        self.project = project

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]:
        """Run statements together: all of them are kept durably, or none.

        Raises
        ------
        WatchError
            The store cannot be used now.
        """

    @abstractmethod
    def time(self, moment: datetime) -> Any:
        """Give a time as this database takes it."""

    def state(self, feature_service: str) -> ServiceState | None:
        """Give where the watch of a service stands; None where it has not begun."""
        with self.transaction() as run:
            rows = run(_STATE, (self.project, feature_service)).fetchall()
        if not rows:
            return None
        watermark, revision, content = rows[0]
        if isinstance(watermark, str):
            watermark = datetime.fromisoformat(watermark)
        return ServiceState.from_json(feature_service, watermark, revision, json.loads(content))

    def windows(self, state: ServiceState) -> list[Kept]:
        """Give the windows of a service, the earliest first."""
        with self.transaction() as run:
            rows = run(_WINDOWS, (self.project, state.feature_service)).fetchall()
        return [Kept(level, WindowSummary.from_json(json.loads(content), state.scales)) for level, content in rows]

    def commit(self, step: Commit) -> ServiceState:
        """Keep a step, all of it or nothing; give the state as it stands now.

        Raises
        ------
        OtherWatchError
            The service was moved on by another watch since `step.state` was read.
        """
        state = replace(step.state, revision=step.state.revision + 1)
        with self.transaction() as run:
            self._move(run, step.state, state)
            where = (self.project, state.feature_service)
            for one in step.dropped:
                run(_DROP, (*where, one.level, self.time(one.window.start)))
            for one in step.added:
                times = self.time(one.window.start), self.time(one.window.end)
                run(_ADD, (*where, one.level, *times, one.window.rows, json.dumps(one.window.to_json())))
            self._save(run, step.incidents)
        return state

    def _move(self, run: Transaction, before: ServiceState, after: ServiceState) -> None:
        content, watermark = json.dumps(after.to_json()), self.time(after.watermark)
        where = (self.project, after.feature_service)
        if before.revision:
            moved = run(_MOVE, (watermark, after.revision, content, *where, before.revision))
        else:
            moved = run(_BEGIN, (*where, watermark, after.revision, content))
        if moved.rowcount != 1:
            msg = f"another skew watch is at work on {after.feature_service!r} in this log; this one waits"
            raise OtherWatchError(msg)

    def incidents(
        self, feature_service: str | None = None, *, only_open: bool = False, since: datetime | None = None
    ) -> list[Incident]:
        """Give the incidents, the newest first; with `since`, those that are open or were closed since then."""
        statement, parameters = _INCIDENTS, [self.project]
        if feature_service is not None:
            statement, parameters = statement + " AND feature_service = %s", [*parameters, feature_service]
        if only_open:
            statement += " AND closed_at IS NULL"
        if since is not None:
            statement += " AND (closed_at IS NULL OR closed_at >= %s)"
            parameters = [*parameters, self.time(since)]
        with self.transaction() as run:
            rows = run(statement + " ORDER BY opened_at DESC, id", tuple(parameters)).fetchall()
        return [Incident.from_json(json.loads(content)) for (content,) in rows]

    def save(self, incidents: Iterable[Incident]) -> None:
        """Keep what became of incidents: deliveries, answers."""
        with self.transaction() as run:
            self._save(run, incidents)

    def _save(self, run: Transaction, incidents: Iterable[Incident]) -> None:
        for one in incidents:
            closed = None if one.closed_at is None else self.time(one.closed_at)
            known = (self.project, one.id, one.feature_service, self.time(one.opened_at), closed)
            run(_INCIDENT, (*known, json.dumps(one.to_json())))


def open_watch_store(settings: SkewSettings, project: str) -> WatchStore:
    """Give the store that goes with the log of a repo's settings.

    Raises
    ------
    SettingsError
        The database that the settings name cannot be told from its variable.
    """
    destination = settings.destination
    if isinstance(destination, PostgresSettings):
        with needing_psycopg():
            from skew_ext.watch.postgres_store import PostgresWatchStore  # noqa: PLC0415 - psycopg comes with an extra
        return PostgresWatchStore(destination.dsn_env, destination.schema_name, project)
    from skew_ext.watch.sqlite_store import SqliteWatchStore  # noqa: PLC0415 - as the other one

    return SqliteWatchStore(watch_folder(destination.path) / "watch.sqlite", project)


def watch_folder(log: Path) -> Path:
    """Give the folder beside a Parquet log in which its watch is kept."""
    return log.with_name(f"{log.name}-watch")
