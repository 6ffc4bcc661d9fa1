"""The logged rows of a window as Spark DataFrames.

A Parquet log is read by Spark itself. What Spark cannot read as one table (PostgreSQL, columns that changed their type,
a sample of the keys) goes into the session part by part.

Columns are named by their place, c0, c1...: names of features are data, and Feast makes Spark take quoted names as
regular expressions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.pandas.types import from_arrow_schema

from skew_ext.baseline.alignment import ROW_ID
from skew_ext.schema import LOG_TIMESTAMP, MODEL_VERSION, SEQUENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

    from skew_ext.auditor.parts import Window
    from skew_ext.auditor.window import WindowLog

_GLOB = str.maketrans({sign: f"\\{sign}" for sign in "\\{}[]*?"})


@dataclass(frozen=True)
class LogFrame:
    """Rows of the log: `rows` has a column for each field of `schema` (c0, c1...), and the row id."""

    rows: DataFrame
    schema: pa.Schema

    @cached_property
    def places(self) -> dict[str, str]:
        """The column of each of the log's."""
        return {name: f"c{place}" for place, name in enumerate(self.schema.names)}

    def kept(self) -> LogFrame:
        """Give the same rows, read once and with row ids that stay."""
        numbered = self.rows.withColumn(ROW_ID, F.monotonically_increasing_id())
        return LogFrame(numbered.persist(StorageLevel.MEMORY_AND_DISK), self.schema)


def log_frames(session: SparkSession, log: WindowLog, parts: Iterator[pa.Table]) -> Iterator[LogFrame]:
    """Give the window's rows: one frame where Spark reads the log, else one for each part."""
    whole = None if log.sampled else _parquet(session, log)
    if whole is not None:
        yield whole
        return
    for part in parts:
        rows = session.createDataFrame(part.rename_columns([f"c{place}" for place in range(part.num_columns)]))
        yield LogFrame(rows, part.schema)


def _parquet(session: SparkSession, log: WindowLog) -> LogFrame | None:
    selection = log.parquet_files()
    if selection is None or selection.left_out:
        return None
    files = {Path(file.path): pq.read_schema(file.path) for file in selection.files}
    schema = _common(list(files.values()), {*log.columns, SEQUENCE, MODEL_VERSION})
    return None if schema is None or not files else _read(session, list(files), schema, log.window)


def _common(schemas: list[pa.Schema], wanted: set[str]) -> pa.Schema | None:
    """Give the wanted columns of all files; None where one has two types."""
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            if field.name in wanted and not fields.setdefault(field.name, field).type.equals(field.type):
                return None
    return pa.schema(list(fields.values()))


def _read(session: SparkSession, files: list[Path], schema: pa.Schema, window: Window) -> LogFrame:
    paths = ["file://" + str(file.resolve()).translate(_GLOB) for file in files]
    read = session.read.schema(from_arrow_schema(schema)).parquet(*paths)
    frame = LogFrame(read.toDF(*(f"c{place}" for place in range(len(schema)))), schema)
    served = F.col(frame.places[LOG_TIMESTAMP])
    rows = frame.rows.where((served >= F.lit(window.start)) & (served < F.lit(window.end)))
    if window.model_version is not None:
        rows = rows.where(F.col(frame.places[MODEL_VERSION]) == F.lit(window.model_version))
    return LogFrame(rows, schema)
