"""A fault at every point that there is: a process is run once to find them, and then once for each, from one state.

The state is made so that everything is due at once: repeated and contradicting request ids, full segments, writers that
died and that ended, dead letters that are sent again, and small files to merge.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from skew_ext.serving.segment_file import SEALED_AT
from skew_ext.serving.spool import SpoolDirectory
from tests.faults.crew import DIED, Crew, Told
from tests.faults.points import BEFORE, FAILURES, KILL, TEAR, Arm
from tests.faults.world import Asked, Model, Running, World
from tests.kit import wait_for

KEEP_DAYS = 2
_LASTING = 0.5
SERVED = [
    Asked(rows=2),
    Asked(request_id="again", payload=1),
    Asked(request_id="again", payload=1),
    Asked(request_id="again", payload=2),
    *[Asked(big=True)] * 4,
    Asked(by_reference=True),
    *[Asked(big=True)] * 3,
]
"""What is served: two segments and a bit."""


@dataclass
class Stage:
    """A state of a world, and what is done in it: by a process that `enter` starts, command by command."""

    world: World
    model: Model
    enter: Callable[[World], Running]
    act: Callable[[World, Running, Arm | None], Told]
    may_tear: bool = True
    passed: int = 0
    """How many points there were when it was done without a fault."""

    def run(self, arm: Arm | None, then: Arm | None = None) -> Told:
        """Do it from the start with something armed, and `then` in who goes on; settle, and check."""
        self.world.restore(self.model)
        running = self.enter(self.world)
        told = self.act(self.world, running, arm)
        self.world.check_counts()
        if then is not None:
            if told.ended == DIED:
                running = self.enter(self.world)
            self.act(self.world, running, then)
            self.world.check_counts()
        self._see(running)
        self.world.settle()
        return told

    def _see(self, running: Running) -> list[str]:
        """Note where a process has come to, and give the names of the points since it was armed."""
        member, tally = running.member, self.world.crew.tally
        if not member.alive or running.polling:
            return []
        reached = member.do("points").done
        self.passed = int(reached["passed"])
        tally.lines.update((module, line) for module, line in reached["lines"])
        return list(dict.fromkeys(reached["names"]))

    def storm(self, arms: Sequence[Arm]) -> None:
        """Do it again and again, each time with something else armed, until it comes to its end; settle, and check."""
        self.world.restore(self.model)
        for arm in arms:
            running = self.enter(self.world)
            if self.act(self.world, running, arm).ended != DIED:
                break
            self.world.check_counts()
        self.world.settle()

    def points(self) -> list[str]:
        """Do it without a fault, and give the names of the points that it reached."""
        self.world.restore(self.model)
        running = self.enter(self.world)
        # Armed with what never happens, so that the points are counted.
        self.act(self.world, running, Arm(KILL, at=1 << 30))
        if running.polling:
            self.world.stop(running, leave=False)
        names = self._see(running)
        self.world.settle()
        return names


def shipping(crew: Crew) -> Stage:
    """Give the stage of a shipper that has everything to do."""
    world = World(crew)
    world.retries = True
    schemas = SpoolDirectory(world.spool).schemas
    server = world.start_server()
    world.log(server, [Asked()])
    known = set(schemas.iterdir())
    world.log(server, [Asked(by_reference=True, rows=2)])
    (schema,) = set(schemas.iterdir()) - known
    text = schema.read_bytes()
    schema.unlink()
    world.drain()
    schema.write_bytes(text)
    for _ in range(6):
        world.log(server, [Asked()])
        world.drain()
    world.stop(server)
    server = world.start_server()
    world.log(server, [Asked(request_id="ended")])
    world.stop(server)
    server = world.start_server()
    world.log(server, SERVED)
    world.kill(server)
    return Stage(world, world.save(), World.start_shipper, _drain)


def pruning(crew: Crew) -> Stage:
    """Give the stage of a shipper that has a day to delete."""
    world = World(crew)
    server = world.start_server()
    world.log(server, [Asked(days_ago=9, rows=2)])
    world.drain()
    world.stop(server)
    world.configure(0, "log", keep_days=KEEP_DAYS)
    server = world.start_server()
    world.log(server, [Asked()])
    world.stop(server)
    return Stage(world, world.save(), World.start_shipper, _drain)


def setting_aside(crew: Crew) -> Stage:
    """Give the stage of a shipper that meets records that it cannot decode."""
    world = World(crew)
    world.model.letters_may_be = True
    server = world.start_server()
    world.log(server, [Asked(rows=2), Asked(by_reference=True, rows=2)])
    world.kill(server)
    for schema in SpoolDirectory(world.spool).schemas.iterdir():
        schema.unlink()
    # A loss of power takes what was written of a dead letter: only its description is on the disk for sure.
    return Stage(world, world.save(), World.start_shipper, _drain, may_tear=False)


def running(crew: Crew) -> Stage:
    """Give the stage of a shipper that runs while another one asks it to ship at once."""
    world = World(crew)
    server = world.start_server()
    world.log(server, [Asked()])
    world.stop(server)
    world.drain()

    def enter(world: World) -> Running:
        shipper = world.start_shipper()
        world.ship(shipper, "run", polls=1)
        world.log(world.start_server(), SERVED)
        # Who finds the lock held asks for a flush, and would wait.
        world.ship(world.start_shipper(), arm=Arm(KILL, name="open:flush:after"), retry=False)
        return shipper

    return Stage(world, world.save(), enter, lambda world, shipper, arm: world.poll(shipper, 6, arm))


def serving(crew: Crew) -> Stage:
    """Give the stage of a server that starts, serves, and ends."""
    world = World(crew, start_shipper=True)
    return Stage(world, world.save(), World.start_server, lambda world, server, arm: world.log(server, SERVED, arm))


def ending(crew: Crew) -> Stage:
    """Give the stage of a server that ends."""
    world = World(crew, start_shipper=True)

    def enter(world: World) -> Running:
        server = world.start_server()
        # As much as takes a segment, a next one for it to go on in, and one that it never comes to.
        world.log(server, [*SERVED, Asked(big=True), Asked()])
        wait_for(lambda: _unsealed(world) > 1, "no segment was made ahead")
        return server

    return Stage(world, world.save(), enter, _end)


def _unsealed(world: World) -> int:
    # One that is being made has no size yet.
    return sum(path.read_bytes()[SEALED_AT : SEALED_AT + 1] == b"\0" for path in world.spool.glob("writers/*/*.seg"))


STAGES = (shipping, pruning, setting_aside, running, serving, ending)


def _drain(world: World, shipper: Running, arm: Arm | None) -> Told:
    return world.ship(shipper, arm=arm, retry=True)


def _end(world: World, server: Running, arm: Arm | None) -> Told:
    told = server.member.do("close", arm)
    server.closed = True
    if told.ended == DIED:
        world.kill(server)
    return told


def single_faults(stage: Stage, chance: random.Random, *, after: bool = True, failing: float = 1.0) -> Iterator[Arm]:
    """Give one fault for each named point: a kill, and one of the answers that a disk can have for it.

    A share of `failing` of the points fails. Without `after`, not for those behind an operation: what is on the disk
    there is most often what is there at the next point.
    """
    kills = (KILL, TEAR) if stage.may_tear else (KILL,)
    for name in stage.points():
        operation, _, when = name.split(":")[1:]
        if when == BEFORE or after:
            yield Arm(chance.choice(kills), name=name)
        failures = [failure for failure, (_, plausible) in FAILURES.items() if operation in plausible]
        if failures and chance.random() < failing and (when == BEFORE or operation == "store"):
            yield Arm(chance.choice(failures), name=name, lasting=chance.random() < _LASTING)
