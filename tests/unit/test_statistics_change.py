"""A jump is told from a slope, and each from a season, from noise and from nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from skew_ext.statistics import Change, change_over

RNG = np.random.default_rng(31)
EDGES = np.array([-1.28, -0.84, -0.52, -0.25, 0, 0.25, 0.52, 0.84, 1.28])
Cells = npt.NDArray[np.int64]


def cells(mean: float, rows: int = 400) -> Cells:
    """Count a window of normal values in ten bins, NaN and null."""
    counted: Cells = np.append(np.bincount(np.searchsorted(EDGES, RNG.normal(mean, 1, rows)), minlength=10), [0, 0])
    return counted


def told(course: Callable[[int], float], windows: int = 24, rows: int = 400, season: int | None = None) -> Change:
    return change_over([cells(course(at), rows) for at in range(windows)], season=season)


def day(at: int) -> float:
    """Give the mean of an hour of a day with a season."""
    return float(np.sin(at / 24 * 2 * np.pi))


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("at", [6, 12, 20])
def test_a_jump_is_sudden(size: float, at: int) -> None:
    change = told(lambda window: size * (window >= at))
    assert (change.kind, change.since, change.until) == ("sudden", at, None)
    assert change.size > 0.1


def test_a_jump_within_a_window_is_sudden() -> None:
    """Half of the rows of window 12 are as before."""
    windows = [cells(0.0) for _ in range(12)] + [cells(0.0, 200) + cells(1.5, 200)] + [cells(1.5) for _ in range(11)]
    change = change_over(windows)
    assert (change.kind, change.since) == ("sudden", 12)


@pytest.mark.parametrize("size", [0.8, 2.0])
def test_a_slope_is_gradual(size: float) -> None:
    change = told(lambda window: size * max(0, window - 8) / 16)
    assert change.kind == "gradual"
    assert change.since is not None
    assert 6 <= change.since <= 12
    assert change.until is None


def test_a_slope_that_rests() -> None:
    change = told(lambda window: 2 * min(max(0, window - 4) / 12, 1))
    assert change.kind == "gradual"
    assert change.until is not None
    assert 13 <= change.until <= 19


def test_what_goes_by_has_an_end() -> None:
    change = told(lambda window: 1.0 * (8 <= window < 14))
    assert (change.kind, change.since, change.until) == ("sudden", 8, 14)


def test_nothing_and_noise_are_steady() -> None:
    """Clean series, and ones whose level wavers by a fifth of a standard deviation from window to window."""
    found = Counter(told(lambda _: 0.0, windows=8 + 8 * (k % 3), rows=50 + 100 * (k % 4)).kind for k in range(300))
    assert found["steady"] >= 298
    noisy = Counter(told(lambda _: RNG.normal(0, 0.2), rows=1000).kind for _ in range(100))
    assert noisy["steady"] >= 92


def test_a_season_is_no_change() -> None:
    assert {told(day, windows=72, season=24).kind for _ in range(10)} == {"steady"}
    jump = told(lambda at: day(at) + 1.2 * (at >= 60), windows=72, season=24)
    assert (jump.kind, jump.since) == ("sudden", 60)
    slopes = [told(lambda at: day(at) + 0.8 * max(0, at - 24) / 48, windows=72, season=24).kind for _ in range(10)]
    assert slopes.count("gradual") >= 7


def test_a_difference_from_what_was_expected() -> None:
    """The world changes all the time and the pipeline once: of the same rows only that is a change."""
    expected = [cells(RNG.normal(0, 1)) for _ in range(20)]
    served = [one.copy() for one in expected]
    for window in served[13:]:
        window[-1] += 200  # nulls in the place of values
        window[:10] = window[:10] // 2
    change = change_over(served, expected=expected)
    assert (change.kind, change.since) == ("sudden", 13)
    assert change_over(expected, expected=expected).kind == "steady"


def test_nulls_alone_are_a_change() -> None:
    windows = [cells(0.0) + np.append(np.zeros(11, dtype=np.int64), 400 * (at >= 9)) for at in range(16)]
    change = change_over(windows)
    assert (change.kind, change.since) == ("sudden", 9)


def test_too_few_windows_say_nothing() -> None:
    assert change_over([]).kind is None
    assert told(lambda at: 3.0 * (at > 2), windows=5).kind is None
    empty = np.zeros(12, dtype=np.int64)
    assert change_over([cells(0.0), empty, empty, empty, empty, empty, empty, cells(3.0)]).kind is None


def test_empty_windows_are_passed_over_and_keep_their_places() -> None:
    windows = [np.zeros(12, dtype=np.int64) if at % 4 == 1 else cells(2.0 * (at >= 14)) for at in range(24)]
    assert change_over(windows).since == 14


def test_windows_of_very_different_sizes() -> None:
    """A few rows at night weigh little."""
    found = Counter(change_over([cells(0.0, 20 if at % 24 < 8 else 2000) for at in range(48)]).kind for _ in range(20))
    assert found == {"steady": 20}
