"""DuckDB's memory, bounded while an audit runs: by default it takes what it likes, up to most of the machine's.

What does not fit goes to DuckDB's temporary files. The connection is ibis's own, as Feast's DuckDB store uses it, so
the limit is given back afterwards, and its catalog is left as it was.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

LIMIT = 500_000_000
"""Bytes: a retrieval of 250,000 rows of 20 features needs less, and no more time than without a limit."""
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@contextmanager
def bounded_duckdb(store: FeatureStore) -> Iterator[None]:
    """Hold DuckDB to `LIMIT`, where the repo's offline store is DuckDB and its own limit is higher."""
    connection = _connection(store)
    before = "" if connection is None else _limit(connection)
    if connection is None or _bytes(before) <= LIMIT:
        yield
        return
    connection.execute("RESET memory_limit")
    # What is shown is rounded, so a limit that nobody had set is not set either.
    back = "RESET memory_limit" if _limit(connection) == before else f"SET memory_limit = '{before}'"
    connection.execute(f"SET memory_limit = '{LIMIT} bytes'")
    try:
        yield
    finally:
        connection.execute(back)


def lift_duckdbs_limit(store: FeatureStore, error: BaseException) -> bool:
    """Lift the limit where `error` says that DuckDB could not do with it; True says that trying again may help."""
    connection = _connection(store)
    if connection is None or "OutOfMemory" not in type(error).__name__:
        return False
    if _bytes(_limit(connection)) > LIMIT * 1.01:
        return False
    connection.execute("RESET memory_limit")
    return True


def without_duckdbs_progress(store: FeatureStore) -> None:
    """Keep DuckDB from drawing a progress bar on standard output, where a report may go."""
    connection = _connection(store)
    if connection is not None:
        connection.execute("SET enable_progress_bar = false")


@contextmanager
def let_go(expression: Any) -> Iterator[None]:
    """Let DuckDB forget, once an expression of ibis's was read, what ibis registered for it and would keep for good.

    That is a view of each file, and each table in memory with all of its data: the entity rows of a retrieval, so that
    without this the memory grows with the log. They are this expression's alone: ibis gives each a name of its own.
    Anything but an expression of ibis's is let be.
    """
    try:
        yield
    finally:
        views, frames = _registered(expression)
        connection = _ibis_connection() if views or frames else None
        if connection is not None:
            for name in views:
                connection.execute(f'DROP VIEW IF EXISTS "{name}"')
            for name in frames:
                connection.unregister(name)


def _registered(expression: Any) -> tuple[list[str], list[str]]:
    """Give the names of the views of files, and of the tables in memory, that an expression reads."""
    if not type(expression).__module__.startswith("ibis."):
        return [], []
    from ibis.expr.operations import DatabaseTable, InMemoryTable  # noqa: PLC0415 - it comes with Feast's duckdb extra

    views = {str(one.name) for one in expression.op().find(DatabaseTable)}
    frames = {str(one.name) for one in expression.op().find(InMemoryTable)}
    return sorted(name for name in views if name.startswith("ibis_read_") and name.isidentifier()), sorted(frames)


def _connection(store: FeatureStore) -> Any:
    if "DuckDB" not in type(store.config.offline_store).__name__:
        return None
    return _ibis_connection()


def _ibis_connection() -> Any:
    import ibis  # noqa: PLC0415 - it comes with Feast's duckdb extra

    backend: Any = ibis.get_backend()
    return backend.con if backend.name == "duckdb" else None


def _limit(connection: Any) -> str:
    return str(connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


def _bytes(text: str) -> float:
    number, _, unit = text.partition(" ")
    return float(number) * _UNITS.get(unit, 1)
