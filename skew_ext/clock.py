"""The clock, injected wherever a time is needed, so that replay and tests can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

Clock = Callable[[], datetime]
"""A function that gives the present as an aware datetime in UTC, to the microsecond."""


def utc_now() -> datetime:
    """Give the present in UTC, to the microsecond."""
    return datetime.now(tz=timezone.utc)


def as_utc(value: datetime) -> datetime:
    """Give `value` in UTC; a naive datetime is taken as UTC, as Feast takes it."""
    if value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc)


def duration_text(seconds: float) -> str:
    """Say a duration in the two largest units that say something: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if abs(seconds) < 60:  # noqa: PLR2004 - below a minute
        return f"{seconds:.3g} s"
    sign, left = ("-" if seconds < 0 else ""), round(abs(seconds))
    days, hours, minutes = left // 86400, left % 86400 // 3600, left % 3600 // 60
    parts = [f"{days} d" * bool(days), f"{hours} h" * bool(hours), f"{minutes} min" * bool(minutes and not days)]
    return sign + " ".join(part for part in parts if part)
