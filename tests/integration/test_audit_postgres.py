"""A log in PostgreSQL is audited a stretch of time at a time, with the numbers of the log in files."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from skew_ext import SkewAuditor, request_context
from skew_ext.auditor import parts
from skew_ext.cli.main import cli
from skew_ext.log.postgres import PostgresDestination
from skew_ext.log.query import LogQuery
from skew_ext.model import FeatureParity
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row
from tests.servers import PostgresServer

DRIVERS = range(30)


def made(path: Path, **skew: Any) -> Repo:
    """Make a repo with lookups that bunch: five in a second, and one an hour later."""
    repo = Repo(path, skew={"start_shipper": False, **skew})
    repo.write([row(driver, NOON + hour * HOUR, hour, driver, "x") for driver in DRIVERS for hour in range(4)])
    repo.materialize(NOON + MINUTE)
    for at in [*(NOON + 2 * MINUTE + timedelta(milliseconds=number) for number in range(5)), NOON + 90 * MINUTE]:
        with request_context(served_at=at):
            service = repo.store.get_feature_service("scoring")
            repo.store.get_online_features(service, [{"driver": driver} for driver in DRIVERS])
    Shipper(repo.path / "data/skew/spool").drain()
    return repo


def audit(repo: Repo) -> Report:
    return SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + 2 * HOUR)


def nameless(report: Report) -> list[FeatureParity]:
    """Give the parity without the request ids, which were made anew."""
    return [
        replace(one, examples=[replace(example, request_id="") for example in one.examples])
        for one in report.parity.features
    ]


def test_the_numbers_are_those_of_the_log_in_files(
    tmp_path: Path, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_database.dsn)
    files = made(tmp_path / "files")
    monkeypatch.chdir(files.path)
    database = Repo(tmp_path / "migrating", skew={"start_shipper": False, "destination": {"type": "postgres"}})
    monkeypatch.chdir(database.path)
    upgraded = CliRunner().invoke(cli, ["db", "upgrade"])
    assert upgraded.exit_code == 0, upgraded.output
    repo = made(tmp_path / "database", destination={"type": "postgres"})
    destination = PostgresDestination("DATABASE_URL", "skew", "rides")
    stretches = destination.stretches(LogQuery("scoring", NOON, NOON + 2 * HOUR), 40)
    # Five lookups within one of the finest stretches (7200 s / 50,000) stay together; the sixth is by itself.
    assert [destination.read(query).num_rows for query in stretches] == [150, 30]
    assert destination.stretches(LogQuery("scoring", NOON + 3 * HOUR, NOON + 4 * HOUR), 40) == []

    read: list[int] = []
    original = PostgresDestination.read

    def counted(self: PostgresDestination, query: LogQuery) -> Any:
        table = original(self, query)
        read.append(table.num_rows)
        return table

    monkeypatch.setattr(PostgresDestination, "read", counted)
    monkeypatch.setattr(parts, "PART_ROWS", 40)
    found, expected = audit(repo), audit(files)
    assert read == [150, 30]
    assert (found.rows, nameless(found), found.ttl) == (expected.rows, nameless(expected), expected.ttl)
    assert found.parity.features[0].causes == {"stale_online": 30}
