"""Where a synthetic repo's source rows are: Parquet files, read by an embedded store or by Spark, or PostgreSQL."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FileSource

from skew_ext.engines.spark.java import with_java
from skew_ext.testing.views import CREATED, EVENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from feast.data_source import DataSource

    from skew_ext.testing.views import Key, Row, SyntheticView

_SMALL_SPARK = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    # For few rows, planning and compiling is what takes time.
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


class Sources(Protocol):
    """Keeps each view's source rows where an offline store reads them."""

    config: dict[str, Any]
    """What stands under `offline_store:` in feature_store.yaml."""

    def source(self, view: SyntheticView) -> DataSource:
        """Give the view's batch source."""

    def write(self, view: SyntheticView, rows: pa.Table) -> None:
        """Replace the view's rows."""


class ParquetSources:
    """Parquet files in a folder, read by Feast's DuckDB offline store, or by the one that `config` names."""

    def __init__(self, folder: Path, config: dict[str, Any] | None = None) -> None:
        self._folder = folder
        self.config = config or {"type": "duckdb"}

    def source(self, view: SyntheticView) -> DataSource:
        """Give a FileSource."""
        return FileSource(name=f"{view.name}_source", path=str(self._path(view)), **timestamps(view))

    def write(self, view: SyntheticView, rows: pa.Table) -> None:
        """Replace the view's file."""
        pq.write_table(rows, self._path(view))

    def _path(self, view: SyntheticView) -> Path:
        return self._folder / f"{view.name}.parquet"


class SparkSources(ParquetSources):
    """Parquet files in a folder, read by Feast's Spark offline store.

    PySpark and a Java are needed: `pip install 'skew-ext[spark]'`. `conf` goes over a session on two cores of this
    machine, for a few rows at a time; where a session runs already, Spark takes that one.
    """

    def __init__(self, folder: Path, conf: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, {"type": "spark", "spark_conf": {**_SMALL_SPARK, **(conf or {})}})
        with_java()

    def source(self, view: SyntheticView) -> DataSource:
        """Give a SparkSource."""
        from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import (  # noqa: PLC0415 - an extra
            SparkSource,
        )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Feast calls it experimental
            return SparkSource(
                name=f"{view.name}_source", path=str(self._path(view)), file_format="parquet", **timestamps(view)
            )


class PostgresSources:
    """Tables of a PostgreSQL database, read by Feast's PostgreSQL offline store, whose `config` it is.

    psycopg 3 is needed: `pip install 'skew-ext[postgres]'`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = {"type": "postgres", **config}

    def source(self, view: SyntheticView) -> DataSource:
        """Give a PostgreSQLSource."""
        from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import (  # noqa: PLC0415 - extra
            PostgreSQLSource,
        )

        return PostgreSQLSource(name=f"{view.name}_source", table=view.name, **timestamps(view))

    def write(self, view: SyntheticView, rows: pa.Table) -> None:
        """Replace the view's table."""
        import psycopg  # noqa: PLC0415 - comes with an extra
        from psycopg import sql  # noqa: PLC0415

        names = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_postgres_type(field.type)))
            for field in rows.schema
        )
        table, login = (
            sql.Identifier(view.name),
            {name: self.config[name] for name in ("host", "port", "user", "password")},
        )
        with psycopg.connect(dbname=self.config["database"], **login) as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))
            copied = sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)
            with connection.cursor() as cursor, cursor.copy(copied) as copy:
                for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                    copy.write_row(row)


def _postgres_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_postgres_type(kind.value_type)}[]"
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    return {pa.int64(): "bigint", pa.float64(): "double precision", pa.float32(): "real", pa.bool_(): "boolean"}.get(
        kind, "text"
    )


def timestamps(view: SyntheticView) -> dict[str, Any]:
    """Give the timestamp columns of a view's source, as Feast's sources take them."""
    return {"timestamp_field": EVENT, "created_timestamp_column": CREATED if view.has_created else ""}


def table_of(view: SyntheticView, rows: Iterable[tuple[Key, Row]]) -> pa.Table:
    """Give source rows as a table with the view's columns."""
    schema = view.schema()
    records = []
    for key, row in rows:
        record = {**dict(zip(view.keys, key, strict=True)), **row.values, EVENT: row.event}
        records.append({**record, CREATED: row.created} if view.has_created else record)
    return pa.Table.from_pylist(records, schema=schema)
