"""Which stretches of time are audited, and how they are kept: slices, then hours, then days.

A slice is what one audit covered. It never crosses a full hour, so that hours are sums of slices and days of hours.
Where something arrives late, its slice is audited again as a whole and replaced: nothing is counted twice.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from skew_ext.watch.summary import WindowSummary

Level = Literal["slice", "hour", "day"]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPANS = {"1h": HOUR, "1d": DAY, "7d": 7 * DAY}
"""The windows that are told, by their names."""
LONGEST_SLICE = timedelta(minutes=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Kept:
    """A summary as it is kept: of a slice, or merged to an hour or a day (UTC)."""

    level: Level
    window: WindowSummary

    @property
    def key(self) -> tuple[str, datetime]:
        """What it is stored under: no two of one level start at once."""
        return self.level, self.window.start


def cuts(start: datetime, end: datetime, every: timedelta, pieces: int = 2) -> Iterator[tuple[datetime, datetime]]:
    """Cut [start, end) into the slices that are audited one by one.

    What came in since the last round makes two `pieces`, so that one round can see two windows in a row; after a
    longer absence they are as long as `LONGEST_SLICE`. None crosses a full hour.
    """
    step = min(max(every / pieces, (end - start) / pieces), LONGEST_SLICE)
    step = timedelta(seconds=max(round(step.total_seconds()), 1))
    while start < end:
        upto = min(start + step, _floor(start, HOUR) + HOUR, end)
        # A rest that is hardly anything goes with what is before it.
        if end - upto < step / 4 and _floor(start, HOUR) == _floor(end - timedelta(microseconds=1), HOUR):
            upto = end
        yield start, upto
        start = upto


def due_for_merging(kept: Sequence[Kept], settled: datetime) -> Iterator[tuple[Level, list[Kept]]]:
    """Give what is merged into an hour or a day, and its parts. Nothing late is expected before `settled`.

    A long time without rows is kept apart from what is around it: a shipper may have been away, and bring them yet.
    """
    for lower, upper, length, delay, gap in _MERGES:
        groups: dict[datetime, list[Kept]] = {}
        for one in sorted(kept, key=lambda each: each.window.start):
            if one.level == lower:
                groups.setdefault(_floor(one.window.start, length), []).append(one)
        for start, parts in groups.items():
            if start + length + delay <= settled:
                for some in _gaps_apart(parts, gap):
                    yield upper, some


_MERGES: tuple[tuple[Level, Level, timedelta, timedelta, timedelta], ...] = (
    ("slice", "hour", HOUR, timedelta(0), timedelta(minutes=10)),
    ("hour", "day", DAY, DAY, HOUR),
)
"""What becomes what: how long it is, how much later it is merged, and which gap is long."""


def _gaps_apart(parts: Sequence[Kept], gap: timedelta) -> Iterator[list[Kept]]:
    rest: list[Kept] = []
    for empty, run in itertools.groupby(parts, key=lambda one: not one.window.rows):
        some = list(run)
        if empty and some[-1].window.end - some[0].window.start >= gap:
            yield some
        else:
            rest += some
    if rest:
        yield rest


def outdated(kept: Iterable[Kept], now: datetime) -> list[Kept]:
    """Give what no window that is told reaches any more."""
    return [one for one in kept if one.window.end <= now - SPANS["7d"] - DAY]


def within(kept: Iterable[Kept], now: datetime, span: timedelta) -> list[WindowSummary]:
    """Give what a window of length `span` up to `now` is the sum of: all that reaches into it.

    So it is right to a slice for the last hour, to an hour for the last day, and to a day for the last week.
    """
    return [one.window for one in kept if one.window.end > now - span]


def may_grow(kept: Sequence[Kept], watermark: datetime, late: timedelta) -> list[Kept]:
    """Give what late rows are looked for in, the oldest first.

    Slices that reach into the last `late` before the watermark; and what was empty right before, for as long as it
    was: a shipper that was away for hours brings them all at once.
    """
    ordered = sorted(kept, key=lambda one: one.window.start, reverse=True)
    found: list[Kept] = []
    for one in ordered:
        recent = one.level == "slice" and one.window.end > watermark - late
        if not recent and one.window.rows:
            break
        found.append(one)
    return found[::-1]


def _floor(moment: datetime, length: timedelta) -> datetime:
    return _EPOCH + (moment - _EPOCH) // length * length
