"""ibis's DuckDB on a connection of each thread's own, so that one thread can retrieve while another one does.

A connection of DuckDB's runs one query at a time, and a query seldom keeps all processors busy. Connections to one
database share its memory limit and its settings, and each has its own temporary views and registered frames.
"""

from __future__ import annotations

import threading
from typing import Any

import ibis

_OF_THIS_THREAD = threading.local()
_OPENING = threading.Lock()
_OWN_TO_A_CONNECTION = ("TimeZone", "enable_progress_bar")


def backend_of_this_thread() -> Any:
    """Give a backend on this thread's connection to the database of ibis's default backend.

    The default backend itself, where it is no DuckDB.
    """
    default: Any = ibis.get_backend()
    if default.name != "duckdb":
        return default
    here = _OF_THIS_THREAD
    if getattr(here, "default", None) is not default.con:
        with _OPENING:
            here.default, here.backend = default.con, _alike(default)
    return here.backend


def _alike(default: Any) -> Any:
    backend: Any = ibis.duckdb.from_connection(default.con.cursor())
    for name in _OWN_TO_A_CONNECTION:
        (value,) = default.con.execute(f"SELECT current_setting('{name}')").fetchone()
        backend.con.execute(f"SET {name} = {str(value).lower() if isinstance(value, bool) else repr(value)}")
    return backend
