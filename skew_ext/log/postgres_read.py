"""Reading the log back from PostgreSQL: the window is narrowed there, and rows come in pieces of bounded size."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from skew_ext.log.decode import table_schema
from skew_ext.log.postgres_decode import decode
from skew_ext.log.postgres_types import EXACT, catalog_text, pg_type
from skew_ext.schema import LOG_TIMESTAMP, REQUEST_ID, RESERVED, SCHEMA, LogSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skew_ext.log.postgres_session import Connection
    from skew_ext.log.query import LogQuery

_TABLES = sql.SQL("SELECT name FROM {}.log_tables WHERE {} ORDER BY name")
_COLUMNS = sql.SQL("SELECT name, type, physical FROM {}.columns WHERE table_name = %s ORDER BY ordinal")
_SCHEMAS = sql.SQL("SELECT content FROM {}.schemas WHERE table_name = %s AND hash = ANY(%s) ORDER BY registered_at")
_COUNTS = sql.SQL(
    "SELECT floor(extract(epoch FROM {at} - {start}) * 1000000 / {width})::bigint, count(*) "
    "FROM {table} WHERE {condition} GROUP BY 1"
)


class LogReader:
    """Reads what one project's services logged, over a connection that is in a transaction."""

    def __init__(self, connection: Connection, schema: str, project: str) -> None:
        self._connection = connection
        self._schema_name = schema
        self._schema = sql.Identifier(schema)
        self._project = project

    def tables(self, query: LogQuery) -> Iterator[pa.Table]:
        """Give the rows that fit, each feature set in a table of its own, with the types that it was served with."""
        for name in self._names(query.feature_service):
            yield from self._rows(name, query)

    def counts(self, query: LogQuery, width: int) -> Counter[int]:
        """Count the rows that fit by stretches of `width` microseconds from the query's start, numbered from 0."""
        counted: Counter[int] = Counter()
        for name in self._names(query.feature_service):
            statement = _COUNTS.format(
                at=sql.Identifier(LOG_TIMESTAMP),
                start=sql.Literal(query.start),
                width=sql.Literal(width),
                table=sql.Identifier(self._schema_name, name),
                condition=_condition(query),
            )
            counted.update(dict(self._connection.execute(statement).fetchall()))
        return counted

    def _names(self, feature_service: str | None) -> list[str]:
        conditions: list[sql.Composable] = [sql.SQL("true")]
        if self._project:
            conditions.append(sql.SQL("project = {}").format(sql.Literal(catalog_text(self._project))))
        if feature_service is not None:
            conditions.append(sql.SQL("feature_service = {}").format(sql.Literal(catalog_text(feature_service))))
        statement = _TABLES.format(self._schema, sql.SQL(" AND ").join(conditions))
        return [name for (name,) in self._connection.execute(statement)]

    def _rows(self, table: str, query: LogQuery) -> list[pa.Table]:
        columns = self._connection.execute(_COLUMNS.format(self._schema), (table,)).fetchall()
        kept = [(name, kind) for name, kind, _ in columns]
        statement = sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT BINARY)").format(
            sql.SQL(", ").join(map(sql.Identifier, [*(physical for *_, physical in columns), EXACT])),
            sql.Identifier(self._schema_name, table),
            _condition(query),
        )
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            pieces = list(decode(copy, [*(kind for _, kind in kept), "bytea"]))
        if not pieces:
            return []
        arrays = [pa.chunked_array([piece[index] for piece in pieces]) for index in range(len(kept) + 1)]
        read = _Read(dict(zip(kept, arrays, strict=False)), _exact_cells(arrays[-1]))
        hashes = read.hashes()
        found = _asked(self._schemas(table, hashes), query)
        rows = [read.table(schema, whole=len(hashes) == 1) for schema in found]
        if query.request_id is None:
            return rows
        # A request id with a NUL is looked for by what stands in its place.
        return [one.filter(pc.equal(one[REQUEST_ID], query.request_id)) for one in rows]

    def _schemas(self, table: str, hashes: list[str]) -> list[LogSchema]:
        found = self._connection.execute(_SCHEMAS.format(self._schema), (table, hashes)).fetchall()
        return [LogSchema.from_text(content) for (content,) in found]


def _asked(schemas: list[LogSchema], query: LogQuery) -> list[LogSchema]:
    """Leave out `ServingLogger`'s records, or a service's lookups, where both have the name that is asked for."""
    if query.feature_service not in RESERVED:
        return schemas
    lookups = [schema for schema in schemas if not schema.records]
    records = not lookups if query.records is None else query.records
    return [schema for schema in schemas if schema.records] if records else lookups


class _Read:
    """What was read of one table: an array for each (name, type) of its catalog, and the cells that are kept apart."""

    def __init__(self, arrays: dict[tuple[str, str], pa.ChunkedArray], exact: dict[str, dict[int, pa.Array]]) -> None:
        self._arrays = arrays
        self._exact = exact

    def hashes(self) -> list[str]:
        return list(pc.unique(self._arrays[SCHEMA, "text"]).to_pylist())

    def table(self, schema: LogSchema, *, whole: bool) -> pa.Table:
        """Give the rows of one schema; `whole` says that all of them are."""
        arrow = table_schema(schema)
        rows = pa.table([self._exactly(field.name, field.type) for field in arrow], schema=arrow)
        return rows if whole else rows.filter(pc.equal(rows[SCHEMA], schema.hash))

    def _exactly(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        """Give one physical column as the Arrow type that it was served with, exact cells in their places."""
        array = self._arrays[catalog_text(name), pg_type(kind)].cast(kind)
        cells = {row: cell for row, cell in self._exact.get(name, {}).items() if cell.type == kind}
        if not cells:
            return array
        pieces: list[pa.Array] = []
        start = 0
        for row, cell in sorted(cells.items()):
            pieces += [*array.slice(start, row - start).chunks, cell]
            start = row + 1
        return pa.chunked_array([*pieces, *array.slice(start).chunks], type=kind)


def _exact_cells(exact: pa.ChunkedArray) -> dict[str, dict[int, pa.Array]]:
    """Give the cells that rows keep apart: by column, then by row."""
    cells: dict[str, dict[int, pa.Array]] = {}
    if exact.null_count == len(exact):
        return cells
    for row, content in enumerate(exact.to_pylist()):
        if content is not None:
            for name, column in _columns_of(content):
                cells.setdefault(name, {})[row] = column.combine_chunks()
    return cells


def _columns_of(content: bytes) -> Iterator[tuple[str, Any]]:
    with pa.ipc.open_stream(content) as stream:
        table = stream.read_all()
    yield from zip(table.column_names, table.columns, strict=True)


def _condition(query: LogQuery) -> sql.Composed:
    column = sql.Identifier(LOG_TIMESTAMP)
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if query.start is not None:
        conditions.append(sql.SQL("{} >= {}").format(column, sql.Literal(query.start)))
    if query.end is not None:
        conditions.append(sql.SQL("{} < {}").format(column, sql.Literal(query.end)))
    if query.request_id is not None:
        request_id = query.request_id.replace("\0", "\ufffd")
        conditions.append(sql.SQL("{} = {}").format(sql.Identifier(REQUEST_ID), sql.Literal(request_id)))
    return sql.SQL(" AND ").join(conditions)
