"""Cells by when they were served: stretches that all windows cut alike, and counts that add up."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.audit.over_time import CellsOverTime, Stretches, together
from skew_ext.model import OverTime

MIDNIGHT = datetime(2026, 3, 1, tzinfo=timezone.utc)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECOND = 1_000_000
CAUSES = np.array(["rescaled", "stale_online", "unexplained"], dtype=object)
OFFSETS = st.lists(st.tuples(st.integers(0, 3 * 86400 - 1), st.integers(-1, 2)), max_size=60)


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("start", "length", "step", "count"),
    [
        (MIDNIGHT, timedelta(days=1), timedelta(minutes=30), 48),
        (MIDNIGHT + timedelta(minutes=1), timedelta(days=1), timedelta(hours=1), 25),
        (MIDNIGHT, timedelta(hours=1), timedelta(minutes=5), 12),
        (MIDNIGHT, timedelta(seconds=40), timedelta(seconds=1), 40),
        (MIDNIGHT, timedelta(microseconds=1), timedelta(seconds=1), 1),
        (MIDNIGHT, timedelta(days=3), timedelta(hours=3), 24),
        (MIDNIGHT, timedelta(days=3650), timedelta(days=112), 33),
        (datetime(1969, 12, 31, 23, tzinfo=timezone.utc), timedelta(hours=2), timedelta(minutes=5), 24),
    ],
)
def test_a_window_has_at_most_48_neat_stretches(
    start: datetime, length: timedelta, step: timedelta, count: int
) -> None:
    found = Stretches.of(start, start + length)
    assert (found.step, found.count) == (step // timedelta(microseconds=1), count)
    assert found.first % found.step == 0
    ends = np.array([microseconds(start), microseconds(start + length) - 1])
    assert found.places(ends).tolist() == [0, found.count - 1]


def counted(stretches: Stretches, cells: list[tuple[int, int]]) -> OverTime:
    """Count cells, each served some seconds after midnight, with the number of its cause; -1 is equal, in two parts."""
    counts = CellsOverTime(stretches)
    times = microseconds(MIDNIGHT) + SECOND * np.array([second for second, _ in cells], dtype=np.int64)
    which = np.array([cause for _, cause in cells], dtype=np.int64)
    for part in np.array_split(np.arange(len(cells)), 2):
        counts.part(times[part])
        counts.compared("f", np.ones(len(part), dtype=bool))
        differ = part[which[part] >= 0]
        counts.differing("f", times[differ], CAUSES[which[differ]])
    return counts.of("f")


def test_cells_are_counted_where_they_were_served() -> None:
    stretches = Stretches.of(MIDNIGHT, MIDNIGHT + timedelta(hours=1))
    found = counted(stretches, [(0, -1), (299, 0), (300, 1), (3599, 1), (3599, -1)])
    assert (found.start, found.step_seconds) == (MIDNIGHT, 300)
    assert found.compared == [2, 1, *[0] * 8, 0, 2]
    assert found.causes == {"rescaled": [1, *[0] * 11], "stale_online": [0, 1, *[0] * 9, 1]}
    assert found.mismatched == [1, 1, *[0] * 9, 1]


def test_a_feature_that_rows_lack_counts_only_the_rows_that_have_it() -> None:
    counts = CellsOverTime(Stretches.of(MIDNIGHT, MIDNIGHT + timedelta(seconds=3)))
    counts.part(microseconds(MIDNIGHT) + SECOND * np.array([0, 1, 1, 2]))
    counts.compared("all", np.array([True, True, True, True]))
    counts.compared("some", np.array([True, False, True, False]))
    assert [counts.of(name).compared for name in ("all", "some", "none")] == [[1, 2, 1], [1, 1, 0], [0, 0, 0]]
    assert counts.of("none").mismatched == [0, 0, 0]


@given(OFFSETS, st.integers(1, 3 * 86400 - 1))
def test_two_windows_add_up_to_the_whole(cells: list[tuple[int, int]], cut: int) -> None:
    """Wherever the window is cut, whatever the lengths of the stretches on both sides."""
    middle, end = MIDNIGHT + timedelta(seconds=cut), MIDNIGHT + timedelta(days=3)
    before = counted(Stretches.of(MIDNIGHT, middle), [one for one in cells if one[0] < cut])
    after = counted(Stretches.of(middle, end), [one for one in cells if one[0] >= cut])
    whole = counted(Stretches.of(MIDNIGHT, end), cells)
    both = together(before, after)
    assert both.step_seconds <= whole.step_seconds
    # Set on the whole's stretches, by adding nothing that has them.
    nothing = OverTime(whole.start, whole.step_seconds, [0] * len(whole.compared))
    assert together(both, nothing) == whole
