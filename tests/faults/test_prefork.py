"""A stock `feast serve` of several workers: the application is made in gunicorn's master, before it forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from skew_ext import read_log
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import HOUR, NOON, Repo, row
from tests.servers import free_port

QUESTION = {"features": ["stats:rating", "stats:city"], "entities": {"driver": [1, 2]}}
LOADERS, SECONDS = 4, 4.0


def is_healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def wait_until_healthy(address: str) -> None:
    deadline = time.monotonic() + 60
    while not is_healthy(address):
        assert time.monotonic() < deadline, "feast serve does not answer"
        time.sleep(0.1)


def workers_of(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def load(address: str, until: float, answered: list[int]) -> None:
    with httpx.Client() as client:
        while time.monotonic() < until:
            try:
                answer = client.post(f"{address}/get-online-features", json=QUESTION, timeout=10)
                answered.append(answer.status_code)
            except httpx.HTTPError:  # noqa: PERF203 - its worker was killed under it
                time.sleep(0.01)


def test_workers_that_are_forked_and_killed_under_load(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", skew={"flush_seconds": 0.5})
    repo.write([row(1, NOON - HOUR, 4.5, 10, "Oslo")])
    repo.materialize(NOON)
    port = free_port()
    command = [str(Path(sys.executable).with_name("feast")), "serve", "--port", str(port), "--workers", "3"]
    with (tmp_path / "serve.log").open("wb") as output:
        server = subprocess.Popen([*command, "--no-access-log"], cwd=repo.path, stdout=output, stderr=output)
    address, answered = f"http://127.0.0.1:{port}", list[int]()
    try:
        wait_until_healthy(address)
        until = time.monotonic() + SECONDS
        loaders = [threading.Thread(target=load, args=(address, until, answered)) for _ in range(LOADERS)]
        for loader in loaders:
            loader.start()
        for _ in range(3):
            time.sleep(SECONDS / 4)
            os.kill(workers_of(server.pid)[0], signal.SIGKILL)
        for loader in loaders:
            loader.join()
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert set(answered) == {httpx.codes.OK}
    spool = repo.path / "data/skew/spool"
    Shipper(spool).drain()
    counts = log_stats(spool)
    assert (counts.unaccounted, counts.in_spool) == (0, 0), counts
    assert counts.stored >= 2 * len(answered) > 100, "what was answered was logged first"
    rows = read_log(repo.path)
    assert rows.num_rows == counts.stored
    assert len(set(rows["__writer"].to_pylist())) >= 3
    assert "another shipper" not in (spool / "shipper.log").read_text()
