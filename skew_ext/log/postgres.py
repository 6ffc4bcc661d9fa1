"""PostgreSQL as the log's destination: a typed table for each feature service, partitioned by day.

A batch's name is recorded in the transaction that holds its rows: sent again after an unknown commit, it is skipped.
What PostgreSQL cannot hold (a NUL in a text, a time before 4713 BC) stands in the row's `__exact` as it was served,
and the cell has the nearest thing that PostgreSQL can hold; reading puts the served value back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from skew_ext.errors import LogError, RefusedError
from skew_ext.log.keeping import days_to_go
from skew_ext.log.postgres_encode import encode, holdable, unholdable
from skew_ext.log.postgres_read import LogReader
from skew_ext.log.postgres_session import Database, PostgresError
from skew_ext.log.postgres_types import EXACT, catalog_text, pg_type
from skew_ext.log.postgres_upkeep import Partitions
from skew_ext.log.union import union
from skew_ext.log.upkeep import Upkeep
from skew_ext.schema import LOG_DATE

if TYPE_CHECKING:
    from datetime import date

    from skew_ext.log.postgres_session import Connection
    from skew_ext.log.query import LogQuery
    from skew_ext.schema import LogSchema

_MOST_LAYOUTS = 1000
_FINEST, _MICROSECOND = 50_000, timedelta(microseconds=1)
_ENSURE = sql.SQL("SELECT table_name, name, type, physical FROM {}.ensure_log_table(%s, %s, %s, %s, %s, %s, %s)")
_RECORD = sql.SQL("INSERT INTO {}.batches (batch, table_name, rows) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING")


@dataclass
class _Layout:
    """Where the rows of one schema go: the table, a physical name for each column, and the days it is ready for."""

    table: str
    columns: list[str]
    days: set[date]


class PostgresDestination:
    """Stores to the database that an environment variable names, in one schema; `project` is whose log is read.

    Raises
    ------
    SettingsError
        The environment variable is not set, or holds no connection string.
    """

    def __init__(
        self,
        dsn_env: str = "DATABASE_URL",
        schema: str = "skew",
        project: str = "",
        *,
        keep_days: int | None = None,
    ) -> None:
        self._database = Database(dsn_env, schema)
        self._schema = schema
        self._project = project
        self._keep_days = keep_days
        self._layouts: dict[str, _Layout] = {}

    def write(self, table: pa.Table, schema: LogSchema, batch: str) -> None:
        """Store a batch of rows of one schema under the name `batch`.

        Raises
        ------
        PostgresError
            It cannot be stored now.
        RefusedError
            PostgreSQL has no place for one of the rows: it is too wide, or a value fits no type.
        """
        try:
            with self._database.connected() as connection:
                layout = self._layout(connection, table, schema)
                with connection.transaction():
                    if self._record(connection, layout.table, batch, table.num_rows):
                        self._copy(connection, layout, table)
        except PostgresError as error:
            # The tables may be others than when they were looked at.
            self._layouts.clear()
            if error.refused:
                raise RefusedError(str(error)) from None
            raise

    def count_rows(self, owner: str) -> dict[str, dict[date, int]] | None:  # noqa: ARG002 - likewise
        """Return None: a row does not say which spool it came from."""
        return None

    def pruned_days(self, owner: str) -> Counter[date]:  # noqa: ARG002 - likewise
        """Return none, as `count_rows`."""
        return Counter()

    @property
    def wants_upkeep(self) -> bool:
        """Never: a database looks after its own."""
        return False

    def maintain(self, owner: str, today: date, *, quick: bool = False) -> Upkeep:  # noqa: ARG002 - as the others
        """Do nothing: to drop a partition is the owner's right, not the writer's; see `skew log prune`."""
        return Upkeep()

    def prune(self, today: date, *, dry_run: bool = False, trust_clock: bool = False) -> Upkeep:
        """Drop the partitions of the days that are not kept; LogError if that cannot be done."""
        if self._keep_days is None:
            return Upkeep()
        self._layouts.clear()
        try:
            with self._database.connected() as connection:
                log = Partitions(connection, self._schema, self._project)
                keeping = days_to_go(log.days(), today, self._keep_days, trust_clock=trust_clock)
                done = log.drop(keeping.going, dry_run=dry_run)
                done.refused = keeping.refused
                return done
        except PostgresError as error:
            msg = f"the log cannot be pruned: {error}; dropping partitions takes the schema's owner, skew_migrator"
            raise LogError(msg) from None

    def read(self, query: LogQuery) -> pa.Table:
        """Give the rows that fit, columns and types as the other destinations give them; LogError if it cannot."""
        try:
            with self._database.connected() as connection, connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                tables = list(LogReader(connection, self._schema, self._project).tables(query))
        except PostgresError as error:
            msg = f"the log cannot be read: {error}"
            raise LogError(msg) from None
        return union(tables)

    def stretches(self, query: LogQuery, rows: int) -> list[LogQuery]:
        """Part a query with a start and an end into ones of at most about `rows` rows, in order; LogError likewise.

        A stretch of a fifty-thousandth of the window is not parted, however many rows it has.
        """
        if query.start is None or query.end is None:
            return [query]
        width = max((query.end - query.start) // _FINEST, _MICROSECOND)
        try:
            with self._database.connected() as connection:
                reader = LogReader(connection, self._schema, self._project)
                counted = reader.counts(query, width // _MICROSECOND)
        except PostgresError as error:
            msg = f"the log cannot be read: {error}"
            raise LogError(msg) from None
        bounds, held = [query.start], 0
        for number, count in sorted(counted.items()):
            if held and held + count > rows:
                bounds.append(query.start + number * width)
                held = 0
            held += count
        pairs = zip(bounds, [*bounds[1:], query.end], strict=True)
        return [replace(query, start=start, end=end) for start, end in pairs] if counted else []

    def _layout(self, connection: Connection, table: pa.Table, schema: LogSchema) -> _Layout:
        days = set(pc.unique(table[LOG_DATE]).to_pylist())
        layout = self._layouts.get(schema.hash)
        if layout is None or not days <= layout.days:
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[schema.hash] = self._ensure(connection, table.schema, schema, days)
        return layout

    def _ensure(self, connection: Connection, arrow: pa.Schema, schema: LogSchema, days: set[date]) -> _Layout:
        names, types = [catalog_text(name) for name in arrow.names], [pg_type(field.type) for field in arrow]
        service = catalog_text(schema.feature_service)
        arguments = (catalog_text(schema.project), service, schema.hash, schema.text, names, types, sorted(days))
        rows = connection.execute(_ENSURE.format(sql.Identifier(self._schema)), arguments).fetchall()
        physical = {(name, kind): column for _, name, kind, column in rows}
        columns = [physical[one] for one in zip(names, types, strict=True)]
        return _Layout(rows[0][0], columns, set(days))

    def _record(self, connection: Connection, table: str, batch: str, rows: int) -> bool:
        """Record the batch; False if it is there already."""
        statement = _RECORD.format(sql.Identifier(self._schema))
        return connection.execute(statement, (batch, table, rows)).rowcount == 1

    def _copy(self, connection: Connection, layout: _Layout, table: pa.Table) -> None:
        arrays = [column.combine_chunks() for column in table.columns]
        arrays = [pa.concat_arrays(one.chunks) if isinstance(one, pa.ChunkedArray) else one for one in arrays]
        exact, arrays = _kept_exact(table.schema, arrays)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.Identifier(self._schema, layout.table),
            sql.SQL(", ").join(map(sql.Identifier, [*layout.columns, EXACT])),
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for piece in encode([*arrays, exact]):
                copy.write(piece)


def _kept_exact(schema: pa.Schema, arrays: list[pa.Array]) -> tuple[pa.Array, list[pa.Array]]:
    """Give the rows' `__exact`, and the arrays with what PostgreSQL can hold."""
    marked = {index: bad for index, array in enumerate(arrays) if (bad := unholdable(array)).any()}
    rows: list[bytes | None] = [None] * len(arrays[0])
    if marked:
        for row in np.flatnonzero(np.any(list(marked.values()), axis=0)):
            cells = {schema.names[index]: arrays[index].slice(row, 1) for index, bad in marked.items() if bad[row]}
            rows[row] = _stream(pa.table(cells))
    return pa.array(rows, pa.binary()), [holdable(a) if index in marked else a for index, a in enumerate(arrays)]


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
