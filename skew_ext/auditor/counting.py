"""What one pass over the log counts of a view: cells compared and differing, the TTL matrix, when keys were served."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.audit.cells import compare, plain
from skew_ext.audit.over_time import CellsOverTime
from skew_ext.audit.ttl import TtlCounts
from skew_ext.auditor.served import FirstServed
from skew_ext.baseline.evidence import microseconds, unordered
from skew_ext.baseline.retrieval import any_present
from skew_ext.schema import LOG_TIMESTAMP, STATUS_SUFFIX, TIMESTAMP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from skew_ext.audit.over_time import Stretches
    from skew_ext.baseline.plan import ViewPlan

    Mask = npt.NDArray[np.bool_]
    Times = npt.NDArray[np.int64]


class ViewCounts:
    """Counts of one view, added to part by part.

    Counts that are made apart, to be merged, number their rows from a `first` of their own, and leave it to others to
    say when keys were first served.
    """

    def __init__(self, plan: ViewPlan, stretches: Stretches, first: int | None = None) -> None:
        self.plan = plan
        self.over_time = CellsOverTime(stretches)
        self.compared: Counter[str] = Counter()
        self.mismatched: Counter[str] = Counter()
        self.within_rounding: Counter[str] = Counter()
        self.ttl: TtlCounts | None = None
        if not plan.on_demand:
            self.ttl = TtlCounts(plan.alias, plan.ttl_microseconds, first or 0)
        self.first_served = FirstServed(list(plan.join_keys.values()), noted=first is None)
        self.logged: set[str] = set()
        self._unordered = unordered(plan.view)

    @property
    def features(self) -> list[str]:
        """The features that could be compared anywhere in the window, in the view's order."""
        return [name for name in self.plan.features if name in self.compared]

    def add(self, log: pa.Table, baseline: dict[str, pa.ChunkedArray]) -> Mask:
        """Take a part and its baseline; say in which of its rows a cell differs."""
        self.logged |= {name for name in self.plan.features if self.plan.column(name) in log.column_names}
        features = [name for name in self.plan.features if name in self.logged and self.plan.column(name) in baseline]
        features = [name for name in features if self.plan.column(name) in log.column_names]
        different = np.zeros(log.num_rows, dtype=bool)
        given = {name: asked(log[self.plan.column(name) + STATUS_SUFFIX]) for name in features}
        self.over_time.part(microseconds(log[LOG_TIMESTAMP]))
        for name in features:
            different |= self._compare(name, given[name], log, baseline)
        if self.ttl is not None and features:
            self._add_times(log, baseline, given)
        return different

    def merge(self, other: ViewCounts) -> None:
        """Add the counts of other rows of the same view; when keys were first served is not among them."""
        for mine, theirs in (
            (self.compared, other.compared),
            (self.mismatched, other.mismatched),
            (self.within_rounding, other.within_rounding),
        ):
            mine.update(theirs)
        self.logged |= other.logged
        self.over_time.merge(other.over_time)
        if self.ttl is not None and other.ttl is not None:
            self.ttl.merge(other.ttl)

    def _compare(self, name: str, given: Mask, log: pa.Table, baseline: dict[str, pa.ChunkedArray]) -> Mask:
        column = self.plan.column(name)
        served, expected = (plain(side[column], unordered=name in self._unordered) for side in (log, baseline))
        if not given.all():
            served, expected = (array.filter(pa.array(given)) for array in (served, expected))
        compared = compare(served, expected)
        different = np.zeros(log.num_rows, dtype=bool)
        different[given] = compared.different
        self.compared[name] += len(served)
        self.over_time.compared(column, given)
        self.mismatched[name] += int(different.sum())
        self.within_rounding[name] += int(compared.rounding.sum())
        return different

    def _add_times(self, log: pa.Table, baseline: dict[str, pa.ChunkedArray], given: dict[str, Mask]) -> None:
        columns = [self.plan.column(name) for name in given]
        events, served_at = served_events(log, columns), microseconds(log[LOG_TIMESTAMP])
        rows = np.logical_or.reduce(list(given.values()))
        present = any_present(baseline[column] for column in columns)
        if self.ttl is not None:
            self.ttl.add(events[rows], served_at[rows], present[rows])
        self.first_served.add(log, served_at, events != NO_TIME)


def asked(statuses: pa.ChunkedArray) -> Any:
    """Say for which rows the lookup asked for a feature and was given it.

    Rows under an earlier schema have no status; a feature that Feast left out of its response has INVALID.
    """
    return pc.greater(pc.fill_null(statuses, 0), 0).combine_chunks().to_numpy(zero_copy_only=False)


def served_events(log: pa.Table, columns: Sequence[str]) -> Times:
    """Give the event time at which each row was served: the latest of the view's columns; `NO_TIME` for none."""
    events = np.full(log.num_rows, NO_TIME)
    for column in columns:
        np.maximum(events, microseconds(log[column + TIMESTAMP_SUFFIX]), out=events)
    return events
