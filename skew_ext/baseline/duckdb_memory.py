"""DuckDB's memory and threads, bounded while an audit runs: by default it takes up to most of the machine's memory.

What does not fit goes to DuckDB's temporary files. The database is that of ibis's own connection, as Feast's DuckDB
store uses it, so its settings are given back afterwards, and its catalog is left as it was.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

LIMITS = {1: 500_000_000, 2: 700_000_000}
"""Bytes by the number of queries at once: retrievals of 170,000 rows of 20 features take no less time with more.

(With less they write to temporary files. Larger parts with a higher limit are a twentieth faster.)
"""
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_TRIES, _SECONDS_BETWEEN = 100, 0.05
_bounded: list[int] = []
"""The limits that are held now, by this module and not by the user."""


@contextmanager
def bounded_duckdb(store: FeatureStore, queries: int = 1) -> Iterator[None]:
    """Hold DuckDB, where the repo's offline store is DuckDB, to a limit for so many queries at once.

    A lower limit that is set already is kept. Each query's own thread works on it beside DuckDB's: with several at
    once there is a thread less of DuckDB's for each but one, since more threads than processors cost a sixth more.
    """
    connection = _connection(store)
    if connection is None:
        yield
        return
    with _fewer_threads(connection, queries - 1), _less_memory(connection, LIMITS[queries]):
        yield


@contextmanager
def _fewer_threads(connection: Any, fewer: int) -> Iterator[None]:
    threads = int(_setting(connection, "threads"))
    connection.execute(f"SET threads = {max(threads - fewer, 1)}")
    try:
        yield
    finally:
        connection.execute(f"SET threads = {threads}")


@contextmanager
def _less_memory(connection: Any, limit: int) -> Iterator[None]:
    before = _setting(connection, "memory_limit")
    if _bytes(before) <= limit:
        yield
        return
    connection.execute("RESET memory_limit")
    # What is shown is rounded, so a limit that nobody had set is not set either.
    own = _setting(connection, "memory_limit") != before
    connection.execute(f"SET memory_limit = '{limit} bytes'")
    _bounded.append(limit)
    try:
        yield
    finally:
        _bounded.pop()
        connection.execute(f"SET memory_limit = '{before}'" if own else "RESET memory_limit")


def lift_duckdbs_limit(store: FeatureStore, error: BaseException) -> bool:
    """Lift our limit where `error` says that DuckDB could not do with it; True says that trying again may help."""
    if not _out_of_memory(error) or _connection(store) is None or not _bounded:
        return False
    from skew_ext.baseline.duckdb_threads import backend_of_this_thread  # noqa: PLC0415 - Feast's duckdb extra

    # Not on the connection of others: it may be in use.
    connection = backend_of_this_thread().con
    for _ in range(_TRIES):
        try:
            connection.execute("RESET memory_limit")
        except Exception as failed:  # noqa: PERF203 - each try stands by itself
            # Even this takes some bytes, and another query may hold them all; it fails soon, or goes on.
            if not _out_of_memory(failed):
                raise
            time.sleep(_SECONDS_BETWEEN)
        else:
            return True
    return False


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
        connection = _connection_of(expression) if views or frames else None
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

    return _duckdb_of(ibis.get_backend())


def _connection_of(expression: Any) -> Any:
    return _duckdb_of(expression.get_backend())


def _duckdb_of(backend: Any) -> Any:
    return backend.con if backend.name == "duckdb" else None


def _out_of_memory(error: BaseException) -> bool:
    return "OutOfMemory" in type(error).__name__


def _setting(connection: Any, name: str) -> str:
    return str(connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0])


def _bytes(text: str) -> float:
    number, _, unit = text.partition(" ")
    return float(number) * _UNITS.get(unit, 1)
