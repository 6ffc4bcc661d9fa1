"""The audit against worlds of every shape, size and mixture that the test kit draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skew_ext.testing import (
    FAULTS,
    HALF,
    LOOKUPS,
    PAIRS,
    PAYMENTS,
    SERVICE,
    SHAPES,
    Confusion,
    FaultyRepo,
    Timeline,
    confusion,
    drawn_worlds,
    total,
)

ENOUGH = 0.99
EVERY_SHAPE = [PAYMENTS, *SHAPES.values()]
pytestmark = pytest.mark.filterwarnings("ignore:Stream feature views are experimental")


def matrix_of(repo: FaultyRepo, service: str = SERVICE) -> Confusion:
    _, cells = repo.audit(service)
    return confusion(cells, repo.truth_of(service))


def assert_named(matrix: Confusion, *causes: str) -> None:
    table = matrix.table()
    assert set(table.index) == set(causes), matrix.matrix.to_string()
    assert table[["recall", "precision"]].to_numpy().min() >= ENOUGH, matrix.matrix.to_string()


def test_faults_in_every_shape_of_view_through_two_services(tmp_path: Path) -> None:
    faults = dict.fromkeys(("stale_online", "late_arrival", "rescaled", "timestamp_shift"), 0.22)
    repo = FaultyRepo(
        tmp_path,
        faults,
        seed=5,
        keys=160,
        views=EVERY_SHAPE,
        batch=8,
        strangers=3,
        two_services=True,
        full_feature_names=True,
    )
    repo.serve()
    assert_named(total([matrix_of(repo), matrix_of(repo, HALF)]), *faults)


def test_clean_traffic_of_every_shape_gives_no_finding(tmp_path: Path) -> None:
    shaped: dict[str, Any] = {"views": EVERY_SHAPE, "two_services": True, "full_feature_names": True}
    repo = FaultyRepo(tmp_path, seed=6, keys=40, batch=5, strangers=3, **shaped)
    repo.serve()
    for service in (SERVICE, HALF):
        report, cells = repo.audit(service)
        assert (report.verdict, report.findings, len(cells)) == ("pass", [], 0)
        # Feast leaves on-demand outputs out under full feature names: there is nothing to compare.
        assert all("exposures" not in row.feature for row in report.distribution.skew)


def test_two_faults_in_one_cell(tmp_path: Path) -> None:
    pairs = {
        "stale_online+rescaled": 0.25,
        "late_arrival+precision": 0.25,
        "expired_served+swapped_feature": 0.2,
        "evicted_online+default_filled": 0.25,
    }
    repo = FaultyRepo(tmp_path, pairs, seed=8, keys=120, batch=4)
    repo.serve()
    # A value past its TTL should not have been served, whatever became of it.
    assert_named(matrix_of(repo), *{name for pair in pairs for name in pair.split("+")} - {"swapped_feature"})


@pytest.mark.parametrize("cause", ["future_served", "expired_served", "restated", "late_arrival", "stale_online"])
def test_a_window_of_one_row(tmp_path: Path, cause: str) -> None:
    repo = FaultyRepo(tmp_path, {cause: 1.0}, seed=3, keys=1, views=[PAYMENTS], times=Timeline(rounds=1))
    repo.serve()
    assert_named(matrix_of(repo), cause)


def test_a_clean_window_of_one_row(tmp_path: Path) -> None:
    repo = FaultyRepo(tmp_path, seed=4, keys=1, times=Timeline(rounds=1))
    repo.serve()
    report, _ = repo.audit()
    assert (report.rows, report.verdict, report.findings) == (1, "pass", [])


def test_the_worlds_of_seeds_have_every_fault_and_every_shape() -> None:
    worlds = [world for seed in range(2 * len(PAIRS)) for world in drawn_worlds(seed)]
    assert {name for world in worlds for name in world.faults} == {*FAULTS, *LOOKUPS, *PAIRS}
    shapes = {view.name for world in worlds for view in world.options.get("views", ())}
    assert shapes == {PAYMENTS.name, *SHAPES}
    assert {world.options["keys"] for world in worlds} == {1, 40, 120, 240, 1600}
    assert list(drawn_worlds(7)) == list(drawn_worlds(7))
