"""Causes about time: rows that were rewritten, that came late, or that were not yet materialized."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skew_ext.audit.causes.cells import NO_TIME, is_at_served_event, nothing, reproducing
from skew_ext.audit.cells import matches

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Evidence, Mask, Times


def restated(cells: DifferingCells) -> Mask:
    """The row that training uses is the served event, rewritten after it was served.

    Where the source still has what was known of the event by serving, that must be what was served.
    """
    evidence = cells.evidence
    if evidence is None or evidence.source.created is None:
        return nothing(cells)
    rewritten = cells.has_event & is_at_served_event(evidence, evidence.training)
    rewritten &= _created_after(cells, evidence, evidence.training)
    overwritten = (evidence.at_event < 0) | _created_after(cells, evidence, evidence.at_event)
    return rewritten & (overwritten | (reproducing(cells, evidence) >= 0))


def late_arrival(cells: DifferingCells) -> Mask:
    """Serving gave all that was known by then; training uses a row that was created later.

    What was served was known, whatever its created time says: a stream's row may be stored offline after it was served.
    It may have been past its TTL, since online reads do not honour one.
    """
    evidence = cells.evidence
    if evidence is None or evidence.source.created is None:
        return nothing(cells)
    late = _created_after(cells, evidence, evidence.training)
    newest = cells.has_event & (evidence.waiting_since == NO_TIME) & (evidence.training >= evidence.end_at)
    served_nothing = ~cells.has_event & cells.served_null & matches(evidence.values, evidence.known, cells.served)
    return np.asarray(late & (served_nothing | (newest & (reproducing(cells, evidence) >= 0))), dtype=bool)


def stale_online(cells: DifferingCells) -> Mask:
    """An older row of the source was served: a newer one was known by then and not yet materialized.

    The newer one may be of the same event: a correction that never reached the online store.
    """
    evidence = cells.evidence
    if evidence is None:
        return nothing(cells)
    row = reproducing(cells, evidence)
    newer_event = evidence.known_ever >= evidence.end_at
    corrected = is_at_served_event(evidence, evidence.known_ever) & _created_before(evidence, row, evidence.known_ever)
    return cells.has_event & (row >= 0) & (newer_event | corrected)


def _created_after(cells: DifferingCells, evidence: Evidence, positions: Times) -> Mask:
    if evidence.source.created is None or not len(evidence.source.created):
        return nothing(cells)
    return (positions >= 0) & (evidence.source.created[positions] > cells.served_at)


def _created_before(evidence: Evidence, earlier: Times, later: Times) -> Mask:
    created = evidence.source.created
    if created is None or not len(created):
        return np.zeros(len(earlier), dtype=bool)
    return np.asarray((earlier >= 0) & (later >= 0) & (created[earlier] < created[later]), dtype=bool)
