"""Source rows looked up for many cells at once, against a plain search through all rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.baseline.evidence import NONE, SourceRows, microseconds

TIME = st.integers(0, 12)
ROWS = st.lists(st.tuples(st.integers(0, 3), TIME, st.integers(0, 20)), max_size=25)
STRETCH = st.sampled_from([1, 4 * 10**17])
"""Microseconds of one step of time: with the longer one, keys times microseconds are too many for an integer."""
CELLS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 16)), min_size=1, max_size=12)


def stretched(rows: list[tuple[int, ...]], by: int) -> list[tuple[int, ...]]:
    """Give the rows with their times so many times as long."""
    return [(row[0], *(at * by for at in row[1:])) for row in rows]


def source(rows: list[tuple[int, ...]]) -> SourceRows:
    """Give source rows (key, event, created), sorted as the lookup wants them."""
    ordered = sorted(rows)
    keys, events, created = (np.array([row[place] for row in ordered], dtype=np.int64) for place in range(3))
    return SourceRows(keys, events, created, {})


def plain_latest(rows: list[tuple[int, ...]], key: int, at: int, ttl: int | None, *, known: bool) -> object:
    fitting = [
        (event, created)
        for row_key, event, created in rows
        if row_key == key and event <= at and (not known or created <= at)
    ]
    best = max(fitting, default=None)
    return None if best is None or (ttl is not None and best[0] < at - ttl) else best


@given(ROWS, CELLS, st.none() | st.integers(0, 10), st.booleans(), STRETCH)
def test_latest_is_the_point_in_time_row(
    rows: list[tuple[int, ...]],
    cells: list[tuple[int, ...]],
    ttl: int | None,
    known: bool,  # noqa: FBT001 - Hypothesis passes it
    stretch: int,
) -> None:
    rows, cells = stretched(rows, stretch), stretched(cells, stretch)
    ttl = None if ttl is None else ttl * stretch
    table = source(rows)
    keys, at = (np.array([cell[place] for cell in cells], dtype=np.int64) for place in range(2))
    found = table.latest(keys, at, ttl, known=known)
    assert table.created is not None
    for place, (key, moment) in enumerate(cells):
        expected = plain_latest(rows, key, moment, ttl, known=known)
        position = int(found[place])
        assert (None if position < 0 else (int(table.events[position]), int(table.created[position]))) == expected


@given(ROWS, CELLS, STRETCH)
def test_span_holds_exactly_the_rows_of_a_time(
    rows: list[tuple[int, ...]], cells: list[tuple[int, ...]], stretch: int
) -> None:
    rows, cells = stretched(rows, stretch), stretched(cells, stretch)
    table = source(rows)
    keys, events = (np.array([cell[place] for cell in cells], dtype=np.int64) for place in range(2))
    first, end = table.span(keys, events, events + 1)
    for place, (key, event) in enumerate(cells):
        expected = sum(row[0] == key and event <= row[1] <= event + 1 for row in rows)
        assert end[place] - first[place] == expected
        assert (table.keys[first[place] : end[place]] == key).all()


@given(ROWS, CELLS, st.integers(0, 20), STRETCH)
def test_first_after_is_the_earliest_newer_row_known_by_then(
    rows: list[tuple[int, ...]], cells: list[tuple[int, ...]], until: int, stretch: int
) -> None:
    rows, cells, until = stretched(rows, stretch), stretched(cells, stretch), until * stretch
    table = source(rows)
    keys, events = (np.array([cell[place] for cell in cells], dtype=np.int64) for place in range(2))
    found = table.first_after(keys, events, np.full(len(cells), until))
    for place, (key, event) in enumerate(cells):
        newer = sorted(row[1:] for row in rows if row[0] == key and row[1] > event and max(row[1], row[2]) <= until)
        position = int(found[place])
        assert (None if position < 0 else int(table.events[position])) == (newer[0][0] if newer else None)


def test_a_time_that_stands_for_none_is_before_and_after_no_row() -> None:
    table = source([(0, 5, 5), (1, 7, 7)])
    keys, least, most = np.array([1]), np.array([NONE]), np.array([np.iinfo(np.int64).max])
    assert table.latest(keys, least, None, known=False).tolist() == [-1]
    assert table.latest(keys, most, None, known=False).tolist() == [1]
    assert [places.tolist() for places in table.span(keys, least, most)] == [[1], [2]]


def test_microseconds_takes_any_unit_and_keeps_nulls() -> None:
    for unit, factor in (("s", 1_000_000), ("ms", 1000), ("us", 1), ("ns", 0.001)):
        column = pa.array([None, int(5_000_000 / factor)], pa.timestamp(unit, "UTC"))
        assert microseconds(column).tolist() == [int(NONE), 5_000_000]
