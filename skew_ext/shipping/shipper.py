"""The shipper: takes records from the spool in batches, decodes them, and stores them at the destination."""

from __future__ import annotations

import gc
import logging
import signal
import time
from typing import TYPE_CHECKING

from skew_ext.clock import utc_now
from skew_ext.errors import SpoolError
from skew_ext.serving.file_lock import FileLock
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.shipping.batches import Batches
from skew_ext.shipping.ledger import Ledger, Outcome
from skew_ext.shipping.marker import Following
from skew_ext.shipping.pace import POLL_SECONDS, Pace
from skew_ext.shipping.reader import waiting_rows
from skew_ext.shipping.writers import Writers

if TYPE_CHECKING:
    from pathlib import Path

    from skew_ext.log.destination import Destination

logger = logging.getLogger("skew_ext.shipping")
ABANDONED_SECONDS = 5.0
"""How long a shipper that serving started stays when no writer lives and the spool is empty."""
PATIENCE_SECONDS = 60.0


class Shipper:
    """Ships one spool. There is one at a time: a second one finds the lock held.

    `lock` is the descriptor of the spool's shipper lock, where who started this process has taken it already.

    Raises
    ------
    SpoolError
        The folder is no spool of ours, or its ledger is damaged.
    SettingsError
        The destination that the spool names cannot be made here.
    """

    def __init__(self, spool: Path, *, lock: int | None = None) -> None:
        self.spool = SpoolDirectory(spool)
        self._following = Following(self.spool)
        self._writers = Writers(self.spool)
        self._batches = Batches(self.spool, self._following, self._writers)
        self._lock = FileLock(self.spool.shipper_lock, inherited=lock)
        self._stopping = False

    @property
    def _destination(self) -> Destination:
        return self._following.destination

    def drain(self, *, retry_dead_letters: bool = False) -> Outcome:
        """Ship all that is in the spool now, and return what became of it; dead letters too, where that is asked for.

        Where another shipper is at work it is asked to do so, and waited for.

        Raises
        ------
        SpoolError
            The other shipper makes no progress for a minute.
        OSError
            The destination cannot take it; the records stay in the spool.
        """
        before = Ledger.load(self.spool.ledger).outcome
        if retry_dead_letters:
            self.spool.retry_request.touch(mode=0o600)
        if self._lock_or_emptied():
            try:
                ledger = Ledger.load(self.spool.ledger)
                while self._round(ledger):
                    pass
                self._maintain(ledger)
            finally:
                self._lock.release()
        return Ledger.load(self.spool.ledger).outcome.since(before)

    def run(self, *, exit_when_abandoned: bool = False) -> None:
        """Ship until SIGTERM or SIGINT; or, when asked, until no writer lives and the spool is empty."""
        self._stop_on_signals()
        calm_collector()
        self._following.gives_way = exit_when_abandoned
        while not self._stopping:
            try:
                held = self._lock.acquire()
            except FileNotFoundError:  # the spool was deleted: a server makes it anew
                if exit_when_abandoned:
                    return
                time.sleep(POLL_SECONDS)
                continue
            if not held:
                logger.info("another shipper is at work on %s", self.spool.path)
                return
            try:
                self._loop(exit_when_abandoned=exit_when_abandoned)
            finally:
                self._lock.release()
            # A writer that came while the lock was still held has started no shipper of its own.
            if self._following.is_outdated or (exit_when_abandoned and not self._writers.any_living()):
                return

    def _loop(self, *, exit_when_abandoned: bool) -> None:
        """Go round until it is time to let go of the lock."""
        ledger = Ledger.load(self.spool.ledger)
        pace = Pace()
        while not self._stopping:
            if not self._lock.is_in_place():
                logger.warning("the spool at %s was deleted under its shipper", self.spool.path)
                return
            if self._following.is_outdated:
                logger.info("a server was started with another environment: its own shipper goes on")
                return
            living = self._writers.any_living()
            ledger, moved = self._attempt(ledger, pace, at_once=not living)
            if pace.is_time_for_upkeep(idle=not moved and not pace.backoff):
                self._maintain(ledger)
            elif self._destination.wants_upkeep:
                self._maintain(ledger, quick=True)
            if living or moved or pace.backoff:
                pace.busy()
            elif exit_when_abandoned and pace.idle_seconds() > ABANDONED_SECONDS:
                return
            if not moved:
                time.sleep(pace.backoff or POLL_SECONDS)
        while self._round(ledger):  # a last round, so that a stop leaves as little behind as it can
            pass

    def _attempt(self, ledger: Ledger, pace: Pace, *, at_once: bool) -> tuple[Ledger, bool]:
        """Go round if it is time; give the ledger as it is then, and whether anything moved."""
        asked = self.spool.flush_request.is_file()
        if not pace.is_due(self._following.asked.flush_seconds, at_once=asked or at_once):
            return ledger, False
        try:
            moved = self._round(ledger)
            if asked and not moved:
                self.spool.flush_request.unlink(missing_ok=True)
        except OSError as error:
            pace.failed()
            logger.warning("cannot store yet, trying again in %.1f s: %s", pace.backoff, error)
            return Ledger.load(self.spool.ledger), False
        pace.went(more=self._batches.has_more)
        return ledger, moved

    def _round(self, ledger: Ledger) -> bool:
        return self._batches.ship(ledger)

    def _maintain(self, ledger: Ledger, *, quick: bool = False) -> None:
        """Look after what is stored; nothing is on its way now, so no batch's name may be needed again."""
        if ledger.pending is not None:
            return
        try:
            if not quick:
                self._writers.sweep()
            done = self._destination.maintain(self._following.asked.spool_id, utc_now().date(), quick=quick)
            if done.merged or done.pruned:
                logger.info("merged %d files away; deleted rows of old days: %s", done.merged, done.pruned or "none")
            before = dict(ledger.outcome.pruned)
            if done.pruned_ever is None:
                ledger.outcome.add(Outcome(pruned=done.pruned))
            else:  # the log's own account, which a kill between its steps does not put wrong
                # The ledger of an earlier version may know of more.
                ever = done.pruned_ever
                ledger.outcome.pruned = {
                    reason: max(ever.get(reason, 0), before.get(reason, 0)) for reason in {**before, **ever}
                }
            if ledger.outcome.pruned != before:
                ledger.save(self.spool.ledger)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the log, new rows are stored
            logger.warning("cannot look after the log now: %s: %s", type(error).__name__, error)

    def _lock_or_emptied(self) -> bool:
        """Take the lock; False if the shipper that held it has emptied the spool meanwhile."""
        last, deadline = -1, 0.0
        while not self._lock.acquire():
            ledger = Ledger.load(self.spool.ledger)
            waiting = sum(
                waiting_rows(folder, ledger.entry(folder.name).position) for folder in self.spool.writer_folders()
            )
            if waiting == 0 and not self.spool.retry_request.exists():
                return False
            if waiting != last:
                last, deadline = waiting, time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline:
                msg = (
                    f"another shipper holds {self.spool.path} and has shipped nothing for {PATIENCE_SECONDS:.0f} s: "
                    f"see {self.spool.path / 'shipper.log'}"
                )
                raise SpoolError(msg)
            self.spool.flush_request.touch(mode=0o600)
            time.sleep(0.1)
        return True

    def _stop_on_signals(self) -> None:
        def stop(*_: object) -> None:
            self._stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)


def calm_collector() -> None:
    """Let the garbage collector look less often: a batch is many small objects, and all of them are needed."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
