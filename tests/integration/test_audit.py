"""The audit on real repos: clean traffic passes, and each fault that is put in is named for what it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import FeatureService, Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from skew_ext import SkewAuditor, read_log, request_context
from skew_ext.audit.findings import REMEDIES
from skew_ext.errors import AuditError, RepoError
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

DRIVERS = range(1, 21)
DAY = timedelta(days=1)


def hourly(start: datetime = NOON - 5 * HOUR, hours: int = 12, **changed: Any) -> list[dict[str, Any]]:
    """Make a row per driver and hour whose values say whose and when they are."""
    return [
        row(driver, start + hour * HOUR, driver + hour / 7, 100 * driver + hour, f"city {driver}", **changed)
        for driver in DRIVERS
        for hour in range(hours)
    ]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def serve(repo: Repo, at: datetime, drivers: Any = DRIVERS) -> None:
    with request_context(served_at=at):
        repo.store.get_online_features(
            repo.store.get_feature_service("scoring"), [{"driver": driver} for driver in drivers]
        )


def audit(repo: Repo, start: datetime = NOON - DAY, end: datetime = NOON + DAY, **options: Any) -> Report:
    Shipper(repo.path / "data/skew/spool").drain()
    return SkewAuditor(repo.store).run_audit("scoring", start, end, **options)


def causes(report: Report) -> dict[str, dict[str, int]]:
    return {feature.feature.removeprefix("stats__"): feature.causes for feature in report.parity.features}


def each(count: int, cause: str) -> dict[str, dict[str, int]]:
    return {feature: {cause: count} for feature in ("rating", "trips", "city")}


def test_clean_traffic_passes_without_a_finding(repo: Repo) -> None:
    repo.write(hourly())
    for hour in range(4):
        repo.materialize(NOON + hour * HOUR)
        serve(repo, NOON + hour * HOUR + 5 * MINUTE)
    report = audit(repo)
    assert (report.verdict, report.findings, report.parity.mismatched) == ("pass", [], 0)
    assert (report.rows, report.parity.cells) == (80, 240)
    assert report.ttl[0].matrix == {"served_inside": 80, "served_outside": 0, "absent_inside": 0, "absent_outside": 0}


def test_stale_online_with_its_lag(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON - HOUR)
    serve(repo, NOON + 90 * MINUTE)
    report = audit(repo)
    # The city never changes, so an older row gives the same one: those cells do not differ.
    assert causes(report) == {"rating": {"stale_online": 20}, "trips": {"stale_online": 20}, "city": {}}
    lag = report.parity.features[0].lag
    assert lag is not None
    assert (lag.p50, lag.max) == (5400.0, 5400.0)  # the row of noon had been known for an hour and a half
    assert report.verdict == "fail"
    assert {finding.severity for finding in report.findings if finding.code == "stale_online"} == {"fail"}


def test_staleness_within_the_declared_schedule_is_no_fault(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON - HOUR)
    serve(repo, NOON + 20 * MINUTE)
    report = audit(repo)
    assert causes(report)["rating"] == {"stale_online": 20}
    assert {finding.severity for finding in report.findings if finding.cause} == {"info"}


def test_missing_online(repo: Repo) -> None:
    repo.write([one for one in hourly() if one["driver"] <= 15])
    repo.materialize(NOON)
    repo.write(hourly())
    serve(repo, NOON + MINUTE)
    report = audit(repo)
    assert causes(report) == each(5, "missing_online")
    assert report.ttl[0].matrix["absent_inside"] == 5
    assert report.verdict == "fail"


def test_a_new_key_that_waits_for_the_next_materialization_is_no_fault(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON)
    repo.write([*hourly(), row(99, NOON + 10 * MINUTE, 1.0, 1, "new")])
    serve(repo, NOON + 30 * MINUTE, drivers=[99])
    report = audit(repo)
    assert causes(report) == each(1, "missing_online")
    assert (report.verdict, {finding.severity for finding in report.findings}) == ("pass", {"info"})


def test_expired_served(repo: Repo) -> None:
    repo.write(hourly(NOON - 6 * HOUR, hours=3))
    repo.materialize(NOON)
    serve(repo, NOON)
    report = audit(repo)
    assert causes(report) == each(20, "expired_served")
    assert report.ttl[0].served_past_ttl == 20
    assert report.ttl[0].matrix["served_outside"] == 20


def test_a_value_exactly_as_old_as_the_ttl_is_within_it(repo: Repo) -> None:
    repo.write(hourly(NOON - 2 * HOUR, hours=1))
    repo.materialize(NOON)
    serve(repo, NOON)
    assert audit(repo).parity.mismatched == 0


def test_late_arrival(repo: Repo) -> None:
    on_time = hourly(NOON - 2 * HOUR, hours=2)
    repo.write(on_time)
    repo.materialize(NOON)
    serve(repo, NOON + MINUTE)
    late = [row(driver, NOON, -1.0, -1, "elsewhere", created=NOON + HOUR) for driver in DRIVERS]
    repo.write(on_time + late)
    report = audit(repo)
    assert causes(report) == each(20, "late_arrival")
    assert {finding.severity for finding in report.findings if finding.cause} == {"warn"}


def test_late_arrival_where_nothing_could_be_served(repo: Repo) -> None:
    repo.materialize(NOON)
    serve(repo, NOON + MINUTE)
    repo.write([row(driver, NOON, 1.0, 1, "x", created=NOON + HOUR) for driver in DRIVERS])
    assert causes(audit(repo)) == each(20, "late_arrival")


def test_a_reload_that_rewrites_created_times_is_said_to_look_like_late_rows(repo: Repo) -> None:
    rows = hourly(hours=22)
    repo.write(rows)
    repo.materialize(NOON - HOUR)
    for minute in range(5, 125, 20):
        serve(repo, NOON + minute * MINUTE)
    stale = audit(repo)
    assert causes(stale)["rating"] == {"stale_online": 120}
    # The nightly job writes its table anew, within a minute.
    night = NOON + 15 * HOUR
    repo.write([{**one, "created": night + place * MINUTE / 600} for place, one in enumerate(rows)])
    report = audit(repo)
    assert causes(report)["rating"] == {"late_arrival": 120}
    (finding,) = (one for one in report.findings if one.feature == "stats__rating" and one.cause)
    assert finding.message == (
        "120 of 120 served cells (100.00%) differ since training uses a row that arrived after serving (nearly all of "
        "them in one load, 2026-03-02 03:00:00 to 03:00:38 UTC); a reload that rewrites the created times of old rows "
        "looks the same"
    )
    assert "have it keep their created times, and audit what was served after it" in finding.remedy
    assert finding.remedy.endswith(REMEDIES["late_arrival"])
    # What was served after the load is judged by what was known then, and is stale.
    serve(repo, NOON + 16 * HOUR)
    assert causes(audit(repo, start=NOON + 15.5 * HOUR))["rating"] == {"stale_online": 20}


def test_rows_that_come_late_one_by_one_are_no_load(repo: Repo) -> None:
    on_time = hourly(NOON - 3 * HOUR, hours=3)
    repo.write(on_time)
    repo.materialize(NOON)
    for minute in range(5, 125, 20):
        serve(repo, NOON + minute * MINUTE)
    repo.write([*on_time, *({**one, "created": one["event_timestamp"] + 3 * HOUR} for one in hourly(NOON, hours=3))])
    report = audit(repo)
    assert causes(report)["rating"] == {"late_arrival": 120}
    (finding,) = (one for one in report.findings if one.feature == "stats__rating" and one.cause)
    assert "load" not in finding.message
    assert finding.remedy == REMEDIES["late_arrival"]


def test_restated(repo: Repo) -> None:
    first = hourly(NOON - HOUR, hours=1)
    repo.write(first)
    repo.materialize(NOON)
    serve(repo, NOON + MINUTE)
    again = [{**one, "rating": -9.0, "created": NOON + HOUR} for one in first]
    repo.write(first + again)
    assert causes(audit(repo)) == {"rating": {"restated": 20}, "trips": {}, "city": {}}


def test_future_served(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON + 3 * HOUR)
    serve(repo, NOON + MINUTE)
    report = audit(repo)
    assert causes(report) == {"rating": {"future_served": 20}, "trips": {"future_served": 20}, "city": {}}


def test_rescaled_even_where_also_stale(repo: Repo) -> None:
    repo.write([{**one, "rating": one["rating"] * 1.609344} for one in hourly()])
    repo.materialize(NOON)
    repo.write(hourly())
    serve(repo, NOON + MINUTE)
    serve(repo, NOON + 61 * MINUTE)
    found = causes(audit(repo))
    assert found["rating"] == {"rescaled": 40}
    assert found["trips"] == {"stale_online": 20}


def test_unexplained(repo: Repo) -> None:
    repo.write([{**one, "rating": (one["driver"] * 7919) % 13 + 0.5} for one in hourly()])
    repo.materialize(NOON)
    repo.write(hourly())
    serve(repo, NOON + MINUTE)
    report = audit(repo)
    assert causes(report)["rating"] == {"unexplained": 20}
    assert report.verdict == "fail"


def test_two_causes_in_one_feature(repo: Repo) -> None:
    repo.write([one for one in hourly() if one["driver"] <= 10])
    repo.materialize(NOON - HOUR)
    repo.write(hourly())
    serve(repo, NOON + 30 * MINUTE)
    assert causes(audit(repo))["rating"] == {"missing_online": 10, "stale_online": 10}


def test_a_source_without_created_times_still_tells_staleness(tmp_path: Path) -> None:
    class NoCreated(Repo):
        def objects(self) -> list[Any]:
            objects = super().objects()
            objects[1].created_timestamp_column = ""
            return objects

    repo = NoCreated(tmp_path / "repo")
    repo.write(hourly())
    repo.materialize(NOON - HOUR)
    serve(repo, NOON + 30 * MINUTE)
    assert causes(audit(repo))["rating"] == {"stale_online": 20}


def test_examples_say_whose_and_when(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON - HOUR)
    serve(repo, NOON + 30 * MINUTE)
    (example, *_) = audit(repo).parity.features[0].examples
    driver = example.key["driver"]
    assert isinstance(driver, int)
    assert (example.served, example.baseline) == (driver + 4 / 7, driver + 5 / 7)
    assert (example.served_at, example.served_event, example.baseline_event) == (
        NOON + 30 * MINUTE,
        NOON - HOUR,
        NOON,
    )


def test_drift_is_told_apart_from_skew(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON)
    for minute in range(10):
        serve(repo, NOON + minute * MINUTE)
    training = pa.table({"stats__rating": [float(number) + 100 for number in range(500)], "trips": list(range(500))})
    report = audit(repo, training_set=training)
    drift = {one.feature: one.verdict for one in report.distribution.drift}
    assert drift["stats__rating"] == "act"
    assert {one.verdict for one in report.distribution.skew} == {"pass"}
    assert report.verdict == "pass"
    assert [finding.code for finding in report.findings if finding.feature == "stats__rating"] == ["psi_drift"]


def test_only_the_window_and_the_model_version_count(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON)
    serve(repo, NOON)
    with request_context(model_version="v2"):
        serve(repo, NOON + HOUR)
    assert audit(repo, start=NOON, end=NOON + HOUR).rows == 20
    assert audit(repo, model_version="v2").rows == 20
    assert audit(repo, sample=7).rows == 6  # each driver was looked up twice, and none by half
    assert "a sample of 6 of the window's 40 rows" in audit(repo, sample=7).notes[0]


def test_rows_that_wait_in_the_spool_are_said(repo: Repo) -> None:
    serve(repo, NOON)
    with pytest.raises(AuditError, match=r"no rows of 'scoring' in .*; 20 rows still wait in the spool"):
        SkewAuditor(repo.path).run_audit("scoring", NOON, NOON + HOUR)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("scorin", NOON, NOON + HOUR), RepoError, r"no feature service 'scorin' .*did you mean 'scoring'"),
        (("scoring", NOON, NOON), AuditError, "is empty: give a start before its end"),
        (("scoring", NOON + HOUR, NOON), AuditError, "is empty: give a start before its end"),
        (("scoring", NOON - 2 * DAY, NOON - DAY), AuditError, "the log has no rows of 'scoring'"),
    ],
)
def test_bad_input_gets_one_line(
    repo: Repo, arguments: tuple[str, datetime, datetime], error: type[Exception], says: str
) -> None:
    serve(repo, NOON)
    Shipper(repo.path / "data/skew/spool").drain()
    with pytest.raises(error, match=says) as caught:
        SkewAuditor(repo.store).run_audit(*arguments)
    assert "\n" not in str(caught.value)


def test_a_training_set_without_the_features_is_refused(repo: Repo) -> None:
    serve(repo, NOON)
    with pytest.raises(AuditError, match=r"no column 'stats__rating' \(did you mean 'stats_rating'\?\)"):
        audit(repo, training_set=pa.table({"stats_rating": [1.0]}))


def test_no_repo_is_said(tmp_path: Path) -> None:
    with pytest.raises(RepoError, match="is not a Feast repo"):
        SkewAuditor(tmp_path)
    with pytest.raises(RepoError, match="is not a Feast repo"):
        read_log(tmp_path)


def doubled(inputs: dict[str, Any]) -> dict[str, Any]:
    if len(inputs["rating"]) > 20:
        raise ValueError("too many rows at once")
    return {"double": [rating * 2 for rating in inputs["rating"]]}


def test_an_on_demand_view_that_cannot_be_recomputed_says_why_and_what_to_do(repo: Repo) -> None:
    repo.write(hourly())
    repo.materialize(NOON)
    stats = repo.store.get_feature_view("stats")
    schema = [Field(name="double", dtype=Float64)]
    view = on_demand_feature_view(sources=[stats[["rating"]]], schema=schema, mode="python")(doubled)
    said: list[tuple[str, str]] = []
    for features in ([stats[["trips"]], view], [stats, view]):
        repo.store.apply([view, FeatureService(name="scoring", features=features)])
        start = NOON + len(said) * HOUR
        for minute in range(2):
            serve(repo, start + minute * MINUTE)
        (finding,) = [one for one in audit(repo, start, start + HOUR).findings if one.code == "not_compared"]
        assert (finding.severity, finding.feature) == ("info", "doubled__double")
        said.append((finding.message, finding.remedy))
    assert said == [
        (
            "not compared: its inputs are not in the log: stats__rating",
            "add the inputs to the feature service, so that they are logged too",
        ),
        (
            "not compared: its transform fails on the logged inputs: ValueError: too many rows at once",
            "run the registered transform on what `read_log` gives; if it fails there, it fails in training",
        ),
    ]
