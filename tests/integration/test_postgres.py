"""The PostgreSQL log in use: migrations, roles, days, features that come and go, and an audit that reads it."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from feast.protos.feast.types.Value_pb2 import Value
from psycopg import errors, sql

from skew_ext import SkewAuditor, read_log, request_context
from skew_ext.cli.main import cli
from skew_ext.errors import LogError, SettingsError
from skew_ext.log.postgres import PostgresDestination
from skew_ext.log.postgres_migrations import AUDITOR, MIGRATOR, WATCHER, WRITER, migrations, upgrade
from skew_ext.log.postgres_session import PostgresError
from skew_ext.log.query import LogQuery
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.integration.test_postgres_exact import NOON, assert_same, schema_of, served
from tests.kit import HOUR, MINUTE, Repo, row
from tests.kit import NOON as NOON_TIME
from tests.servers import PostgresServer

DAY = 86_400_000_000
PASSWORD = "p4ss w0rd's"


@pytest.fixture
def database(postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    return postgres_database


def as_user(database: PostgresServer, role: str, name: str) -> str:
    """Make a user with one of our roles, and give its DSN."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        user = sql.Identifier(name)
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(user))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(user, sql.Literal(PASSWORD)))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), user))
    return psycopg.conninfo.make_conninfo(database.dsn, user=name, password=PASSWORD)


