"""The point-in-time value from the source's rows themselves: the yardstick for a store that gets it wrong.

[t - ttl, t], the latest event, and of those the latest created: what Feast documents, and its DuckDB store does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.baseline.evidence import Indexes, Times, fetch, microseconds
from skew_ext.schema import LOG_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from feast import FeatureStore

    from skew_ext.baseline.plan import ViewPlan


class SourceBaseline:
    """One view's source rows for rows of the log, and the row that training should use for each (-1 for none).

    With `only`, of its features only these have values.
    """

    def __init__(self, store: FeatureStore, view: ViewPlan, log: pa.Table, only: Collection[str] | None = None) -> None:
        at: Times = microseconds(log[LOG_TIMESTAMP])
        ttl = view.ttl_microseconds
        start = 0 if ttl is None else max(int(at.min()) - ttl - 1, 0)
        self._source, self._keys = fetch(store, view, log, start, int(at.max()), only)
        self.training: Indexes = self._source.latest(self._keys, at, ttl, known=False)

    def values(self, feature: str, positions: Indexes | None = None) -> pa.Array:
        """Give a feature's point-in-time value for each row, or its values at some positions (-1: null)."""
        places = self.training if positions is None else positions
        return self._source.values[feature].take(pa.array(places, mask=places < 0))

    def ties(self) -> Iterator[tuple[Indexes, Indexes, bool]]:
        """Give the source rows that share the event time of the row that counts, one of each row at a time.

        As (rows of the log, positions, whether the created times are the same too: then either row is as right).
        """
        has_row = np.flatnonzero(self.training >= 0)
        chosen = self.training[has_row]
        events, created = self._source.events, self._source.created
        first, end = self._source.span(self._keys[has_row], events[chosen], events[chosen])
        for step in range(int((end - first).max(initial=0))):
            inside = np.flatnonzero((first + step < end) & (first + step != chosen))
            positions = first[inside] + step
            same = np.ones(len(inside), bool) if created is None else created[positions] == created[chosen[inside]]
            for equal in (True, False):
                some = inside[same == equal]
                yield has_row[some], first[some] + step, equal


def source_columns(store: FeatureStore, view: ViewPlan, log: pa.Table, features: Iterable[str]) -> dict[str, pa.Array]:
    """Give the point-in-time values of some features of a view for rows of the log, by their columns."""
    wanted = list(features)
    baseline = SourceBaseline(store, view, log, wanted)
    return {view.column(name): baseline.values(name) for name in wanted}
