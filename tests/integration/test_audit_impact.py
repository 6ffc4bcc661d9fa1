"""What differing cells did to a model: decisions flipped, scores moved, by cause and by feature."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skew_ext import SkewAuditor, request_context
from skew_ext.auditor import first_pass
from skew_ext.model import Impact
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

DRIVERS = range(20)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Give a repo whose drivers 0 to 9 are missing online and whose others are stale."""
    repo = Repo(tmp_path_factory.mktemp("impact") / "repo")
    rows = [row(driver, NOON + hour * HOUR, float(hour), 10 * hour, "x") for driver in DRIVERS for hour in range(2)]
    repo.write([one for one in rows if one["driver"] >= 10])
    repo.materialize(NOON + MINUTE)
    repo.write(rows)
    for at in (NOON + 2 * MINUTE, NOON + 62 * MINUTE):
        with request_context(served_at=at):
            service = repo.store.get_feature_service("scoring")
            repo.store.get_online_features(service, [{"driver": driver} for driver in DRIVERS])
    Shipper(repo.path / "data/skew/spool").drain()
    return repo


def impact(repo: Repo, model: Any, **options: Any) -> Impact:
    report = SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + 2 * HOUR, model=model, **options)
    assert report.impact is not None
    assert json.loads(report.to_json())["impact"]["rows"] == report.rows
    return report.impact


def score(frame: pd.DataFrame) -> Any:
    """Score by the rating alone, an absent one as 0.25."""
    return frame["stats__rating"].fillna(0.25)


def test_flips_and_changes_by_cause_and_feature(repo: Repo) -> None:
    found = impact(repo, score)
    # Served: nothing, twice, for ten drivers (0 and then 1 in training), and 0 for 1 an hour later for the other ten.
    assert (found.rows, found.overall.rows, found.overall.flipped, found.overall.share) == (40, 30, 20, 0.5)
    assert found.overall.largest_change == 1.0
    assert found.overall.mean_change == pytest.approx((10 * 0.25 + 10 * 0.75 + 10 * 1.0) / 30)
    causes = {one.what: (one.rows, one.flipped, one.mean_change) for one in found.by_cause}
    assert causes == {"stale_online": (10, 10, 1.0), "missing_online": (20, 10, 0.5)}
    features = {one.what: (one.flipped, one.mean_change) for one in found.by_feature}
    assert features == {"stats__rating": (20, pytest.approx(2 / 3)), "stats__trips": (0, 0.0), "stats__city": (0, 0.0)}


def test_the_threshold_is_the_callers(repo: Repo) -> None:
    assert impact(repo, score, threshold=0.1).overall.flipped == 20  # 0.25 for 0, and 0 for 1
    assert impact(repo, score, threshold=2.0).overall.flipped == 0


def test_blocks_add_up(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = impact(repo, score)
    monkeypatch.setattr(first_pass, "EXPLAINED_CELLS", 12)
    parts = impact(repo, score)
    assert parts.overall.flipped == whole.overall.flipped
    assert parts.overall.mean_change == pytest.approx(whole.overall.mean_change)
    assert {(one.what, one.flipped) for one in parts.by_cause} == {(one.what, one.flipped) for one in whole.by_cause}


def test_probabilities_of_two_classes_stand_for_the_second(repo: Repo) -> None:
    def proba(frame: pd.DataFrame) -> Any:
        second = score(frame).to_numpy()
        return np.stack([1 - second, second], axis=1)

    assert impact(repo, proba) == impact(repo, score)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda frame: frame["rating"], "the model could not be scored: KeyError: 'rating'"),
        (lambda _: np.zeros(3), r"ValueError: it gave \(3,\) scores for \d+ rows"),
        (lambda _: ["a", "b"], "the model could not be scored: ValueError: could not convert"),
    ],
)
def test_a_model_that_fails_is_said_and_the_audit_stands(repo: Repo, model: Any, says: str) -> None:
    found = impact(repo, model)
    assert found.error is not None
    assert re.search(says, found.error)
    assert found.by_cause == []


def test_clean_traffic_has_no_impact_and_asks_nothing_of_the_model(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write([row(1, NOON, 1.0, 1, "x")])
    repo.materialize(NOON + MINUTE)
    with request_context(served_at=NOON + 2 * MINUTE):
        repo.store.get_online_features(repo.store.get_feature_service("scoring"), [{"driver": 1}])
    Shipper(repo.path / "data/skew/spool").drain()
    found = impact(repo, lambda _: pytest.fail("nothing differs"))
    assert (found.overall.rows, found.overall.flipped, found.error) == (0, 0, None)
