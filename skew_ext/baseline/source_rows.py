"""What a retrieval job of source rows gives; of a Spark job, only the columns and keys that are asked for leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from skew_ext.baseline.duckdb_memory import let_go

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt


def rows_of(job: Any, columns: Sequence[str | None], keys: Mapping[str, Any] | None = None) -> pa.Table:
    """Give the rows of a job of Feast's `pull_all_from_table_or_query`, with at least the `columns` that are named.

    `keys`: the key columns, with the logged values that matter. A Spark job gives the rows of these keys alone, in the
    source's own types, and so does a DuckDB job, where the types are the source's; others give all.
    """
    if not hasattr(job, "to_spark_df"):
        with let_go(getattr(job, "table", None)):
            return _of_keys(job, keys or {})
    frame, names = _spark_rows(job, columns)
    wanted = None if keys is None else _distinct(frame, names, keys)
    if wanted is not None:
        from pyspark.sql import functions as F  # noqa: N812, PLC0415 - as everybody calls it; an extra

        frame = frame.join(F.broadcast(wanted), wanted.columns, "left_semi")
    return frame.toArrow().rename_columns(names)


def rows_of_some(job: Any, columns: Sequence[str | None], keys: Sequence[str], most: int) -> tuple[pa.Table, int]:
    """Give at least the rows of a job that are `of_part` when about `most` are wanted, and how many there are in all.

    Of a Spark job, no others leave the session.
    """
    if not hasattr(job, "to_spark_df"):
        table = rows_of(job, columns)
        return table, table.num_rows
    frame, names = _spark_rows(job, columns)
    rows = frame.count()
    if rows > most and keys:
        frame = frame.mapInArrow(_OfPart(rows, most, tuple(f"s{names.index(key)}" for key in keys)), frame.schema)
    return frame.toArrow().rename_columns(names), rows


def of_part(hashes: npt.NDArray[np.uint64], rows: int, most: int) -> npt.NDArray[np.bool_]:
    """Say which rows are of the part of the keys that has about `most` of all the `rows`; each key is in it or not."""
    kept: npt.NDArray[np.bool_] = hashes % np.uint64(max(-(-rows // most), 1)) == 0
    return kept


def key_hashes(keys: pa.Table) -> npt.NDArray[np.uint64]:
    """Give a hash of each row of key columns; the same for all, where there is none."""
    if not keys.num_columns:
        return np.zeros(keys.num_rows, dtype=np.uint64)
    frame = keys.to_pandas(integer_object_nulls=True)
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


@dataclass(frozen=True)
class _OfPart:
    """Keeps the rows of a part of the keys, in Spark's workers; rows without a key are nobody's."""

    rows: int
    most: int
    keys: tuple[str, ...]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            for key in self.keys:
                table = table.filter(table[key].is_valid())
            chosen = of_part(key_hashes(table.select(self.keys)), self.rows, self.most)
            yield from table.filter(pa.array(chosen)).to_batches()


def _spark_rows(job: Any, columns: Sequence[str | None]) -> tuple[Any, list[str]]:
    """Give a Spark job's columns, named by their place, and their names."""
    frame = job.to_spark_df()
    names = list(dict.fromkeys(name for name in columns if name))
    # A field mapping renames them, and leaves them in the order in which they were asked for.
    given = frame.columns if set(names) <= set(frame.columns) else [name for name in columns if name]
    by_place = frame.toDF(*(f"r{place}" for place in range(len(given))))
    # By place: Feast makes Spark take quoted names as regular expressions.
    return by_place.selectExpr(*(f"r{given.index(name)} AS s{place}" for place, name in enumerate(names))), names


def _of_keys(job: Any, keys: Mapping[str, Any]) -> pa.Table:
    """Give the rows of an ibis job (DuckDB's) that have these keys; those of any other job, all."""
    wanted, rows = pa.table(dict(keys)), getattr(job, "table", None)
    if rows is None or not wanted.num_columns or not hasattr(rows, "semi_join"):
        return job.to_arrow()
    import ibis  # noqa: PLC0415 - it comes with Feast's duckdb extra

    distinct = ibis.memtable(wanted.group_by(wanted.column_names).aggregate([]))
    theirs, ours = rows.schema(), distinct.schema()
    if not all(_same_kind(theirs[name], ours[name]) for name in keys):
        return job.to_arrow()
    narrowed = rows.semi_join(distinct, list(keys))
    with let_go(narrowed):
        return narrowed.to_pyarrow()


def _same_kind(one: Any, other: Any) -> bool:
    return bool((one.is_integer() and other.is_integer()) or (one.is_string() and other.is_string()))


def _distinct(frame: Any, names: Sequence[str], keys: Mapping[str, Any]) -> Any:
    """Give the distinct keys as a Spark frame; None where there is none, or the source has them in another type."""
    logged = pa.table({f"s{names.index(name)}": values for name, values in keys.items()})
    if not logged.num_columns:
        return None
    distinct = logged.group_by(logged.column_names).aggregate([])
    wanted = frame.sparkSession.createDataFrame(distinct)
    types = dict(frame.dtypes)
    return wanted if all(_alike(types[name], kind) for name, kind in wanted.dtypes) else None


def _alike(one: str, other: str) -> bool:
    whole = {"tinyint", "smallint", "int", "bigint"}
    return one == other or {one, other} <= whole
