"""The test kit: the same seed makes the same repo, its truth is what it put in, and its errors say what is wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from feast.types import Array, Bool, Float64, Int64, String

from skew_ext import SkewError
from skew_ext.report.words import CAUSES
from skew_ext.testing import (
    FAULTS,
    LOOKUPS,
    PAYMENTS,
    FaultyRepo,
    SyntheticFeature,
    SyntheticView,
    Timeline,
    confusion,
)
from skew_ext.testing.draws import nullable, whole

SHORT = Timeline(rounds=2)


def served(folder: Path, seed: int, **faults: float) -> FaultyRepo:
    repo = FaultyRepo(folder, faults, seed=seed, keys=20, views=[PAYMENTS], times=SHORT)
    repo.serve()
    return repo


def test_the_same_seed_makes_the_same_repo(tmp_path: Path) -> None:
    faults = {"stale_online": 0.2, "rescaled": 0.2, "transform_version": 0.2}
    one, same, other = (served(tmp_path / str(n), seed, **faults) for n, seed in enumerate((3, 3, 4)))
    pd.testing.assert_frame_equal(one.truth, same.truth)
    assert not one.truth.equals(other.truth)
    _, cells = one.audit()
    _, again = same.audit()
    pd.testing.assert_frame_equal(cells, again)


SPARSE = SyntheticView(
    name="sparse",
    keys={"account": (pa.int64(), lambda number: number)},
    features={
        "refunds": SyntheticFeature(Int64, pa.int64(), nullable(0.5, whole(0, 400))),
        "active": SyntheticFeature(Bool, pa.bool_(), nullable(0.5, lambda random: bool(random.integers(2)))),
        "tags": SyntheticFeature(Array(String), pa.list_(pa.string()), nullable(0.5, lambda _: ["x"])),
    },
    ttl=timedelta(hours=3),
)


def test_a_default_has_the_type_of_its_column(tmp_path: Path) -> None:
    repo = FaultyRepo(tmp_path, {"default_filled": 1.0}, seed=1, keys=30, views=[SPARSE], times=SHORT)
    repo.serve()
    # Nobody writes a default for a list.
    assert set(repo.truth["feature"]) == {"sparse__refunds", "sparse__active"}


def test_a_row_past_its_ttl_is_expired_where_training_has_nothing_newer_of_value(tmp_path: Path) -> None:
    repo = FaultyRepo(
        tmp_path, {"stale_online": 0.5}, seed=1, keys=20, views=[SPARSE], times=Timeline(rounds=4), batch=4
    )
    repo.serve()
    _, cells = repo.audit()
    assert set(repo.truth["cause"]) == {"stale_online", "expired_served"}
    table = confusion(cells, repo.truth).table()
    assert table[["recall", "precision"]].to_numpy().min() == 1


def test_a_share_of_keys_is_a_share_of_cells(tmp_path: Path) -> None:
    repo = served(tmp_path, 1, missing_online=0.25)
    amounts = repo.truth[repo.truth["feature"] == "payments__amount"]
    assert set(amounts["cause"]) == {"missing_online"}
    assert len(amounts) == 0.25 * 20 * 2


def test_audit_cells_and_report_agree(tmp_path: Path) -> None:
    repo = served(tmp_path, 2, missing_online=0.25, stale_online=0.25)
    report, cells = repo.audit()
    counts = cells.groupby(["feature", "cause"]).size().to_dict()
    told = {(one.feature, cause): count for one in report.parity.features for cause, count in one.causes.items()}
    assert counts == told
    matrix = confusion(cells, repo.truth)
    assert matrix.table()["cells"].to_dict() == repo.truth["cause"].value_counts().to_dict()


def test_a_world_without_faults_has_no_truth_and_no_finding(tmp_path: Path) -> None:
    repo = served(tmp_path, 5)
    report, cells = repo.audit()
    assert (len(repo.truth), len(cells), report.findings, report.verdict) == (0, 0, [], "pass")
    assert confusion(cells, repo.truth).table().empty


def test_every_cause_of_the_table_has_an_injector() -> None:
    assert {*FAULTS, *LOOKUPS} == set(CAUSES)


def test_a_view_of_ones_own(tmp_path: Path) -> None:
    shop = SyntheticView(
        name="shop",
        keys={"shop": (pa.string(), lambda number: f"shop {number}")},
        features={"stock": SyntheticFeature(Float64, pa.float64(), lambda random: float(random.normal()))},
        has_created=False,
    )
    # Without created times rows cannot be told to have come late: that fault does not befall such a view.
    repo = FaultyRepo(tmp_path, {"rescaled": 0.5, "late_arrival": 0.5}, seed=2, keys=12, views=[shop], times=SHORT)
    repo.serve()
    _, cells = repo.audit()
    assert confusion(cells, repo.truth).table().to_dict("index") == {
        "rescaled": {"cells": 12, "recall": 1.0, "precision": 1.0}
    }
    with pytest.raises(SkewError, match="two views have a feature 'stock': give features of different views different"):
        FaultyRepo(tmp_path / "other", views=[shop, shop])


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"stale_onlin": 0.5}, r"no fault 'stale_onlin' \(did you mean 'stale_online'\?\); there are: future_served"),
        ({"rescaled": 0.7, "stale_online": 0.4}, r"the shares of keys add up to 1\.1: give at most 1 in all"),
        ({"rescaled": -0.1}, r"the share of 'rescaled' is -0\.1: give one from 0 to 1"),
    ],
)
def test_bad_input_gets_one_line(tmp_path: Path, faults: dict[str, float], says: str) -> None:
    with pytest.raises(SkewError, match=says):
        FaultyRepo(tmp_path, faults)
