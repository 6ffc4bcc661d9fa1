"""The longer form of the harness: faults at every point, alone and in pairs, and a machine, for as long as it is given.

`make test-faults ARGS='--seconds 3600 --seed 7'`. It prints its seed first and then, now and then, what was done; it
ends at the first thing that it finds, with the steps that lead there, unless it is told to `--go-on`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as limits
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.crew import Crew, crew
from tests.faults.machine import LEFT_OUT, machine
from tests.faults.points import FAILURES, KILL, SLOW, TEAR, Arm
from tests.faults.sweep import STAGES, Stage, single_faults

_KILLS_IN_A_ROW = 6
_ROUND_EXAMPLES, _STEPS = 15, 30
_SHOWN = 3


class Longer:
    """One run: what it has found, and how long it may go on."""

    def __init__(self, chance: random.Random, seconds: float, operations: frozenset[str], *, go_on: bool) -> None:
        self._chance = chance
        self._until = time.monotonic() + seconds
        self._operations = operations
        self._go_on = go_on
        self.found: Counter[str] = Counter()
        self.tried = 0

    def run(self, made: Crew, *, kills: int) -> None:
        """Go round until the time is up and there were so many kills."""
        rounds = 0
        while self._has_time or made.tally.kills.total() < kills:
            for make in STAGES:
                stage = self._staged(make, made)
                if rounds == 0:
                    for arm in single_faults(stage, self._chance):
                        self._try(f"{make.__name__}: {arm}", stage.run, arm)
                else:
                    self._pairs(make.__name__, stage, 40)
                    self._storms(make.__name__, stage, 40)
                stage.world.end()
                print(f"{made.tally.text()}; {self.tried} runs", flush=True)  # noqa: T201 - it takes long
            number = self._chance.randrange(1 << 32)
            self._try(f"machine of seed {number}", self._machine, made, number)
            rounds += 1

    @property
    def _has_time(self) -> bool:
        return time.monotonic() < self._until

    def _staged(self, make: Callable[[Crew], Stage], made: Crew) -> Stage:
        stage = make(made)
        stage.points()
        return stage

    def _pairs(self, name: str, stage: Stage, times: int) -> None:
        """Have one fault, and then another in who goes on."""
        for _ in range(times):
            arms = [self._drawn(stage.passed) for _ in range(2)]
            self._try(f"{name}: {arms}", stage.run, *arms)

    def _storms(self, name: str, stage: Stage, times: int) -> None:
        """Kill one process after another, each where the one before it could not come to."""
        for _ in range(times):
            arms = [
                Arm(self._chance.choice((KILL, TEAR)) if stage.may_tear else KILL, self._chance.randrange(stage.passed))
                for _ in range(_KILLS_IN_A_ROW)
            ]
            self._try(f"{name}: {arms}", stage.storm, arms)

    def _drawn(self, passed: int) -> Arm:
        action = self._chance.choice((KILL, KILL, TEAR, SLOW, *FAILURES))
        return Arm(action, self._chance.randrange(passed), lasting=self._chance.random() < 0.5)

    def _machine(self, made: Crew, number: int) -> None:
        limit = limits(
            max_examples=_ROUND_EXAMPLES,
            stateful_step_count=_STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate] if self._go_on else [Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            print_blob=False,
        )
        run_state_machine_as_test(seed(number)(machine(made, self._operations)), settings=limit)

    def _try(self, what: str, do: Callable[..., object], *given: Any) -> None:
        self.tried += 1
        try:
            do(*given)
        except Exception as error:
            if not self._go_on:
                print(f"found by {what}", file=sys.stderr)  # noqa: T201 - how to see it again
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} in {where.name}"
            if self.found[kind] < _SHOWN:
                print(f"found by {what}\n  {kind}: {str(error)[:600]}", flush=True)  # noqa: T201
            self.found[kind] += 1


def main(arguments: list[str] | None = None) -> int:
    """Run it; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for how long (600)")
    parser.add_argument("--kills", type=int, default=0, help="go on until so many processes were killed")
    parser.add_argument("--seed", type=int, help="as an earlier run printed it; drawn where it is not given")
    parser.add_argument("--with", dest="operations", action="append", choices=(*LEFT_OUT, "all"), default=[],
                        help="an operation that CI leaves out; may be given several times")  # fmt: skip
    parser.add_argument("--go-on", action="store_true", help="count what is found, and go on")
    given = parser.parse_args(arguments)
    number = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    operations = frozenset(LEFT_OUT if "all" in given.operations else given.operations)
    print(f"seed {number}; operations: {', '.join(sorted(operations)) or 'those of CI'}", flush=True)  # noqa: T201
    began = time.monotonic()
    longer = Longer(random.Random(number), given.seconds, operations, go_on=given.go_on)  # noqa: S311 - to be repeatable
    with crew() as made:
        try:
            longer.run(made, kills=given.kills)
        finally:
            seconds = time.monotonic() - began
            a_kill = 1000 * seconds / max(1, made.tally.kills.total())
            print(f"{made.tally.text()} in {seconds:.0f} s, {a_kill:.0f} ms a kill; seed {number}")  # noqa: T201
            print(f"found: {dict(longer.found) or 'nothing'}", flush=True)  # noqa: T201
    return 1 if longer.found else 0
