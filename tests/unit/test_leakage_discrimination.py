"""AUC and its interval, held against scikit-learn and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from skew_ext.leakage.discrimination import auc, auc_interval, design_effect, r2_interval
from skew_ext.leakage.scoring import folds_of, held_out


@pytest.mark.parametrize("seed", range(20))
def test_auc_is_that_of_scikit_learn_ties_and_infinities_included(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, random.integers(2, 50), 200).astype(np.float64)
    positive = random.random(200) < 0.3
    ours = auc(np.where(scores == 0, -np.inf, scores), positive)
    assert ours == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


@pytest.mark.parametrize(("members", "rest", "shift"), [(30, 30, 2.0), (20, 400, 2.0), (60, 60, 3.0)])
def test_the_interval_covers_the_true_auc(members: int, rest: int, shift: float) -> None:
    true = float(norm.cdf(shift / np.sqrt(2)))
    random = np.random.default_rng(7)
    positive = np.arange(members + rest) < members
    covered = 0
    for _ in range(400):
        scores = random.normal(size=members + rest) + shift * positive
        low, high = auc_interval(auc(scores, positive), members, rest)
        covered += low <= true <= high
    assert covered / 400 > 0.92


def test_the_interval_has_a_width_at_the_ends_and_narrows_with_members() -> None:
    few, many = auc_interval(1.0, 20, 20), auc_interval(1.0, 2000, 2000)
    assert few[1] == many[1] == 1.0
    assert 0.85 < few[0] < 0.95 < many[0] < 1.0
    low, high = auc_interval(0.0, 20, 20)
    assert (low, high) == pytest.approx((0.0, 1 - few[0]), abs=1e-6)
    assert auc_interval(0.9, 1, 1)[0] < 0.3


def test_the_interval_of_r2_narrows_with_rows_and_says_nothing_of_three() -> None:
    assert r2_interval(0.9, 3) == (0.0, 1.0)
    wide, narrow = r2_interval(0.9, 20), r2_interval(0.9, 2000)
    assert wide[0] < narrow[0] < 0.9 < narrow[1] < wide[1] < 1.0
    assert r2_interval(1.0, 100)[0] > 0.99


def test_rows_of_one_entity_count_by_how_alike_they_are() -> None:
    groups = np.repeat(np.arange(50), 20)
    random = np.random.default_rng(0)
    assert design_effect(np.repeat(random.normal(size=50), 20), groups) == pytest.approx(20)
    assert design_effect(random.normal(size=1000), groups) < 2
    assert design_effect(random.normal(size=1000), np.arange(1000)) == 1
    assert design_effect(random.normal(size=1000), np.zeros(1000, dtype=np.int64)) == 1000


def test_rows_of_one_entity_are_held_out_together() -> None:
    groups = np.repeat(np.arange(30), 7)
    folds = folds_of(groups)
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in range(30))
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}


def test_what_is_held_out_does_not_know_its_own_value() -> None:
    codes = np.arange(100)
    values = np.random.default_rng(0).integers(0, 2, 100).astype(np.float64)
    assert set(held_out(codes, values, folds_of(codes)).tolist()) == {0.0}
