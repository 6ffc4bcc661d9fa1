"""The differing cells of one feature, with the evidence that the causes are tried on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.audit.cells import is_null, matches, plain

if TYPE_CHECKING:
    from skew_ext.baseline.evidence import SourceRows

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
SECOND = 1_000_000
NO_TIME = np.int64(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class Wider:
    """The source rows of the same keys over a longer time, for the counterfactual of a shifted clock.

    `keys` are the key codes of the view's differing rows, by their numbers in `Evidence.numbers`.
    """

    source: SourceRows
    keys: Times


@dataclass(frozen=True)
class Evidence:
    """The source rows of a stored feature. Positions are into `source`, -1 for none, one per differing cell.

    `training` is the row that training uses, `known` the one it would use if only rows created by serving counted, and
    `known_ever` that one whatever its age. `first_at` and `end_at` bound the rows with the served event time, to the
    online store's precision; `at_event` is the one of them that was known by serving, the last of all if none was.
    """

    source: SourceRows
    values: pa.Array
    training: Times
    known: Times
    known_ever: Times
    first_at: Times
    end_at: Times
    at_event: Times
    waiting_since: Times
    """When the first row newer than the served one became known; `NO_TIME` if none had, by serving."""
    numbers: Times
    """Which of the view's differing rows each cell is in."""
    precision: int = 1
    """The unit, in microseconds, to which the online store truncates event times."""
    feature: str = ""
    wider: Callable[[], Wider] | None = None
    """Fetches source rows over a longer time, once for all features of the view."""


_POSITIONS = ("training", "known", "known_ever", "first_at", "end_at", "at_event", "waiting_since", "numbers")


@dataclass(frozen=True)
class Siblings:
    """The service's other features of the same type, for the counterfactual of exchanged columns.

    `columns` are their baselines in all rows of a block, `rows` which of those the cells are in; `stored` gives, for
    those of the same view, their values in the rows of `Evidence.source`.
    """

    columns: Mapping[str, pa.Array]
    stored: Mapping[str, pa.Array]
    rows: Times


@dataclass(frozen=True)
class DifferingCells:
    """Cells of one feature that differ from their baseline. Times in microseconds since 1970, UTC.

    `served_event` is `NO_TIME` where nothing was served. `evidence` is None for on-demand outputs;
    `fingerprints_differ` says for those whether the logged transform is not the one now registered. `first_served` is
    when a lookup, of the window or of some days before it, first served the cell's key, `NO_TIME` for never.
    """

    served: pa.Array
    baseline: pa.Array
    served_event: Times
    served_at: Times
    ttl: int | None
    evidence: Evidence | None
    fingerprints_differ: Mask
    first_served: Times | None = None
    siblings: Siblings | None = None

    def __len__(self) -> int:
        return len(self.served_at)

    @property
    def served_null(self) -> Mask:
        """Cells for which no value was served."""
        return is_null(self.served)

    @property
    def baseline_null(self) -> Mask:
        """Cells for which training has no value."""
        return is_null(self.baseline)

    @property
    def has_event(self) -> Mask:
        """Cells that were served with an event time."""
        return np.asarray(self.served_event != NO_TIME, dtype=bool)

    def take(self, places: npt.NDArray[np.int64]) -> DifferingCells:
        """Give some of the cells."""
        chosen = pa.array(places)
        return replace(
            self,
            served=self.served.take(chosen),
            baseline=self.baseline.take(chosen),
            served_event=self.served_event[places],
            served_at=self.served_at[places],
            evidence=None if self.evidence is None else _take(self.evidence, places),
            fingerprints_differ=self.fingerprints_differ[places],
            first_served=None if self.first_served is None else self.first_served[places],
            siblings=self.siblings and replace(self.siblings, rows=self.siblings.rows[places]),
        )

    def references(self) -> list[pa.Array]:
        """Give what should have been served, as a write path would have found it, in up to two ways.

        First the source's value at the served event time (the baseline, where no row has that time), so that a value
        that is both older and written otherwise is seen for what it is; then the baseline.
        """
        return self.right(plain(self.baseline), None if self.evidence is None else self.evidence.values)

    def right(self, baseline: pa.Array, stored: pa.Array | None) -> list[pa.Array]:
        """Give what should have been served of a feature with this baseline and these values in the source's rows."""
        evidence = self.evidence
        if evidence is None or stored is None or not len(stored):
            return [baseline]
        return [at_event(stored, evidence.at_event, baseline), baseline]


def at_event(values: pa.Array, positions: Times, baseline: pa.Array) -> pa.Array:
    """Give the source's value at each position, and the baseline where the position is -1."""
    column = plain(values)
    if not column.type.equals(baseline.type):
        # Both come of one source column; a store may still give them in types of its own.
        column = column.cast(baseline.type, safe=False)
    both = pa.concat_arrays([column, baseline])
    return both.take(pa.array(np.where(positions >= 0, positions, len(column) + np.arange(len(positions)))))


def _take(evidence: Evidence, places: npt.NDArray[np.int64]) -> Evidence:
    return replace(evidence, **{name: getattr(evidence, name)[places] for name in _POSITIONS})


def nothing(cells: DifferingCells) -> Mask:
    """Give the mask that claims no cell."""
    return np.zeros(len(cells), dtype=bool)


def is_at_served_event(evidence: Evidence, positions: Times) -> Mask:
    """Say where the row at a position is one of those with the served event time."""
    return (positions >= evidence.first_at) & (positions < evidence.end_at)


def reproducing(cells: DifferingCells, evidence: Evidence) -> Times:
    """Give the first source row with the served event time and the served value, however often it was rewritten.

    -1 where there is none.
    """
    found = np.full(len(cells), -1, dtype=np.int64)
    position = evidence.first_at.copy()
    while True:
        inside = np.flatnonzero((found < 0) & (position < evidence.end_at))
        if not len(inside):
            return found
        fits = matches(evidence.values, position[inside], cells.served.take(pa.array(inside)))
        found[inside[fits]] = position[inside[fits]]
        position[inside] += 1
