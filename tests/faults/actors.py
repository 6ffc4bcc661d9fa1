"""What the processes of the harness do: a server, or a shipper, that does what its driver says, step by step.

Each function runs in a process of its own (tests/nursery.py) and speaks with the driver through a socket, a line of
JSON each way. What the driver has read was said before the process died, however it died.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

from feast import FeatureStore
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse

from skew_ext import SkewProvider, clock
from skew_ext.log.pruning import prune_log
from skew_ext.repo import settings_of
from skew_ext.serving.capture import Lookup
from skew_ext.serving.context import request_context
from skew_ext.serving.resolution import resolve
from skew_ext.shipping.shipper import Shipper
from tests.faults.points import Probe, armed
from tests.jobs import leave

_SECOND = 10**9
_real_sleep, _real_pid = time.sleep, os.getpid


class Actor:
    """A process of the harness: it does one command after another, with a probe at all of its points."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: IO[str]
        self._connect()
        self.probe = Probe(self.tell, self.hear)
        self.probe.on_slow = lambda: self.jump(30.0, 30.0)
        self._wall = self._monotonic = 0
        self._set_clocks()
        self.probe.install()

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        self._channel = connection.makefile("rw", encoding="utf-8")
        self.tell({"pid": _real_pid()})

    def tell(self, word: dict[str, Any]) -> None:
        """Say something to the driver."""
        self._channel.write(json.dumps(word) + "\n")
        self._channel.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for the driver's next command; its end is ours."""
        line = self._channel.readline()
        if not line:
            os._exit(0)
        word: dict[str, Any] = json.loads(line)
        return word

    def work(self) -> None:
        """Do commands until told to leave."""
        while True:
            word = self.hear()
            self.obey(word)

    def obey(self, word: dict[str, Any]) -> None:
        """Do one command and say how it ended."""
        self.probe.arm(armed(word))
        try:
            done = getattr(self, f"do_{word['do']}")(**word.get("with", {}))
            answer = {"done": done}
        except SystemExit:
            raise
        except Exception as error:  # noqa: BLE001 - the driver judges what may fail
            answer = {
                "failed": f"{type(error).__name__}: {error}",
                "kind": [kind.__name__ for kind in type(error).__mro__],
            }
        self.probe.arm(None)
        self.tell(answer)

    def jump(self, wall: float = 0.0, monotonic: float = 0.0) -> None:
        """Move the clocks of this process."""
        self._wall += int(wall * _SECOND)
        self._monotonic += int(monotonic * _SECOND)

    def _set_clocks(self) -> None:
        real_ns, real_monotonic = time.time_ns, time.monotonic
        time.time_ns = lambda: real_ns() + self._wall
        time.time = lambda: (real_ns() + self._wall) / _SECOND
        time.monotonic = lambda: real_monotonic() + self._monotonic / _SECOND
        wrong, right = clock.utc_now, lambda: datetime.now(tz=timezone.utc) + timedelta(microseconds=self._wall // 1000)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("skew_ext") and getattr(module, "utc_now", None) is wrong:
                setattr(module, "utc_now", right)  # noqa: B010 - whatever module has it

    def do_jump(self, wall: float, monotonic: float, zone: str) -> None:
        """Move the clocks, and the time zone."""
        self.jump(wall, monotonic)
        if zone:
            os.environ["TZ"] = zone
            time.tzset()

    def do_call_yourself(self, pid: int) -> None:
        """Be of another process id, as the first process of each container is 1, and as ids are used again."""
        os.getpid = lambda: pid

    def do_points(self) -> dict[str, Any]:
        """Say which points were reached, and from which lines."""
        return {"names": self.probe.names, "lines": sorted(self.probe.lines), "passed": self.probe.passed}

    def do_limit(self, size: int | None) -> None:
        """Let no file grow beyond `size`; None for no limit."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def do_nothing(self) -> None:
        """Be there."""

    def do_leave(self) -> None:
        """End as an interpreter does."""
        self.tell({"done": None})
        leave(0)


class Server(Actor):
    """Serves lookups of a repo: answers that were served once by Feast, logged again and again."""

    def __init__(self, address: str, repo: str, answers: str) -> None:
        os.posix_spawn = _spawned_nothing  # the shipper that a server starts is one that nobody could drive
        super().__init__(address)
        self._answers = Path(answers)
        self._open(repo)

    def _open(self, repo: str) -> None:
        self._store = FeatureStore(repo_path=repo)
        provider: Any = self._store.provider
        self._capture = provider.lookups.capture

    def do_log(self, lookups: list[dict[str, Any]]) -> None:
        """Serve; each request id is said when its lookup has returned."""
        for number, asked in enumerate(lookups):
            features: Any = ["stats:rating"] if asked["by_reference"] else self._store.get_feature_service("scoring")
            message = GetOnlineFeaturesResponse.FromString((self._answers / asked["answer"]).read_bytes())
            _vary(message, asked["payload"], asked["size"])
            rows = [{"driver": 1 + place} for place in range(asked["rows"])]
            lookup = Lookup(features, rows, self._store.registry, self._store.project, False)  # noqa: FBT003 - Feast's
            answer = OnlineResponse(message)
            served_at = asked["served_at"]
            moment = None if served_at is None else datetime.fromtimestamp(served_at, tz=timezone.utc)
            with request_context(asked["request_id"], served_at=moment):
                self._capture.record(lookup, answer)
            self.tell({"returned": number, "request_id": getattr(answer, "request_id", None)})

    def do_refresh(self) -> None:
        """Read the registry anew."""
        self._store.refresh_registry()

    def do_close(self) -> None:
        """Do what an interpreter does at its end, and stay to be asked about it."""
        atexit._run_exitfuncs()

    def do_fork(self, pid: int | None) -> int:
        """Fork a server that goes on by itself; `pid` is the process id that it takes itself to have."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        child = os.fork()
        if child == 0:
            self.do_call_yourself(_real_pid() if pid is None else pid)
            self._connect()
            self.work()
        return child


class Ship(Actor):
    """Ships a spool. Its sleeps take no time: they move its clocks."""

    def __init__(self, address: str, repo: str) -> None:
        super().__init__(address)
        self._repo = repo
        self._spool = Path(repo) / "data/skew/spool"
        self._shipper: Shipper | None = None
        self._polls: int | None = None
        setattr(time, "sleep", self._sleep)  # noqa: B010 - not a constant

    def _made(self) -> Shipper:
        if self._shipper is None:
            self._shipper = Shipper(self._spool)
        return self._shipper

    def do_drain(self, *, retry: bool) -> None:
        """Drain the spool, with the shipper of this process."""
        self._made().drain(retry_dead_letters=retry)

    def do_run(self, polls: int) -> None:
        """Run the shipper; after `polls` of its pauses the driver is asked what is next."""
        self._polls = polls
        try:
            self._made().run()
        finally:
            self._polls = None

    def do_prune(self, keep_days: int, day: str) -> None:
        """Delete the log's days before the last `keep_days`, as `skew log prune` does."""
        settings = settings_of(FeatureStore(repo_path=self._repo))
        prune_log(settings, date.fromisoformat(day), keep_days=keep_days)

    def _sleep(self, seconds: float) -> None:
        self.jump(seconds, seconds)
        if self._polls is None:
            return
        self._polls -= 1
        while self._polls <= 0:
            self.probe.arm(None)
            self.tell({"polling": True})
            word = self.hear()
            self.probe.arm(armed(word))
            if word["do"] == "poll":
                self._polls = word["with"]["polls"]
            elif word["do"] == "stop":
                self._polls = None
                os.kill(_real_pid(), signal.SIGTERM)
                return
            else:
                self.obey(word)


def prepare(answers: str) -> None:
    """Do once what each server would do first: import what opening a store and resolving a lookup needs."""
    store = FeatureStore(repo_path=str(Path(answers) / "repo-0"))
    resolve(store.get_feature_service("scoring"), store.registry, store.project, full_feature_names=False)
    SkewProvider(store.config)


def serve(address: str, repo: str, answers: str, pid: str) -> None:
    """Be a server until told to leave."""
    _be(lambda: Server(address, repo, answers), pid)


def ship(address: str, repo: str, pid: str) -> None:
    """Be a shipper until told to leave."""
    _be(lambda: Ship(address, repo), pid)


def _be(make: Callable[[], Actor], pid: str) -> None:
    if pid != "0":
        os.getpid = lambda: int(pid)
    make().work()


def _spawned_nothing(*_: Any, **__: Any) -> int:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _vary(message: GetOnlineFeaturesResponse, payload: int, size: int) -> None:
    """Serve other values: of as many bytes as are asked for."""
    for result in message.results:
        for value in result.values:
            if value.HasField("double_val"):
                value.double_val = float(payload)
            elif value.HasField("string_val") and size:
                value.string_val = "x" * size
