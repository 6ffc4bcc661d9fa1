"""Causes about time: rows that were rewritten, that came late, or that were not yet materialized."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skew_ext.audit.causes.cells import is_at_served_event, nothing, reproduced_at_served_event
from skew_ext.audit.cells import matches

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Evidence, Mask, Times


def restated(cells: DifferingCells) -> Mask:
    """The row that training uses is the served event, rewritten after it was served."""
    evidence = cells.evidence
    if evidence is None or evidence.source.created is None:
        return nothing(cells)
    same_event = is_at_served_event(evidence, evidence.training)
    return cells.has_event & same_event & _created_after(cells, evidence, evidence.training)


def late_arrival(cells: DifferingCells) -> Mask:
    """Serving gave all that was known by then; training uses a row that was created later."""
    evidence = cells.evidence
    if evidence is None or evidence.source.created is None:
        return nothing(cells)
    late = _created_after(cells, evidence, evidence.training) & _later_than_served(cells, evidence, evidence.training)
    served_nothing = ~cells.has_event & cells.served_null
    same_event = np.where(
        evidence.known >= 0, is_at_served_event(evidence, evidence.known) | served_nothing, served_nothing
    )
    return late & same_event & matches(evidence.values, evidence.known, cells.served)


def stale_online(cells: DifferingCells) -> Mask:
    """An older row of the source was served: a newer one was known by then and not yet materialized."""
    evidence = cells.evidence
    if evidence is None:
        return nothing(cells)
    newer_known = (evidence.known >= evidence.end_at) & (evidence.known >= 0)
    return cells.has_event & newer_known & reproduced_at_served_event(cells, evidence)


def _created_after(cells: DifferingCells, evidence: Evidence, positions: Times) -> Mask:
    if evidence.source.created is None or not len(evidence.source.created):
        return nothing(cells)
    return (positions >= 0) & (evidence.source.created[positions] > cells.served_at)


def _later_than_served(cells: DifferingCells, evidence: Evidence, positions: Times) -> Mask:
    return (positions >= 0) & (~cells.has_event | (positions >= evidence.end_at))
