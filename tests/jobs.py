"""What the processes of the fault tests do: each function runs in a process of its own (tests/nursery.py)."""

from __future__ import annotations

import atexit
import os
import random
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from feast import FeatureStore

from skew_ext.serving.capture import Capture, Lookup
from skew_ext.shipping.shipper import Shipper

LOOKUP = (["stats:rating", "stats:city"], [{"driver": 1}, {"driver": 2}])
SOON = 0.002


class Interruption(Exception):  # noqa: N818 - what a signal's handler raises, as a request's time limit would
    """Raised by a signal, anywhere."""


def leave(code: int) -> None:
    """End as the interpreter does, without the parent's own ending: what was registered here runs."""
    sys.stdout.flush()
    atexit._run_exitfuncs()
    os._exit(code)


def serve(repo: str, lookups: str, threads: str = "1") -> None:
    """Look up, from several threads."""
    store = FeatureStore(repo_path=repo)
    store.get_online_features(*LOOKUP)
    print("serving", flush=True)  # noqa: T201

    def work() -> None:
        for _ in range(int(lookups)):
            store.get_online_features(*LOOKUP)

    started = [threading.Thread(target=work) for _ in range(int(threads) - 1)]
    for thread in started:
        thread.start()
    work()
    for thread in started:
        thread.join()


def serve_until_exit(repo: str) -> None:
    """Look up from daemon threads, and end the interpreter under them."""
    store = FeatureStore(repo_path=repo)
    for _ in range(100):
        store.get_online_features(*LOOKUP)
    for _ in range(3):
        threading.Thread(target=_endlessly, args=(store,), daemon=True).start()
    time.sleep(0.3)


def _endlessly(store: FeatureStore) -> None:
    while True:
        store.get_online_features(*LOOKUP)


class _Again:
    """A served lookup that can be logged again and again, without Feast and SQLite, whose locks no fork may meet."""

    def __init__(self, repo: str) -> None:
        self.store = FeatureStore(repo_path=repo)
        self.response = self.store.get_online_features(*LOOKUP)
        provider: Any = self.store.provider
        self.capture: Capture = provider.lookups.capture
        self.lookup = Lookup(*LOOKUP, self.store.registry, self.store.project, False)  # noqa: FBT003 - Feast's argument

    def log(self) -> None:
        self.capture.record(self.lookup, self.response)

    def log_endlessly(self) -> None:
        while True:
            self.log()
            time.sleep(0)


def serve_and_fork(repo: str, children: str) -> None:
    """Fork again and again while threads log; each child logs too."""
    again = _Again(repo)
    for _ in range(3):
        threading.Thread(target=again.log_endlessly, daemon=True).start()
    for _ in range(int(children)):
        time.sleep(random.random() * 0.02)  # noqa: S311
        pid = os.fork()
        if pid == 0:
            for _ in range(5):
                again.log()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status


def serve_interrupted(repo: str, rounds: str) -> None:
    """Log while a timer's handler raises, at moments that nobody chose."""
    again, chance = _Again(repo), random.Random(7)  # noqa: S311
    writer = again.capture._opening.writer
    assert writer is not None
    payload = again.capture._encode(again.lookup, again.response, writer)

    def interrupt(*_: object) -> None:
        raise Interruption

    signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    for _ in range(int(rounds)):
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-6 + chance.random() * 1e-4)
            for _ in range(40):
                writer.append(payload, 2)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interruption:  # noqa: PERF203 - it is what the loop is for
            interrupted += 1
    print("interrupted", interrupted, flush=True)  # noqa: T201


def serve_on_a_full_disk(repo: str) -> None:
    """Look up where no file can be larger than a segment is, and then where it can."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, hard))
    store = FeatureStore(repo_path=repo)
    for _ in range(10):
        store.get_online_features(*LOOKUP)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    time.sleep(1.5)
    for _ in range(20):
        store.get_online_features(*LOOKUP)
        time.sleep(0.01)


def serve_backwards(repo: str, lookups: str) -> None:
    """Look up while the clock goes back, an hour each time."""
    now = time.time_ns()
    moments = iter(range(now, 0, -3_600 * 10**9))
    time.time_ns = lambda: next(moments)
    store = FeatureStore(repo_path=repo)
    for _ in range(int(lookups)):
        store.get_online_features(*LOOKUP)


def ship(repo: str) -> None:
    """Ship until told to stop."""
    print("shipping", flush=True)  # noqa: T201
    Shipper(Path(repo) / "data/skew/spool").run()


def ship_slowly(repo: str, seconds: str) -> None:
    """Ship to a destination that takes its time."""
    shipper = Shipper(Path(repo) / "data/skew/spool")
    write = shipper._destination.write

    def slow(*arguments: Any) -> None:
        time.sleep(float(seconds))
        write(*arguments)

    setattr(shipper._destination, "write", slow)  # noqa: B010 - a method, replaced
    shipper.run()


def ship_to_a_full_disk(repo: str) -> None:
    """Ship where no file can be larger than a little, for a while."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    shipper = Shipper(Path(repo) / "data/skew/spool")
    threading.Timer(2.0, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))).start()
    shipper.run()


def serve_under_a_used_number(repo: str, lookups: str) -> None:
    """Log, fork twice, and let the grandchild log under the number that this process has, which may be used again."""
    again, number = _Again(repo), os.getpid()
    for _ in range(int(lookups) // 2):
        again.log()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os.getpid = lambda: number
            for _ in range(int(lookups) - int(lookups) // 2 + 1):
                again.log()
            os._exit(0)
        os.wait()
        os._exit(0)
    os.wait()
