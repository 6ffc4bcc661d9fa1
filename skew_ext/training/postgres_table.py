"""A training set as a table of the PostgreSQL offline store's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from feast.infra.utils.postgres.connection_utils import _get_conn
from psycopg import errors, sql

from skew_ext.frames import in_one_piece
from skew_ext.log.postgres_encode import encode, holdable
from skew_ext.log.postgres_types import pg_type

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(config: Any, name: str, table: pa.Table, *, allow_overwrite: bool) -> None:
    """Make a table `name` (`table` or `schema.table`) of the rows; ValueError if it cannot be made.

    The types are those of the PostgreSQL log. A NUL in a text becomes U+FFFD: PostgreSQL has no place for it.
    """
    target = sql.Identifier(*name.replace('"', "").split("."))
    try:
        fields = [
            sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(pg_type(field.type))) for field in table.schema
        ]
    except KeyError as error:
        msg = f"PostgreSQL has no type here for Arrow's {error.args[0]}"
        raise ValueError(msg) from None
    try:
        with _get_conn(config) as connection, connection.transaction(), connection.cursor() as cursor:
            if allow_overwrite:
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(target))
            cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(target, sql.SQL(", ").join(fields)))
            with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(target)) as copy:
                for piece in encode([holdable(in_one_piece(column)) for column in table.columns]):
                    copy.write(piece)
    except errors.DuplicateTable:
        msg = f"the table {name} is there already: name another, or allow_overwrite=True"
        raise ValueError(msg) from None
    except psycopg.Error as error:
        raise ValueError(" ".join(str(error.diag.message_primary or error).split())) from None
