"""The watch of a PostgreSQL log: in its schema, and each role may do its own and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from skew_ext.errors import WatchError
from skew_ext.log.postgres_migrations import AUDITOR, WATCHER, WRITER, upgrade
from skew_ext.repo import settings_of
from skew_ext.watch.counting import count_rows
from skew_ext.watch.postgres_store import PostgresWatchStore
from skew_ext.watch.sqlite_store import SqliteWatchStore
from skew_ext.watch.state import ServiceState
from skew_ext.watch.store import Commit, OtherWatchError, WatchStore
from skew_ext.watch.summary import WindowSummary
from skew_ext.watch.windows import Kept
from tests.kit import MINUTE, NOON
from tests.servers import PostgresServer
from tests.watching import Watched, right_cells

SCHEMA = "skew of 'ours'"
PASSWORD = "p4ss w0rd's"


def as_user(database: PostgresServer, name: str, *roles: str) -> str:
    """Make a user with some of our roles, and give its DSN."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        user = sql.Identifier(name)
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(user))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(user, sql.Literal(PASSWORD)))
        for role in roles:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), user))
    return psycopg.conninfo.make_conninfo(database.dsn, user=name, password=PASSWORD)


@pytest.fixture
def database(postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN", SCHEMA)
    return postgres_database


def test_a_log_in_postgres_is_watched_by_its_roles(
    database: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = {"type": "postgres", "dsn_env": "LOG_DSN", "schema": SCHEMA}
    watched = Watched(tmp_path / "repo", skew={"start_shipper": False, "destination": destination})
    for minute in range(4):
        if minute == 2:
            watched.spoil()
        watched.minute()
    monkeypatch.setenv("LOG_DSN", as_user(database, "test_watcher", WATCHER, AUDITOR))
    watcher = watched.watcher()
    done = watcher.round()
    assert (done.failed, done.services["scoring"].rows) == ({}, 160)
    assert watched.cells() == right_cells(80, 80) == watched.window_cells()
    assert watcher.round().services["scoring"].windows == 0
    stretches = [(NOON, NOON + MINUTE), (NOON + 3 * MINUTE, NOON + 9 * MINUTE), (NOON - MINUTE, NOON)]
    assert count_rows(settings_of(watched.repo.store), "scoring", stretches) == [40, 40, 0]
    assert count_rows(settings_of(watched.repo.store), "never served", stretches) == [0, 0, 0]


def stores(tmp_path: Path) -> list[WatchStore]:
    names = "rides", "rides \0 \\ é"
    return [
        *(PostgresWatchStore("LOG_DSN", SCHEMA, name) for name in names),
        *(SqliteWatchStore(tmp_path / "a folder" / "watch.sqlite", name) for name in names),
    ]


@pytest.mark.usefixtures("database")
def test_both_stores_keep_a_step_whole_or_not_at_all(tmp_path: Path) -> None:
    for store in stores(tmp_path):
        service = "scoring \0 '); DROP TABLE watch_services; --"
        assert store.state(service) is None
        first = store.commit(
            Commit(ServiceState(service, NOON), [Kept("slice", WindowSummary(NOON - MINUTE, NOON, 7))])
        )
        assert store.state(service) == first == replace(ServiceState(service, NOON), revision=1)
        assert [one.window.rows for one in store.windows(first)] == [7]
        moved = replace(first, watermark=NOON + MINUTE)
        added = [Kept("slice", WindowSummary(NOON, NOON + MINUTE, 8))]
        second = store.commit(Commit(moved, added, store.windows(first)))
        assert [one.window.rows for one in store.windows(second)] == [8]
        for stale in (moved, ServiceState(service, NOON)):
            with pytest.raises(OtherWatchError, match="another skew watch is at work"):
                store.commit(Commit(stale, added, store.windows(second)))
        # A window that is there already is a mistake of ours: nothing of the step is kept.
        with pytest.raises(WatchError):
            store.commit(Commit(replace(second, watermark=NOON + 9 * MINUTE), added))
        assert store.state(service) == second
        assert [one.window.rows for one in store.windows(second)] == [8]


def test_each_role_may_do_its_own(database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Commit(ServiceState("scoring", NOON), [Kept("slice", WindowSummary(NOON, NOON + MINUTE, 7))])
    PostgresWatchStore("LOG_DSN", SCHEMA, "rides").commit(step)
    for role, reads, writes in ((WATCHER, True, True), (AUDITOR, True, False), (WRITER, False, False)):
        monkeypatch.setenv("ROLE_DSN", as_user(database, f"test_{role}", role))
        store = PostgresWatchStore("ROLE_DSN", SCHEMA, "rides")
        if reads:
            assert store.state("scoring") is not None
            assert store.incidents() == []
        else:
            with pytest.raises(WatchError, match="skew_watcher"):
                store.state("scoring")
        if not writes:
            with pytest.raises(WatchError, match="skew_watcher") as raised:
                store.commit(Commit(ServiceState("other", NOON)))
            assert PASSWORD not in str(raised.value)
        else:
            assert store.commit(Commit(ServiceState("other", NOON))).revision == 1


def test_a_database_that_is_not_migrated_is_said(
    postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    with pytest.raises(WatchError, match="run `skew db upgrade`"):
        PostgresWatchStore("LOG_DSN", "skew", "rides").incidents()
