"""The writers of a spool, as the shipper goes through them: read, and let go once they are shipped."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from skew_ext.serving.counters import Shipped, at_least, lost_rows, note_shipped, read_counters
from skew_ext.serving.file_lock import is_held
from skew_ext.serving.segment_file import segment_number, segments
from skew_ext.shipping.ledger import Outcome
from skew_ext.shipping.reader import WriterReader
from skew_ext.shipping.strangers import is_ours, strangers

if TYPE_CHECKING:
    from pathlib import Path

    from skew_ext.serving.spool import SpoolDirectory
    from skew_ext.shipping.ledger import Ledger, Position
    from skew_ext.shipping.reader import Batch

logger = logging.getLogger("skew_ext.shipping")
LEAST_BYTES = 1 << 20
"""What a batch takes of each writer, however many there are."""
_OWN_FILES = ("lock", "state")
_MOST_TOLD = 10_000
_MOST_TRIES = 10
"""How often a planned batch waits for a writer that cannot be read; then it is sent without what that had."""


class Writers:
    """The writers of one spool. An error of one stays with it: it is said, and the others are shipped."""

    def __init__(self, spool: SpoolDirectory) -> None:
        self._spool = spool
        self._told: set[tuple[str, str]] = set()
        self._tries = 0

    def share_of(self, batch_bytes: int) -> int:
        """Return how much of a batch of this size one writer has."""
        return max(LEAST_BYTES, batch_bytes // max(1, len(self._spool.writer_folders())))

    def read(self, ledger: Ledger, most: int) -> list[tuple[WriterReader, Batch]]:
        """Return what is pending, or else what is new, up to about `most` bytes of each writer.

        Writers that are gone and have nothing more are retired.
        """
        self.delete_left(ledger)
        folders, pending = self._spool.writer_folders(), ledger.pending
        self._forget_vanished(ledger, folders)
        found = []
        for reader in map(WriterReader, folders):
            if reader.name in ledger.leaving or (pending is not None and reader.name not in pending.ends):
                continue
            entry, alive = reader.entry(ledger), reader.is_alive()
            until = None if pending is None else pending.ends[reader.name]
            try:
                batch = reader.read(entry.position, until=until, max_bytes=most)
            except OSError as error:
                self._tell(reader.name, f"the spool's writer {reader.name} cannot be read, and waits: {error}")
                if pending is not None:
                    self._pass_over(reader, ledger, error)
                continue
            if batch.entries or batch.damaged:
                found.append((reader, batch))
                continue
            entry.position = batch.end
            if not alive and pending is None:
                self._retire(reader, ledger)
        return found

    def note(self, reader: WriterReader, ledger: Ledger) -> None:
        """Note in a writer's folder how far it is shipped, once the ledger says so, and delete what is."""
        entry = ledger.entry(reader.name)
        at = entry.position
        note_shipped(reader.folder / "state", Shipped(at.segment, at.offset, at.sequence, entry.found_rows))
        self._delete_shipped(reader.folder, at)

    def any_living(self) -> bool:
        """Return whether the process of any writer lives."""
        return any(WriterReader(folder).is_alive() for folder in self._spool.writer_folders())

    def delete_left(self, ledger: Ledger) -> None:
        """Delete the folders of retired writers, as far as they can be."""
        still = []
        for writer in ledger.leaving:
            try:
                self._delete(self._spool.writers / writer)
            except OSError as error:  # noqa: PERF203 - one that cannot be deleted must not keep the others
                still.append(writer)
                self._tell(writer, f"the folder of the writer {writer}, all shipped, cannot be deleted: {error}")
        ledger.leaving[:] = still  # saved with the next batch; to delete what is gone is no harm

    def sweep(self) -> None:
        """Delete what processes left that died while they made a writer, and say what does not belong here."""
        for aside in self._spool.abandoned_asides():
            lock = aside / "lock"
            # One that has no lock yet may be a moment old; one whose process lives holds it.
            if lock.exists() and not is_held(lock):
                shutil.rmtree(aside, ignore_errors=True)
        for name in strangers(self._spool):
            self._tell(name, f"{name!r} in the spool is nothing of skew_ext's: it is left alone")

    def _pass_over(self, reader: WriterReader, ledger: Ledger, error: OSError) -> None:
        """Wait for a writer that a planned batch has records of; after some tries, count these as damaged.

        They may have been stored before: as records of a later batch they would be stored twice.
        """
        self._tries += 1
        if self._tries < _MOST_TRIES:
            raise error
        self._tries = 0
        if ledger.pending is not None:
            ledger.entry(reader.name).position = ledger.pending.ends.pop(reader.name)

    def _retire(self, reader: WriterReader, ledger: Ledger) -> None:
        """Close a dead writer's account, all of it being stored: keep its counters and losses, delete its folder."""
        found = ledger.entry(reader.name).found_rows
        counters = at_least(read_counters(reader.folder / "state"), found)
        ledger.outcome.add(Outcome(dropped=lost_rows(counters, found)))
        ledger.retire(reader.name, counters)
        ledger.save(self._spool.ledger)
        self.delete_left(ledger)

    def _forget_vanished(self, ledger: Ledger, folders: list[Path]) -> None:
        """Close the accounts of writers whose folders were deleted: what was found of them is what they accepted.

        What else they had, the writer itself counts as lost if it lives.
        """
        there = {folder.name for folder in folders}
        for writer in [name for name in ledger.writers if name not in there]:
            found = ledger.writers[writer].found_rows
            self._tell(writer, f"the folder of the spool's writer {writer} was deleted; {found} rows of it are shipped")
            ledger.retire(writer, {"accepted": found, "appended": found}, leaving=False)

    def _delete(self, folder: Path) -> None:
        """Delete a writer's folder and what is ours in it; what is not, is set aside."""
        if not folder.exists():
            return
        for path in segments(folder):
            if is_ours(path):
                path.unlink(missing_ok=True)
        for name in _OWN_FILES:
            if (folder / name).is_file() or (folder / name).is_symlink():
                (folder / name).unlink(missing_ok=True)
        if any(folder.iterdir()):
            self._spool.set_aside.mkdir(mode=0o700, exist_ok=True)
            logger.warning("what is no file of skew_ext's in %s is set aside in %s", folder, self._spool.set_aside)
            folder.rename(self._spool.set_aside / folder.name)
        else:
            folder.rmdir()

    def _delete_shipped(self, folder: Path, position: Position) -> None:
        for path in segments(folder):
            if segment_number(path) < position.segment and is_ours(path):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    self._tell(folder.name, f"{path}, all shipped, cannot be deleted: {error}")

    def _tell(self, about: str, said: str) -> None:
        """Warn of a thing once for as long as this process lives."""
        if (about, said) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((about, said))
            logger.warning(said)
