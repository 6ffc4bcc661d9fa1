"""Looking after a log in PostgreSQL: old days' partitions go, and the names of batches that nobody sends again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql

from skew_ext.log.postgres_types import catalog_text
from skew_ext.log.upkeep import Upkeep

if TYPE_CHECKING:
    from datetime import date

    from skew_ext.log.postgres_session import Connection

BATCH_DAYS = 90
"""How long a batch's name is kept: a spool that was asleep for longer could store its last batch twice."""
_DAY = re.compile(r"_(\d{8})$")
_PARTITIONS = sql.SQL("""
SELECT child.relname
FROM {schema}.log_tables t
JOIN pg_class parent ON parent.relname = t.name AND parent.relnamespace = {name}::regnamespace
JOIN pg_inherits i ON i.inhparent = parent.oid
JOIN pg_class child ON child.oid = i.inhrelid
WHERE t.project = %s
ORDER BY child.relname
""")
_FORGET = sql.SQL("DELETE FROM {}.batches WHERE stored_at < now() - make_interval(days => %s)")


def prune(connection: Connection, schema: str, project: str, first: date, *, dry_run: bool = False) -> Upkeep:
    """Drop a project's partitions of the days before `first`; with `dry_run`, only count their rows."""
    done = Upkeep()
    for partition in _old(connection, schema, project, first):
        table = sql.Identifier(schema, partition)
        (rows,) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone() or (0,)
        done.pruned["age"] = done.pruned.get("age", 0) + rows
        if not dry_run:
            connection.execute(sql.SQL("DROP TABLE {}").format(table))
    if not dry_run:
        connection.execute(_FORGET.format(sql.Identifier(schema)), (BATCH_DAYS,))
    return done


def _old(connection: Connection, schema: str, project: str, first: date) -> list[str]:
    quoted = sql.Identifier(schema).as_string(connection)
    statement = _PARTITIONS.format(schema=sql.Identifier(schema), name=sql.Literal(quoted))
    partitions = connection.execute(statement, (catalog_text(project),)).fetchall()
    days = {name: _DAY.search(name) for (name,) in partitions}
    # A partition that somebody else made has another kind of name.
    return [name for name, day in days.items() if day is not None and day[1] < f"{first:%Y%m%d}"]
