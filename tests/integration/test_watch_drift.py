"""Drift against the training set on a real log: told of important features, and when retraining is proposed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from skew_ext import ServingLogger, request_context
from skew_ext.watch.score import score_change
from skew_ext.watch.watcher import Watcher
from skew_ext.watch.windows import DAY
from tests.kit import HOUR, MINUTE, NOON
from tests.watching import DRIVERS, Watched

ROWS = 400


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "repo")


def log_labels(watched: Watched, *, fell: bool) -> None:
    """Log predictions with scores, and their labels: right most of the time before, and after as `fell` says."""
    random = np.random.default_rng(5)
    logger = ServingLogger(watched.repo.store)
    for number in range(2 * ROWS):
        recent = number >= ROWS
        at = watched.now - (12 * HOUR if recent else 3 * DAY) + timedelta(seconds=number)
        label = bool(random.random() < 0.5)
        told = random.random() < (0.55 if recent and fell else 0.9)
        score = float(random.uniform(0.5, 1) if label == told else random.uniform(0, 0.5))
        with request_context(served_at=at):
            logger.log_prediction(f"r{number}", score >= 0.5, score=score)
            logger.log_label(f"r{number}", label=label, observed_at=at + HOUR)
    watched.ship()


def off_training(watched: Watched) -> Watcher:
    """Give a watch whose training set has other ratings and trips than are served."""
    numbers = np.random.default_rng(1)
    training = pa.table({"stats__rating": numbers.normal(40, 1, 500), "trips": numbers.integers(0, 9, 500)})
    return watched.watcher(training_set=training, important=("rating",))


def drift(watched: Watched, rounds: int = 5) -> Watcher:
    watcher = off_training(watched)
    for _ in range(rounds):
        watched.minute(lookups=5)
        assert watcher.round().failed == {}
    return watcher


@pytest.mark.parametrize("fell", [True, False])
def test_retraining_is_proposed_once_the_score_fell(watched: Watched, *, fell: bool) -> None:
    log_labels(watched, fell=fell)
    change = score_change(watched.repo.store, watched.now)
    assert change is not None
    assert (change.measure, change.fell) == ("AUC", fell)
    drift(watched)
    (incident,) = watched.kept.incidents()
    assert (incident.group, incident.cause) == ("stats__rating", "psi_drift")  # the trips are not important
    assert incident.proposal.startswith("retrain: ") is fell


def test_retraining_is_not_proposed_while_something_is_broken(watched: Watched) -> None:
    log_labels(watched, fell=True)
    watched.spoil()
    drift(watched)
    assert {one.cause: one.proposal for one in watched.kept.incidents()} == {"psi_drift": "", "rescaled": ""}


def test_psi_against_both_references_is_told(watched: Watched) -> None:
    watcher = drift(watched, rounds=3)
    service = watcher.view.services["scoring"]
    assert set(service.training.spreads) == {"stats__rating", "stats__trips"}
    assert service.windows["1h"].features["stats__rating"].served_rows == 3 * 5 * len(DRIVERS)
    assert watched.now == NOON + 3 * MINUTE


def test_without_labels_there_is_no_score(watched: Watched) -> None:
    assert score_change(watched.repo.store, watched.now) is None
