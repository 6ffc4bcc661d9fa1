"""Whose the log's schema and roles are: what another role owns or manages is not adopted, for its code would run as us.

A function runs with the rights of who calls it, and one in a session of an administrator can take them all (RESET
ROLE). So before anything in the schema is called, the schema, all in it, and our roles must be ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skew_ext.errors import LogError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.log.postgres_session import Connection

# What is in a schema and has an owner; whatever can stand in for what is called there.
_THINGS = """
SELECT things.kind, things.name, pg_catalog.pg_get_userbyid(things.owner)
FROM pg_catalog.pg_namespace n
CROSS JOIN LATERAL (
    SELECT 'schema' AS kind, n.nspname::text AS name, n.nspowner AS owner
    UNION ALL SELECT 'relation', c.relname, c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid
    UNION ALL SELECT 'function', p.proname, p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid
    UNION ALL SELECT 'type', t.typname, t.typowner FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid
    UNION ALL SELECT 'operator', o.oprname, o.oprowner FROM pg_catalog.pg_operator o WHERE o.oprnamespace = n.oid
    UNION ALL SELECT 'collation', l.collname, l.collowner FROM pg_catalog.pg_collation l WHERE l.collnamespace = n.oid
) AS things
WHERE n.nspname = %s AND NOT (
    SELECT r.rolsuper OR r.rolname IN (session_user, current_user, %s)
    FROM pg_catalog.pg_roles r WHERE r.oid = things.owner
)
ORDER BY things.kind <> 'schema', things.kind, things.name
LIMIT 1
"""
_MAKERS = """
SELECT coalesce(r.rolname, 'PUBLIC')
FROM pg_catalog.pg_namespace n
CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS granted
LEFT JOIN pg_catalog.pg_roles r ON r.oid = granted.grantee
WHERE n.nspname = %s AND granted.privilege_type = 'CREATE'
    AND NOT coalesce(r.rolsuper OR r.rolname IN (session_user, current_user, %s), false)
LIMIT 1
"""
_MANAGERS = """
SELECT role.rolname, member.rolname
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles role ON role.oid = m.roleid
JOIN pg_catalog.pg_roles member ON member.oid = m.member
WHERE role.rolname = ANY(%s) AND (m.admin_option OR role.rolname = %s)
    AND NOT (member.rolsuper OR member.rolname IN (session_user, current_user))
ORDER BY role.rolname, member.rolname
LIMIT 1
"""
_MIGHTY = """
SELECT rolname FROM pg_catalog.pg_roles
WHERE rolname = ANY(%s) AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR rolcanlogin)
ORDER BY rolname
LIMIT 1
"""


def check_schema(connection: Connection, schema: str, migrator: str) -> None:
    """Refuse a schema that another role than this user or `migrator` owns, has something in, or may make things in.

    A superuser may do everything anyhow: what is its own is as good as ours.

    Raises
    ------
    LogError
        It is not ours; the message names what and whose.
    """
    found = connection.execute(_THINGS, (schema, migrator)).fetchone()
    if found is not None:
        kind, name, owner = found
        what = f"schema {schema!r}" if kind == "schema" else f"{kind} {name!r} in schema {schema!r}"
        msg = (
            f"{what} belongs to {owner!r}, neither to {migrator} nor to this user, as whom its code would run: upgrade "
            f"as {owner!r}, or have what is there looked at and given to {migrator} (ALTER ... OWNER TO), or name "
            "another schema"
        )
        raise LogError(msg)
    maker = connection.execute(_MAKERS, (schema, migrator)).fetchone()
    if maker is not None:
        msg = (
            f"{maker[0]!r} may make functions in schema {schema!r}, which would run as this user: look at what is "
            "there, and take the right away (REVOKE CREATE ON SCHEMA ...)"
        )
        raise LogError(msg)


def check_roles(connection: Connection, roles: Sequence[str], migrator: str) -> None:
    """Refuse roles of ours that somebody else manages, that can log in, or that may do more than their name says.

    Raises
    ------
    LogError
        One is such; the message names it.
    """
    mighty = connection.execute(_MIGHTY, (list(roles),)).fetchone()
    if mighty is not None:
        msg = (
            f"role {mighty[0]} can log in or has rights over the server, which ours has not: somebody else made it; "
            f"take that away (ALTER ROLE {mighty[0]} NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB ...)"
        )
        raise LogError(msg)
    managed = connection.execute(_MANAGERS, (list(roles), migrator)).fetchone()
    if managed is not None:
        role, member = managed
        msg = (
            f"role {role} is managed by {member!r}, who is neither this user nor a superuser: upgrade as {member!r}, "
            f"or take the role away from it (REVOKE {role} FROM ...)"
        )
        raise LogError(msg)


def owner_of(connection: Connection, schema: str) -> str | None:
    """Return who owns a schema; None where there is none."""
    statement = "SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = %s"
    row = connection.execute(statement, (schema,)).fetchone()
    return None if row is None else str(row[0])
