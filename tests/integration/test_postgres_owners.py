"""`skew db upgrade` by a login that is no superuser, and what it does not adopt: others' schemas, functions, roles."""

from __future__ import annotations

import os

import psycopg
import pytest
from click.testing import CliRunner
from feast.protos.feast.types.Value_pb2 import Value

from skew_ext.cli.main import cli
from skew_ext.errors import LogError
from skew_ext.log.postgres import PostgresDestination
from skew_ext.log.postgres_migrations import AUDITOR, MIGRATOR, ROLES, WATCHER, WRITER, migrations, upgrade
from skew_ext.log.query import LogQuery
from skew_ext.watch.postgres_store import PostgresWatchStore
from tests.integration.test_postgres_exact import assert_same, schema_of, served
from tests.servers import PostgresServer

PASSWORD = "p4ss w0rd's"
LOGINS = {"log_admin": "CREATEROLE", "other": "CREATEROLE", "plain": ""}


@pytest.fixture
def server(own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    """Give a server of its own, for roles belong to a whole server, with logins none of which is a superuser."""
    for name, rights in LOGINS.items():
        run(own_postgres.dsn, f"CREATE ROLE {name} LOGIN {rights} PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
        run(own_postgres.dsn, f"GRANT CREATE ON DATABASE {own_postgres.dbname} TO {name}")
        monkeypatch.setenv(f"{name.upper()}_DSN", dsn_of(own_postgres, name))
    monkeypatch.setenv("SUPERUSER_DSN", own_postgres.dsn)
    return own_postgres


def dsn_of(server: PostgresServer, name: str) -> str:
    return psycopg.conninfo.make_conninfo(server.dsn, user=name, password=PASSWORD)


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rows_of(server: PostgresServer, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn) as connection:
        return list(connection.execute(query.encode()))


def test_a_login_that_is_no_superuser_makes_everything(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    done = upgrade("LOG_ADMIN_DSN")
    assert (done.roles, done.notes, len(done.applied)) == (sorted(ROLES), [], len(migrations()))
    owners = rows_of(server, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'skew'")
    assert owners == [(MIGRATOR,)]
    assert upgrade("LOG_ADMIN_DSN").applied == []
    for user, roles in (("w", WRITER), ("a", AUDITOR), ("o", f"{AUDITOR}, {WATCHER}")):
        run(os.environ["LOG_ADMIN_DSN"], f"CREATE ROLE {user} LOGIN PASSWORD 'x' IN ROLE {roles}")
        monkeypatch.setenv(f"{user.upper()}_DSN", psycopg.conninfo.make_conninfo(server.dsn, user=user, password="x"))
    schema = schema_of({"f": "INT64"})
    table = served(schema, [{"f": Value(int64_val=1)}])
    PostgresDestination("W_DSN").write(table, schema, "b1")
    assert_same(PostgresDestination("A_DSN").read(LogQuery()), table)
    assert PostgresWatchStore("O_DSN", "skew", "rides").incidents() == []


@pytest.mark.parametrize("administrator", ["SUPERUSER_DSN", "LOG_ADMIN_DSN"])
def test_a_schema_that_another_role_made_is_not_adopted(server: PostgresServer, administrator: str) -> None:
    """The function says as whom it was called, so that the test sees whether it was."""
    names = ", ".join(f"('{path.stem}')" for path in migrations())
    run(
        os.environ["PLAIN_DSN"],
        "CREATE SCHEMA skew",
        "CREATE TABLE skew.calls (who text)",
        "GRANT USAGE ON SCHEMA skew TO PUBLIC",
        "GRANT INSERT ON skew.calls TO PUBLIC",
        "CREATE TABLE skew.migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        f"INSERT INTO skew.migrations VALUES {names}",  # noqa: S608 - our own files' names
        "CREATE FUNCTION skew.grant_roles() RETURNS void LANGUAGE sql AS "
        "'INSERT INTO skew.calls VALUES (session_user)'",
    )
    result = CliRunner().invoke(cli, ["db", "upgrade", "--dsn-env", administrator])
    assert result.exit_code == 2
    assert "schema 'skew' belongs to 'plain', neither to skew_migrator nor to this user" in result.output
    assert len(result.output.splitlines()) == 1
    assert rows_of(server, "SELECT who FROM skew.calls") == []
    assert rows_of(server, "SELECT 1 FROM pg_roles WHERE rolname LIKE 'skew\\_%'") == []  # not even the roles are made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE TABLE skew.mine (x int)", "relation 'mine' in schema 'skew' belongs to 'plain'"),
        ("CREATE FUNCTION skew.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1'", "function 'format'"),
        ("CREATE TYPE skew.mine AS ENUM ()", "type '.*mine' in schema 'skew' belongs to 'plain'"),
        ("SELECT 1", "'plain' may make functions in schema 'skew'"),
    ],
)
def test_what_another_role_put_into_the_schema_is_refused(server: PostgresServer, made: str, said: str) -> None:
    upgrade("LOG_ADMIN_DSN")
    run(server.dsn, "GRANT USAGE, CREATE ON SCHEMA skew TO plain")
    run(os.environ["PLAIN_DSN"], made)
    if made != "SELECT 1":
        run(server.dsn, "REVOKE CREATE ON SCHEMA skew FROM plain")
    for administrator in ("LOG_ADMIN_DSN", "SUPERUSER_DSN"):
        with pytest.raises(LogError, match=said):
            upgrade(administrator)


def test_everybody_may_make_things_in_a_schema_that_is_refused(server: PostgresServer) -> None:
    upgrade("LOG_ADMIN_DSN")
    run(server.dsn, "GRANT CREATE ON SCHEMA skew TO PUBLIC")
    with pytest.raises(LogError, match="'PUBLIC' may make functions in schema 'skew'"):
        upgrade("LOG_ADMIN_DSN")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_somebody_else_made_is_refused(server: PostgresServer, role: str) -> None:
    run(os.environ["OTHER_DSN"], f"CREATE ROLE {role} NOLOGIN")
    for administrator in ("LOG_ADMIN_DSN", "SUPERUSER_DSN"):
        with pytest.raises(LogError, match=f"role {role} is managed by 'other'"):
            upgrade(administrator)
    assert rows_of(server, "SELECT 1 FROM pg_namespace WHERE nspname = 'skew'") == []
    run(server.dsn, f"REVOKE {role} FROM other CASCADE")
    upgrade("SUPERUSER_DSN")
    run(server.dsn, f"ALTER ROLE {role} LOGIN")
    with pytest.raises(LogError, match=f"role {role} can log in"):
        upgrade("SUPERUSER_DSN")


def test_who_may_act_as_the_owner_is_no_stranger(server: PostgresServer) -> None:
    upgrade("SUPERUSER_DSN")
    run(server.dsn, f"GRANT {MIGRATOR} TO plain")
    with pytest.raises(LogError, match=f"role {MIGRATOR} is managed by 'plain'"):
        upgrade("SUPERUSER_DSN")
    assert upgrade("PLAIN_DSN").applied == []  # who may act as the owner upgrades by itself


def test_the_logins_own_path_changes_nothing(server: PostgresServer) -> None:
    """A login may have a search path on which others make things; what stands there in place of ours is not called."""
    run(os.environ["OTHER_DSN"], "CREATE SCHEMA shared", "GRANT USAGE ON SCHEMA shared TO PUBLIC")
    run(os.environ["OTHER_DSN"], "CREATE TABLE shared.calls (who text)", "GRANT INSERT ON shared.calls TO PUBLIC")
    for name, result in (("grant_roles()", "void"), ("pg_advisory_lock(bigint)", "void"), ("now()", "timestamptz")):
        body = "INSERT INTO shared.calls VALUES (session_user); SELECT NULL" + f"::{result}" * (result != "void")
        run(os.environ["OTHER_DSN"], f"CREATE FUNCTION shared.{name} RETURNS {result} LANGUAGE sql AS '{body}'")
    run(os.environ["OTHER_DSN"], "CREATE VIEW shared.pg_roles AS SELECT 'skew_writer'::name AS rolname")
    run(server.dsn, "ALTER ROLE log_admin SET search_path = shared, pg_catalog")
    done = upgrade("LOG_ADMIN_DSN")
    assert done.roles == sorted(ROLES)
    assert rows_of(server, "SELECT who FROM shared.calls") == []
