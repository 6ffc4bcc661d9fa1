"""The watch over a log that Feast itself writes: `{type: feast}`, into the services' own logging destinations."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from feast import FeatureService
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination

from tests.kit import MINUTE, NOON
from tests.watching import Watched, right_cells, webhook


def logging_as_feast_does(path: Path, offline_store: str = "duckdb") -> Watched:
    """Give a repo whose service logs where its own `logging_config` says."""
    skew = {"start_shipper": False, "destination": {"type": "feast"}}
    made = Watched(path, skew=skew, offline_store={"type": offline_store})
    view = made.repo.store.get_feature_view("stats")
    config = LoggingConfig(FileLoggingDestination(path="data/own_log"))
    made.repo.store.apply([FeatureService(name="scoring", features=[view], logging_config=config)])
    return made


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Give one on DuckDB."""
    return logging_as_feast_does(tmp_path / "repo")


@pytest.mark.parametrize("offline_store", ["duckdb", "dask"])
def test_an_incident_is_told_and_heals_over_a_log_that_feast_writes(offline_store: str, tmp_path: Path) -> None:
    watched = logging_as_feast_does(tmp_path / "repo", offline_store)
    with webhook() as alerts:
        watcher = watched.watcher(f"json://{alerts.address}")
        for minute in range(6):
            if minute in (2, 4):
                (watched.spoil if minute == 2 else watched.mend)()
            watched.minute()
            done = watcher.round()
            assert (done.failed, done.services["scoring"].rows) == ({}, 40)
    assert list((watched.repo.path / "data/own_log").rglob("*.parquet"))
    assert alerts.titles() == ["[FAIL] scoring: stats: rating (rescaled)", "[HEALED] scoring: stats: rating (rescaled)"]
    assert watched.cells() == right_cells(160, 80) == watched.window_cells()


def test_a_batch_that_feast_has_twice_is_counted_once(watched: Watched) -> None:
    """After an unknown fate a batch is sent again, and Feast stores it again."""
    watcher = watched.watcher()
    watched.minute()
    watcher.round()
    for file in list((watched.repo.path / "data/own_log").rglob("*.parquet")):
        file.with_name(f"again-{file.name}").write_bytes(file.read_bytes())
    watched.minute()
    watcher.round()
    assert watched.cells() == right_cells(80) == watched.window_cells()
    assert watcher.round().services["scoring"].windows == 0


def test_a_new_watch_goes_on_where_the_old_one_was(watched: Watched) -> None:
    first = watched.watcher()
    watched.minute()
    first.round()
    watched.minute()
    watched.watcher().round()
    assert watched.cells() == right_cells(80)
    assert (watched.repo.path / "data/skew/log-watch/watch.sqlite").exists()


def test_lookups_by_reference_and_an_empty_log_are_no_fault(watched: Watched) -> None:
    """What names no service is in no service's log; a watch of it begins with its first row."""
    watcher = watched.watcher()
    watched.repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    watched.ship()
    watched.now += 2 * MINUTE
    done = watcher.round()
    assert done.failed == {}
    assert [one.rows for one in done.services.values()] in ([], [0])


def test_a_file_that_cannot_be_read_holds_up_no_round_and_its_rows_are_counted_when_it_is_mended(
    watched: Watched,
) -> None:
    """The round goes on without the file; its rows come late, and nothing is skipped."""
    watcher = watched.watcher()
    watched.minute()
    watcher.round()
    file = next((watched.repo.path / "data/own_log").rglob("*.parquet"))
    content = file.read_bytes()
    watched.minute()
    broken = next(one for one in (watched.repo.path / "data/own_log").rglob("*.parquet") if one != file)
    good = broken.read_bytes()
    broken.write_bytes(b"PAR1 and nothing more")
    assert watcher.round().failed == {}
    broken.write_bytes(good)
    file.write_bytes(content)
    assert watcher.round().failed == {}
    assert watched.cells() == right_cells(80)
    assert watched.now == NOON + timedelta(minutes=2)
