"""The pass over the log: each part is retrieved and compared once, counted, and let go save the rows that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.audit.sample import EvenSample
from skew_ext.auditor.ahead import ahead, made_ahead
from skew_ext.auditor.counting import ViewCounts, asked
from skew_ext.auditor.differing import BASELINE_PREFIX, DifferingRows
from skew_ext.auditor.served import first_served_column
from skew_ext.baseline.narrowed import retrievals_at_once
from skew_ext.baseline.retrieval import Baseline, point_in_time, recompute_on_demand
from skew_ext.log.union import union
from skew_ext.schema import LOG_TIMESTAMP, STATUS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from feast import FeatureService, FeatureStore

    from skew_ext.audit.over_time import Stretches
    from skew_ext.baseline.plan import ViewPlan

EXPLAINED_CELLS = 2_000_000
"""So many cells are explained at once: 100,000 rows of 20 features."""
DISTRIBUTION_CELLS = 4_000_000
"""So many cells of each side are kept for the distributions: 200,000 rows of 20 features, or fewer."""


class FirstPass:
    """Takes the log part by part (`run`). Its temporary files (of rows that differ) are there until it is closed."""

    def __init__(
        self, store: FeatureStore, service: FeatureService, views: Sequence[ViewPlan], stretches: Stretches
    ) -> None:
        features = max(sum(len(view.features) for view in views), 1)
        self.rows = 0
        self.counts = [ViewCounts(view, stretches) for view in views]
        self.baseline = Baseline(columns={})
        self.sample = EvenSample(DISTRIBUTION_CELLS // features)
        self._differing = DifferingRows(EXPLAINED_CELLS // features)
        self._store = store
        self._service = service
        self._views = views

    def close(self) -> None:
        """Delete the temporary files."""
        self._differing.close()

    def run(self, parts: Iterator[pa.Table], say: Callable[[str], None]) -> None:
        """Take the log, part by part: while one is counted, the next are retrieved and the one after them read."""
        threads = retrievals_at_once(self._store, self._views)
        for log, baseline in made_ahead(self._retrieved, ahead(parts), threads):
            say(f"retrieving and comparing: {self.rows:,} rows done")
            for view in self._views:
                if view.on_demand:
                    recompute_on_demand(view, self._views, log, baseline)
            self._count(log, baseline)
            pa.default_memory_pool().release_unused()

    def _retrieved(self, log: pa.Table) -> tuple[pa.Table, Baseline]:
        return log, point_in_time(self._store, self._service, self._views, log)

    def _count(self, log: pa.Table, baseline: Baseline) -> None:
        self.rows += log.num_rows
        different = np.zeros(log.num_rows, dtype=bool)
        for counts in self.counts:
            different |= counts.add(log, baseline.columns)
        both = _beside(log, baseline)
        self._differing.add(both.filter(pa.array(different)))
        columns = [view.column(name) for view in self._views for name in view.features]
        keys = {key: None for view in self._views for key in view.join_keys.values()}
        columns = [*columns, *(BASELINE_PREFIX + name for name in columns), *keys, LOG_TIMESTAMP]
        sampled = as_asked(both, [view.column(name) for view in self._views for name in view.features])
        self.sample.add(sampled.select([name for name in columns if name in both.column_names]))
        self.baseline.add(baseline)

    def blocks(self) -> Iterator[tuple[pa.Table, dict[str, pa.ChunkedArray]]]:
        """Give the rows that differ, and their baseline, in blocks of bounded size."""
        for block in self._differing.blocks():
            ours = [name for name in block.column_names if name.startswith(BASELINE_PREFIX)]
            log = block.drop_columns(ours)
            for counts in self.counts:
                first = pa.array(counts.first_served.of(log))
                log = log.append_column(first_served_column(counts.plan.alias), first)
            yield log, {name.removeprefix(BASELINE_PREFIX): block[name] for name in ours}
            del block, log  # before the next block is read
            pa.default_memory_pool().release_unused()

    def distributions(self) -> pa.Table:
        """Give the sample of rows that the distributions are made of, baseline columns beside the served ones."""
        return union(self.sample.tables)


def as_asked(both: pa.Table, columns: Iterable[str]) -> pa.Table:
    """Give the rows without a baseline where a feature was not asked for, or not given: nothing stands against it."""
    for column in columns:
        expected, status = BASELINE_PREFIX + column, column + STATUS_SUFFIX
        if expected not in both.column_names or status not in both.column_names:
            continue
        given = asked(both[status])
        if not given.all():
            places = pa.array(np.arange(both.num_rows), mask=~given)
            both = both.set_column(both.column_names.index(expected), expected, both[expected].take(places))
    return both


def _beside(log: pa.Table, baseline: Baseline) -> pa.Table:
    columns = {name: log[name] for name in log.column_names}
    return pa.table(columns | {BASELINE_PREFIX + name: column for name, column in baseline.columns.items()})
