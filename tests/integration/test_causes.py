"""The audit against the test kit: each cause alone, causes at odds in one feature, all at once, and nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from skew_ext.testing import (
    FAULTS,
    LOOKUPS,
    PAYMENTS,
    Confusion,
    FaultyRepo,
    PostgresSources,
    Timeline,
    confusion,
    total,
)
from tests.servers import PostgresServer, RedisServer

ENOUGH = 0.99
EVERYTHING = {**dict.fromkeys(FAULTS, 0.9 / len(FAULTS)), **dict.fromkeys(LOOKUPS, 0.1)}


def audited(folder: Path, faults: Mapping[str, float], seed: int, **options: object) -> Confusion:
    repo = FaultyRepo(folder, faults, seed=seed, **options)  # type: ignore[arg-type]
    repo.serve()
    _, cells = repo.audit()
    return confusion(cells, repo.truth)


def assert_named(matrix: Confusion, *causes: str) -> None:
    table = matrix.table()
    assert set(table.index) == set(causes), matrix.matrix.to_string()
    assert table[["recall", "precision"]].to_numpy().min() >= ENOUGH, matrix.matrix.to_string()


@pytest.mark.parametrize("cause", [*FAULTS, *LOOKUPS])
def test_one_cause_alone(tmp_path: Path, cause: str) -> None:
    matrix = audited(tmp_path, {cause: 0.4}, seed=len(cause), keys=60, views=[PAYMENTS])
    assert_named(matrix, cause)
    assert matrix.matrix.to_numpy().sum() >= 15


@pytest.mark.parametrize(
    "faults",
    [
        {"stale_online": 0.54, "rescaled": 0.36},
        {"timestamp_shift": 0.36, "swapped_feature": 0.54},
        {"precision": 0.3, "rescaled": 0.3, "unexplained": 0.3},
        {"default_filled": 0.5, "type_coercion": 0.3},
        {"late_arrival": 0.3, "restated": 0.3, "evicted_online": 0.3},
    ],
    ids=" and ".join,
)
def test_causes_at_odds_in_one_feature(tmp_path: Path, faults: dict[str, float]) -> None:
    assert_named(audited(tmp_path, faults, seed=7, keys=90), *faults)


def test_every_cause_at_once(tmp_path: Path) -> None:
    # Of events at any time, and of events on the half hour, where every shifted event falls on another one.
    matrices = [
        audited(tmp_path / str(regular), EVERYTHING, seed=1, keys=200, batch=4, times=Timeline(regular=regular))
        for regular in (False, True)
    ]
    assert_named(total(matrices), *EVERYTHING)


def test_every_cause_at_once_in_redis(tmp_path: Path, redis_db: RedisServer) -> None:
    online = {"type": "redis", "connection_string": redis_db.connection_string}
    assert_named(audited(tmp_path, EVERYTHING, seed=11, keys=200, online=online), *EVERYTHING)


def test_every_cause_at_once_from_postgres(tmp_path: Path, postgres_database: PostgresServer) -> None:
    where = postgres_database
    sources = PostgresSources(
        {
            "host": where.host,
            "port": where.port,
            "database": where.dbname,
            "db_schema": "public",
            "user": where.user,
            "password": where.password,
            "sslmode": "disable",
        }
    )
    assert_named(audited(tmp_path, EVERYTHING, seed=12, keys=200, sources=sources), *EVERYTHING)


def test_clean_traffic_gives_no_finding(tmp_path: Path) -> None:
    for seed in range(24):
        repo = FaultyRepo(tmp_path / str(seed), seed=seed, keys=10)
        repo.serve()
        report, cells = repo.audit()
        assert (report.verdict, report.findings, len(cells)) == ("pass", [], 0)
        assert report.parity.cells == 10 * 3 * 19
