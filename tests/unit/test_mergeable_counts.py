"""Counts that are made apart and merged are the counts of all rows: what engines with many workers rely on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.audit.over_time import CellsOverTime, Stretches
from skew_ext.audit.sample import EvenSample
from skew_ext.audit.ttl import TtlCounts

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = 3_600_000_000


def test_ttl_counts_merge_to_those_of_all_rows() -> None:
    random = np.random.default_rng(5)
    served_at = random.integers(10 * HOUR, 20 * HOUR, 1_000)
    events = np.where(random.random(1_000) < 0.1, NO_TIME, served_at - random.integers(0, 4 * HOUR, 1_000))
    present = random.random(1_000) < 0.8
    whole = TtlCounts("stats", 2 * HOUR)
    whole.add(events, served_at, present)
    merged = TtlCounts("stats", 2 * HOUR)
    for number, rows in enumerate(np.array_split(np.arange(1_000), 7)):
        part = TtlCounts("stats", 2 * HOUR, number << 33)
        part.add(events[rows], served_at[rows], present[rows])
        merged.merge(part)
    assert merged.summary() == whole.summary()


def test_ttl_counts_merge_where_nothing_was_served() -> None:
    merged, empty = TtlCounts("stats", None), TtlCounts("stats", None, 1 << 33)
    empty.add(np.full(3, NO_TIME), np.arange(3), np.zeros(3, dtype=bool))
    merged.merge(empty)
    assert merged.summary().staleness_seconds is None
    assert merged.summary().rows == 3


def test_cells_over_time_merge() -> None:
    stretches = Stretches.of(NOON, NOON + timedelta(hours=4))
    times = int(NOON.timestamp()) * 1_000_000 + np.arange(4) * HOUR
    whole, merged = CellsOverTime(stretches), CellsOverTime(stretches)
    given, causes = np.array([True, True, False, True]), np.array(["restated", "rescaled"])
    whole.part(times)
    whole.compared("f", given)
    whole.differing("f", times[:2], causes)
    for rows in ([0, 1], [2, 3]):
        part = CellsOverTime(stretches)
        part.part(times[rows])
        part.compared("f", given[rows])
        if rows == [0, 1]:
            part.differing("f", times[rows], causes)
        merged.merge(part)
    assert merged.of("f") == whole.of("f")


@pytest.mark.parametrize("most", [50, 200, 10_000])
def test_even_samples_merge_to_an_even_sample(most: int) -> None:
    merged = EvenSample(most)
    for number in range(5):
        part = EvenSample(most, number << 33)
        part.add(pa.table({"part": [number] * 400, "row": range(400)}))
        merged.merge(part)
    kept = pa.concat_tables(merged.tables)
    assert merged.seen == 2_000
    assert merged.rows == min(kept.num_rows, most)
    if most >= 2_000:
        assert kept["row"].to_pylist() == [*range(400)] * 5
    else:
        assert merged.rows >= most * 0.8
        shares = np.bincount(kept["part"].to_numpy(), minlength=5) / kept.num_rows
        assert shares.min() > 0.08
