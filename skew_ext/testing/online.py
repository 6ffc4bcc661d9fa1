"""The online store of a synthetic repo: what the job writes there, and what is lost from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from skew_ext.errors import RepoError
from skew_ext.testing.sources import table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from feast import FeatureStore

    from skew_ext.testing.views import Key, Row, SyntheticView


NO_KEY: Final = {DUMMY_ENTITY_ID: DUMMY_ENTITY_VAL}
"""The key under which Feast keeps the rows of a view without entities."""


def push(store: FeatureStore, view: SyntheticView, rows: Iterable[tuple[Key, Row]]) -> None:
    """Write rows to the online store as a job of one's own does: through Feast's `write_to_online_store`."""
    table = table_of(view, rows)
    if table.num_rows:
        # The frame keeps Arrow's types: pandas' own would make floats of whole numbers with a null among them.
        frame = table.to_pandas(types_mapper=_whole_numbers)
        if view.keys:
            store.write_to_online_store(view.name, frame)
        else:
            # Feast 0.67's own door writes such rows under an empty key, and reads them under that of its dummy entity.
            stored = store.registry.get_feature_view(view.name, store.project)
            store._get_provider().ingest_df(stored, frame.assign(**NO_KEY))  # noqa: SLF001


def _whole_numbers(kind: Any) -> Any:
    return pd.Int64Dtype() if kind == "int64" else None


def evict(store: FeatureStore, view: str, key: Mapping[str, str | int]) -> None:
    """Delete one entity key of a view from the online store, as an eviction or a key TTL does.

    Parameters
    ----------
    store
        A store whose online store is SQLite or Redis. Redis keeps all views of a key together, and loses them so.
    view
        The feature view's name.
    key
        The value of each join key; empty for a view without entities.

    Raises
    ------
    RepoError
        The online store is of another type.
    """
    config, key = store.config, key or NO_KEY
    online: Any = store._get_provider().online_store  # noqa: SLF001 - Feast has no public way
    kind = type(online).__name__
    if kind == "RedisOnlineStore":
        from feast.infra.online_stores.helpers import _redis_key  # noqa: PLC0415 - with the redis extra

        name = _redis_key(store.project, _entity_key(key), config.entity_key_serialization_version)
        online._get_client(config.online_store).delete(name)  # noqa: SLF001 - as Feast reads it
    elif kind == "SqliteOnlineStore":
        name = serialize_entity_key(_entity_key(key), config.entity_key_serialization_version)
        connection = online._get_conn(config)  # noqa: SLF001 - as Feast reads it
        table = f"{store.project}_{view}".replace('"', '""')
        with connection:
            connection.execute(f'DELETE FROM "{table}" WHERE entity_key = ?', (name,))  # noqa: S608 - quoted
    else:
        msg = f"keys cannot be evicted from {kind}: only from SQLite and Redis"
        raise RepoError(msg)


def _entity_key(key: Mapping[str, str | int]) -> EntityKey:
    values = [Value(string_val=part) if isinstance(part, str) else Value(int64_val=part) for part in key.values()]
    return EntityKey(join_keys=list(key), entity_values=values)
