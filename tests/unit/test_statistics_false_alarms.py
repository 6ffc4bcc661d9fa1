"""Clean windows are quiet, and what repeats itself is not taken for many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from skew_ext.statistics import Served, distribution_rows
from skew_ext.statistics.evenness import evenness_in_order, evenness_of_groups
from skew_ext.statistics.signals import INDEPENDENT

RNG = np.random.default_rng(77)
Floats = npt.NDArray[np.float64]


def series(size: int, likeness: float = 0.9) -> Floats:
    """Give a series of first order with variance 1."""
    values, noise = np.empty(size), RNG.normal(size=size)
    values[0] = noise[0]
    for at in range(1, size):
        values[at] = likeness * values[at - 1] + np.sqrt(1 - likeness**2) * noise[at]
    return values


def clean(rows: int) -> dict[str, pa.Array]:
    """Give a window in which nothing changed: the long run is `benchmarks/false_alarms.py`."""
    weights = 1 / np.arange(1, 301)
    return {
        "normal": pa.array(RNG.normal(size=rows)),
        "lognormal": pa.array(RNG.lognormal(0, 1.5, rows)),
        "zero_inflated": pa.array(RNG.gamma(2, size=rows) * (RNG.random(rows) > 0.7)),
        "nulls": pa.array(RNG.normal(size=rows), mask=RNG.random(rows) < 0.1),
        "counts": pa.array(RNG.poisson(1.5, rows)),
        "categories": pa.array([f"c{k}" for k in RNG.choice(300, rows, p=weights / weights.sum())]),
        "flag": pa.array(RNG.random(rows) < 0.03),
        "series": pa.array(series(rows)),
        "embedding": pa.array(RNG.normal(0.3, 1, (rows, 4)).tolist()),
    }


def test_of_a_hundred_clean_windows_at_most_one_alarms() -> None:
    reference, told = clean(3000), []
    for number in range(100):
        window = clean((120, 300, 1000)[number % 3])
        columns = ((name, reference[name], column) for name, column in window.items())
        rows = distribution_rows(columns, served=Served(in_order=True), same_rows=False)
        told += [(row.feature, row.n_served, row.verdict) for row in rows if row.verdict != "pass"]
    assert len(told) <= 1, told


@pytest.mark.parametrize("part", [0.25, 0.5, 1.0])
def test_a_jump_within_the_window_does_not_hide_itself(part: float) -> None:
    """What it makes of its rows, alike before and alike after, is not their own likeness."""
    reference, told = pa.array(RNG.normal(size=4000)), 0
    for _ in range(40):
        served = RNG.normal(size=1000)
        served[int(1000 * (1 - part)) :] += 2
        (row,) = distribution_rows([("f", reference, pa.array(served))], served=Served(in_order=True))
        told += row.verdict != "pass"
    assert told >= 33


def test_likeness_in_order_is_measured() -> None:
    """Independent rows count in full; those of a series with likeness 0.9 for about a nineteenth."""
    edges = np.linspace(-2, 2, 9)

    def evenness(values: Floats) -> float:
        return evenness_in_order(np.searchsorted(edges, values), np.full(10, 0.1)).inflation

    assert np.mean([evenness(RNG.normal(size=2000)) for _ in range(50)]) < 1.4
    assert 8 < np.median([evenness(series(4000)) for _ in range(20)]) < 30


def test_groups_are_counted_once() -> None:
    """A hundred entities with a value each, ten times: a tenth of the rows; and none is lost where all differ."""
    codes = np.repeat(RNG.integers(0, 10, 300), 10)
    assert evenness_of_groups(codes, 10, np.repeat(np.arange(300), 10)).inflation == pytest.approx(10, rel=0.1)
    assert evenness_of_groups(codes, 10, np.arange(3000)) is INDEPENDENT
    random = RNG.integers(0, 10, 3000)
    assert evenness_of_groups(random, 10, np.repeat(np.arange(300), 10)).inflation == pytest.approx(1, abs=0.2)
    assert evenness_of_groups(np.zeros(3000, dtype=np.int64), 10, np.repeat(np.arange(300), 10)).inflation == 10


def test_few_entities_that_became_constant_are_still_seen() -> None:
    """Fifty entities, all with one value now: not many, and enough."""
    groups = np.repeat(np.arange(50), 20)
    served = Served(in_order=True, groups_of=lambda _: groups)
    columns = [("f", pa.array(RNG.normal(size=4000)), pa.array([0.1] * 1000))]
    (row,) = distribution_rows(columns, served=served, same_rows=False)
    assert (row.verdict, row.constant) == ("act", (False, True))


def test_the_drift_of_dates_is_told_and_not_judged() -> None:
    now = np.datetime64("2026-01-01T00:00:00", "us")
    columns = [("f", pa.array(now + np.arange(500)), pa.array(now + np.arange(5000, 5500)))]
    (skew,), (drift,) = distribution_rows(columns), distribution_rows(columns, same_rows=False)
    assert (skew.verdict, drift.verdict, drift.ks) == ("act", "pass", 1.0)
    assert drift.note == "dates and times move on by themselves: their drift is told and not judged"
