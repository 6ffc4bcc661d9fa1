"""The demo's replay, held against its own truth: what was served, what was logged, what the audit says of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from skew_ext import read_log
from skew_ext.demo.run import run_demo
from skew_ext.report import Report

DAYS = 2


@pytest.fixture(scope="module")
def stale(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report, str]:
    folder = tmp_path_factory.mktemp("demo")
    console = Console(file=io.StringIO(), width=100)
    report = run_demo(folder, "stale", DAYS, console, progress=False)
    return folder, report, console.file.getvalue()  # type: ignore[attr-defined]


def truth_of(folder: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    return truth


@pytest.mark.slow
def test_audit_finds_what_the_replay_did(stale: tuple[Path, Report, str]) -> None:
    folder, report, _ = stale
    truth = truth_of(folder)
    found = {feature.feature: feature.causes for feature in report.parity.features if feature.causes}
    assert found == truth["causes"]
    assert report.verdict == "fail"
    for feature in report.parity.features:
        if feature.lag is not None:
            lag = truth["lag_seconds"][feature.feature]
            assert (feature.lag.p50, feature.lag.p95, feature.lag.max) == pytest.approx(tuple(lag.values()))


@pytest.mark.slow
def test_every_departure_is_logged_once_under_its_own_id(stale: tuple[Path, Report, str]) -> None:
    folder, report, _ = stale
    log = read_log(folder / "feature_repo", "departure_delay")
    asked = pq.read_table(folder / "predictions.parquet")
    assert log.num_rows == report.rows == truth_of(folder)["lookups"] == asked.num_rows
    assert sorted(log["__request_id"].to_pylist()) == sorted(asked["request_id"].to_pylist())
    served_at = dict(zip(log["__request_id"].to_pylist(), log["__log_timestamp"].to_pylist(), strict=True))
    assert served_at == dict(zip(asked["request_id"].to_pylist(), asked["event_timestamp"].to_pylist(), strict=True))


@pytest.mark.slow
def test_served_event_times_are_those_that_were_online(stale: tuple[Path, Report, str]) -> None:
    folder, _, _ = stale
    log = read_log(folder / "feature_repo", "departure_delay").to_pylist()
    served = {row["__request_id"]: row for row in log}
    for row in pq.read_table(folder / "rows_online.parquet").to_pylist():
        column = {"origin_weather": "temp", "carrier_delay": "late_share", "plane_history": "made_up"}[row["view"]]
        assert served[row["request_id"]][f"{row['view']}__{column}__timestamp"] == row["online"]


@pytest.mark.slow
def test_nothing_from_the_future_was_online(stale: tuple[Path, Report, str]) -> None:
    folder, _, _ = stale
    asked = pq.read_table(folder / "predictions.parquet")
    times = dict(zip(asked["request_id"].to_pylist(), asked["event_timestamp"].to_pylist(), strict=True))
    rows = pq.read_table(folder / "rows_online.parquet").to_pylist()
    assert all(row["online"] is None or row["online"] <= times[row["request_id"]] for row in rows)


@pytest.mark.slow
def test_demo_says_what_it_did_and_where_it_lies(stale: tuple[Path, Report, str]) -> None:
    folder, _, said = stale
    assert "Materialization stops for six hours." in said
    assert "FAIL" in said
    assert "AUC" in said
    assert str(folder / "report.html") in said.replace("\n", "")
    assert (folder / "report.html").stat().st_size > 1000
    assert json.loads((folder / "report.json").read_text())["verdict"] == "fail"


@pytest.mark.slow
def test_clean_replay_passes(tmp_path: Path) -> None:
    report = run_demo(tmp_path / "demo", "none", DAYS, Console(file=io.StringIO()), progress=False)
    found = {feature.feature: feature.causes for feature in report.parity.features if feature.causes}
    assert found == truth_of(tmp_path / "demo")["causes"]
    assert report.verdict == "pass"
