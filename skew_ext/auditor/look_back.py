"""Keys that were served before the window: asked of the log only where a row of the window was served nothing."""

from __future__ import annotations

import itertools
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.auditor.counting import served_events
from skew_ext.auditor.served import FirstServed, first_served_column
from skew_ext.baseline.evidence import microseconds
from skew_ext.baseline.retrieval import any_present
from skew_ext.schema import LOG_TIMESTAMP, TIMESTAMP_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skew_ext.auditor.counting import Mask, Times
    from skew_ext.auditor.window import WindowLog
    from skew_ext.baseline.plan import ViewPlan

STEPS = tuple(map(timedelta, (0, 1 / 24, 1 / 4, 1, 3, 7)))
"""How far back to look, further and further, until `MOST_ROWS` were read: the nearest lookups tell most."""
MOST_ROWS = 1_000_000


class LookBack:
    """The log before a window is read once, when it is first asked for, and only when each row was served."""

    def __init__(self, log: WindowLog, views: Sequence[ViewPlan]) -> None:
        self._log = log
        self._views = [view for view in views if not view.on_demand]

    def completed(self, rows: pa.Table, baseline: Mapping[str, pa.ChunkedArray]) -> pa.Table:
        """Give rows that differ with, for keys that the window had not served before, when they were served before it.

        That stands, as what the window tells, in `first_served_column(alias)`.
        """
        for view in self._views:
            name = first_served_column(view.alias)
            if name not in rows.column_names:
                continue
            first = np.asarray(rows[name].to_numpy(), dtype=np.int64)
            open_rows = np.flatnonzero(
                _absent(view, rows, baseline) & ~_before(first, microseconds(rows[LOG_TIMESTAMP]))
            )
            if len(open_rows):
                first = first.copy()
                first[open_rows] = self._since(view, rows.take(pa.array(open_rows)), first[open_rows])
                rows = rows.set_column(rows.column_names.index(name), name, pa.array(first))
        return rows

    def _since(self, view: ViewPlan, rows: pa.Table, known: Times) -> Times:
        try:
            earlier = self._served[view.alias].of(rows)
        except pa.ArrowInvalid:  # the keys were of another type then: they are not these
            return known
        return np.where(earlier == NO_TIME, known, earlier)

    @cached_property
    def _served(self) -> dict[str, FirstServed]:
        served = {view.alias: FirstServed(list(view.join_keys.values())) for view in self._views}
        columns = {view.column(name) + TIMESTAMP_SUFFIX for view in self._views for name in view.features}
        keys = {key for view in self._views for key in view.join_keys.values()}
        read = 0
        for nearer, further in itertools.pairwise(STEPS):
            for part in self._log.before(further, nearer, columns | keys):
                self._take(part, served)
                read += part.num_rows
                if read >= MOST_ROWS:
                    return served
        return served

    def _take(self, part: pa.Table, served: dict[str, FirstServed]) -> None:
        for view in self._views:
            if set(view.join_keys.values()) <= set(part.column_names):
                events = served_events(part, _logged(view, part))
                served[view.alias].add(part, microseconds(part[LOG_TIMESTAMP]), events != NO_TIME)


def _logged(view: ViewPlan, rows: pa.Table) -> list[str]:
    columns = map(view.column, view.features)
    return [column for column in columns if column + TIMESTAMP_SUFFIX in rows.column_names]


def _absent(view: ViewPlan, rows: pa.Table, baseline: Mapping[str, pa.ChunkedArray]) -> Mask:
    """Say which rows the view served nothing for, though training has a value."""
    logged = _logged(view, rows)
    expected = [baseline[column] for column in logged if column in baseline]
    if not expected:
        return np.zeros(rows.num_rows, dtype=bool)
    return np.asarray((served_events(rows, logged) == NO_TIME) & any_present(expected), dtype=bool)


def _before(first: Times, served_at: Times) -> Mask:
    return np.asarray((first != NO_TIME) & (first < served_at), dtype=bool)
