"""An even sample of rows that come part by part."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from skew_ext.audit.sample import EvenSample, hashed


def sampled(parts: int, rows: int, most: int) -> list[int]:
    sample = EvenSample(most)
    for part in np.array_split(np.arange(rows), parts):
        sample.add(pa.table({"row": part}))
    assert sample.seen == rows
    return [row for table in sample.tables for row in table["row"].to_pylist()]


def test_fewer_rows_than_wanted_are_all_there() -> None:
    assert sampled(7, 100, 100) == list(range(100))


@pytest.mark.parametrize("parts", [2, 13, 1000])
def test_the_parts_do_not_matter(parts: int) -> None:
    assert sampled(parts, 10_000, 1000) == sampled(1, 10_000, 1000)


def test_the_sample_is_nearly_as_large_as_wanted_and_even() -> None:
    rows = np.array(sampled(10, 100_000, 10_000))
    assert 8_500 < len(rows) <= 10_000
    counts, _ = np.histogram(rows, bins=10, range=(0, 100_000))
    assert (np.abs(counts - len(rows) / 10) < 5 * np.sqrt(len(rows) / 10)).all()


def test_hashes_are_those_of_splitmix64() -> None:
    """The first outputs of the reference generator seeded with 0 (Vigna's splitmix64.c)."""
    state = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(value) for value in hashed(state)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]
