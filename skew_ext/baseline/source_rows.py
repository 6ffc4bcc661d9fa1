"""What a retrieval job of source rows gives; of a Spark job, only the columns and keys that are asked for leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def rows_of(job: Any, columns: Sequence[str | None], keys: Mapping[str, Any] | None = None) -> pa.Table:
    """Give the rows of a job of Feast's `pull_all_from_table_or_query`, with at least the `columns` that are named.

    `keys`: the key columns, with the logged values that matter. A Spark job gives the rows of these keys alone, in the
    source's own types, and so does a DuckDB job, where the types are the source's; others give all.
    """
    if not hasattr(job, "to_spark_df"):
        return _of_keys(job, keys or {})
    frame = job.to_spark_df()
    names = list(dict.fromkeys(name for name in columns if name))
    if set(names) <= set(frame.columns):
        frame = frame.toDF(*_by_place(frame.columns)).select(*(f"s{frame.columns.index(name)}" for name in names))
    else:  # a field mapping has renamed them, in the order in which they were asked for
        given = [name for name in columns if name]
        frame = frame.toDF(*_by_place(given)).select(*(f"s{given.index(name)}" for name in names))
    wanted = None if keys is None else _distinct(frame, names, keys)
    if wanted is not None:
        from pyspark.sql import functions as F  # noqa: N812, PLC0415 - as everybody calls it; an extra

        frame = frame.join(F.broadcast(wanted), wanted.columns, "left_semi")
    return frame.toArrow().rename_columns(names)


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
    return rows.semi_join(distinct, list(keys)).to_pyarrow()


def _same_kind(one: Any, other: Any) -> bool:
    return bool((one.is_integer() and other.is_integer()) or (one.is_string() and other.is_string()))


def _by_place(names: Sequence[str]) -> list[str]:
    """Name columns by their place: Feast makes Spark take quoted names as regular expressions."""
    return [f"s{place}" for place in range(len(names))]


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
