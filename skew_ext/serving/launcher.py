"""Start the shipper, once per spool, in a process of its own."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from skew_ext.errors import SpoolError
from skew_ext.serving.file_lock import FileLock, is_held
from skew_ext.serving.surroundings import fingerprint_of

if TYPE_CHECKING:
    from skew_ext.serving.spool import SpoolDirectory

SHIPPER_MODULE = "skew_ext.shipping"
LOCK_DESCRIPTOR = 3
"""As what a shipper inherits its lock."""
METRICS_FOLDERS = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")
"""prometheus_client reads the first, Feast sets both."""
ADOPTION_SECONDS = 60.0
"""For how long a spool without a shipper is left to the server that came last."""
LAST_CALL_SECONDS = 1.0
"""The longest that the end of a process waits for a launch that is under way."""
_PAUSE_SECONDS = 5.0
_GLANCE_SECONDS = 0.002


class ShipperLauncher:
    """Keeps a shipper at work on a spool: starts one where there is none, and again should it have died.

    A shipper has its starter's environment. So where a server has come since with another one, that is left to start
    it; unless it does not for a while, since it has gone again.
    """

    def __init__(self, spool: SpoolDirectory) -> None:
        self._spool = spool
        self._next = 0.0
        self._missed_since: float | None = None

    def __call__(self) -> None:
        """Start a shipper unless one is at work; at most one every few seconds, should each die at once."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PAUSE_SECONDS
        if is_held(self._spool.shipper_lock):
            self._missed_since = None
            return
        self._missed_since = self._missed_since or now
        if not self._is_ours() and now - self._missed_since >= ADOPTION_SECONDS:
            self._spool.set_surroundings(fingerprint_of(self._destination()))
        if self._is_ours():
            ensure_shipper(self._spool)

    def last_call(self) -> None:
        """Start a shipper unless one is at work, before this process ends: a thread may not come to it any more."""
        deadline = time.monotonic() + LAST_CALL_SECONDS
        while _launching and time.monotonic() < deadline:
            time.sleep(_GLANCE_SECONDS)
        if self._is_ours():
            _launched(self._spool)

    def _is_ours(self) -> bool:
        """Return whether a shipper with this process's environment is the one that is wanted."""
        wanted = self._shipping().get("surroundings")
        return not wanted or wanted == fingerprint_of(self._destination())

    def _destination(self) -> dict[str, Any]:
        destination = self._shipping().get("destination")
        return destination if isinstance(destination, dict) else {}

    def _shipping(self) -> dict[str, Any]:
        try:
            shipping = self._spool.read_marker().get("shipping")
        except SpoolError:  # it is being made anew, or damaged: the shipper says so
            return {}
        return shipping if isinstance(shipping, dict) else {}


def ensure_shipper(spool: SpoolDirectory) -> None:
    """Start a shipper for `spool` unless one is at work; returns at once.

    The start happens on a thread: spawning a process takes milliseconds that the first lookup should not pay. The
    thread then waits for the shipper's end, so that no zombie stays.
    """
    with suppress(RuntimeError):  # no more threads, or the interpreter is on its way out
        threading.Thread(target=_start, args=(spool,), name="skew-ext-shipper", daemon=True).start()


def _start(spool: SpoolDirectory) -> None:
    process = _launched(spool)
    if process:
        with suppress(ChildProcessError):  # a server that collects all of its children may have had it
            os.waitpid(process, 0)


def _launched(spool: SpoolDirectory) -> int:
    """Spawn a shipper and give its process; 0 if one is at work."""
    lock = FileLock(spool.shipper_lock)
    _launching.append(lock)
    process = 0
    try:
        if lock.acquire():
            process = _spawned(spool, lock)
    except OSError:
        pass  # no room for a log or a process: the next segment tries again
    finally:
        lock.release()
        _launching.remove(lock)
    return process


def _spawned(spool: SpoolDirectory, lock: FileLock) -> int:
    # The shipper inherits the lock, so of many servers that start at once one starts a shipper. Not a Popen: its object
    # would complain, when this process ends, that the shipper goes on. That is the point of it.
    log = str(spool.path / "shipper.log")
    # The folder of a server's metrics is not the shipper's, and the one that Feast makes goes when the server does.
    environment = {name: value for name, value in os.environ.items() if name not in METRICS_FOLDERS}
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", SHIPPER_MODULE, str(spool.path), str(LOCK_DESCRIPTOR)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, lock.descriptor, LOCK_DESCRIPTOR),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )


_launching: list[FileLock] = []


def _release_after_fork() -> None:
    # A child that is forked during a launch would hold the lock as long as it lives, with no shipper behind it.
    for lock in _launching:
        lock.release()
    _launching.clear()


os.register_at_fork(after_in_child=_release_after_fork)
