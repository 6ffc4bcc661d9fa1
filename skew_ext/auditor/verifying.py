"""Whether the baseline of the rows that differ is what the source's own rows say, for stores known to get it wrong.

A cell whose baseline is another row's value gets the right one, and what the store did is counted. Cells that are the
same as their baseline are not looked at: they agree with what a training job gets from this store, right or wrong.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.audit.cells import compare, plain
from skew_ext.baseline.from_source import SourceBaseline
from skew_ext.baseline.store_faults import known_faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from feast import FeatureStore

    from skew_ext.baseline.evidence import Indexes
    from skew_ext.baseline.plan import ViewPlan

    Mask = npt.NDArray[np.bool_]
    Tie = tuple[Indexes, Indexes, bool]

TIE, NULL_CREATED, WRONG = "baseline_tie", "baseline_null_created", "baseline_wrong_value"


class Verifier:
    """Verifies blocks of rows; `faults` counts the cells that were put right, by code."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._known = known_faults(store)
        self.faults: Counter[str] = Counter()

    def verified(
        self, views: Sequence[ViewPlan], log: pa.Table, baseline: dict[str, pa.ChunkedArray]
    ) -> dict[str, pa.ChunkedArray]:
        """Give the baseline with its wrong cells put right."""
        right = dict(baseline)
        for view in views if self._known.mistakes_rows else ():
            names = [name for name in view.features if {view.column(name)} <= baseline.keys() & set(log.column_names)]
            if view.on_demand or not names:
                continue
            source = SourceBaseline(self._store, view, log, names)
            ties = list(source.ties())
            for name in names:
                column = view.column(name)
                right[column] = self._cells(source, ties, name, plain(log[column]), baseline[column])
        return right

    def _cells(
        self, source: SourceBaseline, ties: Sequence[Tie], name: str, served: pa.Array, given: pa.ChunkedArray
    ) -> pa.ChunkedArray:
        right = plain(source.values(name))
        given = plain(given)
        wrong = compare(right, given).different
        if not wrong.any() and not any(equal and len(rows) for rows, _, equal in ties):
            return pa.chunked_array([given])
        tied, excused, swapped = (np.zeros(len(wrong), dtype=bool) for _ in range(3))
        for rows, positions, equal in ties:
            values = plain(source.values(name, positions))
            places = pa.array(rows)
            is_given = ~compare(given.take(places), values).different
            # Rows created together are equally right: which of them a store takes is no fault, nor is serving another.
            is_served = ~compare(served.take(places), values).different
            if equal:
                right = _replaced(right, rows[is_served], values.filter(pa.array(is_served)))
                excused[rows[is_given]] = True
                swapped[rows[is_served]] = True
            tied[rows[is_given & (not equal)]] = True
        wrong &= ~excused
        self.faults[TIE] += int((wrong & tied).sum())
        self.faults[NULL_CREATED if self._known.skips_null_created else WRONG] += int((wrong & ~tied).sum())
        wrong |= swapped | (excused & ~compare(served, right).different)
        return pa.chunked_array([pc.if_else(pa.array(wrong), right, _as(given, right.type))])


def _replaced(column: pa.Array, rows: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    places = np.arange(len(column))
    places[rows] = len(column) + np.arange(len(rows))
    return pa.concat_arrays([column, values]).take(pa.array(places))


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Give a store's column in the source's type; a cell that does not fit was wrong, and is not used."""
    return column if column.type.equals(kind) else column.cast(kind, safe=False)
