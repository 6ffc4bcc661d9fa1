"""Rows that came late all at once: a load that rewrites the created times of old rows gives the same picture.

`late_arrival` rests on created times. A nightly job that writes its table anew, with the time of the load as each row's
created time, makes rows that serving could have had look as if they had come after it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

import numpy as np

from skew_ext.audit.causes.cells import SECOND
from skew_ext.audit.causes.hypotheses import NEARLY_ALL

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask, Times

LATE: Final = "late_arrival"
FEWEST_ROWS: Final = 5
"""So many rows that came late are a load at least."""
BURST: Final = 0.1
"""A load takes at most this share of the time over which the events of its rows are spread."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def one_load(cells: DifferingCells, late: Mask) -> str:
    """Say when nearly all rows that came late were created, where they came in one load; empty where they did not.

    `late` are the cells that rows which came late explain. A load is a burst: what it wrote was created within a small
    part of the time over which its events happened, and these have more than two times.
    """
    evidence = cells.evidence
    if evidence is None or evidence.source.created is None:
        return ""
    source, rows = evidence.source, np.unique(evidence.training[late])
    if len(rows) < FEWEST_ROWS:
        return ""
    begin, end = _densest(evidence.source.created[rows])
    events = source.events[(evidence.source.created >= begin) & (evidence.source.created <= end)]
    first, last = events.min(), events.max()
    if end - begin > BURST * (last - first) or not ((events > first) & (events < last)).any():
        return ""
    return f"nearly all of them in one load, {_span(begin, end)}"


def _densest(created: Times) -> tuple[int, int]:
    """Give the shortest stretch of time in which nearly all were created."""
    created = np.sort(created)
    most = int(np.ceil(NEARLY_ALL * len(created)))
    first = int(np.argmin(created[most - 1 :] - created[: len(created) - most + 1]))
    return int(created[first]), int(created[first + most - 1])


def _span(begin: int, end: int) -> str:
    first, last = (f"{_EPOCH + timedelta(seconds=time // SECOND):%Y-%m-%d %H:%M:%S}" for time in (begin, end))
    day = len("2026-03-01 ")
    until = last[day:] if last[:day] == first[:day] else last
    return f"{first} UTC" if first == last else f"{first} to {until} UTC"
