"""Where a training row's values come from, against the same questions answered one row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skew_ext.baseline.evidence import SourceRows
from skew_ext.leakage.frame import following
from skew_ext.leakage.origin import Asked, Codes, Origins, codes

NOTHING = 0


def drawn(seed: int, *, created: bool) -> tuple[SourceRows, Asked, Codes]:
    """Draw few keys, times and values, so that ties, repeats and absences all occur."""
    random = np.random.default_rng(seed)
    rows, asked = int(random.integers(0, 30)), int(random.integers(1, 20))
    keys, events = random.integers(0, 3, rows), random.integers(0, 20, rows)
    late = events + random.integers(0, 6, rows)
    order = np.lexsort((late, events, keys)) if created else np.lexsort((events, keys))
    source = SourceRows(keys[order], events[order], late[order] if created else None, {})
    wanted = Asked(random.integers(0, 4, asked), random.integers(0, 25, asked), None if seed % 2 else 5)
    return source, wanted, Codes(random.integers(0, 4, asked), random.integers(1, 4, rows), NOTHING)


def rows_of(source: SourceRows, key: int) -> list[int]:
    return [row for row in range(len(source.keys)) if source.keys[row] == key]


def at_time(source: SourceRows, key: int, at: int, ttl: int | None, *, known: bool) -> int:
    """Give the point-in-time row: the last event, of those the last created; -1 if none, or if it has expired."""
    fits = [row for row in rows_of(source, key) if source.events[row] <= at]
    if known and source.created is not None:
        fits = [row for row in fits if source.created[row] <= at]
    best = max(fits, key=lambda row: (source.events[row], row), default=-1)
    return -1 if best < 0 or (ttl is not None and source.events[best] < at - ttl) else best


@pytest.mark.parametrize("created", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_origins_are_as_written_out(seed: int, created: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    source, asked, coded = drawn(seed, created=created)
    origins = Origins(source, asked, coded)

    def code(row: int) -> int:
        return NOTHING if row < 0 else int(coded.source[row])

    every = np.arange(len(asked.at))
    before, after = origins.occurs(every)
    first = origins.first_after(every)
    for place, (key, at) in enumerate(zip(asked.keys, asked.at, strict=True)):
        mine = int(coded.trained[place])
        now, known = (at_time(source, key, at, asked.ttl, known=each) for each in (False, True))
        assert origins.point_in_time[place] == (mine == code(now))
        assert origins.known[place] == (mine == code(known))
        late = now >= 0 and source.created is not None and source.created[now] > at
        assert origins.known_later[place] == (late and mine == code(now) and mine != code(known))
        last = max(rows_of(source, key), default=-1)
        assert origins.latest[place] == (mine == code(last))
        assert origins.telling[place] == (code(last) != code(now))
        same = [row for row in rows_of(source, key) if code(row) == mine]
        assert before[place] == any(source.events[row] <= at for row in same)
        later = [row for row in same if source.events[row] > at]
        assert after[place] == bool(later)
        assert code(int(first[place])) == (mine if later else NOTHING)
        if later:
            assert source.events[first[place]] == min(source.events[row] for row in later)
        shifted = at_time(source, key, at + 3, asked.ttl, known=False)
        assert origins.shifted(3, np.array([place]))[0] == (mine == code(shifted))


def test_of_two_values_that_take_turns_half_are_from_the_future_by_chance() -> None:
    random = np.random.default_rng(0)
    keys, events = np.repeat(np.arange(200), 2), np.tile([10, 20], 200)
    source = SourceRows(keys, events, None, {})
    asked = Asked(np.arange(200), np.full(200, 15), None)
    flags = Codes(random.integers(1, 3, 200), random.integers(1, 3, 400), NOTHING)
    assert 0.15 < Origins(source, asked, flags).by_chance(np.arange(200)) < 0.35
    unique = Codes(np.arange(200) * 2 + 2, np.arange(400) + 1, NOTHING)
    assert Origins(source, asked, unique).by_chance(np.arange(200)) < 0.02


MANY: dict[str, tuple[Any, Any, list[bool]]] = {
    "the same": (pa.array([1.5, None]), pa.array([1.5, None]), [True, True]),
    "nan is null": (pa.array([float("nan"), 1.0]), pa.array([None, 2.0]), [True, False]),
    "rounding": (pa.array([0.1 + 0.2, 1.0]), pa.array([0.3, 1.0000001]), [True, False]),
    "float32": (pa.array([0.1], pa.float32()), pa.array([0.1]), [True]),
    "integers with nulls of pandas": (pa.array([3.0, None]), pa.array([3, None]), [True, True]),
    "narrow integers": (pa.array([3], pa.int8()), pa.array([3]), [True]),
    "bool as integer": (pa.array([1, 0]), pa.array([True, False]), [True, True]),
    "minus zero": (pa.array([-0.0]), pa.array([0.0]), [True]),
    "infinite": (pa.array([float("inf"), float("-inf")]), pa.array([float("inf"), float("inf")]), [True, False]),
    "tiny and huge": (pa.array([5e-324, 1e308]), pa.array([5e-324, 1e308]), [True, True]),
    "text": (pa.array(["a", None]), pa.array(["a", "b"]), [True, False]),
    "large text": (pa.array(["a"], pa.large_string()), pa.array(["a"]), [True]),
    "category": (pa.array(["a"]).dictionary_encode(), pa.array(["a"]), [True]),
    "lists": (pa.array([[1.0, 2.0], None]), pa.array([[1.0, 2.0], [3.0]]), [True, False]),
    "times": (
        pa.array([pd.Timestamp("2026-03-01T12:00:00")], pa.timestamp("ns")),
        pa.array([pd.Timestamp("2026-03-01T12:00:00Z")], pa.timestamp("us", "UTC")),
        [True],
    ),
    "a time zone": (
        pa.array([pd.Timestamp("2026-03-01T12:00:00Z")], pa.timestamp("us", "America/New_York")),
        pa.array([pd.Timestamp("2026-03-01T12:00:00Z")], pa.timestamp("s", "UTC")),
        [True],
    ),
    "numbers as text": (pa.array(["7"]), pa.array([7]), [True]),
    "all null": (pa.nulls(1), pa.array([7]), [False]),
}


@pytest.mark.parametrize("kind", MANY)
def test_values_of_both_sides_meet_in_one_type(kind: str) -> None:
    trained, source, same = MANY[kind]
    coded = codes([trained], [source])
    assert (coded.trained == coded.source).tolist() == same


def test_several_columns_are_one_code_and_a_row_of_nulls_is_nothing() -> None:
    coded = codes([pa.array([1, 1, None]), pa.array(["a", "b", None])], [pa.array([1, 2]), pa.array(["b", "a"])])
    assert len({*coded.trained.tolist(), int(coded.source[1])}) == 4
    assert coded.trained[1] == coded.source[0]
    assert coded.trained[2] == coded.nothing


def test_the_row_that_follows_is_the_next_of_the_same_entity() -> None:
    entities, at = np.array([1, 2, 1, 1, 2]), np.array([5, 1, 9, 5, np.iinfo(np.int64).min])
    # Rows of one time do not follow one another, and a row without a time follows none.
    assert following(entities, at).tolist() in ([-1, -1, -1, 2, -1], [2, -1, -1, -1, -1])
