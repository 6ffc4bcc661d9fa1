"""Windowed aggregates for tests: a definition with every function and type, random streams, and a plain oracle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from skew_ext.windows import WindowedAggregate, Windows
from skew_ext.windows.functions import FUNCTIONS

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
TICK = timedelta(microseconds=1)
COLUMNS = {
    "wide": "Float64",
    "narrow": "Float32",
    "big": "Int64",
    "small": "Int32",
    "flag": "Bool",
    "name": "String",
    "seen": "UnixTimestamp",
    "payment": "Int64",
    "offset": "Int64",
}
NUMBERS = ("wide", "narrow", "big", "small")
# Few values, so that they tie, meet the edges, cancel and repeat; and those that go wrong.
FLOATS = [0.0, -0.0, 0.1, 0.2, -0.1, 1e16, -1e16, 1.0, 5e-324, 1.7e308, -1.7e308, math.inf, -math.inf, math.nan, None]
NARROW = [0.0, -0.0, 0.25, 1.5, -1.5, math.inf, math.nan, None]
INTEGERS = [0, 1, -1, 2**53 + 1, -(2**53) - 1, 2**58, -(2**58), None]
TIMES = st.integers(0, 24).map(lambda ticks: NOON + ticks * TICK)


def event_rows(
    *, keys: int = 2, lateness: int = 10, values: st.SearchStrategy[float | None] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Give events over few keys and ticks; each arrives up to `lateness` ticks after its event time."""
    row: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "key": st.integers(1, keys),
            "zone": st.sampled_from(["a", "b"]),
            "event_timestamp": TIMES,
            "delay": st.integers(0, lateness),
            "wide": values or st.sampled_from(FLOATS) | st.floats(),
            "narrow": st.sampled_from(NARROW) | st.floats(width=32),
            "big": st.sampled_from(INTEGERS),
            "small": st.sampled_from([0, 7, -7, 2**31 - 1, None]),
            "flag": st.sampled_from([True, False, None]),
            "name": st.sampled_from(["", "a", "é", "e\u0301", None]) | st.text(max_size=2),
            "seen": st.sampled_from([NOON, NOON + timedelta(seconds=1), None]),
            "payment": st.integers(1, 3),
            "offset": st.integers(0, 2),
        }
    )
    return row.map(lambda each: {**each, "arrived": each["event_timestamp"] + each["delay"] * TICK})


def aggregates(shapes: Iterable[Mapping[str, Any]]) -> list[WindowedAggregate]:
    """Give every function of every column that it takes, in windows of each shape."""
    made = []
    for number, shape in enumerate(shapes):
        made.append(WindowedAggregate(f"events_{number}", "count", **shape))
        for column, kind in COLUMNS.items():
            made += [
                WindowedAggregate(f"{function}_{column}_{number}", function, column=column, **shape)
                for function, takes in FUNCTIONS.items()
                if kind in takes.takes and column not in ("payment", "offset")
            ]
    return made


SHAPES = st.fixed_dictionaries(
    {
        "look_back": st.integers(1, 12).map(lambda ticks: ticks * TICK),
        "closed": st.sampled_from(["right", "left", "both", "neither"]),
        "slide_interval": st.none() | st.integers(1, 7).map(lambda ticks: ticks * TICK),
    }
)


def windows(shapes: Iterable[Mapping[str, Any]], **options: Any) -> Windows:
    """Give a definition with every function."""
    keys = {"key": "Int64", "zone": "String"}
    return Windows(keys=keys, columns=COLUMNS, aggregates=aggregates(shapes), **options)


def bits(value: Any) -> str:
    """Give a value as text that tells -0.0 from 0.0 and an int from a float."""
    if isinstance(value, datetime):
        return value.isoformat()
    return "None" if value is None or value != value else f"{type(value).__name__}:{value!r}"  # noqa: PLR0124


def oracle(aggregate: WindowedAggregate, kind: str | None, values: list[Any]) -> Any:
    """Give an aggregate of the values of a window, which stand in their order: as plainly as can be."""
    kept = [value for value in values if value is not None and value == value]  # noqa: PLR0124
    if not kept:
        return 0 if aggregate.function.startswith("count") else None
    if aggregate.function in ("sum", "mean"):
        return _total(aggregate.function, str(kind), kept)
    ordered = sorted(kept, key=lambda value: (value, math.copysign(1, value) if isinstance(value, float) else 0))
    plain = {
        "count": len(kept),
        "count_distinct": len(set(kept)),
        "min": ordered[0],
        "max": ordered[-1],
        "first": kept[0],
        "last": kept[-1],
    }
    return plain[aggregate.function]


def _total(function: str, kind: str, kept: list[Any]) -> Any:
    if kind.startswith("Int"):
        return sum(kept) if function == "sum" else float(Fraction(sum(kept), len(kept)))
    if not all(map(math.isfinite, kept)):
        return sum(value for value in kept if not math.isfinite(value))
    # A fraction of integers is exact, and becomes a float with one rounding.
    exact = sum(map(Fraction, kept)) / (1 if function == "sum" else len(kept))
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def holds(aggregate: WindowedAggregate, event: datetime, as_of: datetime) -> bool:
    """Say whether a window holds an event: the definition in words, on datetimes."""
    end = as_of
    if aggregate.slide_interval is not None:
        end = as_of - (as_of - datetime(1970, 1, 1, tzinfo=timezone.utc)) % aggregate.slide_interval
    start = end - aggregate.look_back
    begun = start <= event if aggregate.closed in ("left", "both") else start < event
    return begun and (event <= end if aggregate.closed in ("right", "both") else event < end)
