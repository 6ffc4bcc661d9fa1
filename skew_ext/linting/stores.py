"""What Feast's stores do, as far as rules ask: each fact was seen by running it, or read in Feast 0.67's source."""

from __future__ import annotations

from typing import Final

from feast.repo_config import OFFLINE_STORE_CLASS_FOR_TYPE, ONLINE_STORE_CLASS_FOR_TYPE

DASK: Final = "dask"
DUCKDB: Final = "duckdb"
RAY: Final = "ray"
SQLITE: Final = "sqlite"
REMOTE: Final = "remote"

TEMPLATED: Final = frozenset(
    {
        "postgres",
        "spark",
        "bigquery",
        "redshift",
        "snowflake.offline",
        "athena",
        "trino",
        "clickhouse",
        "couchbase.offline",
    }
)
"""Offline stores that fill Feast's SQL template, where a TTL is whole seconds (`offline_utils.py`, `int(...)`)."""

REPEATING: Final = TEMPLATED - {"snowflake.offline"}
"""Those that repeat a training row where source rows of its key tie: Snowflake's ASOF join takes one of them.

All templates name a training row by its join keys' texts, one after the other, with nothing between them.
"""

RUNS_BATCH_TRANSFORMS: Final = frozenset({"spark", RAY})
"""Offline stores that run a view's transformation in `get_historical_features`."""

KEY_TTL_OPTION: Final = {"redis": "key_ttl_seconds", "hazelcast": "key_ttl_seconds"}
"""Online stores that expire what they hold, and the option that says after how long."""


def offline_kind(written: str) -> str:
    """Give Feast's name of an offline store: `file` is dask, and a class of one's own the store whose name ends its."""
    return DASK if written == "file" else _kind(written, OFFLINE_STORE_CLASS_FOR_TYPE)


def online_kind(written: str) -> str:
    """Give Feast's name of an online store, as `offline_kind` does."""
    return _kind(written, ONLINE_STORE_CLASS_FOR_TYPE)


def _kind(written: str, classes: dict[str, str]) -> str:
    name = written.rpartition(".")[2]
    if written in classes or name == written:
        return written
    known = {path.rpartition(".")[2]: kind for kind, path in classes.items() if "." not in kind or kind.islower()}
    return next((kind for ending, kind in known.items() if name.endswith(ending)), written)
