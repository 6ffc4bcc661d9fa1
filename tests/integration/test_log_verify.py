"""Rows that were stored and are gone: `skew log stats --verify` and the audit say so; what was pruned is not gone."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from skew_ext import SkewAuditor, request_context
from skew_ext.cli.main import cli
from skew_ext.errors import AuditError
from skew_ext.log.pruning import prune_log
from skew_ext.repo import settings_of
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, NOON, Repo
from tests.law import make_repo, spool

DAY = timedelta(days=1)
MOVED = "start_shipper: false\n  destination: {path: other}"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = make_repo(tmp_path / "repo")
    for days in (0, 0, 1):
        look(made, days)
        Shipper(spool(made)).drain()
    return made


def look(repo: Repo, days: int) -> None:
    with request_context(served_at=NOON - HOUR / 2 - days * DAY):
        repo.store.get_online_features(repo.store.get_feature_service("scoring"), {"driver": [1, 2]})


def verified(repo: Repo) -> tuple[int, list[dict[str, object]]]:
    done = CliRunner().invoke(cli, ["-c", str(repo.path), "log", "stats", "--verify", "--json", "-"])
    return done.exit_code, json.loads(done.stdout)["missing"]


def days_of(repo: Repo) -> list[Path]:
    return sorted((repo.path / "data/skew/log").glob("*/__log_date=*"))


def test_a_log_that_is_whole_is_verified(repo: Repo) -> None:
    assert verified(repo) == (0, [])
    report = SkewAuditor(repo.store).run_audit("scoring", NOON - DAY, NOON)
    assert not [one for one in report.findings if one.code == "incomplete_log"]


def test_a_file_that_is_gone_is_named_by_its_day(repo: Repo) -> None:
    (file,) = days_of(repo)[-1].glob("*.parquet")  # one since its small files were merged
    file.unlink()
    day = NOON.date().isoformat()
    missing = [{"feature_service": "scoring", "day": day, "stored": 4, "there": 0}]
    assert verified(repo) == (1, missing)
    report = SkewAuditor(repo.store).run_audit("scoring", NOON - DAY - HOUR, NOON)
    (finding,) = [one for one in report.findings if one.code == "incomplete_log"]
    assert finding.message.startswith(f"4 of 4 rows of 'scoring' that were stored for {day} are gone from the log")
    assert report.verdict != "pass"
    earlier = SkewAuditor(repo.store).run_audit("scoring", NOON - DAY - HOUR, NOON - DAY)
    assert not [one for one in earlier.findings if one.code == "incomplete_log"]


def test_a_log_folder_that_is_deleted_under_its_shipper(repo: Repo) -> None:
    shutil.rmtree(repo.path / "data/skew/log")
    code, missing = verified(repo)
    assert code == 1
    assert sum(int(str(one["stored"])) for one in missing) == 6
    with pytest.raises(AuditError, match="4 rows that were stored are gone from the log's folder"):
        SkewAuditor(repo.store).run_audit("scoring", NOON - HOUR, NOON)
    look(repo, 0)
    Shipper(spool(repo)).drain()
    assert verified(repo)[0] == 1


def test_what_was_pruned_is_not_gone(repo: Repo) -> None:
    prune_log(settings_of(repo.store), NOON.date(), keep_days=1, trust_clock=True)
    prune_log(settings_of(repo.store), NOON.date() + DAY, keep_days=1, trust_clock=True)
    assert len(days_of(repo)) < 2
    assert verified(repo) == (0, [])


def test_a_log_that_is_elsewhere_now_is_not_held_against_the_former_one(repo: Repo) -> None:
    path = repo.path / "feature_store.yaml"
    path.write_text(
        path.read_text().replace("start_shipper: false", "start_shipper: false\n  destination: {path: other}")
    )
    moved = Repo.__new__(Repo)
    moved.path, moved.store = repo.path, type(repo.store)(repo_path=str(repo.path))
    look(moved, 0)
    Shipper(spool(repo)).drain()
    assert verified(repo) == (0, [])
