"""Causes about the value itself: the right row, written differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.audit.causes.cells import nothing
from skew_ext.audit.cells import numbers, plain

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask

NEARLY_ALL = 0.9
"""The share of a feature's cells that one factor must reproduce before it is believed."""
MIN_CELLS = 5
_TOLERANCE = 1e-6


def rescaled(cells: DifferingCells) -> Mask:
    """One factor, the same for nearly all of the feature's cells, turns what should have been served into what was.

    What should have been served is the source's value at the served event time, or the baseline where no source row
    has that time: so a value that is both older and rescaled is still seen as rescaled.
    """
    served = numbers(cells.served)
    reference = _reference(cells)
    if served is None or reference is None:
        return nothing(cells)
    usable = np.isfinite(served) & np.isfinite(reference) & (reference != 0) & (served != 0)
    if usable.sum() < MIN_CELLS:
        return nothing(cells)
    ratios = served[usable] / reference[usable]
    factor = float(np.median(ratios))
    fits = nothing(cells)
    fits[usable] = np.abs(ratios - factor) <= _TOLERANCE * abs(factor)
    if abs(factor - 1) <= _TOLERANCE or fits.sum() < NEARLY_ALL * usable.sum():
        return nothing(cells)
    if len(np.unique(reference[fits])) < 2:  # noqa: PLR2004 - one value alone fits any factor
        return nothing(cells)
    return fits


def _reference(cells: DifferingCells) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    baseline = numbers(cells.baseline)
    if baseline is None or cells.evidence is None:
        return baseline
    at_event = cells.evidence.end_at > cells.evidence.first_at
    last = np.where(at_event, cells.evidence.end_at - 1, -1)
    source = numbers(plain(cells.evidence.values).take(pa.array(last, mask=~at_event)))
    return baseline if source is None else np.where(at_event, source, baseline)
