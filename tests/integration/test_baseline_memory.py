"""DuckDB is held to a limit while an audit runs, and has its own back afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from skew_ext.baseline import duckdb_memory
from skew_ext.baseline.duckdb_memory import bounded_duckdb, lift_duckdbs_limit
from skew_ext.baseline.duckdb_threads import backend_of_this_thread
from skew_ext.baseline.narrowed import narrowed
from skew_ext.baseline.plan import plan_views
from skew_ext.baseline.retrieval import point_in_time
from skew_ext.schema import LOG_TIMESTAMP
from tests.kit import HOUR, NOON, Repo, row


class OutOfMemoryError(Exception):
    """As DuckDB's own is named."""


def limit() -> float:
    backend: Any = ibis.get_backend()
    return duckdb_memory._bytes(duckdb_memory._setting(backend.con, "memory_limit"))


def threads() -> int:
    backend: Any = ibis.get_backend()
    return int(duckdb_memory._setting(backend.con, "threads"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return Repo(tmp_path_factory.mktemp("memory") / "repo")


def test_the_limit_holds_inside_and_goes_by(repo: Repo) -> None:
    before = limit()
    assert before > duckdb_memory.LIMITS[1]
    with bounded_duckdb(repo.store):
        assert limit() == pytest.approx(duckdb_memory.LIMITS[1], rel=0.01)
    assert limit() == before
    with pytest.raises(OutOfMemoryError), bounded_duckdb(repo.store):
        raise OutOfMemoryError
    assert limit() == before


def test_a_lower_limit_of_the_users_stands(repo: Repo) -> None:
    backend: Any = ibis.get_backend()
    backend.con.execute("SET memory_limit = '200MB'")
    try:
        with bounded_duckdb(repo.store):
            assert limit() < 210_000_000
    finally:
        backend.con.execute("RESET memory_limit")


def test_what_needs_more_gets_it(repo: Repo) -> None:
    before = limit()
    assert not lift_duckdbs_limit(repo.store, OutOfMemoryError())
    with bounded_duckdb(repo.store):
        assert not lift_duckdbs_limit(repo.store, ValueError())
        assert lift_duckdbs_limit(repo.store, OutOfMemoryError())
        assert limit() > duckdb_memory.LIMITS[1]
        assert lift_duckdbs_limit(repo.store, OutOfMemoryError())  # as another thread says, which failed meanwhile
    assert limit() == before


def test_a_limit_of_the_users_is_not_lifted(repo: Repo) -> None:
    backend: Any = ibis.get_backend()
    backend.con.execute("SET memory_limit = '200MB'")
    try:
        with bounded_duckdb(repo.store):
            assert not lift_duckdbs_limit(repo.store, OutOfMemoryError())
            assert limit() < 210_000_000
    finally:
        backend.con.execute("RESET memory_limit")


def test_a_query_beside_another_one_takes_the_place_of_a_thread(repo: Repo) -> None:
    backend: Any = ibis.get_backend()
    backend.con.execute("SET threads = 4")
    try:
        with bounded_duckdb(repo.store, 2):
            assert threads() == 3
            assert limit() == pytest.approx(duckdb_memory.LIMITS[2], rel=0.01)
        with bounded_duckdb(repo.store):
            assert threads() == 4
        backend.con.execute("SET threads = 1")
        with bounded_duckdb(repo.store, 2):
            assert threads() == 1
    finally:
        backend.con.execute("RESET threads")


def test_the_limit_is_lifted_while_another_thread_retrieves(repo: Repo) -> None:
    query = "SELECT sum(a.range * b.range) FROM range(20000) a, range(10000) b"
    with bounded_duckdb(repo.store, 2), ThreadPoolExecutor(1) as others:
        busy = others.submit(lambda: backend_of_this_thread().con.execute(query).fetchall())
        assert lift_duckdbs_limit(repo.store, OutOfMemoryError())
        assert busy.result()


def test_an_audit_that_needs_more_memory_than_the_limit_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_memory, "LIMITS", {1: 20_000_000, 2: 20_000_000})
    rows = 200_000
    repo = Repo(tmp_path / "repo")
    repo.write([row(key, NOON, rating=float(key)) for key in range(rows)])
    log = pa.table({"driver": range(rows), LOG_TIMESTAMP: pa.array([NOON + HOUR] * rows, pa.timestamp("us", "UTC"))})
    store, service = narrowed(repo.store), repo.store.get_feature_service("scoring")
    with bounded_duckdb(store, 2), ThreadPoolExecutor(2) as pool:
        make = partial(point_in_time, store, service, plan_views(store, service), log)
        for baseline in (one.result() for one in [pool.submit(make) for _ in range(2)]):
            assert baseline.columns["stats__rating"].to_pylist() == [float(key) for key in range(rows)]
        assert limit() > 21_000_000  # or it was not needed


def test_other_stores_are_left_alone(tmp_path: Path) -> None:
    other = Repo(tmp_path / "dask", offline_store={"type": "dask"})
    before = limit()
    with bounded_duckdb(other.store):
        assert limit() == before
