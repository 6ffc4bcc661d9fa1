"""The differing cells of one feature, with the evidence that the causes are tried on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.audit.cells import is_null, matches

if TYPE_CHECKING:
    from skew_ext.baseline.evidence import SourceRows

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
SECOND = 1_000_000
NO_TIME = np.int64(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class Evidence:
    """The source rows of a stored feature. Positions are into `source`, -1 for none, one per differing cell.

    `training` is the row that training uses, `known` the one it would use if only rows created by serving counted,
    `first_at` and `end_at` the rows with the served event time, to the online store's precision.
    """

    source: SourceRows
    values: pa.Array
    training: Times
    known: Times
    first_at: Times
    end_at: Times
    waiting_since: Times
    """When the first row newer than the served one became known; `NO_TIME` if none had, by serving."""


@dataclass(frozen=True)
class DifferingCells:
    """Cells of one feature that differ from their baseline. Times in microseconds since 1970, UTC.

    `served_event` is `NO_TIME` where nothing was served. `evidence` is None for on-demand outputs;
    `fingerprints_differ` says for those whether the logged transform is not the one now registered.
    """

    served: pa.Array
    baseline: pa.Array
    served_event: Times
    served_at: Times
    ttl: int | None
    evidence: Evidence | None
    fingerprints_differ: Mask

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
        )


def _take(evidence: Evidence, places: npt.NDArray[np.int64]) -> Evidence:
    return replace(
        evidence,
        training=evidence.training[places],
        known=evidence.known[places],
        first_at=evidence.first_at[places],
        end_at=evidence.end_at[places],
        waiting_since=evidence.waiting_since[places],
    )


def nothing(cells: DifferingCells) -> Mask:
    """Give the mask that claims no cell."""
    return np.zeros(len(cells), dtype=bool)


def is_at_served_event(evidence: Evidence, positions: Times) -> Mask:
    """Say where the row at a position is one of those with the served event time."""
    return (positions >= evidence.first_at) & (positions < evidence.end_at)


def reproduced_at_served_event(cells: DifferingCells, evidence: Evidence) -> Mask:
    """Say where some source row with the served event time, however often it was rewritten, has the served value."""
    reproduced = nothing(cells)
    position = evidence.first_at.copy()
    while True:
        inside = np.flatnonzero(~reproduced & (position < evidence.end_at))
        if not len(inside):
            return reproduced
        served = cells.served.take(pa.array(inside))
        reproduced[inside] = matches(evidence.values, position[inside], served)
        position[inside] += 1
