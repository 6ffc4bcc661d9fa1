"""Source rows of which nothing says which one counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skew_ext.audit.source_ties import tie_findings, tied_rows


def times(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


KEYS, EVENTS, CREATED = times(1, 1, 1, 2, 2, 1), times(5, 5, 6, 5, 5, 5), times(7, 8, 8, 9, 9, 8)


def test_rows_are_tied_where_key_event_and_created_time_are_the_same() -> None:
    assert tied_rows(KEYS, EVENTS, CREATED) == 4
    # Without created times the corrected event of key 1 is tied too.
    assert tied_rows(KEYS, EVENTS, None) == 5
    assert tied_rows(KEYS[:1], EVENTS[:1], None) == 0
    assert tied_rows(times(), times(), times()) == 0


@pytest.mark.parametrize(
    ("created", "unordered", "says"),
    [
        (
            CREATED,
            False,
            "4 of 6 source rows share their key, event time and created time with another one, and nothing",
        ),
        (None, False, "5 of 6 source rows share their key and event time with another one, and nothing orders them"),
        (
            CREATED,
            True,
            "5 of 6 source rows share their key and event time with another one, and the offline store does",
        ),
    ],
)
def test_what_is_said_of_them(
    created: np.ndarray[tuple[int], np.dtype[np.int64]] | None, unordered: Any, says: str
) -> None:
    (finding,) = tie_findings("stats", (KEYS, EVENTS, created), unordered=unordered)
    assert finding.message.startswith(says)
    assert (finding.code, finding.severity, finding.feature) == ("source_ties", "info", "stats")


def test_corrections_that_are_ordered_are_no_finding() -> None:
    assert not list(tie_findings("stats", (times(1, 1), times(5, 5), times(6, 7))))
