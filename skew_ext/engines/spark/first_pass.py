"""The pass over the log in a Spark session: only counts, rows that differ and an even sample leave it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.auditor.counting import ViewCounts
from skew_ext.auditor.differing import BASELINE_PREFIX
from skew_ext.auditor.first_pass import EXPLAINED_CELLS, as_asked
from skew_ext.auditor.served import first_served_column
from skew_ext.baseline.evidence import microseconds
from skew_ext.baseline.retrieval import COLLISION, Baseline
from skew_ext.engines.spark.comparing import DIFFERS, HASH, HASHES, SUMMARY, Comparing, compared, read
from skew_ext.engines.spark.frame import log_frames
from skew_ext.engines.spark.retrieval import baseline_columns, beside_baseline
from skew_ext.engines.spark.served import first_served, told
from skew_ext.engines.spark.session import in_utc, one_line, session_of
from skew_ext.errors import AuditError, SkewError
from skew_ext.log.union import union
from skew_ext.schema import LOG_TIMESTAMP, ROW, SEQUENCE, STATUS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from feast import FeatureService, FeatureStore
    from pyspark.sql import DataFrame

    from skew_ext.audit.over_time import Stretches
    from skew_ext.auditor.window import WindowLog
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.engines.spark.frame import LogFrame

DISTRIBUTION_CELLS = 2_000_000
"""So many cells of each side leave the session for the distributions: 100,000 rows of 20 features, or fewer."""


@dataclass
class SparkSample:
    """The rows that left the session for the distributions, each with the hash that chose it."""

    most: int
    limit: int = HASHES
    tables: list[pa.Table] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows are in it."""
        return sum(table.num_rows for table in self.tables)

    def limit_for(self, rows: int) -> int:
        """Give the hash below which to take rows, when so many have been seen; what was taken is thinned out to it."""
        self.limit = min(self.limit, HASHES * self.most // max(rows, 1))
        self.tables = [table.filter(pa.array(table[HASH].to_numpy() < self.limit)) for table in self.tables]
        return self.limit


@dataclass(frozen=True)
class _Part:
    """A frame of the log, and what its comparison kept in the session."""

    frame: LogFrame
    kept: DataFrame
    compare: Comparing


class SparkPass:
    """Takes the log in the session of the repo's Spark offline store; what it keeps there is there until it is closed.

    `rows`, `counts` and `baseline` are what `Engine` says.
    """

    def __init__(
        self,
        store: FeatureStore,
        service: FeatureService,
        views: Sequence[ViewPlan],
        stretches: Stretches,
        log: WindowLog,
    ) -> None:
        features = max(sum(len(view.features) for view in views), 1)
        self.rows = 0
        self.counts = [ViewCounts(view, stretches) for view in views]
        self.baseline = Baseline(columns={})
        self.sample = SparkSample(DISTRIBUTION_CELLS // features)
        self._explained = max(EXPLAINED_CELLS // features, 1)
        self._differing = 0
        self._store, self._service, self._views, self._log = store, service, views, log
        self._stretches = stretches
        self._parts: list[_Part] = []
        self._session = session_of(store)
        self._utc = ExitStack()
        self._utc.enter_context(in_utc(self._session))  # for what is read of the source too, until it is closed

    def close(self) -> None:
        """Let the session forget what it kept, and have its own time zone again."""
        self._utc.close()
        for part in self._parts:
            part.kept.unpersist()
            part.frame.rows.unpersist()
        self._parts = []

    def run(self, parts: Iterator[pa.Table], say: Callable[[str], None]) -> None:
        """Retrieve and compare the window's rows in the session; `parts` are taken where Spark cannot read the log."""
        for frame in log_frames(self._session, self._log, parts):
            say(f"retrieving and comparing in Spark: {self.rows:,} rows done")
            try:
                self._take(frame.kept())
            except SkewError:
                raise
            except Exception as error:
                msg = f"the Spark session could not give the training baseline: {one_line(error)}"
                raise AuditError(msg) from error

    def _take(self, frame: LogFrame) -> None:
        rows = frame.rows.count()
        if not rows:
            frame.rows.unpersist()
            return
        limit = self.sample.limit_for(self.rows + rows)
        compare = Comparing(self._views, self._stretches, frame.schema, limit)
        both, confused = beside_baseline(self._store, self._service, self._views, frame)
        part = _Part(frame, compared(both, compare).persist(StorageLevel.MEMORY_AND_DISK), compare)
        self._parts.append(part)
        messages = part.kept.where(F.col(SUMMARY).isNotNull()).select(SUMMARY).collect()
        self.baseline.faults[COLLISION] += confused
        for (message,) in messages:
            self._add(bytes(message))
        self.sample.tables.append(self._sampled(part, limit))

    def _add(self, message: bytes) -> None:
        summary = read(message)
        self.rows += summary.rows
        self._differing += summary.differing
        self.baseline.add(Baseline({}, summary.faults, summary.not_comparable))
        for mine, theirs in zip(self.counts, summary.counts, strict=True):
            mine.merge(theirs)

    def _sampled(self, part: _Part, limit: int) -> pa.Table:
        """Bring the sample: what distributions are made of, and what on-demand outputs are recomputed from."""
        features = [view.column(name) for view in self._views for name in view.features]
        statuses = {name + STATUS_SUFFIX for name in features}.difference(features)
        names = [*features, *statuses]
        names += [key for view in self._views for key in view.join_keys.values()]
        names += [name for view in self._views if view.on_demand for name in view.view.get_request_data_schema()]
        wanted = dict.fromkeys([*names, LOG_TIMESTAMP, SEQUENCE, ROW])
        columns = [part.frame.places[name] for name in wanted if name in part.frame.places]
        columns += [f"b{place}" for place in range(len(baseline_columns(self._views)))]
        table = part.kept.where(F.col(HASH) < F.lit(limit)).select(*columns, HASH).toArrow()
        both = as_asked(self._beside(part, table), features)
        both = both.drop_columns([name for name in both.column_names if name in statuses])
        return both.append_column(HASH, table[HASH])

    def _beside(self, part: _Part, table: pa.Table) -> pa.Table:
        log, baseline = part.compare.sides(table)
        columns = {name: log[name] for name in log.column_names}
        return pa.table(columns | {BASELINE_PREFIX + name: column for name, column in baseline.columns.items()})

    def blocks(self) -> Iterator[tuple[pa.Table, dict[str, pa.ChunkedArray]]]:
        """Give the rows that differ, and their baseline, in blocks that leave the session one at a time."""
        if not self._differing:
            return
        count = -(-self._differing // self._explained)
        frames = [part.frame for part in self._parts]
        first = {view.alias: first_served(frames, view) for view in self._views if not view.on_demand}
        for number in range(count):
            low, high = (HASHES * edge // count for edge in (number, number + 1))
            block = _in_order(union([self._block(part, low, high, first) for part in self._parts]))
            ours = [name for name in block.column_names if name.startswith(BASELINE_PREFIX)]
            if block.num_rows:
                yield block.drop_columns(ours), {name.removeprefix(BASELINE_PREFIX): block[name] for name in ours}
            del block  # before the next one is fetched

    def _block(self, part: _Part, low: int, high: int, first: dict[str, DataFrame | None]) -> pa.Table:
        rows = part.kept.where(F.col(DIFFERS) & (F.col(HASH) >= F.lit(low)) & (F.col(HASH) < F.lit(high)))
        columns = {view.alias: f"first_{place}" for place, view in enumerate(self._views)}
        for view in self._views:
            served = first.get(view.alias)
            if served is not None:
                rows = told(rows, part.frame, view, served, columns[view.alias])
        table = rows.drop(SUMMARY).toArrow()
        both = self._beside(part, table)
        for alias, column in columns.items():
            known = column in table.column_names
            times = microseconds(table[column]) if known else np.full(table.num_rows, NO_TIME)
            both = both.append_column(first_served_column(alias), pa.array(times))
        return both

    def distributions(self) -> pa.Table:
        """Give the even sample, in the order of serving."""
        return _in_order(union([table.drop_columns([HASH]) for table in self.sample.tables]))


def _in_order(table: pa.Table) -> pa.Table:
    """Give rows in the order of serving, which partitions do not keep."""
    return table.sort_by([(name, "ascending") for name in (LOG_TIMESTAMP, SEQUENCE, ROW) if name in table.column_names])
