"""A repo whose offline store reads of its sources no more than it needs, for the length of an audit."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast import FeatureStore

    from skew_ext.baseline.plan import ViewPlan

_DUCKDB = ("feast.infra.offline_stores.duckdb", "DuckDBOfflineStore")


def narrowed(store: FeatureStore) -> FeatureStore:
    """Give the store, and where its offline store is Feast's own DuckDB store, a twin of it that reads less.

    The store that was given is left as it is. A class of somebody's own, derived from Feast's, is used as it is.
    """
    provider: Any = store._get_provider()  # noqa: SLF001 - the offline store has no public door
    offline = getattr(provider, "offline_store", None)
    if (type(offline).__module__, type(offline).__name__) != _DUCKDB or not hasattr(provider, "_offline_store"):
        return store
    from skew_ext.baseline.narrow_duckdb import NarrowDuckDB  # noqa: PLC0415 - it comes with Feast's duckdb extra

    twin: Any = copy.copy(store)
    twin._provider = copy.copy(provider)  # noqa: SLF001 - Feast has no way to hand a provider to a store
    twin._provider._offline_store = NarrowDuckDB()  # noqa: SLF001 - likewise
    return twin  # type: ignore[no-any-return]


def retrievals_at_once(store: FeatureStore, views: Sequence[ViewPlan]) -> int:
    """Say how many threads may retrieve from the store at once, or read sources of these views.

    Two where each has a connection of its own. Other stores are asked one thing at a time.
    """
    provider: Any = store._get_provider()  # noqa: SLF001 - the offline store has no public door
    at_once = getattr(getattr(provider, "offline_store", None), "retrievals_at_once", None)
    return 1 if at_once is None else at_once([view.view.batch_source for view in views if not view.on_demand])
