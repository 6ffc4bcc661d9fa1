"""The driver's side of the harness's processes: what they are told, and what is heard of them until they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.faults.answers import make_answers
from tests.faults.points import Arm
from tests.nursery import Nursery, nursery

PATIENCE_SECONDS = 90.0
DONE, FAILED, DIED, PAUSED, POLLING = "done", "failed", "died", "paused", "polling"


@dataclass
class Tally:
    """What was done to the processes so far, by point."""

    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    pauses: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)
    lines: set[tuple[str, int]] = field(default_factory=set)
    lookups: int = 0

    def text(self) -> str:
        """Give the figures in a line."""
        points = len(self.kills.keys() | self.faults.keys() | self.pauses.keys())
        return (
            f"{self.kills.total()} kills, {self.faults.total()} faults and {self.pauses.total()} pauses "
            f"at {points} points; {self.lookups} lookups"
        )


@dataclass
class Told:
    """What a process said of one command: how that ended, and the request ids of the lookups that returned."""

    ended: str
    returned: dict[int, str | None] = field(default_factory=dict)
    done: Any = None
    error: str = ""
    kinds: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)
    point: str = ""


class Member:
    """A process of the harness."""

    def __init__(self, crew: Crew, pid: int, channel: IO[str], output: Path | None) -> None:
        self.crew, self.pid = crew, pid
        self._output = output
        self._status: int | None = None
        self._channel = channel
        self.alive = True

    def do(self, command: str, arm: Arm | None = None, **given: Any) -> Told:
        """Have it do something, with something armed, and hear how that ends."""
        self.say({"do": command, "with": given, "arm": asdict(arm) if arm else None})
        return self.hear()

    def say(self, word: dict[str, Any]) -> None:
        """Tell it something; one that is dead does not hear it."""
        with suppress(BrokenPipeError):
            self._channel.write(json.dumps(word) + "\n")
            self._channel.flush()

    def hear(self) -> Told:
        """Hear it out: until a command has ended, or the process has, or it pauses."""
        told, tally = Told(DIED), self.crew.tally
        for line in self._channel:
            word = json.loads(line)
            if "returned" in word:
                told.returned[word["returned"]] = word["request_id"]
                tally.lookups += 1
            elif "fault" in word:
                tally.faults[word["fault"]] += 1
                told.faults.append(word["fault"])
            elif "died" in word:
                tally.kills[word["died"]] += 1
                tally.lines.update((module, line) for module, line in word["lines"])
                told.point = word["died"]
            else:
                return self._ended(told, word)
        self.alive = False
        status = self.wait()
        assert status in (-signal.SIGKILL, 0), f"a process ended by itself: {status}; {self.said()}"
        return told

    def _ended(self, told: Told, word: dict[str, Any]) -> Told:
        told.ended = next(name for name in (DONE, FAILED, PAUSED, POLLING) if name in word)
        if told.ended == PAUSED:
            told.point = word["paused"]
            self.crew.tally.pauses[told.point] += 1
        told.done, told.error, told.kinds = word.get("done"), word.get("failed", ""), tuple(word.get("kind", ()))
        return told

    def wait(self) -> int:
        """Wait for its end."""
        if self._status is None:
            self._status = int(self.crew.nursery.ask({"wait": self.pid})) if self._output else 0
        return self._status

    def said(self) -> str:
        """Give the last of what it printed."""
        return self._output.read_text()[-3000:] if self._output and self._output.exists() else ""

    def kill(self, *, counted: bool = True) -> None:
        """Kill it where it stands; `counted` unless nothing is looked for afterwards."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
            for _ in self._channel:
                pass  # until it has ended: what it said is of no more use
            self.alive = False
            self.wait()
            self.crew.tally.kills["between two commands"] += counted
        self._channel.close()

    def leave(self, arm: Arm | None = None) -> Told:
        """Let it end as an interpreter does."""
        told = self.do("leave", arm)
        if told.ended == DONE:
            for _ in self._channel:
                pass
            self.wait()
        self.alive = False
        return told


class Crew:
    """Where processes come from, and what has been done to them."""

    def __init__(self, made: Nursery, folder: Path) -> None:
        self.nursery, self.folder = made, folder
        self.answers = folder / "answers"
        self.answers.mkdir()
        make_answers(self.answers)
        made.prepare("prepare", self.answers)
        self.tally = Tally()
        self._address = folder / "socket"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self._address))
        self._listening.listen(8)
        self._listening.settimeout(PATIENCE_SECONDS)

    def start(self, job: str, *arguments: Any) -> Member:
        """Start a process."""
        child = self.nursery.start(job, self._address, *arguments)
        member = self._accepted(child.output)
        member.do("nothing")  # it has read feature_store.yaml, which may be written anew now
        return member

    def forked(self) -> Member:
        """Give the process that a member has just forked."""
        return self._accepted(None)

    def dismiss(self) -> None:
        """Take no more processes."""
        self._listening.close()

    def _accepted(self, output: Path | None) -> Member:
        try:
            connection, _ = self._listening.accept()
        except TimeoutError:
            said = output.read_text() if output and output.is_file() else ""
            msg = f"a process did not start: {said}"
            raise AssertionError(msg) from None
        connection.settimeout(PATIENCE_SECONDS)
        channel = connection.makefile("rw", encoding="utf-8")
        connection.close()  # the file keeps it open
        hello = json.loads(channel.readline())
        return Member(self, hello["pid"], channel, output)


@contextmanager
def crew() -> Iterator[Crew]:
    """Run the processes' parent, in a folder of its own, and end it afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="skew-faults-", ignore_cleanup_errors=True) as folder,
        nursery(Path(folder), "tests.faults.actors") as made,
    ):
        hired = Crew(made, Path(folder))
        try:
            yield hired
        finally:
            hired.dismiss()
