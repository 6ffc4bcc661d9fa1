"""What a partition gives: its counts as one small message, its rows that differ, and its share of the sample.

It runs in Spark's Python workers, on Arrow batches, and compares with the code that every audit compares with: skew_ext
must be installed where the executors run.
"""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.types import BinaryType, BooleanType, LongType, StructField, StructType

from skew_ext.audit.sample import hashed
from skew_ext.auditor.counting import ViewCounts
from skew_ext.baseline.alignment import ROW_ID
from skew_ext.baseline.retrieval import LOST, REPEATED, Baseline, recompute_on_demand
from skew_ext.engines.spark.retrieval import TIMES_GIVEN, baseline_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyspark.sql import DataFrame

    from skew_ext.audit.over_time import Stretches
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.model import NotCompared

HASH, DIFFERS, SUMMARY = "skew_hash", "skew_differs", "skew_summary"
HASHES = 1 << 62
"""Row ids are spread over [0, HASHES): what is below a limit is an even sample."""
ROWS_AT_ONCE = 50_000


@dataclass
class Summary:
    """What a partition counted."""

    counts: list[ViewCounts]
    rows: int = 0
    differing: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    not_comparable: dict[str, NotCompared] = field(default_factory=dict)

    def message(self) -> bytes:
        """Give it as bytes, without Feast's objects."""
        counts = list(self.counts)
        for one in counts:
            one.plan = replace(one.plan, view=None)
        return pickle.dumps(self)


def read(message: bytes) -> Summary:
    """Give back what `message` wrote."""
    found: Summary = pickle.loads(message)  # noqa: S301 - written by our own function in Spark's workers
    return found


@dataclass(frozen=True)
class Comparing:
    """Compares the rows of a partition of a frame: a function for `mapInArrow`. Rows with a hash below `limit` stay."""

    views: Sequence[ViewPlan]
    stretches: Stretches
    schema: pa.Schema
    limit: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Give the rows that differ or are in the sample, and one more, with nothing in it but the summary."""
        context = TaskContext.get()
        first = (0 if context is None else context.partitionId()) << 33
        summary = Summary([ViewCounts(view, self.stretches, first) for view in self.views])
        schema = None
        for table in _together(batches):
            kept = self._compared(table, summary)
            schema = kept.schema
            yield from kept.to_batches()
        yield from self._last(summary, schema)

    def _compared(self, table: pa.Table, summary: Summary) -> pa.Table:
        log, baseline = self.sides(table)
        different = np.zeros(table.num_rows, dtype=bool)
        for counts in summary.counts:
            different |= counts.add(log, baseline.columns)
        given = table[TIMES_GIVEN].fill_null(0).to_numpy()
        hashes = (hashed(table[ROW_ID].to_numpy().astype(np.uint64)) >> np.uint64(2)).astype(np.int64)
        summary.rows += table.num_rows
        summary.differing += int(different.sum())
        summary.faults[LOST] += int((given == 0).sum())
        summary.faults[REPEATED] += int(np.maximum(given - 1, 0).sum())
        summary.not_comparable.update(baseline.not_comparable)
        table = table.append_column(HASH, pa.array(hashes)).append_column(DIFFERS, pa.array(different))
        table = table.append_column(SUMMARY, pa.nulls(table.num_rows, pa.binary()))
        return table.filter(pa.array(different | (hashes < self.limit)))

    def sides(self, table: pa.Table) -> tuple[pa.Table, Baseline]:
        """Give the log's columns of a table, as they were logged, and its baseline, on-demand outputs too."""
        fields = [(place, each) for place, each in enumerate(self.schema) if f"c{place}" in table.column_names]
        columns = [table[f"c{place}"].cast(each.type, safe=False) for place, each in fields]
        log = pa.table(columns, schema=pa.schema([each for _, each in fields]))
        names = baseline_columns(self.views)
        baseline = Baseline({name: table[f"b{place}"] for place, name in enumerate(names)})
        for view in self.views:
            if view.on_demand:
                recompute_on_demand(view, self.views, log, baseline)
        return log, baseline

    @staticmethod
    def _last(summary: Summary, schema: pa.Schema | None) -> Iterator[pa.RecordBatch]:
        if schema is None:  # a partition without rows
            return
        message = summary.message()
        columns = [pa.array([message if each.name == SUMMARY else None], each.type) for each in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def compared(rows: DataFrame, compare: Comparing) -> DataFrame:
    """Give what each partition of rows with their baseline gives: a row for its summary beside those that stay."""
    fields = [StructField(each.name, each.dataType, nullable=True) for each in rows.schema.fields]
    added = [StructField(HASH, LongType()), StructField(DIFFERS, BooleanType()), StructField(SUMMARY, BinaryType())]
    return rows.mapInArrow(compare, StructType([*fields, *added]))


def _together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Put Spark's small batches together."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= ROWS_AT_ONCE:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting = []
    if any(one.num_rows for one in waiting):
        yield pa.Table.from_batches(waiting).combine_chunks()
