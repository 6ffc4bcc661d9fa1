"""Causes about whether a value should have been there at all: from the future, past its TTL, lost, or never there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.audit.causes.cells import NO_TIME, nothing
from skew_ext.audit.cells import is_null

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask


def future_served(cells: DifferingCells) -> Mask:
    """The online store held a row from after the request."""
    return cells.has_event & (cells.served_event > cells.served_at)


def expired_served(cells: DifferingCells) -> Mask:
    """The online store served a value past its TTL, where training has none."""
    if cells.ttl is None:
        return nothing(cells)
    expired = cells.served_event < cells.served_at - cells.ttl
    return cells.has_event & expired & ~cells.served_null & cells.baseline_null


def evicted_online(cells: DifferingCells) -> Mask:
    """Nothing was served, though an earlier lookup in the log was given a row of this key: the store lost it."""
    if cells.evidence is None or cells.first_served is None:
        return nothing(cells)
    served_before = (cells.first_served != NO_TIME) & (cells.first_served < cells.served_at)
    return np.asarray(cells.served_null & ~cells.has_event & served_before, dtype=bool)


def missing_online(cells: DifferingCells) -> Mask:
    """Nothing was served though a value was known by then: it was never materialized."""
    if cells.evidence is None:
        return nothing(cells)
    has_row = cells.evidence.known >= 0
    missing = cells.served_null & ~cells.has_event & has_row
    if missing.any():
        known = cells.evidence.values.take(pa.array(cells.evidence.known, mask=~has_row))
        missing &= ~is_null(known)
    return missing
