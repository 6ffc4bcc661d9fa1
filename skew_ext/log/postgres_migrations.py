"""`skew db upgrade`: apply the migrations of `sql/migrations` that a database lacks, and make its roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import errors, sql

from skew_ext.errors import LogError
from skew_ext.log.postgres_owners import check_roles, check_schema, owner_of
from skew_ext.log.postgres_session import Database, PostgresError

if TYPE_CHECKING:
    from skew_ext.log.postgres_session import Connection

MIGRATOR, WRITER, AUDITOR, WATCHER = ROLES = ("skew_migrator", "skew_writer", "skew_auditor", "skew_watcher")
# Names of ours stand with their schema: whatever path the login has, nobody's object stands in for one of PostgreSQL's.
_PATH = sql.SQL("SET search_path = pg_catalog, pg_temp")
_LOCK = sql.SQL("SELECT pg_advisory_lock(hashtextextended(%s || '.upgrade', 0))")
_LEDGER = sql.SQL("""
CREATE TABLE IF NOT EXISTS {}.migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
""")


@dataclass
class Upgrade:
    """What an upgrade did: migrations applied, roles made, and what it could not do, in words."""

    applied: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def migrations() -> list[Path]:
    """Give the migrations in their order: from the wheel, where they are inside the package, or from a clone."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "sql" / "migrations", package.parent / "sql" / "migrations"):
        if folder.is_dir():
            return sorted(folder.glob("[0-9]*.sql"))
    msg = "skew_ext is installed without its SQL: install it again"
    raise LogError(msg)


def upgrade(dsn_env: str, schema: str = "skew") -> Upgrade:
    """Bring a database up to date; a second one at the same time waits, and finds nothing to do.

    Raises
    ------
    SettingsError
        The environment variable is not set, or holds no connection string.
    LogError
        The database cannot be reached, or does not let this user do it, or the schema or a role is another role's.
    """
    done = Upgrade()
    try:
        with Database(dsn_env, schema).connected() as connection:
            connection.execute(_PATH)
            connection.execute(_LOCK, (schema,))
            _check_encoding(connection)
            check_schema(connection, schema, MIGRATOR)
            check_roles(connection, ROLES, MIGRATOR)
            _make_roles(connection, done)
            _make_schema(connection, schema)
            _apply(connection, schema, done)
    except PostgresError as error:
        msg = f"the database cannot be upgraded: {error}"
        raise LogError(msg) from None
    return done


def _check_encoding(connection: Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        msg = f"the database's encoding is {encoding}, which cannot hold every text: create it with ENCODING 'UTF8'"
        raise LogError(msg)


def _make_roles(connection: Connection, done: Upgrade) -> None:
    found = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(ROLES),)).fetchall()
    for role in sorted(set(ROLES) - {name for (name,) in found}):
        _make_role(connection, role, done)


def _make_role(connection: Connection, role: str, done: Upgrade) -> None:
    try:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        done.roles.append(role)
    except (errors.DuplicateObject, errors.UniqueViolation):
        pass  # Roles belong to the whole server: another database's upgrade has just made it.
    except errors.InsufficientPrivilege:
        made = f"have it made (CREATE ROLE {role} NOLOGIN), and upgrade again"
        done.notes.append(f"role {role} is missing and this user may not make it: {made}")


def _make_schema(connection: Connection, schema: str) -> None:
    if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone():
        return
    name = sql.Identifier(schema)
    if _may_become(connection, MIGRATOR):
        connection.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(name, sql.Identifier(MIGRATOR)))
    else:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))


def _may_become(connection: Connection, role: str) -> bool:
    """Say whether this user can act as `role`, having made itself a member if it may."""
    for attempt in range(2):
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        except (errors.InsufficientPrivilege, errors.InvalidParameterValue):
            if attempt:
                return False
        else:
            return True
        try:
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
        except (errors.InsufficientPrivilege, errors.UndefinedObject):
            return False
    return False


def _apply(connection: Connection, schema: str, done: Upgrade) -> None:
    """Apply what is missing, as the schema's owner, so that whoever upgrades, one role owns it all."""
    name = sql.Identifier(schema)
    _as_owner(connection, schema, _LEDGER.format(name))
    known = sql.SQL("SELECT name FROM {}.migrations").format(name)
    with connection.transaction():
        _become_owner(connection, schema)
        applied = {name for (name,) in connection.execute(known)}
    for path in migrations():
        if path.stem not in applied:
            record = sql.SQL("INSERT INTO {}.migrations (name) VALUES ({})").format(name, sql.Literal(path.stem))
            path_of_it = sql.SQL("SET LOCAL search_path = {}, pg_temp").format(name)  # its names have no schema
            _as_owner(connection, schema, path_of_it, path.read_text(encoding="utf-8"), record)
            done.applied.append(path.stem)
    _as_owner(connection, schema, sql.SQL("SELECT {}.grant_roles()").format(name))


def _as_owner(connection: Connection, schema: str, *statements: str | sql.Composed) -> None:
    with connection.transaction():
        _become_owner(connection, schema)
        for statement in statements:
            connection.execute(statement if isinstance(statement, sql.Composed) else statement.encode())


def _become_owner(connection: Connection, schema: str) -> None:
    # Looked at in each transaction: a schema may have been dropped and made anew by somebody else since the last one.
    check_schema(connection, schema, MIGRATOR)
    owner = owner_of(connection, schema)
    if owner is not None:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
