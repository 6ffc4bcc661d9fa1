"""Metrics are served whatever a client does, and whatever becomes of a count."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from skew_ext import metrics_server
from skew_ext.errors import SettingsError
from skew_ext.metrics_server import LastCounts, serve
from skew_ext.shipping.metrics import StatsCollector
from skew_ext.shipping.stats import LogStats
from tests.servers import HOST, free_port

WAIT = 30.0
ASKED = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def served(stack: ExitStack, seconds: float) -> int:
    registry, port = CollectorRegistry(), free_port()
    Gauge("skew_example", "An example", registry=registry).set(7)
    stack.callback(serve(registry, port, HOST, seconds))
    return port


def connected(stack: ExitStack, port: int, sent: bytes = b"") -> socket.socket:
    client = stack.enter_context(socket.create_connection((HOST, port), timeout=WAIT))
    client.sendall(sent)
    return client


def scraped(port: int) -> str:
    return httpx.get(f"http://{HOST}:{port}/metrics", timeout=WAIT).text


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_is_stuck_blocks_nobody_and_is_cut_off(stack: ExitStack, sent: bytes) -> None:
    port = served(stack, 0.2)
    stuck = connected(stack, port, sent)
    assert "skew_example 7.0" in scraped(port)
    assert stuck.recv(1) == b""  # the server has hung up
    assert "skew_example 7.0" in scraped(port)


def test_of_too_many_clients_the_oldest_is_cut_off(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "MOST_CLIENTS", 3)
    port = served(stack, 1000.0)
    stuck = [connected(stack, port) for _ in range(5)]
    assert "skew_example 7.0" in scraped(port)
    assert [one.recv(1) for one in stuck[:3]] == [b""] * 3
    stuck[-1].sendall(ASKED)
    assert stuck[-1].recv(8) == b"HTTP/1.0"


def test_a_port_that_is_taken_is_said(stack: ExitStack) -> None:
    port = served(stack, 1.0)
    with pytest.raises(SettingsError, match=f"metrics cannot be served on {HOST}:{port}"):
        serve(CollectorRegistry(), port, HOST)


class Counting:
    """A count that fails or hangs when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.free = threading.Event()
        self.free.set()

    def __call__(self) -> int:
        self.calls += 1
        calls = self.calls
        assert self.free.wait(WAIT)
        if self.error is not None:
            raise self.error
        return calls


def test_a_count_that_fails_leaves_the_last_one_with_its_age(caplog: pytest.LogCaptureFixture) -> None:
    now, count = [100.0], Counting()
    counts = LastCounts(count, WAIT, lambda: now[0])
    assert counts.get() == (1, 0.0)
    count.error, now[0] = OSError("the spool\x1b is away"), 130.0
    assert counts.get() == (1, 30.0)
    assert counts.get() == (1, 30.0)
    assert len(caplog.records) == 1  # said once, not at each scrape
    assert "the spool\\x1b is away" in caplog.text
    count.error, now[0] = None, 140.0
    assert counts.get() == (4, 0.0)


def test_a_count_that_takes_long_leaves_the_last_one_and_is_not_begun_twice() -> None:
    now, count = [100.0], Counting()
    counts = LastCounts(count, 0.05, lambda: now[0])
    counts._patience = WAIT
    assert counts.get() == (1, 0.0)
    counts._patience = 0.05
    count.free.clear()
    now[0] = 150.0
    assert [counts.get() for _ in range(5)] == [(1, 50.0)] * 5
    assert count.calls == 2
    count.free.set()
    assert counts._running is not None
    counts._running.join(WAIT)
    now[0] = 160.0
    counts._patience = WAIT
    assert counts.get() == (3, 0.0)


def test_nothing_counted_yet_is_said_by_the_age() -> None:
    count = Counting()
    count.error = OSError("away")
    assert LastCounts(count).get() == (None, math.inf)

    def failing() -> LogStats:
        raise OSError("away")

    (only,) = StatsCollector(failing).collect()
    assert [(one.name, one.value) for one in only.samples] == [("skew_log_counts_age_seconds", math.inf)]
