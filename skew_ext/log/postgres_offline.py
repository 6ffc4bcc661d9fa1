"""Feast's PostgreSQL offline store, for repos whose services log to PostgreSQL.

Feast finds a logging destination of its registry only if the class was imported before, and imports of a repo's own
code nothing but the stores that feature_store.yaml names. So naming this store is what makes
`PostgreSQLLoggingDestination` known to every process that loads the repo, Feast's own commands included.
"""

from __future__ import annotations

from typing import Literal

from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
)

from skew_ext.log.feast_destination import PostgreSQLLoggingDestination

__all__ = ["PostgreSQLLoggingDestination", "SkewPostgreSQLOfflineStore", "SkewPostgreSQLOfflineStoreConfig"]


class SkewPostgreSQLOfflineStoreConfig(PostgreSQLOfflineStoreConfig):
    """The settings of Feast's PostgreSQL offline store, under our type."""

    type: Literal["skew_ext.log.postgres_offline.SkewPostgreSQLOfflineStore"] = (
        "skew_ext.log.postgres_offline.SkewPostgreSQLOfflineStore"  # type: ignore[assignment]
    )


class SkewPostgreSQLOfflineStore(PostgreSQLOfflineStore):
    """Feast's PostgreSQL offline store as it is."""
