"""Which days of a log are to go: counted from the newest day that its rows are of, and not from the clock alone.

A clock that is ahead would delete what is not old, and so would rows that were written while it was. So the clock only
ever makes a day younger; and where the days that are to go lie far behind those that are left, nothing goes by itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta

JUMP = timedelta(days=14)
"""How far apart two days are between which a clock may have jumped."""


@dataclass(frozen=True)
class Keeping:
    """The days that are to go by age, and in `refused`, in words, why others are not that the clock calls old."""

    going: list[date] = field(default_factory=list)
    refused: str = ""


def days_to_go(found: Collection[date], today: date, keep_days: int | None, *, trust_clock: bool = False) -> Keeping:
    """Return which of the days that the log has are before the last `keep_days`.

    They are counted from the log's newest day, or from today where that is earlier; with `trust_clock` from today, and
    without a look at jumps.
    """
    if keep_days is None or not found:
        return Keeping()
    present, kept_for = sorted(found), timedelta(days=keep_days)
    newest = present[-1]
    by_clock = [day for day in present if day < _before(today, kept_for)]
    if trust_clock:
        return Keeping(by_clock)
    reference = min(today, newest)
    going = [day for day in present if day < _before(reference, kept_for)]
    kept = present[len(going) :]
    if going and kept[0] - going[-1] > max(JUMP, kept_for) and len(going) >= len(kept):
        return Keeping(
            [],
            f"the log's newest day is {newest}, and its days up to {going[-1]} are to go by age with nothing between: "
            f"a clock may have jumped while rows were written (it says {today}), so nothing was deleted by age",
        )
    if len(by_clock) > len(going):
        return Keeping(
            going,
            f"the log's newest day is {newest}, and the clock says {today}: days are counted from the former, so those "
            f"from {by_clock[len(going)]} on are kept",
        )
    return Keeping(going)


def _before(day: date, kept: timedelta) -> date:
    return day - kept if day - date.min > kept else date.min
