"""Looking after a log in PostgreSQL: old days' partitions go, and the names of batches that nobody sends again."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING

from psycopg import sql

from skew_ext.log.postgres_types import catalog_text
from skew_ext.log.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Collection

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


class Partitions:
    """The partitions of one project's log: one for each feature service and day."""

    def __init__(self, connection: Connection, schema: str, project: str) -> None:
        self._connection = connection
        self._schema = schema
        quoted = sql.Identifier(schema).as_string(connection)
        statement = _PARTITIONS.format(schema=sql.Identifier(schema), name=sql.Literal(quoted))
        found = connection.execute(statement, (catalog_text(project),)).fetchall()
        days = {name: _DAY.search(name) for (name,) in found}
        # A partition that somebody else made has another kind of name.
        self._days = {
            name: datetime.strptime(day[1], "%Y%m%d").replace(tzinfo=timezone.utc).date()
            for name, day in days.items()
            if day is not None
        }

    def days(self) -> set[date]:
        """Return the days of the partitions, up to the newest one that has rows."""
        for newest in sorted(set(self._days.values()), reverse=True):
            if any(self._has_rows(name) for name, day in self._days.items() if day == newest):
                return {day for day in self._days.values() if day <= newest}
        return set()

    def drop(self, going: Collection[date], *, dry_run: bool) -> Upkeep:
        """Drop the partitions of some days; with `dry_run`, only count their rows.

        Each is counted and dropped in one transaction, so no row comes between, and a kill leaves none half-dropped.
        """
        done = Upkeep()
        for partition in sorted(name for name, day in self._days.items() if day in set(going)):
            table = sql.Identifier(self._schema, partition)
            with self._connection.transaction():
                if not dry_run:
                    self._connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
                count = sql.SQL("SELECT count(*) FROM {}").format(table)
                (rows,) = self._connection.execute(count).fetchone() or (0,)
                if not dry_run:
                    self._connection.execute(sql.SQL("DROP TABLE {}").format(table))
            done.pruned["age"] = done.pruned.get("age", 0) + rows
        if not dry_run:
            self._connection.execute(_FORGET.format(sql.Identifier(self._schema)), (BATCH_DAYS,))
        return done

    def _has_rows(self, partition: str) -> bool:
        found = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(self._schema, partition))
        return bool((self._connection.execute(found).fetchone() or (False,))[0])
