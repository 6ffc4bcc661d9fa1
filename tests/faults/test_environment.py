"""Servers that come with another environment than the shipper has: another DSN, another password."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from skew_ext.log.postgres_migrations import upgrade
from skew_ext.serving.surroundings import fingerprint_of
from skew_ext.shipping.stats import log_stats
from tests.kit import Repo, wait_for
from tests.law import make_repo, spool
from tests.servers import PostgresServer, fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVE = """
import sys, time
from feast import FeatureStore
store = FeatureStore(repo_path=sys.argv[1])
for _ in range(int(sys.argv[2])):
    store.get_online_features(["stats:rating"], [{"driver": 1}])
print("served", flush=True)
time.sleep(600)
"""


def start(repo: Repo, dsn: str, lookups: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "SKEW_TEST_LOG": dsn}
    command = [sys.executable, "-W", "ignore", "-c", SERVE, str(repo.path), str(lookups)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == "served\n"
    server.stdout.close()
    return server


def stop(server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGKILL)
    server.wait()


def rows_at(server: PostgresServer) -> int:
    with psycopg.connect(server.dsn) as connection:
        found = connection.execute("SELECT coalesce(sum(rows), 0) FROM skew.batches").fetchone()
    return int(found[0]) if found else 0


@pytest.fixture
def databases(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[PostgresServer]]:
    with fresh_database(postgres_server) as former, fresh_database(postgres_server) as present:
        for one in (former, present):
            monkeypatch.setenv("SKEW_TEST_LOG", one.dsn)
            upgrade("SKEW_TEST_LOG")
        yield [former, present]


def test_a_server_with_another_dsn_gets_a_shipper_that_has_it(tmp_path: Path, databases: list[PostgresServer]) -> None:
    former, present = databases
    settings = {"destination": {"type": "postgres", "dsn_env": "SKEW_TEST_LOG"}, "flush_seconds": 0.1}
    repo = make_repo(tmp_path / "repo", skew=settings)
    first = start(repo, former.dsn, 10)
    try:
        wait_for(lambda: log_stats(spool(repo)).in_spool == 0, "the first server's rows are not stored")
        second = start(repo, present.dsn, 5)
        try:
            wait_for(lambda: rows_at(present) == 5, f"see {spool(repo) / 'shipper.log'}")
        finally:
            stop(second)
    finally:
        stop(first)
    assert rows_at(former) == 10
    counts = log_stats(spool(repo))
    assert (counts.accepted, counts.stored, counts.unaccounted) == (15, 15, 0)


POSTGRES = {"type": "postgres", "dsn_env": "SKEW_TEST_LOG", "schema_name": "skew"}


def test_a_fingerprint_tells_dsn_and_password_and_says_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKEW_TEST_LOG", raising=False)
    assert not fingerprint_of(POSTGRES), "without a DSN this process does not ship"
    monkeypatch.setenv("SKEW_TEST_LOG", "postgresql://writer:secret@host/log")
    first = fingerprint_of(POSTGRES)
    assert first == fingerprint_of(POSTGRES)
    assert len(first) == 8
    monkeypatch.setenv("SKEW_TEST_LOG", "postgresql://writer:other@host/log")
    second = fingerprint_of(POSTGRES)
    monkeypatch.setenv("PGPASSWORD", "another")
    assert len({first, second, fingerprint_of(POSTGRES)}) == 3


def test_a_fingerprint_tells_a_variable_of_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "feature_store.yaml").write_text("offline_store: {password: ${SKEW_TEST_SECRET}}")
    destination = {"type": "feast", "repo": str(tmp_path), "path": "log", "yaml": None}
    monkeypatch.setenv("SKEW_TEST_SECRET", "one")
    first = fingerprint_of(destination)
    monkeypatch.setenv("SKEW_TEST_SECRET", "two")
    assert first != fingerprint_of(destination)
    assert not fingerprint_of({"type": "parquet", "path": "log"})
