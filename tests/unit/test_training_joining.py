"""Labels joined to lookups, against the same rules written out one row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from skew_ext.errors import TrainingSetError
from skew_ext.training.identity import like, ranks
from skew_ext.training.joining import FOREVER, Labels, Sought, join_about, join_observed

SEEDS = range(40)


def drawn(seed: int) -> tuple[Sought, Any, Any, Any]:
    """Draw few keys and few times, so that ties, repeats and gaps all occur; some sides are empty."""
    random = np.random.default_rng(seed)
    lookups, labels = random.integers(0, 12, 2)
    sought = Sought(random.integers(-1, 4, lookups), random.integers(0, 20, lookups))
    return sought, random.integers(0, 5, labels), random.integers(0, 25, labels), random.integers(0, 3, labels)


def in_range(  # noqa: PLR0913 - a lookup, a label, and the rule
    code: int, at: int, label: int, label_code: Any, label_time: Any, window: tuple[int, int] | None
) -> bool:
    if code < 0 or label_code[label] != code:
        return False
    return window is None or at + window[0] <= label_time[label] <= at + window[1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("window", [None, (2, 6)])
@pytest.mark.parametrize("take", ["first", "last"])
def test_labels_with_one_time_are_joined_as_written_out(seed: int, window: Any, take: Any) -> None:
    sought, code, observed, values = drawn(seed)
    joined = join_observed(sought, Labels.of(code, observed, values), window, 2, take)
    candidates, counted = set(), set()
    for row, (mine, at) in enumerate(zip(sought.codes, sought.times, strict=True)):
        fits = [label for label in range(len(code)) if in_range(mine, at, label, code, observed, window)]
        late = sorted(
            (label for label in fits if observed[label] >= at + 2), key=lambda label: (observed[label], label)
        )
        candidates |= set(fits)
        counted |= set(late)
        assert joined.taken[row] == (-1 if not late else late[0] if take == "first" else late[-1])
        assert joined.conflicting[row] == (len({values[label] for label in late}) > 1)
    assert set(np.flatnonzero(joined.candidate)) == candidates
    assert set(np.flatnonzero(joined.observed)) == counted


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_with_both_times_are_joined_as_written_out(seed: int) -> None:
    sought, code, about, values = drawn(seed)
    observed = about + np.random.default_rng(seed).integers(-2, 6, len(about))
    joined = join_about(sought, Labels.of(code, about, values), observed, 3, 1)
    candidates, counted = set(), set()
    for row, (mine, at) in enumerate(zip(sought.codes, sought.times, strict=True)):
        fits = [label for label in range(len(code)) if in_range(mine, at, label, code, about, (-3, 3))]
        known = [label for label in fits if observed[label] >= at + 1]
        candidates |= set(fits)
        counted |= set(known)
        nearest = min(known, key=lambda label: (abs(about[label] - at), about[label], label), default=-1)
        assert joined.taken[row] == nearest
        assert joined.conflicting[row] == (len({values[label] for label in known}) > 1)
    assert set(np.flatnonzero(joined.candidate)) == candidates
    assert set(np.flatnonzero(joined.observed)) == counted


def test_a_label_whose_time_is_not_known_counts_last() -> None:
    one = np.array([7])
    labels = Labels.of(np.array([7, 7]), np.array([FOREVER, 5]), np.array([0, 1]))
    assert join_observed(Sought(one, np.array([3])), labels, None, 0, "last").taken.tolist() == [0]
    assert join_observed(Sought(one, np.array([3])), labels, None, 0, "first").taken.tolist() == [1]


def test_values_of_any_kind_have_ranks() -> None:
    assert ranks(pa.array([1.5, None, 1.5])).tolist() == [0, -1, 0]
    assert ranks(pa.array([[1], None, [1], [2]])).tolist() == [0, -1, 0, 1]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [(pa.array(["7"]), pa.int64()), (pa.array([7]), pa.string()), (pa.array([1.5]), pa.int64())],
)
def test_keys_of_another_type_are_refused_by_name(values: pa.Array, wanted: pa.DataType) -> None:
    with pytest.raises(TrainingSetError, match=r"column 'driver' of the labels is .* convert it"):
        like(values, wanted, "driver")


def test_keys_that_lost_their_type_to_nulls_are_taken_back() -> None:
    assert like(pa.array([7.0, None]), pa.int64(), "driver").to_pylist() == [7, None]
    assert like(pa.nulls(1), pa.string(), "driver").to_pylist() == [None]
