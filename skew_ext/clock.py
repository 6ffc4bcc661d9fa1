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
