"""Putting what a store gave back in order: lost, repeated, collapsed and confused rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from skew_ext.baseline.alignment import EVENT_TIMESTAMP, ROW_ID, Alignment, waves

NOON = pd.Timestamp("2026-03-01T12:00Z")


def asked(*keys: object) -> pd.DataFrame:
    frame = pd.DataFrame({"driver": list(keys), EVENT_TIMESTAMP: NOON})
    return frame.assign(**{ROW_ID: range(len(frame))})


def back(*rows: tuple[int, float | None]) -> pa.Table:
    ids, values = zip(*rows, strict=True)
    return pa.table({ROW_ID: pa.array(ids, pa.int64()), "v__x": pa.array(values, pa.float64())})


def values(aligned: Alignment) -> list[float | None]:
    result: list[float | None] = aligned.columns(["v__x"])["v__x"].to_pylist()
    return result


def test_rows_in_any_order_are_put_back() -> None:
    aligned = Alignment(back((2, 2.0), (0, 0.0), (1, None)), asked(1, 2, 3), ["driver"])
    assert values(aligned) == [0.0, None, 2.0]
    assert (aligned.repeated, aligned.collapsed, len(aligned.lost)) == (0, 0, 0)


def test_of_repeated_rows_the_first_counts() -> None:
    aligned = Alignment(back((0, 5.0), (1, 1.0), (0, 6.0), (0, 7.0)), asked(1, 2), ["driver"])
    assert (values(aligned), aligned.repeated) == ([5.0, 1.0], 2)


def test_a_collapsed_row_has_its_twins_values_and_a_lost_one_none() -> None:
    aligned = Alignment(back((1, 4.0)), asked("a", "a", "a", "b"), ["driver"])
    assert values(aligned) == [4.0, 4.0, 4.0, None]
    assert (aligned.collapsed, aligned.lost.tolist()) == (2, [3])


def test_keys_that_are_null_may_be_twins_too() -> None:
    aligned = Alignment(back((0, 4.0)), asked(None, None), ["driver"])
    assert (values(aligned), aligned.collapsed) == ([4.0, 4.0], 1)


def test_nothing_came_back() -> None:
    empty = back((0, 1.0)).slice(1)
    aligned = Alignment(empty, asked(1, 2), ["driver"])
    assert (values(aligned), len(aligned.lost)) == ([None, None], 2)


def test_lost_rows_are_filled_in() -> None:
    aligned = Alignment(back((1, 4.0)), asked(1, 2, 3), ["driver"])
    found = aligned.filled(aligned.columns(["v__x"]), pa.table({"v__x": pa.array([7, None], pa.int64())}))
    assert found["v__x"].to_pylist() == [7.0, 4.0, None]


def test_keys_that_read_alike_are_in_different_waves() -> None:
    keys = pd.DataFrame({"a": ["11", "1", "2", "11", "111"], "b": ["1", "11", "2", "1", ""]})
    parts = waves(keys.assign(**{EVENT_TIMESTAMP: NOON}), [["a", "b"]])
    assert sorted(np.concatenate(parts).tolist()) == [0, 1, 2, 3, 4]
    wave_of = {place: number for number, part in enumerate(parts) for place in part.tolist()}
    assert len({wave_of[0], wave_of[1], wave_of[4]}) == 3
    assert wave_of[0] == wave_of[3]


def test_at_other_times_or_with_one_key_they_may_go_together() -> None:
    keys = pd.DataFrame({"a": ["11", "1"], "b": ["1", "11"], EVENT_TIMESTAMP: [NOON, NOON + pd.Timedelta("1s")]})
    assert len(waves(keys, [["a", "b"]])) == 1
    assert len(waves(keys.assign(**{EVENT_TIMESTAMP: NOON}), [["a"], ["b"]])) == 1
