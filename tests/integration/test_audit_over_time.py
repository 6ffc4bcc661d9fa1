"""When what differs was served, counted by an audit of a real repo: a fault of two hours is seen in those two hours."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from skew_ext import SkewAuditor, request_context
from skew_ext.audit.over_time import together
from skew_ext.model import OverTime
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

DRIVERS = range(10)
FAULTY = (5, 6)
RATING = "stats__rating"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Give a repo that served each hour of half a day, the ratings of two hours in another unit."""
    repo = Repo(tmp_path_factory.mktemp("over_time") / "repo")
    rows: list[dict[str, Any]] = []
    for hour in range(12):
        factor = 2.5 if hour in FAULTY else 1.0
        at = NOON + hour * HOUR
        right = {driver: row(driver, at, (driver + 1) / 7, driver, "x") for driver in DRIVERS}
        rows += right.values()
        repo.write([*rows[: -len(DRIVERS)], *({**one, "rating": one["rating"] * factor} for one in right.values())])
        repo.materialize(at + MINUTE)
        with request_context(served_at=at + 10 * MINUTE):
            service = repo.store.get_feature_service("scoring")
            repo.store.get_online_features(service, [{"driver": driver} for driver in DRIVERS])
    repo.write(rows)
    Shipper(repo.path / "data/skew/spool").drain()
    return repo


def audit(repo: Repo, start: datetime, end: datetime, **options: Any) -> Report:
    return SkewAuditor(repo.store).run_audit("scoring", start, end, **options)


def over_time(report: Report, name: str = RATING) -> OverTime:
    (found,) = [one.over_time for one in report.parity.features if one.feature == name]
    assert found is not None
    return found


def test_a_fault_is_seen_in_the_hours_that_had_it(repo: Repo) -> None:
    report = audit(repo, NOON, NOON + timedelta(days=1))
    rating, trips = over_time(report), over_time(report, "stats__trips")
    assert (rating.start, rating.step_seconds, sum(rating.compared)) == (NOON, 1800, 120)
    assert rating.compared == trips.compared == [10 * (place % 2 == 0 and place < 24) for place in range(48)]
    (counts,) = rating.causes.values()
    assert counts == rating.mismatched == [10 * (place in (10, 12)) for place in range(48)]
    assert trips.mismatched == [0] * 48
    for one in report.parity.features:
        assert one.over_time is not None
        assert (sum(one.over_time.compared), sum(one.over_time.mismatched)) == (one.compared, one.mismatched)


def test_windows_add_up_to_the_whole(repo: Repo) -> None:
    whole = over_time(audit(repo, NOON, NOON + timedelta(days=1)))
    cut = NOON + 5 * HOUR + 30 * MINUTE
    before, after = over_time(audit(repo, NOON, cut)), over_time(audit(repo, cut, NOON + 12 * HOUR))
    assert (before.step_seconds, after.step_seconds) == (900, 900)
    both = together(together(before, after), OverTime(whole.start, whole.step_seconds, [0] * 48))
    assert (both.compared, both.mismatched) == (whole.compared, whole.mismatched)
