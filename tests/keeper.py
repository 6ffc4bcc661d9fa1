"""Keep one server running for as long as the tests that need it: `python keeper.py DIRECTORY USER COMMAND...`.

The tests hold the other end of our standard input. However they end (in order, on Ctrl-C, by kill -9), that pipe
closes; then the server is stopped and its directory removed. One byte through the pipe stops the server and leaves the
directory, for a test that starts it again. An empty USER means: as whoever runs the tests.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

POLL_SECONDS = 0.2
STOP_SECONDS = 10.0
LOG_NAME = "server.log"


def start(directory: Path, user: str, command: list[str]) -> subprocess.Popen[bytes]:
    """Start the server as `user`, with its output in the directory's log."""
    with (directory / LOG_NAME).open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=directory,
            user=user or None,
            extra_groups=[] if user else None,
        )


def wait(server: subprocess.Popen[bytes]) -> bool:
    """Wait for word from the tests, or for the server's own end; say whether its directory is to be kept."""
    while server.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
        if readable:
            return os.read(sys.stdin.fileno(), 1) != b""
    return True


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server: by SIGINT, which is PostgreSQL's fast shutdown, and by force if it does not go."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main() -> None:
    """Start the server, tell its process id on standard output, and stay until it is to go."""
    directory = Path(sys.argv[1])
    server = start(directory, sys.argv[2], sys.argv[3:])
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    keep = wait(server)
    stop(server)
    if not keep:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
