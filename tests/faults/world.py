"""One repo with its spool, its log and its processes, and what must be true of them whatever happens.

The law: accepted = stored + duplicate + dead_lettered + dropped + in_spool. No row is twice in the log. Each request
id that was returned is in the log, in the spool, a dead letter, or among the rows that are counted as dropped; and rows
are dropped only after something was done that excuses it.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml
from feast import FeatureStore

from skew_ext import read_log
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.query import LogQuery
from skew_ext.serving.record import Record
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import LogStats, log_stats
from tests.faults.answers import answer, registry, repo_config
from tests.faults.crew import DIED, DONE, FAILED, PAUSED, POLLING, Crew, Member, Told
from tests.faults.points import Arm

Identity = tuple[str, int, int]
BIG = 600_000
"""Bytes of a lookup of which a segment takes two at most: of a version with two texts, one."""
PATIENCE_SECONDS = 20.0
_RETRY_SECONDS = 5.0
_MAY_FAIL = {"OSError", "SkewError"}


@dataclass(frozen=True)
class Asked:
    """One lookup to be served. `request_id` None: skew_ext makes one. `days_ago` None: served now."""

    version: int = 0
    rows: int = 1
    payload: int = 0
    request_id: str | None = None
    by_reference: bool = False
    big: bool = False
    days_ago: int | None = None

    @property
    def content(self) -> Asked:
        """What of it tells in the answer: a lookup by reference has no text, and is the same in every version."""
        if not self.by_reference:
            return replace(self, days_ago=None)
        return replace(self, days_ago=None, version=0, big=False)


@dataclass
class Returned:
    """A lookup that has returned. `excused`: it may be missing, since what held it was deleted on purpose."""

    request_id: str
    asked: Asked
    served: datetime
    excused: bool = False


@dataclass
class Model:
    """What is known from outside: what was returned, and what was done that excuses a loss."""

    returned: list[Returned] = field(default_factory=list)
    gone: set[Identity] = field(default_factory=set)
    """Rows that were stored and whose log was deleted on purpose."""
    before: int = 0
    """Rows that had been stored by spools that were deleted on purpose."""
    accepted_at_least: int = 0
    droppable: float = 0
    """The most rows that may be dropped."""
    forgettable: int = 0
    """Rows that a process has lost and may have taken its count of with it: there was no spool to count them in."""
    keep_days: int | None = None
    letters_may_be: bool = False
    known: Counter[tuple[str, Asked]] = field(default_factory=Counter)


@dataclass(eq=False)
class Running:
    """A process of this world: `owed` are rows that it served while its disk failed, and may not have counted yet."""

    member: Member
    version: int = 0
    wall: float = 0.0
    owed: int = 0
    paused: bool = False
    polling: bool = False
    closed: bool = False
    limited: bool = False
    waiting: list[Asked] = field(default_factory=list)


@contextmanager
def in_time() -> Iterator[None]:
    """Let nothing wait for ever: what does not end is found, as what goes wrong is."""

    def late(*_: object) -> None:
        msg = f"no end after {PATIENCE_SECONDS:.0f} s"
        raise AssertionError(msg)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class World:
    """A fresh repo whose processes are the crew's."""

    def __init__(self, crew: Crew, **skew: Any) -> None:
        self.crew = crew
        self.repo = crew.folder / "repo"
        shutil.rmtree(self.repo, ignore_errors=True)
        self.repo.mkdir()
        self.spool = self.repo / "data/skew/spool"
        self.destinations: list[Path] = []
        self._read: dict[Path, Any] = {}
        self.model = Model()
        self.servers: list[Running] = []
        self.shippers: list[Running] = []
        self.pid = 0
        self.retries = False  # whether dead letters are sent again when all settles
        self._skew = {"segment_bytes": 1 << 20, "spool_max_bytes": 64 << 20, "flush_seconds": 1.0, **skew}
        self.configure(0, "log")
        logging.getLogger("skew_ext").setLevel(logging.CRITICAL)

    # What can be done to a world.

    def configure(self, version: int, destination: str, keep_days: int | None = None) -> None:
        """Write feature_store.yaml, as a release does that a later server starts with."""
        path = self.repo / "data/skew" / destination
        if path not in self.destinations:
            self.destinations.append(path)
        else:  # the last one is where the log is read
            self.destinations.append(self.destinations.pop(self.destinations.index(path)))
        self.version = version
        if keep_days is not None:
            self.model.keep_days = keep_days
        kept = {"type": "parquet", "path": str(path), "keep_days": keep_days}
        config = repo_config(
            registry(self.crew.answers, version),
            self.repo / "online.db",
            provider="skew_ext.SkewProvider",
            destination=kept,
            **self._skew,
        )
        (self.repo / "feature_store.yaml").write_text(yaml.safe_dump(config))
        self._store = FeatureStore(repo_path=str(self.repo))

    def start_server(self) -> Running:
        """Start a server with the present feature_store.yaml."""
        member = self.crew.start("serve", self.repo, self.crew.answers, self.pid)
        self.servers.append(Running(member, self.version))
        return self.servers[-1]

    def start_shipper(self) -> Running:
        """Start a process that can ship."""
        self.shippers.append(Running(self.crew.start("ship", self.repo, self.pid)))
        return self.shippers[-1]

    def log(self, server: Running, asked: list[Asked], arm: Arm | None = None) -> Told:
        """Have lookups served."""
        now = datetime.now(tz=timezone.utc) + timedelta(seconds=server.wall)
        served = [now if one.days_ago is None else now - timedelta(days=one.days_ago) for one in asked]
        given = [
            {
                "answer": answer(one.version, one.rows, by_reference=one.by_reference),
                "by_reference": one.by_reference,
                "payload": one.payload,
                "rows": one.rows,
                "request_id": one.request_id,
                "size": BIG // (2 * one.rows) if one.big else 0,
                "served_at": None if one.days_ago is None else moment.timestamp(),
            }
            for one, moment in zip(asked, served, strict=True)
        ]
        told = server.member.do("log", arm, lookups=given)
        return self._logged(server, asked, served, told)

    def _logged(self, server: Running, asked: list[Asked], served: list[datetime], told: Told) -> Told:
        assert told.ended != FAILED, f"a lookup failed for the sake of its log: {told.error}"
        server.paused = told.ended == PAUSED
        for number, request_id in told.returned.items():
            one = asked[number]
            server.owed += one.rows if told.faults or server.limited else 0
            if request_id is None:  # it was not encoded: the caller has no id of it, and the count is all there is
                continue
            self.model.returned.append(Returned(request_id, one, served[number]))
            self.model.accepted_at_least += one.rows
            self.model.known[request_id, one.content] += one.rows
        left = [one for number, one in enumerate(asked) if number not in told.returned]
        server.waiting = left if server.paused else []
        if told.faults or server.limited:
            self.model.droppable += sum(one.rows for one in asked)
        if told.ended == DIED:
            self.model.droppable += max((one.rows for one in left), default=0)
            for one in left[:1]:  # it may be logged all the same, and then a later one is its repeat
                if one.request_id is not None:
                    self.model.known[one.request_id, one.content] += one.rows
            self._ended(server)
        return told

    def ship(self, shipper: Running, command: str = "drain", arm: Arm | None = None, **given: Any) -> Told:
        """Have a shipper do something."""
        return self._shipped(shipper, shipper.member.do(command, arm, **given))

    def poll(self, shipper: Running, polls: int, arm: Arm | None = None) -> Told:
        """Have a shipper that runs go on for some of its pauses."""
        shipper.member.say({"do": "poll", "with": {"polls": polls}, "arm": vars(arm) if arm else None})
        return self._shipped(shipper, shipper.member.hear())

    def limited(self, running: Running, size: int, do: Callable[[], Told]) -> Told:
        """Do something while none of a process's files can grow beyond `size`, which the kernel itself sees to."""
        running.member.do("limit", size=size)
        running.limited = True
        try:
            return do()
        finally:
            running.limited = False
            if running.member.alive:
                running.member.do("limit", size=None)

    def _shipped(self, shipper: Running, told: Told) -> Told:
        shipper.paused, shipper.polling = told.ended == PAUSED, told.ended == POLLING
        if told.ended == DIED:
            self._ended(shipper)
        others = any(other.paused or other.polling for other in self.shippers if other is not shipper)
        excused = bool(told.faults) or shipper.limited or others or not self.spool.exists()
        assert told.ended != FAILED or (excused and _MAY_FAIL & set(told.kinds)), told
        return told

    def resume(self, running: Running, arm: Arm | None = None) -> Told:
        """Let a process go on from where it paused."""
        running.member.say({"do": "resume", "arm": vars(arm) if arm else None})
        told = running.member.hear()
        if running in self.shippers:
            return self._shipped(running, told)
        now = datetime.now(tz=timezone.utc)
        asked = running.waiting
        # The lookups are numbered from the first of the command on, and those that had returned are known.
        first = min(told.returned, default=0)
        told.returned = {number - first: request_id for number, request_id in told.returned.items()}
        return self._logged(running, asked, [now] * len(asked), told)

    def stop(self, running: Running, arm: Arm | None = None, *, leave: bool = True) -> None:
        """End a process in order; without `leave`, only what it runs."""
        if running.paused:
            self.resume(running)
        if running.polling:
            running.member.say({"do": "stop", "arm": None})
            self._shipped(running, running.member.hear())
        if leave and running.member.alive:
            running.member.leave(arm)
            self._ended(running)

    def kill(self, running: Running) -> None:
        """Kill a process where it stands."""
        if running.paused and running in self.servers:
            self.model.droppable += max((one.rows for one in running.waiting), default=0)
            for one in running.waiting[:1]:
                if one.request_id is not None:
                    self.model.known[one.request_id, one.content] += one.rows
        running.member.kill()
        self._ended(running)

    def jump(self, running: Running, wall: float, monotonic: float = 0.0, zone: str = "") -> None:
        """Move a process's clocks."""
        running.member.do("jump", wall=wall, monotonic=monotonic, zone=zone)
        running.wall += wall

    def fork(self, server: Running, pid: int | None = None) -> Running:
        """Have a server fork; `pid` is the process id that the child takes itself to have."""
        told = server.member.do("fork", pid=pid)
        assert told.ended == DONE, told
        self.servers.append(Running(self.crew.forked(), server.version, server.wall))
        return self.servers[-1]

    def delete_spool(self) -> None:
        """Delete the spool: what waits there is gone, and so are its counts."""
        self._read = {}
        there = self.in_log()
        ids = self._ids_in_logs()
        for one in self.model.returned:
            one.excused = one.excused or one.request_id not in ids
        self.model.before = len(there | self.model.gone)
        self.model.accepted_at_least = 0
        # What servers had there, and log there until they notice, they count as dropped.
        self.model.droppable = float("inf")
        shutil.rmtree(self.spool, ignore_errors=True)

    def delete_log(self) -> None:
        """Delete the log: what is stored there is gone."""
        self._read = {}
        ids = self._ids_in_logs()
        for one in self.model.returned:
            one.excused = one.excused or one.request_id in ids
        self.model.gone |= self.in_log()
        for path in self.destinations:
            shutil.rmtree(path, ignore_errors=True)

    def _ended(self, running: Running) -> None:
        self.model.forgettable += running.owed
        for several in (self.servers, self.shippers):
            if running in several:
                several.remove(running)

    def drain(self) -> None:
        """Ship all, here and now and without a fault."""
        Shipper(self.spool).drain()

    # What must be true of it.

    def check(self) -> LogStats | None:
        """Check what holds at every moment; give the counts, None where there is no spool yet."""
        self._read = {}
        with in_time():
            return self._checked()

    def _checked(self) -> LogStats | None:
        for path in self.destinations:
            identities = self._identities(path)
            assert len(set(identities)) == len(identities), [one for one, n in Counter(identities).items() if n > 1][:3]
        return self._counted()

    def check_counts(self) -> LogStats | None:
        """Check the law alone."""
        with in_time():
            return self._counted()

    def _counted(self) -> LogStats | None:
        if not SpoolDirectory(self.spool).marker.exists():
            return None
        counts = log_stats(self.spool)
        if not any(server.paused for server in self.servers):
            assert counts.unaccounted == 0, counts
            assert sum(counts.dropped.values()) <= self.model.droppable, (self.model.droppable, counts)
        return counts

    def settle(self) -> LogStats | None:
        """Let all go on without a fault, have everything shipped, and check that each lookup is where it should be."""
        for running in [*self.servers, *self.shippers]:
            if running.paused:
                self.resume(running)
        for shipper in list(self.shippers):
            if shipper.polling:
                self.stop(shipper)
        for server in list(self.servers):
            if server.closed:
                self.kill(server)
                continue
            # What could not be logged is counted as soon as there is room again, which a lookup that is lost finds out.
            self.model.droppable += 1 if server.owed else 0
            server.member.do("jump", wall=0, monotonic=_RETRY_SECONDS, zone="")
            told = self.log(server, [Asked(server.version)])
            assert told.ended == DONE, told
            server.owed = 0
        if SpoolDirectory(self.spool).marker.exists():
            with in_time():
                Shipper(self.spool).drain(retry_dead_letters=self.retries)
        counts = self.check()
        if counts is not None:
            self._check_counts(counts)
        self._check_ids(counts)
        return counts

    def _check_counts(self, counts: LogStats) -> None:
        model = self.model
        assert counts.in_spool == 0, counts
        stored = len(self.in_log() | model.gone)
        assert stored == model.before + counts.stored - sum(counts.pruned.values()), (stored, model.before, counts)
        assert counts.accepted >= model.accepted_at_least - model.forgettable, (model.accepted_at_least, counts)
        repeated = sum(max(0, rows - one.rows) for (_, one), rows in model.known.items())
        assert counts.duplicate <= repeated, (repeated, counts)
        letters = self._letters()
        assert counts.dead_lettered == sum(letters.values()), (letters, counts)
        assert model.letters_may_be or not letters, letters

    def _check_ids(self, counts: LogStats | None) -> None:
        model, there = self.model, self._ids_in_logs()
        letters = self._letters()
        kept = datetime.now(tz=timezone.utc) - timedelta(days=model.keep_days or 0)
        missing = [
            one
            for one in model.returned
            if one.request_id not in there
            and one.request_id not in letters
            and not one.excused
            and not (model.keep_days and one.served.date() < kept.date())
        ]
        rows = sum(one.asked.rows for one in missing)
        dropped = sum(counts.dropped.values()) if counts else 0
        assert rows <= dropped + model.forgettable, (missing[:3], rows, counts)
        for one in model.returned:
            if one.asked.request_id is None and one.request_id in there and one.request_id not in letters:
                assert there[one.request_id] == one.asked.rows, one

    def in_log(self) -> set[Identity]:
        """Give the rows of all logs of this world, as they were read last."""
        return {identity for path in self.destinations for identity in self._identities(path)}

    def is_at(self, path: Path, request_id: str | None) -> bool:
        """Say whether a request is in one of this world's logs, as that was read last."""
        return request_id in self._rows(path)["__request_id"].to_pylist()

    def _identities(self, path: Path) -> list[Identity]:
        rows = self._rows(path)
        return list(zip(*(rows[name].to_pylist() for name in ("__writer", "__seq", "__row")), strict=True))

    def _ids_in_logs(self) -> Counter[str]:
        return Counter(one for path in self.destinations for one in self._rows(path)["__request_id"].to_pylist())

    def _rows(self, path: Path) -> Any:
        if path not in self._read:
            if path == self.destinations[-1]:
                self._read[path] = read_log(self._store)
            else:
                self._read[path] = ParquetDestination(path).read(LogQuery())
        return self._read[path]

    def _letters(self) -> Counter[str]:
        """Give the rows of dead letters by request id."""
        rows: Counter[str] = Counter()
        for about in (self.spool / "dead_letters").glob("*.json"):
            record = Record.decode(about.with_suffix(".record").read_bytes())
            rows[record.request_id.decode()] += json.loads(about.read_text())["rows"]
        return rows

    # To do it again, with another fault.

    def save(self) -> Model:
        """Keep the world as it is now, without processes, for `restore`."""
        assert not self.servers
        assert not self.shippers
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.repo, self._kept, symlinks=True)
        return copy.deepcopy(self.model)

    def restore(self, model: Model) -> None:
        """Have the world as it was when `save` gave this."""
        self.end()
        shutil.rmtree(self.repo)
        # The large files of a world without processes are not changed in place, only replaced or deleted.
        shutil.copytree(self._kept, self.repo, symlinks=True, copy_function=_linked_or_copied)
        self.model = copy.deepcopy(model)

    @property
    def _kept(self) -> Path:
        return self.crew.folder / "kept"

    def end(self) -> None:
        """Kill what is left."""
        for running in [*self.servers, *self.shippers]:
            running.member.kill(counted=False)
        self.servers.clear()
        self.shippers.clear()


def _linked_or_copied(source: str, target: str) -> None:
    if source.endswith((".seg", ".parquet")):
        os.link(source, target)
    else:
        shutil.copy2(source, target)
