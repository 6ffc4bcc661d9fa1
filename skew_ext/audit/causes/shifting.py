"""`timestamp_shift`: one side's clock is off, as by a time zone."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from skew_ext.audit.causes.cells import nothing
from skew_ext.audit.causes.hypotheses import MIN_CELLS, Hypothesis, drawn_from_source, evenly
from skew_ext.audit.cells import matches
from skew_ext.clock import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skew_ext.audit.causes.cells import DifferingCells, Evidence, Mask, Times, Wider

LONGEST: Final = 14 * 3600 * 1_000_000
"""No time zone is further from UTC, in microseconds."""
_QUARTER: Final = 15 * 60 * 1_000_000
SHIFTS: Final = tuple(d for d in range(-LONGEST, LONGEST + 1, _QUARTER) if d)
TRIED_ON: Final = 500
"""On so many cells at most each shift is tried."""
RARELY: Final = 0.01
"""The share of source rows up to which a row that stands just one shift from another is a coincidence."""
_ASKED_OF: Final = 2000


def timestamp_shift(cells: DifferingCells) -> Hypothesis | None:
    """The row served is the one that is current at another time, the same time away for all cells.

    It is asked of the cells with a served event time that no row has, as a clock that is off leaves them: the others
    may be right rows with changed values. Where it explains none of those, it is asked of all: in a source with events
    on the hour a row may stand there.
    """
    if cells.evidence is None or cells.evidence.wider is None:
        return None
    return _proposed(cells, _without_row) or _proposed(cells, _has_event)


def _proposed(cells: DifferingCells, could: Callable[[DifferingCells], Mask]) -> Hypothesis | None:
    dated = np.flatnonzero(could(cells))
    some = cells.take(dated[evenly(len(dated), TRIED_ON)])
    if len(some) < MIN_CELLS:
        return None
    tried = [_fits(some, shift) for shift in SHIFTS]
    counts = [int(fits.sum()) for fits in tried]
    best = int(np.argmax(counts))
    if counts[best] < MIN_CELLS:
        return None
    shift = SHIFTS[best]
    chance = _by_chance(some, tried, best)
    says = f"by {'-' if shift < 0 else '+'}{duration_text(timedelta(microseconds=abs(shift)).total_seconds())}"
    fits, alone = partial(_fits, shift=shift), partial(_led_to_a_row, shift=shift)
    return Hypothesis(fits, says, could, by_chance=chance, tried=len(SHIFTS), alone=alone)


def _by_chance(cells: DifferingCells, tried: Sequence[Mask], best: int) -> float:
    """Give the share of cells that would fit the best of all shifts by chance.

    As many as fit the next best one; where none does for any, one more is taken for seen. But values that seldom change
    fit the shifts beside the right one too. So where just one shift fits best, it is as many as of the cells that it
    leaves over fit another, or would, were what was served drawn from the source. There one value of one entity is one
    piece of evidence, however often it was served.
    """
    others = [fits for place, fits in enumerate(tried) if place != best]
    counts = [int(fits.sum()) for fits in others]
    next_best = max(max(counts) / len(cells), (sum(counts) + 1) / (len(others) * len(cells) + 1))
    drawn = drawn_from_source(cells, partial(_fits, shift=SHIFTS[best]))
    if drawn is None or max(counts) >= tried[best].sum():
        return next_best
    left = ~tried[best]
    leftover = max(int((fits & left).sum()) for fits in others) / max(int(left.sum()), 1)
    fitting = cells.take(np.flatnonzero(tried[best]))
    return min(next_best, float(max(drawn, leftover) ** (_pieces(fitting) / len(fitting))))


def _pieces(cells: DifferingCells) -> int:
    """Count the values that were served, those of each entity by themselves."""
    evidence = cells.evidence
    if evidence is None or evidence.wider is None:
        return 0
    keys = evidence.wider().keys[evidence.numbers]
    return len(set(zip(keys.tolist(), map(repr, cells.served.to_pylist()), strict=True)))


def _has_event(cells: DifferingCells) -> Mask:
    return cells.has_event


def _without_row(cells: DifferingCells) -> Mask:
    evidence = cells.evidence
    return cells.has_event if evidence is None else cells.has_event & (evidence.first_at >= evidence.end_at)


def _led_to_a_row(cells: DifferingCells, shift: int) -> Mask:
    """Say where no row has the served event time, and the shift leads from it to one: that is seldom by chance.

    Nowhere, where the source's own rows are just such a time apart, as every whole hour is in an hourly source.
    """
    evidence = cells.evidence
    if evidence is None or evidence.wider is None:
        return nothing(cells)
    wider = evidence.wider()
    if not len(wider.source.events):
        return nothing(cells)
    some = evenly(len(wider.source.events), _ASKED_OF)
    low, high = bounds(wider.source.events[some] + shift, evidence.precision)
    first, end = wider.source.span(wider.source.keys[some], low, high)
    if (end > first).mean() > RARELY:
        return nothing(cells)
    return _without_row(cells) & (_moved(cells, evidence, wider, shift) >= 0)


def _fits(cells: DifferingCells, shift: int) -> Mask:
    evidence, found = cells.evidence, nothing(cells)
    if evidence is None or evidence.wider is None:
        return found
    wider = evidence.wider()
    for rows in (_current(cells, evidence, wider, shift), _moved(cells, evidence, wider, shift)):
        there = np.flatnonzero(~found & (rows >= 0))
        if len(there):
            values = wider.source.values[evidence.feature]
            found[there] = matches(values, rows[there], cells.served.take(pa.array(there)))
    return found


def _current(cells: DifferingCells, evidence: Evidence, wider: Wider, shift: int) -> Times:
    """Give the row that is current at the shifted time, where its event time is the served one, as it is or moved."""
    keys = wider.keys[evidence.numbers]
    rows = wider.source.latest(keys, cells.served_at + shift, cells.ttl, known=False)
    if not len(wider.source.events):
        return rows
    events = wider.source.events[rows]
    fits = _same(events, cells.served_event, evidence.precision)
    fits |= _same(events - shift, cells.served_event, evidence.precision)
    return np.where(fits & cells.has_event, rows, -1)


def _moved(cells: DifferingCells, evidence: Evidence, wider: Wider, shift: int) -> Times:
    """Give the row whose event time is the served one moved by the shift, so that a stale one is found too."""
    keys = wider.keys[evidence.numbers]
    event = np.where(cells.has_event, cells.served_event, 0) + shift
    low, high = bounds(event, evidence.precision)
    first, end = wider.source.span(keys, low, high)
    return np.where(cells.has_event & (end > first), end - 1, -1)


def _same(events: Times, served: Times, precision: int) -> Mask:
    low, high = bounds(np.where(served < 0, 0, served), precision)
    return (events >= low) & (events <= high)


def bounds(event: Times, precision: int) -> tuple[Times, Times]:
    """Give the first and last event time that the online store gives back as this one.

    A store that truncates to `precision` microseconds gives the start; others may be one microsecond off either way.
    """
    return (event, event + precision - 1) if precision > 1 else (event - 1, event + 1)
