"""How numbers, times and values read, and what each cause means in a few words; for the page and the terminal."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from skew_ext.clock import as_utc, duration_text

NONE = "—"
LONGEST_CELL = 160

CAUSES = {
    "future_served": "the online store held a row from after the request",
    "expired_served": "the online store served a value past its TTL",
    "restated": "the row was rewritten after it was served",
    "late_arrival": "the row that training uses came only after serving",
    "stale_online": "a newer row was known and not yet materialized",
    "evicted_online": "the online store lost a key that it had served before",
    "missing_online": "the value was known and never materialized",
    "precision": "the value was rounded to a narrower type",
    "type_coercion": "the value was cast to another type",
    "default_filled": "a default stands in for a missing value",
    "timestamp_shift": "its time is off by a constant, as in another time zone",
    "rescaled": "the value is off by a constant factor, as in another unit",
    "swapped_feature": "another feature's value was served",
    "transform_version": "the transform that served is not the registered one",
    "transform_divergence": "the same transform gave another result",
    "unexplained": "no known cause reproduces the served value",
}


def count(value: int) -> str:
    """Give a count with its thousands set apart: 1,234,567."""
    return f"{value:,}"


def plural(value: int, noun: str) -> str:
    """Give a count and its noun: 1 view, 2 views."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def percent(share: float) -> str:
    """Give a share in per cent, never rounded to none or to all when it is neither."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    if share < 0.0001:  # noqa: PLR2004 - the smallest that two decimals show
        return "<0.01%"
    digits = 2 if share < 0.1 or share > 0.99 else 1  # noqa: PLR2004 - three digits that say something
    return f"{min(share, 0.9999):.{digits}%}"


def duration(seconds: float | None) -> str:
    """Give seconds in the two largest units that say something: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    return NONE if seconds is None or not math.isfinite(seconds) else duration_text(seconds)


def moment(value: datetime | None) -> str:
    """Give a time in UTC, its microseconds where it has any."""
    if value is None:
        return NONE
    return as_utc(value).replace(tzinfo=None).isoformat(sep=" ") + " UTC"


def minute(value: datetime) -> str:
    """Give a time in UTC to the minute."""
    return f"{as_utc(value):%Y-%m-%d %H:%M} UTC"


def span(since: datetime, until: datetime) -> str:
    """Give a stretch of time in UTC to the minute, or within one to the second; the day once where it is one."""
    first, last = (as_utc(value).replace(tzinfo=None, microsecond=0) for value in (since, until))
    clock = "%H:%M:%S" if first.replace(second=0) == last.replace(second=0) else "%H:%M"
    begin, end = (f"{value:%Y-%m-%d} {value.strftime(clock)}" for value in (first, last))
    if begin == end:
        return f"{begin} UTC"
    return f"{begin} to {last.strftime(clock) if first.date() == last.date() else end} UTC"


def figure(value: float | None) -> str:
    """Give a statistic in three significant digits."""
    if value is None:
        return NONE
    return {math.inf: "∞", -math.inf: "-∞"}.get(value) or f"{value:.3g}"


def probability(value: float | None) -> str:
    """Give a p-value as journals do."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004 - the custom


def cell(value: Any) -> str:
    """Give a feature value so that two that differ look different: 1 and 1.0, null and nan, '1' and 1.

    Text is quoted, its control characters escaped; what is long is cut, with its length.
    """
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bytes | bytearray):
        text = f"0x{bytes(value[:LONGEST_CELL]).hex()}"
    else:
        text = repr(value[: LONGEST_CELL + 1] if isinstance(value, str | list | tuple) else value)
    if len(text) <= LONGEST_CELL:
        return text
    size = f" ({count(len(value))} long)" if hasattr(value, "__len__") else ""
    return f"{text[:LONGEST_CELL]}…{size}"


def key(value: dict[str, Any]) -> str:
    """Give an entity key: driver_id=1001, city='Oslo'."""
    return ", ".join(f"{name}={cell(part)}" for name, part in value.items())
