"""Which of a source's rows an audit reads: those of the keys, and of the features, that it asks of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from skew_ext.baseline.evidence import fetch
from skew_ext.baseline.plan import plan_views
from skew_ext.baseline.source_rows import rows_of
from tests.kit import HOUR, NOON, Repo, row

FIRST, LAST = 0, int((NOON + HOUR).timestamp()) * 1_000_000


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    repo = Repo(tmp_path_factory.mktemp("rows") / "repo")
    repo.write([row(driver, NOON - hour * HOUR, driver + hour, hour, "x") for driver in range(50) for hour in range(3)])
    return repo


class Job:
    """A job of ibis's, that counts how often all of it was read."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.whole = 0

    def to_arrow(self) -> pa.Table:
        self.whole += 1
        return self.table.to_pyarrow()


def test_only_the_features_that_are_asked_of_have_values(repo: Repo) -> None:
    view = next(one for one in plan_views(repo.store, repo.store.get_feature_service("scoring")) if not one.on_demand)
    log = pa.table({"driver": pa.array([3, 7, 3])})
    every, keys = fetch(repo.store, view, log, FIRST, LAST)
    some, same_keys = fetch(repo.store, view, log, FIRST, LAST, ["rating"])
    assert set(some.values) == {"rating"} < set(every.values)
    assert some.values["rating"].equals(every.values["rating"])
    assert np.array_equal(some.events, every.events)
    assert np.array_equal(keys, same_keys)
    assert len(every.events) == 6


@pytest.mark.parametrize(
    ("source", "logged", "whole"),
    [
        (pa.array([1, 2, 2, None], pa.int32()), pa.array([2, 2, 9, None]), 0),
        (pa.array(["1", "2", "2", None]), pa.array(["2", None]), 0),
        (pa.array(["1", "2", "2", None]), pa.array([2]), 1),  # the reader casts: nothing may be left out before
    ],
)
def test_duckdb_gives_the_rows_of_the_logged_keys(
    source: pa.Array, logged: pa.Array, whole: int, tmp_path: Path
) -> None:
    file = str(tmp_path / "source.parquet")
    ibis.memtable(pa.table({"key": source, "value": pa.array([1.0, 2.0, 3.0, 4.0])})).to_parquet(file)
    job = Job(ibis.read_parquet(file))
    found = rows_of(job, ["key", "value"], {"key": logged})
    assert job.whole == whole
    assert {2.0, 3.0} <= set(found["value"].to_pylist()) <= {1.0, 2.0, 3.0, 4.0}
    assert found.num_rows == (4 if whole else 2)
