"""The ways to run a transform inside Feast: a real repo of its own, DuckDB offline, SQLite or Redis online.

Many rows go through one retrieval. They are written to the online store as they are, not materialized: what Feast's
materialization makes of a value (integers over 2**53 in a column with nulls, say) is no fault of the transform.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values

from skew_ext.transform.checking.paths import Results, Row, as_table, results
from skew_ext.transform.contract import Contract
from skew_ext.transform.on_demand import feast_type, on_arrow_columns
from skew_ext.transform.reading import read_column
from skew_ext.transform.writing import to_python

_KEY: Final = "skew_check_key"
_TIME: Final = "skew_check_time"
_VIEW: Final = "skew_check_inputs"
_DEMANDED: Final = "skew_check"
_NOON: Final = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


class FeastRepo:
    """A Feast repo with one transform as an on-demand view, and one source that has all its inputs."""

    def __init__(self, folder: Path, contract: Contract, redis: str | None = None) -> None:
        self._contract = contract
        self._source = folder / "rows.parquet"
        self._entity = Entity(name=_KEY, join_keys=[_KEY], value_type=ValueType.INT64)
        self._view = self._source_view()
        self._write([])
        objects = [self._entity, self._view, contract.on_demand_feature_view(name=_DEMANDED, sources=[self._view])]
        sqlite = {"type": "sqlite", "path": str(folder / "online.db")}
        self.stores = {"sqlite": self._store(folder, sqlite, objects)}
        if redis is not None:
            self.stores["redis"] = self._store(folder, {"type": "redis", "connection_string": redis}, objects)
        self._features = [f"{_DEMANDED}:{name}" for name in contract.output_types]

    @property
    def paths(self) -> list[str]:
        """The names of the ways through Feast."""
        return [
            "feast offline (duckdb)",
            "feast offline (duckdb, arrow columns)",
            *(f"feast online ({name})" for name in self.stores),
        ]

    def offline(self, rows: Sequence[Row], *, arrow: bool = False) -> Results:
        """Give what Feast's historical retrieval gives for rows, from the DuckDB store.

        By Python lists, as plain Feast runs it, or with `arrow` by Arrow columns, as in SkewProvider.
        """
        self._write(rows)
        asked = pd.DataFrame({_KEY: range(len(rows)), "event_timestamp": pd.Series([_NOON] * len(rows))})
        job = self.stores["sqlite"].get_historical_features(asked, self._features)
        if arrow:
            views = job.on_demand_feature_views
            views[:] = [on_arrow_columns(view) for view in views]
        return results(self._contract, job.to_arrow().sort_by(_KEY))

    def online(self, rows: Sequence[Row], store: str) -> Results:
        """Give what Feast's online retrieval gives for rows."""
        feast = self.stores[store]
        feast._get_provider().online_write_batch(feast.config, self._view, self._values(rows), None)  # noqa: SLF001
        served = feast.get_online_features(self._features, [{_KEY: key} for key in range(len(rows))]).to_dict()
        return results(self._contract, served)

    def _source_view(self) -> FeatureView:
        fields = [Field(name=name, dtype=feast_type(kind)) for name, kind in self._contract.input_types.items()]
        source = FileSource(name="rows", path=str(self._source), timestamp_field=_TIME)
        return FeatureView(name=_VIEW, entities=[self._entity], ttl=timedelta(), schema=fields, source=source)

    def _store(self, folder: Path, online: dict[str, Any], objects: list[Any]) -> FeatureStore:
        config = RepoConfig(
            project="skew_check",
            provider="local",
            registry=str(folder / f"{online['type']}.db"),
            online_store=online,
            offline_store=DuckDBOfflineStoreConfig(),
            entity_key_serialization_version=3,
            repo_path=folder,
        )
        FeatureStore(config=config).apply(objects)
        # A store of its own has the view as every reader has it: out of the registry.
        return FeatureStore(config=config)

    def _write(self, rows: Sequence[Row]) -> None:
        table = as_table(self._contract, rows)
        times = pa.array([_NOON] * len(rows), pa.timestamp("us", tz="UTC"))
        keys = pa.array(range(len(rows)), pa.int64())
        pq.write_table(table.append_column(_KEY, keys).append_column(_TIME, times), self._source)

    def _values(self, rows: Sequence[Row]) -> list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]:
        columns = {}
        for name, kind in self._contract.input_types.items():
            values = to_python(read_column([row[name] for row in rows], kind, name), kind)
            columns[name] = python_values_to_proto_values(values, feast_type(kind).to_value_type())
        keys = [EntityKey(join_keys=[_KEY], entity_values=[Value(int64_val=key)]) for key in range(len(rows))]
        return [
            (key, {name: column[row] for name, column in columns.items()}, _NOON, None) for row, key in enumerate(keys)
        ]


@contextmanager
def feast_repo(contract: Contract, redis: str | None = None) -> Iterator[FeastRepo]:
    """Make a repo for one transform in a temporary folder; its Redis keys go with it."""
    with tempfile.TemporaryDirectory(prefix="skew-check-") as folder:
        repo = FeastRepo(Path(folder), contract, redis)
        try:
            yield repo
        finally:
            for store in repo.stores.values():
                store.teardown()
