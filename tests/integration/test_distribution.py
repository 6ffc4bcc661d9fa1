"""Distributions of an audit on a real repo: thresholds by argument and tag, importance, since when features differ."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skew_ext import SkewAuditor, read_log, request_context
from skew_ext.errors import AuditError
from skew_ext.model import DistributionRow
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from skew_ext.statistics import distribution_row
from tests.kit import HOUR, MINUTE, NOON, Repo, row

DRIVERS = range(1, 121)
TRAINED = pa.table(
    {"stats__rating": np.random.default_rng(1).normal(3.0, 1, 2000), "stats__trips": np.arange(2000) % 300}
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Serve 120 drivers every five minutes for two hours; from 13:00 on the ratings are in another unit."""
    repo = Repo(tmp_path_factory.mktemp("served") / "repo")
    ratings = np.random.default_rng(2).normal(3.0, 1, len(DRIVERS))
    plain = [
        row(driver, NOON, float(ratings[driver - 1]), 9_000_000 + 17 * driver, f"city {driver % 4}")
        for driver in DRIVERS
    ]
    repo.write(plain)
    repo.materialize(NOON)
    for step in range(24):
        at = NOON + step * 5 * MINUTE
        if step == 12:
            repo.write([one | {"rating": 20 * one["rating"], "event_timestamp": at, "created": at} for one in plain])
            repo.materialize(at)
            repo.write(plain)  # the source has no such rows: only the online store does
        with request_context(served_at=at):
            repo.store.get_online_features(
                repo.store.get_feature_service("scoring"), [{"driver": driver} for driver in DRIVERS]
            )
    Shipper(repo.path / "data/skew/spool").drain()
    return repo


def audit(repo: Repo, start: datetime = NOON - HOUR, **options: Any) -> Report:
    return SkewAuditor(repo.store).run_audit("scoring", start, NOON + timedelta(days=1), **options)


def of(rows: list[DistributionRow], feature: str) -> DistributionRow:
    return next(one for one in rows if one.feature == feature)


@pytest.fixture(scope="module")
def report(served: Repo) -> Report:
    return audit(served, training_set=TRAINED)


def test_a_jump_is_sudden_and_dated_in_skew_and_in_drift(report: Report) -> None:
    for rows in (report.distribution.skew, report.distribution.drift):
        rating = of(rows, "stats__rating")
        assert (rating.verdict, rating.change) == ("act", "sudden")
        assert rating.since == NOON + HOUR
        assert rating.until is None
    (finding,) = [one for one in report.findings if one.code == "psi_drift" and one.feature == "stats__rating"]
    assert "came at once" in finding.message
    assert finding.since == NOON + HOUR
    assert "deployed" in finding.remedy


def test_rows_have_a_histogram_to_look_at_in_the_json_too(report: Report) -> None:
    distribution = json.loads(report.to_json())["distribution"]
    for question in ("skew", "drift"):
        rating = next(one for one in distribution[question] if one["feature"] == "stats__rating")
        drawn = rating["histogram"]
        assert len(drawn["edges"]) + 1 == len(drawn["labels"]) == len(drawn["reference"]) == len(drawn["served"]) <= 20
        assert sum(drawn["served"]) == pytest.approx(1.0)
        assert drawn["served"][-1] == pytest.approx(0.5, abs=0.02)  # the half that was served in another unit
        assert drawn["reference"][-1] < 0.02
    city = next(one for one in distribution["skew"] if one["feature"] == "stats__city")["histogram"]
    assert sorted(city["labels"]) == [f"city {number}" for number in range(4)]
    assert (city["edges"], city["other"], city["nulls"], city["served"]) == ([], [0.0, 0.0], [0.0, 0.0], [0.25] * 4)


def test_a_training_set_counts_by_its_weights(served: Repo) -> None:
    """Trained on rows of which those below 300 trips weigh nothing: the served trips are far off all the same."""
    weights = pa.array(np.where(np.arange(2000) < 1000, 1.0, 0.0))
    weighted = audit(served, training_set=TRAINED.append_column("w", weights), weights="w")
    rating = of(weighted.distribution.drift, "stats__rating")
    assert rating.n_reference == 1000
    half = distribution_row(
        "stats__rating", TRAINED["stats__rating"][:1000], read_log(served.path, "scoring")["stats__rating"]
    )
    assert rating.psi == pytest.approx(half.psi)
    assert rating.ks == pytest.approx(half.ks)
    assert "weighted by 'w': 2,000 rows tell as much of drift as 1,000 of equal weight" in "".join(weighted.notes)


def test_what_did_not_change_passes(report: Report) -> None:
    assert {row.feature: row.verdict for row in report.distribution.skew if row.verdict != "act"} == {
        "stats__trips": "pass",
        "stats__city": "pass",
    }


def test_a_difference_from_before_the_window_is_steady(report: Report) -> None:
    trips = of(report.distribution.drift, "stats__trips")
    assert (trips.kind, trips.verdict, trips.change, trips.since) == ("numeric", "act", "steady", None)


