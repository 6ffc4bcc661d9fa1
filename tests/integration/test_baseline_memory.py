"""DuckDB is held to a limit while an audit runs, and has its own back afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import pytest

from skew_ext.baseline import duckdb_memory
from skew_ext.baseline.duckdb_memory import bounded_duckdb, lift_duckdbs_limit
from tests.kit import Repo


class OutOfMemoryError(Exception):
    """As DuckDB's own is named."""


def limit() -> float:
    backend: Any = ibis.get_backend()
    return duckdb_memory._bytes(duckdb_memory._limit(backend.con))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return Repo(tmp_path_factory.mktemp("memory") / "repo")


def test_the_limit_holds_inside_and_goes_by(repo: Repo) -> None:
    before = limit()
    assert before > duckdb_memory.LIMIT
    with bounded_duckdb(repo.store):
        assert limit() == pytest.approx(duckdb_memory.LIMIT, rel=0.01)
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


def test_what_needs_more_gets_it_once(repo: Repo) -> None:
    before = limit()
    with bounded_duckdb(repo.store):
        assert not lift_duckdbs_limit(repo.store, ValueError())
        assert lift_duckdbs_limit(repo.store, OutOfMemoryError())
        assert limit() > duckdb_memory.LIMIT
        assert not lift_duckdbs_limit(repo.store, OutOfMemoryError())
    assert limit() == before


def test_other_stores_are_left_alone(tmp_path: Path) -> None:
    other = Repo(tmp_path / "dask", offline_store={"type": "dask"})
    before = limit()
    with bounded_duckdb(other.store):
        assert limit() == before
