"""Since when and until when cells differ, from their counts over time, and what a report says of it."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone

import pytest

from skew_ext.model import FeatureParity, Finding, OverTime, Parity
from skew_ext.report.course import Course
from skew_ext.report.harm import harms
from skew_ext.report.summary import sentence
from tests.unit.test_report import report

MIDNIGHT = datetime(2026, 3, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
MARGIN = timedelta(minutes=5)
END = MIDNIGHT + 24 * HOUR
FEW, MANY = 1, 60


def counted(cells: list[int], compared: list[int] | None = None) -> OverTime:
    """Give a day's hours, each with a hundred compared cells."""
    return OverTime(MIDNIGHT, 3600, compared or [100] * len(cells), {"rescaled": cells})


def course(cells: list[int], compared: list[int] | None = None) -> Course:
    found = Course.of([counted(cells, compared)], ["rescaled"])
    assert found is not None
    return found


def said(cells: list[int], compared: list[int] | None = None) -> str:
    """Give what is said of cells that were served from five past the first hour that has any, to five to the next."""
    there = [hour for hour, count in enumerate(cells) if count]
    since, until = MIDNIGHT + there[0] * HOUR + MARGIN, MIDNIGHT + (there[-1] + 1) * HOUR - MARGIN
    return course(cells, compared).when(since, until, END)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([0] * 10 + [MANY] * 4 + [0] * 10, "2026-03-01 10:05 to 13:55 UTC"),
        ([0] * 10 + [MANY] * 14, "since 2026-03-01 10:05 UTC, and still at the end"),
        ([MANY] * 9 + [0] * 15, "from the window's start until 2026-03-01 08:55 UTC"),
        ([MANY] * 24, "all through the window"),
        ([FEW] * 10 + [MANY] * 14, "98.8% of them since 2026-03-01 10:00 UTC, and still at the end"),
        ([0] * 9 + [5] + [MANY] * 4 + [7] + [0] * 9, "2026-03-01 09:05 to 14:55 UTC"),
        ([0, 1] + [0] * 8 + [MANY] * 4 + [0] * 9 + [1], "99.17% of them 2026-03-01 10:00 to 14:00 UTC"),
        ([3, 0, 0, 2] * 6, "2026-03-01 00:05 to 23:55 UTC"),
        ([0] * 23 + [1], "2026-03-01 23:05 to 23:55 UTC"),
        ([0, 50, 0], "2026-03-01 01:05 to 01:55 UTC"),
    ],
    ids=[
        *("came_and_went", "still", "ended", "all", "few_before", "edges", "few_around", "on_and_off", "one_cell"),
        "short",
    ],
)
def test_when_is_told_by_the_rate_and_not_by_the_first_cell(cells: list[int], expected: str) -> None:
    assert said(cells) == expected


def test_what_ended_shortly_before_the_window_did_is_not_still_there() -> None:
    """The last hour has such cells, and for half of it none."""
    found = course([0] * 10 + [MANY] * 13 + [20])
    since = MIDNIGHT + 10 * HOUR + MARGIN
    assert found.when(since, END - HOUR / 2, END) == "2026-03-01 10:05 to 23:30 UTC"
    assert found.when(since, END - HOUR / 2, END - HOUR / 3).endswith("and still at the end")


def test_of_cells_of_which_only_some_are_told_of_those_are_dated() -> None:
    """Staleness by design all day, and beyond the schedule from 16 to 18 or to the end: no share of all is claimed."""
    found = course([10, 0] * 8 + [MANY] * 2 + [10, 0, 10] + [10] * 3)
    since = MIDNIGHT + 16 * HOUR + MARGIN
    assert found.when(since, since + HOUR, END) == "2026-03-01 16:05 to 17:05 UTC"
    assert found.when(since, END - MARGIN, END) == "since 2026-03-01 16:05 UTC, and still at the end"


def test_stretches_without_cells_are_no_end() -> None:
    """Nobody asked at night: a fault of the last hours served is there at the end, and one of all goes through."""
    night = [100] * 12 + [0] * 12
    assert said([0] * 6 + [MANY] * 6 + [0] * 12, night).endswith("and still at the end")
    assert said([MANY] * 12 + [0] * 12, night) == "all through the window"
    assert course([MANY] * 12 + [0] * 12, night).rates.tolist() == [0.6] * 12 + [0.0] * 12


def test_findings_that_are_told_as_one_and_the_verdict_say_since_when() -> None:
    """The rates of both features are added; the verdict speaks of the commonest cause."""
    cells = [0] * 10 + [MANY] * 14
    features = [
        FeatureParity(f"trip__{name}", 2400, 840, 0.35, (0.3, 0.4), causes={"rescaled": 840}, over_time=counted(cells))
        for name in ("km", "fare")
    ]
    since = MIDNIGHT + 10 * HOUR + MARGIN
    findings = [Finding("rescaled", "fail", one.feature, "rescaled", "m", "r", since, END - MARGIN) for one in features]
    told = report(parity=Parity(4800, 1680, features), findings=findings)
    (harm,) = harms(told)
    assert harm.story.endswith("; since 2026-03-01 10:05 UTC, and still at the end")
    assert harm.course is not None
    assert harm.course.compared.tolist() == [200] * 24
    assert sentence(told).endswith("another unit, since 2026-03-01 10:05 UTC, and still at the end.")
    by_design = [dataclasses.replace(one, severity="info") for one in findings]
    assert sentence(report(parity=told.parity, findings=by_design)).endswith("as in another unit.")


def test_a_report_without_counts_over_time_says_the_first_and_the_last_time() -> None:
    feature = FeatureParity("trip__km", 100, 9, 0.09, (0.0, 0.2), causes={"rescaled": 9})
    finding = Finding("rescaled", "fail", "trip__km", "rescaled", "m", "r", MIDNIGHT + MARGIN, END - MARGIN)
    (harm,) = harms(report(parity=Parity(100, 9, [feature]), findings=[finding]))
    assert (harm.course, harm.when) == (None, "2026-03-01 00:05 to 23:55 UTC")
    assert sentence(report(parity=Parity(100, 9, [feature]), findings=[finding])).endswith("another unit.")