def test_lookups_of_a_few_entities_are_not_many_rows(served: Repo) -> None:
    """Before the jump 120 drivers were served twelve times: they are 120 values, not 1,440."""
    trained = pa.table({"stats__rating": np.random.default_rng(1).normal(3.35, 1, 2000)})
    early = SkewAuditor(served.store).run_audit("scoring", NOON, NOON + 58 * MINUTE, training_set=trained)
    rating = of(early.distribution.drift, "stats__rating")
    assert rating.psi is not None
    assert rating.psi > 0.1
    assert rating.verdict == "pass"
    served_values = read_log(served.path, "scoring", end=NOON + 58 * MINUTE)["stats__rating"]
    assert distribution_row("as if independent", trained["stats__rating"], served_values).verdict != "pass"


def test_thresholds_of_the_caller_hold_and_are_in_the_json(served: Repo) -> None:
    given = {
        "minimum_rows": 500,
        "stats": {"psi_act": 40.0, "psi_watch": 30.0},
        "stats__city": {"psi_watch": 0.3, "psi_act": 0.5},
    }
    told = audit(served, thresholds=given)
    assert of(told.distribution.skew, "stats__rating").psi == pytest.approx(
        of(audit(served).distribution.skew, "stats__rating").psi
    )
    thresholds = json.loads(told.to_json())["distribution"]["thresholds"]
    assert thresholds["default"]["minimum_rows"] == 500
    assert thresholds["default"]["psi_act"] == 0.2
    assert thresholds["stats__rating"]["psi_act"] == 40.0
    assert thresholds["stats__city"]["psi_watch"] == 0.3
    assert thresholds["stats__city"]["minimum_rows"] == 500


def test_thresholds_of_tags_hold_unless_the_caller_says_otherwise(tmp_path: Path, served: Repo) -> None:
    del tmp_path
    view = served.store.get_feature_view("stats")
    view.tags = {**view.tags, "skew.psi_act": "0.6"}
    next(field for field in view.features if field.name == "rating").tags = {"skew.psi_act": "0.7"}
    served.store.apply([view])
    try:
        used = audit(served).distribution.thresholds
        assert (used["stats__rating"]["psi_act"], used["stats__city"]["psi_act"]) == (0.7, 0.6)
        used = audit(served, thresholds={"stats__rating": {"psi_act": 0.9}}).distribution.thresholds
        assert used["stats__rating"]["psi_act"] == 0.9
        view.tags = {**view.tags, "skew.psi_act": "much"}
        served.store.apply([view])
        with pytest.raises(AuditError, match=r"tags of view stats: psi_act must be a number, not 'much'"):
            audit(served)
    finally:
        view.tags = {name: value for name, value in view.tags.items() if name != "skew.psi_act"}
        next(field for field in view.features if field.name == "rating").tags = {}
        served.store.apply([view])


def test_a_training_set_of_mixed_types_and_other_dtypes(served: Repo) -> None:
    """One column that has no type hides no other; text against numbers is compared by its nulls, and says so."""
    trained = pd.DataFrame(
        {
            "rating": pd.Series([1.5, "n/a", None, 2] * 100, dtype=object),
            "stats__trips": pd.Series(np.arange(400) % 90, dtype="float32"),
            "city": pd.Series(["city 0", "city 1"] * 200, dtype="category"),
        }
    )
    drift = audit(served, training_set=trained).distribution.drift
    assert {row.feature: row.kind for row in drift} == {
        "stats__rating": "other",
        "stats__trips": "numeric",
        "stats__city": "categorical",
    }
    assert of(drift, "stats__rating").null_rate == (0.25, 0.0)
    assert of(drift, "stats__rating").note == "large_string against double: only null rates are compared"


def test_only_the_most_important_features_where_asked(served: Repo) -> None:
    told = audit(served, importance={"stats__city": 0.5, "stats__trips": 0.2}, top_k=1)
    assert [one.feature for one in told.distribution.skew] == ["stats__city"]
    assert "the distributions are of the 1 most important of 3 features" in told.notes
    assert told.parity.cells == audit(served).parity.cells


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": {"psi_watc": 0.3}}, "there is no threshold 'psi_watc' (did you mean 'psi_watch'?)"),
        ({"thresholds": {"stats__ratin": {"psi_act": 1}}}, "'stats__ratin', which the service has not (did you mean"),
        ({"thresholds": {"psi_act": 0.05}}, "psi_act (0.05) must not be below psi_watch (0.1)"),
        ({"thresholds": {"alpha": 0}}, "alpha must be over 0, not 0.0"),
        ({"thresholds": {"bins": "ten"}}, "bins must be a number, not 'ten'"),
        ({"training_set": pd.DataFrame({"rating": []})}, "the training set has no rows"),
        ({"training_set": pd.DataFrame({"raiting": [1.0]})}, "no column 'stats__rating'"),
        ({"top_k": 3}, "top_k=3 says nothing"),
        ({"importance": {"rating": 1.0}, "top_k": 1}, "'rating', which the service has not"),
    ],
)
def test_bad_input_gets_one_line(served: Repo, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AuditError) as caught:
        audit(served, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