def rows_of(database: PostgresServer, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def test_an_upgrade_is_applied_once_and_says_what_it_did(database: PostgresServer) -> None:
    first = CliRunner().invoke(cli, ["db", "upgrade", "--dsn-env", "LOG_DSN"])
    assert (first.exit_code, [line for line in first.output.splitlines() if "applied" in line]) == (
        0,
        [f"applied {path.stem}" for path in migrations()],
    )
    again = CliRunner().invoke(cli, ["db", "upgrade", "--dsn-env", "LOG_DSN", "--json", "-"])
    assert (again.exit_code, json.loads(again.output)) == (0, {"applied": [], "roles": [], "notes": []})
    owners = rows_of(database, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'skew'")
    assert owners == [(MIGRATOR,)]


@pytest.mark.usefixtures("database")
def test_two_upgrades_at_once_apply_each_migration_once() -> None:
    done: list[Any] = []
    threads = [threading.Thread(target=lambda: done.append(upgrade("LOG_DSN", "log of 'mine'"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one.applied) for one in done) == [0, 0, 0, len(migrations())]


def test_a_user_that_may_not_make_roles_is_told_and_goes_on(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(own_postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'x'")
        connection.execute("GRANT CREATE ON DATABASE postgres TO plain")
    monkeypatch.setenv("ADMIN_DSN", own_postgres.dsn)
    monkeypatch.setenv("LOG_DSN", psycopg.conninfo.make_conninfo(own_postgres.dsn, user="plain", password="x"))
    result = CliRunner().invoke(cli, ["db", "upgrade", "--dsn-env", "LOG_DSN"])
    assert result.exit_code == 0
    assert [line for line in result.output.splitlines() if "is missing and this user may not make it" in line]
    schema = schema_of({"f": "INT64"})
    PostgresDestination("LOG_DSN").write(served(schema, [{"f": Value(int64_val=1)}]), schema, "b1")
    # An administrator does not adopt it: what a plain user made would run as the administrator.
    with pytest.raises(LogError, match="schema 'skew' belongs to 'plain', neither to skew_migrator nor to this user"):
        upgrade("ADMIN_DSN")
    # Once the roles are made, they get their rights to the tables that were there before.
    with psycopg.connect(own_postgres.dsn, autocommit=True) as connection:
        for role in (AUDITOR, MIGRATOR, WATCHER, WRITER):
            connection.execute(f"CREATE ROLE {role} NOLOGIN".encode())
    assert (upgrade("LOG_DSN").roles, upgrade("LOG_DSN").notes) == ([], [])
    monkeypatch.setenv("AUDITOR_DSN", as_user(own_postgres, AUDITOR, "test_auditor"))
    assert PostgresDestination("AUDITOR_DSN").read(LogQuery()).num_rows == 1


def test_each_role_may_do_its_own_and_no_more(database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade("LOG_DSN")
    schema = schema_of({"f": "INT64"})
    table = served(schema, [{"f": Value(int64_val=1)}])
    monkeypatch.setenv("WRITER_DSN", as_user(database, WRITER, "test_writer"))
    monkeypatch.setenv("AUDITOR_DSN", as_user(database, AUDITOR, "test_auditor"))
    writer, auditor = PostgresDestination("WRITER_DSN"), PostgresDestination("AUDITOR_DSN")
    writer.write(table, schema, "b1")
    writer.write(table, schema, "b1")
    assert_same(auditor.read(LogQuery()), table)
    with pytest.raises(LogError, match="skew_auditor to read"):
        writer.read(LogQuery())
    with pytest.raises(PostgresError, match="skew_writer to log"):
        auditor.write(table, schema, "b2")
    ((log,),) = rows_of(database, "SELECT name FROM skew.log_tables")
    forbidden = {
        "WRITER_DSN": [
            "SELECT * FROM skew.LOG",
            "UPDATE skew.LOG SET __row = 1",
            "DELETE FROM skew.LOG",
            "TRUNCATE skew.LOG",
            "DROP TABLE skew.LOG",
            "ALTER TABLE skew.LOG ADD COLUMN x int",
            "CREATE TABLE skew.x (y int)",
            "SELECT * FROM skew.batches",
            "DELETE FROM skew.batches",
            "INSERT INTO skew.schemas VALUES ('x', 'y', 'z')",
            "SELECT skew.add_partition('LOG', '2020-01-01')",
            "SELECT skew.grant_roles()",
        ],
        "AUDITOR_DSN": [
            "INSERT INTO skew.LOG (__log_timestamp, __request_id) VALUES (now(), 'x')",
            "DELETE FROM skew.LOG",
            "INSERT INTO skew.batches (batch, table_name, rows) VALUES ('x', 'y', 1)",
            "SELECT skew.ensure_log_table('p', 's', 'h', '{}', '{a}', '{text}', '{2020-01-01}')",
            "CREATE TABLE skew.x (y int)",
        ],
    }
    for variable, statements in forbidden.items():
        for statement in statements:
            connection = psycopg.connect(os.environ[variable], autocommit=True)
            with connection, pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.replace("LOG", log).encode())


def test_the_writers_function_takes_no_type_that_is_not_in_its_list(database: PostgresServer) -> None:
    upgrade("LOG_DSN")
    call = "SELECT skew.ensure_log_table('p', 's', 'h', '{}', %s, %s, '{}')"
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for kind in ("int8; DROP TABLE skew.batches", "text DEFAULT pg_sleep(9)", None):
            with pytest.raises(errors.InvalidParameterValue):
                connection.execute(call, (["a"], [kind]))


def test_rows_lie_in_the_partition_of_their_day(database: PostgresServer) -> None:
    upgrade("LOG_DSN")
    log, schema = PostgresDestination("LOG_DSN"), schema_of({"f": "INT64"})
    for days in (0, 1, 1, -1):
        log.write(served(schema, [{"f": Value(int64_val=days)}], NOON + days * DAY), schema, f"b{days}")
    found = rows_of(
        database,
        "SELECT right(relname, 8) FROM pg_partition_tree((SELECT 'skew.' || name FROM skew.log_tables)::regclass) t "
        "JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf ORDER BY 1",
    )
    assert found == [("20260228",), ("20260301",), ("20260302",)]
    day = datetime(2026, 3, 2, tzinfo=timezone.utc)
    assert log.read(LogQuery(start=day))["v__f"].to_pylist() == [1]  # sent twice, stored once
    assert sorted(log.read(LogQuery(end=day))["v__f"].to_pylist()) == [-1, 0]


def test_features_come_and_go_and_change_type(database: PostgresServer) -> None:
    upgrade("LOG_DSN")
    log = PostgresDestination("LOG_DSN")
    steps = [
        (schema_of({"a": "INT64", "b": "STRING"}), {"a": Value(int64_val=1), "b": Value(string_val="x")}),
        (schema_of({"a": "INT64"}), {"a": Value(int64_val=2)}),
        (schema_of({"a": "DOUBLE", "c": "BOOL"}), {"a": Value(double_val=2.5), "c": Value(bool_val=True)}),
    ]
    tables = [served(schema, [content], NOON + at * DAY) for at, (schema, content) in enumerate(steps)]
    for at, (schema, _) in enumerate(steps):
        log.write(tables[at], schema, f"b{at}")
    rows = log.read(LogQuery()).sort_by("__seq")
    assert rows["v__a"].to_pylist() == [1.0, 2.0, 2.5]
    assert rows["v__b"].to_pylist() == ["x", None, None]
    assert rows["v__c"].to_pylist() == [None, None, True]
    for at, table in enumerate(tables):
        start = datetime(2026, 3, 1 + at, tzinfo=timezone.utc)
        assert_same(log.read(LogQuery(start=start, end=start.replace(hour=23))), table)
    ((view,),) = rows_of(database, "SELECT 'skew.' || skew.served_view_name(name) FROM skew.log_tables")
    served_rows = rows_of(database, "SELECT v__a, v__b, v__c FROM " + view + " ORDER BY __log_timestamp")  # noqa: S608
    assert served_rows == [(None, "x", None), (None, None, None), (2.5, None, True)]


@pytest.mark.usefixtures("database")
def test_projects_share_a_database_and_read_their_own() -> None:
    upgrade("LOG_DSN")
    log, schema = PostgresDestination("LOG_DSN"), schema_of({"f": "INT64"})
    log.write(served(schema, [{"f": Value(int64_val=1)}]), schema, "b")
    assert PostgresDestination("LOG_DSN", project="rides").read(LogQuery("scoring")).num_rows == 1
    assert PostgresDestination("LOG_DSN", project="meals").read(LogQuery("scoring")).num_rows == 0


@pytest.mark.usefixtures("database")
def test_a_database_that_is_not_migrated_says_so(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", skew=skew_settings())
    with pytest.raises(LogError, match="run `skew db upgrade`"):
        read_log(repo.path)
    repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    with pytest.raises(OSError, match="run `skew db upgrade`"):
        Shipper(repo.path / "data/skew/spool").drain()
    assert CliRunner().invoke(cli, ["-c", str(repo.path), "db", "upgrade"]).exit_code == 0
    Shipper(repo.path / "data/skew/spool").drain()
    assert read_log(repo.path).num_rows == 1


def skew_settings() -> dict[str, Any]:
    return {"start_shipper": False, "destination": {"type": "postgres", "dsn_env": "LOG_DSN", "schema": "skew"}}


def test_no_password_is_ever_shown(database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [
        database.dsn.replace(database.password, "s3cr3t"),
        "postgresql//skew:s3cr3t@localhost/x",
        "host=localhost password=s3cr3t bogus",
        "s3cr3t",
        "postgresql://skew:s3cr3t@127.0.0.1:1/x",
        "postgresql://skew:s3cr3t@no.such.host.invalid/x",
    ]
    for dsn in wrong:
        monkeypatch.setenv("LOG_DSN", dsn)
        result = CliRunner().invoke(cli, ["db", "upgrade", "--dsn-env", "LOG_DSN"])
        assert result.exit_code == 2, dsn
        with pytest.raises((LogError, SettingsError)) as caught:
            PostgresDestination("LOG_DSN").read(LogQuery())
        shown = [result.output, str(caught.value), repr(caught.value)]
        assert not [text for text in shown if "s3cr3t" in text]
        assert len(str(caught.value).splitlines()) == 1
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    monkeypatch.delenv("LOG_DSN")
    with pytest.raises(SettingsError, match="LOG_DSN, which names the log's database, is not set"):
        PostgresDestination("LOG_DSN")


@pytest.mark.usefixtures("database")
def test_an_audit_reads_the_log_from_postgres(tmp_path: Path) -> None:
    upgrade("LOG_DSN")
    repo = Repo(tmp_path / "repo", skew=skew_settings())
    drivers = range(1, 21)
    repo.write(
        [
            row(one, NOON_TIME - hours * HOUR, one + hours / 7, one, f"city {one}")
            for one in drivers
            for hours in range(3)
        ]
    )
    repo.materialize(NOON_TIME - HOUR)
    keys = [{"driver": one} for one in drivers]
    with request_context(served_at=NOON_TIME + 90 * MINUTE, request_id="r-1"):
        repo.store.get_online_features(repo.store.get_feature_service("scoring"), keys)
        repo.store.get_online_features(["stats:rating"], keys)
    Shipper(repo.path / "data/skew/spool").drain()
    counts = log_stats(repo.path / "data/skew/spool")
    assert (counts.stored, counts.unaccounted) == (40, 0)
    assert read_log(repo.path, request_id="r-1").num_rows == 40
    assert read_log(repo.path, "").column_names[:2] == ["driver", "stats__rating"]
    report = SkewAuditor(repo.store).run_audit("scoring", NOON_TIME - HOUR, NOON_TIME + 3 * HOUR)
    causes = {feature.feature: feature.causes for feature in report.parity.features}
    assert (report.rows, causes["stats__rating"]) == (20, {"stale_online": 20})
