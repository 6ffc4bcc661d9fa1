"""The TTL and the interval of materialization that a source's own events ask for. Pure functions over arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from skew_ext.clock import duration_text
from skew_ext.model import TtlAdvice

if TYPE_CHECKING:
    Times = npt.NDArray[np.int64]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_NEAT = tuple(
    sorted(
        [
            *(number * MINUTE for number in (1, 2, 5, 10, 15, 20, 30)),
            *(number * HOUR for number in (1, 1.5, 2, 3, 4, 6, 8, 12, 18)),
            *(number * DAY for number in (1, 1.5, 2, 3, 4, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 365, 730)),
        ]
    )
)
LEAST_GAPS = 20
"""Fewer gaps between events than this say nothing of the tail."""


def ttl_advice(keys: Times, events: Times, created: Times | None) -> TtlAdvice | None:
    """Work out the TTL and the interval from source rows: key codes, event and created times in microseconds.

    A key that still gets events must not expire between two of them: the TTL covers the gap that 99 % of events follow
    within, the lag within which 99 % of rows arrive, and one interval of materialization. The interval is half the
    median gap: so a new row is served for at least half of its time as the newest. None with too few events.
    """
    order = np.lexsort((events, keys))
    gaps = np.diff(events[order])[np.diff(keys[order]) == 0]
    gaps = gaps[gaps > 0] / 1e6  # what is written again is no new event
    if len(gaps) < LEAST_GAPS:
        return None
    gap = _quantiles(gaps)
    arrival = {} if created is None else _quantiles(np.maximum(created - events, 0) / 1e6)
    every = max((neat for neat in _NEAT if neat <= gap["p50"] / 2), default=_NEAT[0])
    needed = gap["p99"] + arrival.get("p99", 0.0) + every
    ttl = next((neat for neat in _NEAT if neat >= needed), float(np.ceil(needed / DAY) * DAY))
    return TtlAdvice(ttl, every, gap, arrival, _reason(gap, arrival, every, needed))


def _quantiles(seconds: npt.NDArray[np.float64]) -> dict[str, float]:
    found = np.quantile(seconds, [0.5, 0.95, 0.99])
    return dict(zip(("p50", "p95", "p99"), map(float, found), strict=True))


def _reason(gap: dict[str, float], arrival: dict[str, float], every: float, needed: float) -> str:
    arrives = (
        f"99 % of rows arrive within {duration_text(arrival['p99'])}"
        if arrival
        else "how late rows arrive is not known, as the source has no created times"
    )
    return (
        f"99 % of a key's events follow within {duration_text(gap['p99'])}, {arrives}, and a row waits up to "
        f"{duration_text(every)} to be materialized: a TTL below {duration_text(needed)} expires keys that still get "
        f"events. Half the median gap of {duration_text(gap['p50'])} is the interval beyond which a new row is missed "
        "for most of its time"
    )
