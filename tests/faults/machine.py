"""A world to which anything may happen, in any order: hypothesis chooses, and shortens what it finds.

Each rule is one thing that happens in production. What the law says is checked after each, and at the end that every
lookup is where it should be.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skew_ext.serving.file_lock import is_held
from tests.faults.answers import MOST_ROWS, VERSIONS
from tests.faults.crew import DIED, FAILED, PAUSED, Crew
from tests.faults.points import FAILURES, KILL, PAUSE, SLOW, TEAR, Arm
from tests.faults.world import Asked, Running, World

ALWAYS = frozenset(
    {
        "serve_earlier_days",
        "change_destination",
        "delete_log",
        "fork_again_as_the_same_process",
        "serve_retyped",
        "prune",
        "put_strange_files",
    }
)
"""Operations that the machine has beside those that need no name."""
LEFT_OUT: dict[str, str] = {
    "delete_spool": "a server counts what it had there as dropped, and the model cannot say how much that may be",
    "jump_a_year": "it ships before there is a spool, which is an error of the caller's",
    "damage": "left to the longer form: it takes long",
    "fail_shipping": "left to the longer form: it takes long",
    "fail_serving": "a server opens its spool again after a second, and the model does not excuse what it drops in it",
    "wait_too_long": "left to the longer form: it takes long",
}
"""Operations that are not run unless asked for, each with its reason."""

_AT = st.integers(0, 60)
_FEW = st.integers(0, 30)
_SEVERAL = st.integers(0, 7)
_HOUR, _DAY, _YEAR = 3600.0, 86_400.0, 365 * 86_400.0
_ZONES = ("Europe/Berlin", "America/St_Johns", "UTC")
_STRANGE = ("fifo", "folder", "link", "empty", "short", "no_number.seg", "00000099.seg")


def asked(versions: st.SearchStrategy[int]) -> st.SearchStrategy[Asked]:
    """Give lookups: most with an id made here, some with a caller's id that others have too."""
    return st.builds(
        Asked,
        version=versions,
        rows=st.integers(1, MOST_ROWS),
        payload=st.integers(0, 2),
        request_id=st.one_of(st.none(), st.none(), st.sampled_from(("a", "b", "c" * 200))),
        by_reference=st.booleans(),
        big=st.sampled_from((False, False, False, True)),
    )


_LOOKUPS = st.lists(asked(st.just(0)), min_size=1, max_size=6)


