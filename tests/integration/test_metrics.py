"""The conservation law as Prometheus sees it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from skew_ext.cli.main import cli
from tests.kit import NOON, Repo, row, wait_for
from tests.servers import HOST, free_port

EXPECTED = {
    ("skew_log_records_total", "accepted", ""): 3.0,
    ("skew_log_records_total", "stored", ""): 3.0,
    ("skew_log_records_total", "duplicate", ""): 0.0,
    ("skew_log_records_total", "dead_lettered", ""): 0.0,
    ("skew_spool_rows", None, None): 0.0,
    ("skew_log_unaccounted_rows", None, None): 0.0,
    ("skew_log_conflict_rows_total", None, None): 0.0,
}
AGE = ("skew_log_counts_age_seconds", None, None)


def samples(text: str) -> dict[tuple[str, str | None, str | None], float]:
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(each.name, each.labels.get("outcome"), each.labels.get("reason")): each.value for each in found}


def test_a_shipper_serves_its_counts_and_a_command_writes_them(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write([row(1, NOON, 4.5, 10, "Oslo")])
    repo.materialize(NOON)
    for _ in range(3):
        repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    port = free_port()
    command = [sys.executable, "-m", "skew_ext.cli.main", "-c", str(repo.path), "ship", "--metrics-port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as shipper:

        def scraped() -> dict[tuple[str, str | None, str | None], float]:
            try:
                return samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
            except httpx.HTTPError:
                return {}

        wait_for(lambda: scraped() == {**EXPECTED, AGE: 0.0}, "the metrics do not say that all is stored")
        shipper.send_signal(signal.SIGTERM)
        assert shipper.wait() == 0
    file = tmp_path / "skew.prom"
    assert CliRunner().invoke(cli, ["-c", str(repo.path), "log", "stats", "--prometheus", str(file)]).exit_code == 0
    assert samples(file.read_text()) == EXPECTED


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "skew_ext.cli.main", "-c", str(repo.path), "ship", "--metrics-port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"metrics cannot be served on 127.0.0.1:{port}" in done.stderr
