"""Processes for tests of faults: forked from one that has imported Feast already, which takes seconds each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PARENT = """
import faulthandler, gc, importlib, json, os, sys, traceback
import feast, pyarrow.parquet
import skew_ext, skew_ext.shipping.shipper
jobs = importlib.import_module(sys.argv[1])
from tests.jobs import leave

for line in sys.stdin:
    asked = json.loads(line)
    if "prepare" in asked:
        answer = getattr(jobs, asked["prepare"])(*asked["arguments"])
        gc.collect()
        gc.freeze()  # a child that looks for garbage would copy the pages that it shares with us
    elif "wait" in asked:
        answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
    else:
        answer = os.fork()
        if answer == 0:
            code = 1
            try:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(output, 1)
                os.dup2(output, 2)
                faulthandler.dump_traceback_later(60, exit=True)  # a hang says where, and ends
                getattr(jobs, asked["job"])(*asked["arguments"])
                code = 0
            except BaseException as error:
                code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
                traceback.print_exc()
            finally:
                leave(code)
    print(json.dumps(answer), flush=True)
"""


@dataclass
class Child:
    """A process that does one job."""

    pid: int
    output: Path
    nursery: Nursery

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end: the exit code, or minus the signal."""
        return int(self.nursery.ask({"wait": self.pid}))

    def await_line(self, wanted: str, seconds: float = 30) -> None:
        """Wait until it has printed something."""
        deadline = time.monotonic() + seconds
        while not self.output.exists() or wanted not in self.output.read_text():
            assert time.monotonic() < deadline, f"{wanted!r} was not said: {self.said()}"
            time.sleep(0.005)

    def said(self) -> str:
        """Give what it printed."""
        return self.output.read_text() if self.output.exists() else ""


class Nursery:
    """Where children come from."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._count = 0

    def start(self, job: str, *arguments: Any) -> Child:
        """Start a function of the jobs in a process of its own."""
        self._count += 1
        output = self._folder / f"{self._count}.txt"
        pid = self.ask({"job": job, "arguments": [str(one) for one in arguments], "output": str(output)})
        return Child(int(pid), output, self)

    def prepare(self, job: str, *arguments: Any) -> None:
        """Have the parent itself do a function of the jobs, so that no child has to; it must start no thread."""
        self.ask({"prepare": job, "arguments": [str(one) for one in arguments]})

    def ask(self, what: dict[str, Any]) -> Any:
        """Have the parent do something."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def nursery(folder: Path, jobs: str = "tests.jobs") -> Iterator[Nursery]:
    """Run the parent, whose children do the functions of the module `jobs`, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PARENT, jobs],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    with process:
        yield Nursery(process, folder)
        assert process.stdin is not None
        process.stdin.close()
