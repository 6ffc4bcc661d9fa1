"""What the features of a view tell of each other about a clock that is off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from skew_ext.audit.causes import attribute, attribute_view
from skew_ext.audit.causes.cells import NO_TIME, DifferingCells, Evidence, Wider
from skew_ext.audit.causes.shifting import bounds
from skew_ext.audit.cells import compare
from skew_ext.baseline.evidence import SourceRows

HOUR = 3_600_000_000
NOW = 1_772_366_400_000_000
KEYS, EACH, SHIFT = 60, 60, 5


def view(
    shifted: range, *, seed: int = 0, hourly: bool = True, stays: int = 0, lost: bool = False
) -> list[DifferingCells]:
    """Make cells of a view with an event in each hour, of a number and of a level from 0 to 2.

    The `shifted` keys are served the row of five hours before with its time moved to now, the others anything.
    With `stays` the number of so many keys has been the same all the time, and the level of all others. With `hourly`
    events are on the hour, else anywhere in its first third. Where rows are `lost`, the source has no more of what was
    served of the others.
    """
    random = np.random.default_rng(seed)
    events = np.tile(NOW + (np.arange(EACH) - EACH // 2) * HOUR, KEYS)
    events += 0 if hourly else random.integers(0, HOUR // 3, size=len(events))
    codes, key = np.repeat(np.arange(KEYS), EACH), np.arange(KEYS)
    drawn: dict[str, Any] = {"number": random.normal(size=len(codes)), "level": random.integers(0, 3, size=len(codes))}
    drawn["number"][codes < stays] = 1.5
    drawn["level"][codes >= (stays or KEYS)] = 1
    source = SourceRows(codes, events, events, {name: pa.array(values) for name, values in drawn.items()})
    at, moved = np.full(KEYS, NOW + HOUR // 2), np.isin(key, shifted)
    right = source.latest(key, at, None, known=True)
    served_event = np.where(moved, events[right - SHIFT] + SHIFT * HOUR, events[right])
    first, end = source.span(key, *bounds(served_event, 1))
    end = np.where(lost & ~moved, first, end)
    columns = []
    for name, values in drawn.items():
        anything = random.permutation(values)[:KEYS]
        served = pa.array(np.where(moved, values[right - SHIFT], anything))
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
            served_event=served_event,
            served_at=at,
            ttl=None,
            evidence=evidence,
            fingerprints_differ=np.zeros(KEYS, dtype=bool),
        )
        columns.append(cells.take(np.flatnonzero(compare(cells.served, cells.baseline).different)))
    return columns


def shifted_keys(cells: DifferingCells, causes: Any) -> set[int]:
    assert cells.evidence is not None
    assert set(causes.tolist()) <= {"timestamp_shift", "unexplained"}
    return set(cells.evidence.numbers[causes == "timestamp_shift"].tolist())


def test_a_feature_of_few_values_is_shifted_with_the_row() -> None:
    number, level = view(range(30))
    assert set(attribute(level).causes) == {"unexplained"}
    for cells, found in zip((number, level), attribute_view([number, level]), strict=True):
        assert cells.evidence is not None
        expected = np.where(cells.evidence.numbers < 30, "timestamp_shift", "unexplained")
        assert found.causes.tolist() == expected.tolist()
        assert found.constants == {"timestamp_shift": "by -5 h"}


def test_what_nobody_knows_is_not_shifted_by_coincidence() -> None:
    found = attribute_view(view(range(0)))
    assert {cause for one in found for cause in one.causes} == {"unexplained"}
    assert not any(one.constants for one in found)


@pytest.mark.parametrize("seed", range(5))
def test_a_row_of_which_nothing_else_differs_is_shifted_where_its_time_leads_to_a_row(seed: int) -> None:
    number, level = columns = view(range(30), seed=seed, hourly=False, stays=4)
    assert set(attribute(level).causes) <= {"unexplained"}
    told = [one.causes for one in attribute_view(columns)]
    assert shifted_keys(number, told[0]) == set(range(4, 30))
    assert level.evidence is not None
    assert shifted_keys(level, told[1]) == {key for key in level.evidence.numbers.tolist() if key < 4}


@pytest.mark.parametrize("lost", [False, True])
def test_a_time_that_leads_to_a_row_says_nothing_where_rows_are_hours_apart(lost: bool) -> None:  # noqa: FBT001
    number, level = columns = view(range(20, 60), stays=20, lost=lost)
    told = [one.causes for one in attribute_view(columns)]
    assert shifted_keys(number, told[0]) == set(range(20, 60))
    # Of a row that has only a level to tell, even if its event is gone, a third would fit by chance.
    assert len(level) > 5
    assert shifted_keys(level, told[1]) == set()


def test_a_feature_that_seldom_changes_is_shifted_where_one_shift_fits_best() -> None:
    number, _ = view(range(15), stays=4)
    assert number.evidence is not None
    # It changes every fourth hour, of each key another: most of the cells fit shifts of an hour more and less too.
    evidence, key = number.evidence, np.arange(KEYS)
    hours = (np.arange(EACH) + key[:, None] % 4) // 4
    slow = np.take_along_axis(np.random.default_rng(1).normal(size=(KEYS, EACH)), hours, axis=1).ravel()
    source = replace(evidence.source, values={"number": pa.array(slow)})
    right = evidence.training
    cells = replace(
        number,
        served=pa.array(slow[right - SHIFT]),
        baseline=pa.array(slow[right]),
        evidence=replace(evidence, source=source, values=source.values["number"], wider=lambda: Wider(source, key)),
    )
    shifted = cells.take(np.flatnonzero(evidence.numbers < 15))
    assert set(attribute(shifted).causes) == {"timestamp_shift"}
    assert attribute(shifted).constants == {"timestamp_shift": "by -5 h"}
