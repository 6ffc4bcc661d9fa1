"""Start the shipper, once per spool, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from skew_ext.serving.spool import is_held

if TYPE_CHECKING:
    from skew_ext.serving.spool import SpoolDirectory

SHIPPER_MODULE = "skew_ext.shipping"
_started: list[subprocess.Popen[bytes]] = []
"""Shippers that this process started: kept, since a process object that is dropped warns that its process runs."""


def ensure_shipper(spool: SpoolDirectory) -> None:
    """Start a shipper for `spool` unless one is at work; returns at once.

    The start happens on a thread: spawning a process takes milliseconds that the first lookup should not pay.
    """
    threading.Thread(target=_start, args=(spool,), name="skew-ext-shipper-start", daemon=True).start()


def _start(spool: SpoolDirectory) -> None:
    if is_held(spool.shipper_lock):
        return
    # Feast's metrics name a folder there that goes when the server does; the shipper outlives it.
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROCESS_DIR"}
    with (spool.path / "shipper.log").open("ab") as log:
        shipper = subprocess.Popen(
            [sys.executable, "-m", SHIPPER_MODULE, str(spool.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    _started.append(shipper)
