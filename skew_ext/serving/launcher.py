"""Start the shipper, once per spool, in a process of its own."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from skew_ext.serving.spool import is_held

if TYPE_CHECKING:
    from skew_ext.serving.spool import SpoolDirectory

SHIPPER_MODULE = "skew_ext.shipping"


def ensure_shipper(spool: SpoolDirectory) -> None:
    """Start a shipper for `spool` unless one is at work; returns at once.

    The start happens on a thread: spawning a process takes milliseconds that the first lookup should not pay. The
    thread then waits for the shipper's end, so that no zombie stays.
    """
    threading.Thread(target=_start, args=(spool,), name="skew-ext-shipper", daemon=True).start()


def _start(spool: SpoolDirectory) -> None:
    if is_held(spool.shipper_lock):
        return
    # Feast's metrics name a folder there that goes when the server does; the shipper outlives it.
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROCESS_DIR"}
    log = str(spool.path / "shipper.log")
    # Not a Popen: its object would complain, when this process ends, that the shipper goes on. That is the point of it.
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", SHIPPER_MODULE, str(spool.path)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    with suppress(ChildProcessError):  # a server that collects all of its children may have had it
        os.waitpid(process, 0)