def operation(name: str, **given: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of a method: one that is left out is there where its name is asked for."""

    def made(method: Callable[..., None]) -> Any:
        made_rule: Any = rule
        asked_for: Any = precondition(lambda machine: name in machine.operations | ALWAYS)
        return asked_for(made_rule(**given)(method))

    return made


class Machine(RuleBasedStateMachine):
    """A world, its servers and its shippers."""

    crew: Crew
    operations: frozenset[str]

    @initialize(hours=st.sampled_from((None, None, 1.0)), all_first=st.booleans())
    def begin(self, hours: float | None, all_first: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Begin with nothing: maybe every process is the first of its container."""
        skew = {"spool_max_hours": hours} if hours and "wait_too_long" in self.operations else {}
        self.world = World(self.crew, **skew)
        self.world.pid = 1 if all_first else 0
        self.places = 1
        self.world.start_server()

    # Serving.

    @rule(which=_SEVERAL, lookups=_LOOKUPS)
    def serve(self, which: int, lookups: list[Asked]) -> None:
        """Serve lookups."""
        self._log(which, lookups, None)

    @operation("serve_earlier_days", which=_SEVERAL, days=st.sampled_from((1, 3)), lookups=_LOOKUPS)
    def serve_earlier_days(self, which: int, days: int, lookups: list[Asked]) -> None:
        """Serve lookups of earlier days, as a replay does."""
        self._log(which, [Asked(one.version, one.rows, days_ago=days) for one in lookups], None)

    @operation(
        "serve_retyped",
        which=_SEVERAL,
        lookups=st.lists(asked(st.sampled_from(range(len(VERSIONS)))), min_size=1, max_size=3),
    )
    def serve_retyped(self, which: int, lookups: list[Asked]) -> None:
        """Serve what the server's registry does not know of yet: features that were added, renamed or retyped."""
        self._log(which, lookups, None, as_asked=True)

    @rule(which=_SEVERAL, lookups=_LOOKUPS, at=_FEW, action=st.sampled_from((KILL, TEAR, SLOW, PAUSE)))
    def serve_and(self, which: int, lookups: list[Asked], at: int, action: str) -> None:
        """Serve lookups, and be killed, slow, or stopped for a while at a point."""
        self._log(which, lookups, Arm(action, at))

    @operation(
        "fail_serving",
        which=_SEVERAL,
        lookups=_LOOKUPS,
        at=_FEW,
        failure=st.sampled_from(sorted(FAILURES)),
        lasting=st.booleans(),
    )
    def fail_serving(self, which: int, lookups: list[Asked], at: int, failure: str, lasting: bool) -> None:  # noqa: FBT001
        """Serve lookups while the disk fails."""
        self._log(which, lookups, Arm(failure, at, lasting=lasting))

    @operation("fail_serving", which=_SEVERAL, lookups=_LOOKUPS)
    def serve_on_a_small_disk(self, which: int, lookups: list[Asked]) -> None:
        """Serve lookups while no segment can be made."""
        if server := self._server(which):
            fitting = [self._fitting(server, one) for one in lookups]
            self.world.limited(server, 1 << 19, lambda: self.world.log(server, fitting))

    @rule(version=st.sampled_from(range(len(VERSIONS))))
    def release(self, version: int) -> None:
        """Start a server of another release, beside the others."""
        if len(self.world.servers) < 4:
            self.world.configure(version, self.world.destinations[-1].name, self.world.model.keep_days)
            self.world.start_server()

    @rule(which=_SEVERAL, how=st.sampled_from(("stop", "kill")))
    def end_server(self, which: int, how: str) -> None:
        """End a server, in order or not."""
        if server := self._server(which):
            getattr(self.world, how)(server)

    @rule(which=_SEVERAL)
    def fork(self, which: int) -> None:
        """Fork a server."""
        server = self._server(which)
        if server and len(self.world.servers) < 4:
            self.world.fork(server)

    @operation("fork_again_as_the_same_process", which=_SEVERAL, lookups=_LOOKUPS)
    def fork_again_as_the_same_process(self, which: int, lookups: list[Asked]) -> None:
        """Fork twice, with the first process's id used again for the last one."""
        server = self._server(which)
        if server and len(self.world.servers) < 3:
            pid = self.world.pid or server.member.pid
            child = self.world.fork(server)
            grandchild = self.world.fork(child, pid)
            self.world.kill(server)
            self.world.log(grandchild, [self._fitting(grandchild, one) for one in lookups])

    # Shipping.

    @rule(retry=st.booleans())
    def ship(self, retry: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Ship, in a process that goes on."""
        self._ship(None, retry=retry)

    @rule(at=_AT, action=st.sampled_from((KILL, KILL, TEAR, SLOW, PAUSE)), retry=st.booleans())
    def ship_and(self, at: int, action: str, retry: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Ship, and be killed, slow, or stopped for a while at a point."""
        self._ship(Arm(action, at), retry=retry)

    @operation("fail_shipping", at=_AT, failure=st.sampled_from(sorted(FAILURES)), lasting=st.booleans())
    def fail_shipping(self, at: int, failure: str, lasting: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """Ship while a disk fails; the same shipper goes on."""
        self._ship(Arm(failure, at, lasting=lasting), retry=False)

    @operation("fail_shipping", size=st.sampled_from((0, 200, 4096)))
    def ship_to_a_small_disk(self, size: int) -> None:
        """Ship while no file can be larger than a little, and be cut off in the middle of it."""
        shipper = self._shipper(stopped=False, idle=True)
        if shipper and self.world.spool.joinpath("spool.json").exists():
            self.world.limited(shipper, size, lambda: self.world.ship(shipper, retry=False))

    @rule()
    def second_shipper(self) -> None:
        """Have another process that can ship."""
        if len(self.world.shippers) < 2:
            self.world.start_shipper()

    @rule(polls=st.integers(1, 30), at=_AT, action=st.sampled_from((None, None, KILL, SLOW)))
    def run_shipper(self, polls: int, at: int, action: str | None) -> None:
        """Run a shipper for a while, in time that is not ours."""
        shipper = self._shipper(stopped=False)
        if shipper and self.world.spool.joinpath("spool.json").exists():
            arm = Arm(action, at) if action else None
            if shipper.polling:
                self.world.poll(shipper, polls, arm)
            else:
                self.world.ship(shipper, "run", arm, polls=polls)

    @rule()
    def end_shipper(self) -> None:
        """End a shipper in order."""
        if self.world.shippers:
            self.world.stop(self.world.shippers[0])

    @rule(how=st.sampled_from(("go on", "die")))
    def resume(self, how: str) -> None:
        """Let go on, or die, who has stopped at a point."""
        for running in [*self.world.servers, *self.world.shippers]:
            if running.paused:
                self.world.resume(running) if how == "go on" else self.world.kill(running)
                return

    @operation("prune", days=st.sampled_from((1, 2)), at=_AT, action=st.sampled_from((None, KILL)))
    def prune(self, days: int, at: int, action: str | None) -> None:
        """Delete old days by command, beside who ships."""
        if shipper := self._shipper(stopped=False, idle=True):
            self.world.model.keep_days = min(days, self.world.model.keep_days or days)
            day = datetime.now(tz=timezone.utc).date().isoformat()
            self.world.ship(shipper, "prune", Arm(action, at % 20) if action else None, keep_days=days, day=day)

    # What happens to clocks and folders.

    @rule(which=_SEVERAL, hours=st.sampled_from((-2.0, -0.5, 0.5, 2.0)), zone=st.sampled_from(_ZONES))
    def jump(self, which: int, hours: float, zone: str) -> None:
        """Move a process's clock, or its time zone, as the change to summer time does to who does not use UTC."""
        running = [one for one in (*self.world.servers, *self.world.shippers) if not (one.paused or one.polling)]
        if running and not self.world.model.keep_days:
            self.world.jump(running[which % len(running)], hours * _HOUR, zone=zone)

    @operation("jump_a_year", sign=st.sampled_from((-1, 1)))
    def jump_a_year(self, sign: int) -> None:
        """Have a shipper whose clock is a year off, and that keeps a few days."""
        self.world.configure(self.world.version, self.world.destinations[-1].name, keep_days=3)
        self.world.start_server()
        shipper = self.world.start_shipper()
        self.world.jump(shipper, sign * _YEAR)
        self.world.ship(shipper, retry=False)

    @operation("change_destination")
    def change_destination(self) -> None:
        """Name another place in feature_store.yaml, and start a server with it."""
        self.world.configure(self.world.version, f"log-{self.places % 3}")
        self.places += 1
        told = self.world.log(self.world.start_server(), [Asked(self.world.version)])
        shipper = self._shipper(stopped=False)
        if shipper is None or any(
            other.paused or other.polling for other in self.world.shippers if other is not shipper
        ):
            return
        # Who has shipped to the old place until now goes on at the new one.
        told_of = self.world.poll(shipper, 6) if shipper.polling else self.world.ship(shipper, retry=False)
        counts = self.world.check()
        assert told_of.ended != FAILED
        assert counts is not None
        assert counts.in_spool or self.world.is_at(self.world.destinations[-1], told.returned[0])

    @operation("delete_spool")
    def delete_spool(self) -> None:
        """Delete the spool under whoever uses it."""
        if not any(running.paused or running.polling for running in (*self.world.servers, *self.world.shippers)):
            self.world.delete_spool()
            for server in self.world.servers:
                self.world.jump(server, 0.0, 5.0)

    @operation("delete_log")
    def delete_log(self) -> None:
        """Delete the log under whoever stores there."""
        if not any(shipper.paused or shipper.polling for shipper in self.world.shippers):
            self.world.delete_log()

    @operation("wait_too_long")
    def wait_too_long(self) -> None:
        """Let rows wait for hours with nobody to ship them: none tried to store them, so all are to be stored."""
        if shipper := self._shipper(stopped=False, idle=True):
            self.world.jump(shipper, 5 * _HOUR, 5 * _HOUR)

    @operation("damage", which=st.integers(0, 99), where=st.floats(0, 1), how=st.sampled_from(("flip", "cut", "zero")))
    def damage(self, which: int, where: float, how: str) -> None:
        """Damage a segment of a writer that is gone or at work."""
        segments = sorted((self.world.spool / "writers").glob("*/*.seg"))
        if how == "cut":  # under a process that has it mapped, that would be its end by the kernel
            segments = [segment for segment in segments if not is_held(segment.parent / "lock")]
        if segments:
            self.world.model.droppable = float("inf")
            self.world.model.letters_may_be = True
            _damage(segments[which % len(segments)], where, how)

    @operation("put_strange_files", kind=st.sampled_from(_STRANGE), which=st.integers(0, 3))
    def put_strange_files(self, kind: str, which: int) -> None:
        """Put into the spool what does not belong there."""
        folders = [self.world.spool, self.world.spool / "schemas", *(self.world.spool / "writers").glob("[!.]*")]
        folder = folders[which % len(folders)]
        if folder.is_dir():
            _strange(folder, kind)

    @invariant()
    def law(self) -> None:
        """Check what holds at every moment."""
        if hasattr(self, "world"):
            self.world.check()

    @rule()
    def settle(self) -> None:
        """Let all go on, and find every lookup."""
        self.world.settle()

    def teardown(self) -> None:
        """Find every lookup: with the servers alive, and when they have ended."""
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle()
            for server in list(self.world.servers):
                self.world.stop(server)
            self.world.settle()
        finally:
            self.world.end()

    def _log(self, which: int, lookups: list[Asked], arm: Arm | None, *, as_asked: bool = False) -> None:
        if server := self._server(which):
            self.world.log(server, lookups if as_asked else [self._fitting(server, one) for one in lookups], arm)

    @staticmethod
    def _fitting(server: Running, one: Asked) -> Asked:
        return Asked(server.version, one.rows, one.payload, one.request_id, one.by_reference, one.big, one.days_ago)

    def _server(self, which: int) -> Running | None:
        there = [server for server in self.world.servers if not server.paused]
        return there[which % len(there)] if there else None

    def _shipper(self, *, stopped: bool, idle: bool = False) -> Running | None:
        there = [one for one in self.world.shippers if one.paused == stopped and not (idle and one.polling)]
        if not there and len(self.world.shippers) < 2 and not stopped:
            return self.world.start_shipper()
        return there[0] if there else None

    def _ship(self, arm: Arm | None, *, retry: bool) -> None:
        if not self.world.spool.joinpath("spool.json").exists():
            return  # nothing was served yet
        if shipper := self._shipper(stopped=False, idle=True):
            told = self.world.ship(shipper, arm=arm, retry=retry)
            assert arm is not None or told.ended not in (DIED, PAUSED)


def _damage(path: Path, where: float, how: str) -> None:
    size = path.stat().st_size
    place = min(size - 1, int(where * min(size, 20_000)))
    with path.open("r+b") as file:
        if how == "cut":
            file.truncate(place)
        elif place >= 0:
            file.seek(place)
            content = file.read(64)
            file.seek(place)
            file.write(bytes(len(content)) if how == "zero" else bytes(255 - byte for byte in content))


def _strange(folder: Path, kind: str) -> None:
    place = folder / (kind if kind.endswith(".seg") else f"{kind}.seg")
    if os.path.lexists(place):
        return
    with suppress(OSError):
        if kind == "fifo":
            os.mkfifo(place)
        elif kind == "folder":
            place.mkdir()
        elif kind == "link":
            place.symlink_to("/dev/zero")
        else:
            place.write_bytes(b"" if kind == "empty" else b"SKEW" * 3)


def machine(crew: Crew, operations: frozenset[str]) -> type[Machine]:
    """Give a machine of these processes; `operations` names what is not left out."""
    return type("TheMachine", (Machine,), {"crew": crew, "operations": operations})


def everything() -> frozenset[str]:
    """Give the names of all operations that can be left out."""
    return frozenset(LEFT_OUT)
