"""What the features of a view tell of each other about a clock that is off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from skew_ext.audit.causes import attribute, attribute_view
from skew_ext.audit.causes.cells import NO_TIME, DifferingCells, Evidence, Wider
from skew_ext.audit.causes.shifting import bounds
from skew_ext.audit.cells import compare
from skew_ext.baseline.evidence import SourceRows

HOUR = 3_600_000_000
NOW = 1_772_366_400_000_000
KEYS, EACH, SHIFT = 60, 60, 5


def hourly(shifted: int, *, seed: int = 0) -> list[DifferingCells]:
    """Make cells of a view with an event on each hour, of a number and of a level from 0 to 2.

    The first `shifted` keys are served the row of five hours before under the time of now, the others anything.
    """
    random = np.random.default_rng(seed)
    events = np.tile(NOW + (np.arange(EACH) - EACH // 2) * HOUR, KEYS)
    codes, key = np.repeat(np.arange(KEYS), EACH), np.arange(KEYS)
    drawn: dict[str, Any] = {"number": random.normal(size=len(codes)), "level": random.integers(0, 3, size=len(codes))}
    source = SourceRows(codes, events, events, {name: pa.array(values) for name, values in drawn.items()})
    at = np.full(KEYS, NOW + HOUR // 2)
    right = source.latest(key, at, None, known=True)
    first, end = source.span(key, *bounds(events[right], 1))
    columns = []
    for name, values in drawn.items():
        anything = random.permutation(values)[:KEYS]
        served = pa.array(np.where(key < shifted, values[right - SHIFT], anything))
        evidence = Evidence(
            source=source,
            values=source.values[name],
            training=right,
            known=right,
            known_ever=right,
            first_at=first,
            end_at=end,
            at_event=source.known_within(first, end, at),
            waiting_since=np.full(KEYS, NO_TIME),
            numbers=key,
            feature=name,
            wider=lambda: Wider(source, key),
        )
        cells = DifferingCells(
            served=served,
            baseline=source.values[name].take(pa.array(right)),
            served_event=events[right],
            served_at=at,
            ttl=None,
            evidence=evidence,
            fingerprints_differ=np.zeros(KEYS, dtype=bool),
        )
        columns.append(cells.take(np.flatnonzero(compare(cells.served, cells.baseline).different)))
    return columns


def test_a_feature_of_few_values_is_shifted_with_the_row() -> None:
    number, level = hourly(30)
    assert set(attribute(level).causes) == {"unexplained"}
    for cells, found in zip((number, level), attribute_view([number, level]), strict=True):
        assert cells.evidence is not None
        expected = np.where(cells.evidence.numbers < 30, "timestamp_shift", "unexplained")
        assert found.causes.tolist() == expected.tolist()
        assert found.constants == {"timestamp_shift": "by -5 h"}


def test_what_nobody_knows_is_not_shifted_by_coincidence() -> None:
    found = attribute_view(hourly(0))
    assert {cause for one in found for cause in one.causes} == {"unexplained"}
    assert not any(one.constants for one in found)
