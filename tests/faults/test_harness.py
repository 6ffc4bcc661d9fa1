"""The short form of the harness: one fault at every point that there is, and a few worlds to which anything happens."""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Callable, Iterator

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as limits
from hypothesis.stateful import run_state_machine_as_test

from skew_ext.log.notes import SkewLogWarning
from tests.faults.crew import DIED, DONE, Crew, crew
from tests.faults.machine import LEFT_OUT, Machine, machine
from tests.faults.points import KILL, Arm
from tests.faults.sites import Site, sites
from tests.faults.sweep import STAGES, Stage, serving, shipping, single_faults
from tests.faults.world import Asked, World

FIXED = 20260301
FAILING = 0.4
"""The share of the points that fail in one run of the short form; all of them are killed at."""
DRAWN = int(os.environ.get("SKEW_TEST_FAULT_SEED", "11"))
"""Another seed; the longer form draws its own."""
NEVER = 1 << 30
_MISMATCHES = "counts lookups of transforms that differ: no rows, and no side of the law"
_FAILING = "only after a failure: `test_one_fault_at_every_point` comes here"
_STRANGE = "only where something is not ours: tests/faults/test_strangers.py"
_LATER = "only long after a merge, or with a large index: tests/integration/test_log_index.py"
_DAMAGED = "only with a damaged account: tests/integration/test_log_pruning.py"
NOT_REACHED = {
    "log.parquet.ParquetDestination._takes:fsync": _FAILING,
    "log.parquet.ParquetDestination._takes:unlink": _FAILING,
    "log.parquet._undo:unlink": _FAILING,
    "log.parquet_files.opened_new:unlink": _FAILING,
    "log.parquet_index.rewrite:replace": _LATER,
    "log.parquet_prune._load:replace": _DAMAGED,
    "log.parquet_upkeep._Day._delete_aside:rmdir": _LATER,
    "log.parquet_upkeep._Day._delete_aside:unlink": _LATER,
    "serving.files.write_atomically:unlink": _FAILING,
    "serving.uncounted.add_losses:flock": _FAILING,
    "serving.uncounted.add_losses:pwrite": _FAILING,
    "serving.writer._registered:rmtree": _FAILING,
    "shipping.writers.Writers._delete:mkdir": _STRANGE,
    "shipping.writers.Writers._delete:rename": _STRANGE,
    "shipping.writers.Writers.sweep:rmtree": _FAILING,
    "serving.mismatches._Tally._opened:mkdir": _MISMATCHES,
    "serving.mismatches._Tally._opened:open": _MISMATCHES,
    "serving.mismatches._Tally._opened:write": _MISMATCHES,
}
"""Calls that no stage comes to, by name, each with its reason."""


@pytest.fixture(scope="module")
def processes() -> Iterator[Crew]:
    with crew() as made:
        yield made


@pytest.mark.parametrize("make", STAGES)
def test_one_fault_at_every_point(processes: Crew, make: Callable[[Crew], Stage]) -> None:
    print("seed", DRAWN)  # noqa: T201 - pytest shows it where the test fails
    stage = make(processes)
    faults = list(single_faults(stage, random.Random(DRAWN), after=False, failing=FAILING))  # noqa: S311 - to be repeatable
    for arm in faults:
        told = stage.run(arm)
        assert told.ended == DIED or told.faults or arm.lasting, f"{arm} did not happen"
    stage.world.end()
    assert len(faults) > 3


def test_every_call_that_changes_files_is_a_point(processes: Crew) -> None:
    for make in STAGES:
        stage = make(processes)
        names = stage.points()
        if make is serving:  # what cannot be made is taken away again
            stage.run(Arm("ENOSPC", name=_first(names, "posix_fallocate:#.seg:before")))
        if make is shipping:  # what a kill leaves of a merge goes with the next one
            stage.run(Arm(KILL, name=_first(names, "rename:.#-merged-#.tmp:before")), Arm(KILL, at=NEVER))
            stage.run(Arm(KILL, name=_first(names, "rename:#-merged-#.parquet:after")), Arm(KILL, at=NEVER))
        stage.world.end()
    missed = {site.name for site in sites() if not site.is_reached(processes.tally.lines)}
    assert missed <= set(NOT_REACHED), (
        "the harness does not come here: give a stage what it takes, or say why it cannot"
    )


def _first(names: list[str], end: str) -> str:
    return next(name for name in names if name.endswith(end))


def test_calls_that_change_files_are_found_in_the_code() -> None:
    names = {site.name for site in sites()}
    assert {"serving.files.write_atomically:replace", "serving.segments.preallocated:posix_fallocate"} <= names
    assert isinstance(next(iter(sites())), Site)
    assert set(NOT_REACHED) <= names, "a call that is not there any more needs no excuse"


@pytest.mark.parametrize("drawn", [False, True])
def test_anything_may_happen(processes: Crew, *, drawn: bool) -> None:
    number = DRAWN if drawn else FIXED
    print("seed", number)  # noqa: T201 - pytest shows it where the test fails
    limit = limits(
        max_examples=6,
        stateful_step_count=15,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        report_multiple_bugs=False,
        print_blob=False,
    )
    run_state_machine_as_test(seed(number)(machine(processes, frozenset())), settings=limit)


def test_what_is_left_out_is_there() -> None:
    missing = [
        name
        for name in LEFT_OUT
        if not hasattr(Machine, name) and f'"{name}" in self' not in inspect.getsource(Machine)
    ]
    assert missing == []


def test_a_loss_and_a_double_are_found(processes: Crew) -> None:
    world = World(processes)
    server = world.start_server()
    assert world.log(server, [Asked(rows=2), Asked()]).ended == DONE
    world.settle()
    (file,) = world.destinations[0].rglob("*.parquet")
    copied = file.with_name(f"copy-{file.name}")
    os.link(file, copied)
    with pytest.warns(SkewLogWarning, match="they count once"):
        world.check()
    copied.unlink()
    rows = pq.read_table(file)
    place = rows.schema.get_field_index("__seq")
    others = rows.set_column(place, "__seq", pc.add(rows["__seq"], 1000)).replace_schema_metadata(None)
    pq.write_table(others, copied)  # rows that nobody served
    with pytest.raises(AssertionError):
        world.settle()
    copied.unlink()
    world.check()
    file.unlink()
    with pytest.raises(AssertionError):
        world.settle()
    world.end()


def test_a_kill_happens_where_it_is_armed(processes: Crew) -> None:
    world = World(processes)
    server = world.start_server()
    told = world.log(server, [Asked()], Arm(KILL, name=""))
    assert told.ended == DIED
    assert told.point.startswith("serving.spool.create")
    assert not world.spool.exists()
    world.end()
