"""The spool: where served lookups wait, in files shared through memory, until the shipper has stored them.

Layout, every folder 0700 and every file 0600:

    spool.json                 whose spool this is, of which format, and where it ships to
    schemas/<hash>.json        what a lookup's columns mean, written once by the first process that serves it
    writers/<writer>/lock      held (flock) while the process lives, so that its death is known at once
    writers/<writer>/state     counters, memory-mapped: what was accepted, and what was dropped and why
    writers/<writer>/N.seg     segments, preallocated and memory-mapped: the pages outlive a kill -9
    dead_letters/<record>      what could not be decoded or stored, with its reason
    ledger.json                the shipper's: how far each writer is shipped, and what became of the rows
    shipper.lock               held by the one shipper

Invariants: a writer only appends; only the shipper deletes, and only what its ledger has as stored.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from pathlib import Path
from typing import Any

from skew_ext.errors import SpoolError, nearest

FORMAT = "skew_ext spool"
VERSION = 1
SEGMENT_MAGIC = b"SKEWSEG1"
SEGMENT_HEADER = 64
"""Bytes before the first frame: magic, then one byte that the writer sets when it will append no more."""
SEALED_AT = 8
SEGMENT_SUFFIX = ".seg"


class SpoolDirectory:
    """A spool on disk: makes it, or checks that it is ours, and names what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def marker(self) -> Path:
        """The file that says whose spool this is."""
        return self.path / "spool.json"

    @property
    def schemas(self) -> Path:
        """The folder of schemas."""
        return self.path / "schemas"

    @property
    def writers(self) -> Path:
        """The folder of writers."""
        return self.path / "writers"

    @property
    def ledger(self) -> Path:
        """The shipper's ledger."""
        return self.path / "ledger.json"

    @property
    def shipper_lock(self) -> Path:
        """The file that the one shipper holds locked."""
        return self.path / "shipper.lock"

    @property
    def flush_request(self) -> Path:
        """Made by who wants the spool shipped now; the shipper removes it when nothing is left."""
        return self.path / "flush"

    @property
    def retry_request(self) -> Path:
        """Made by who wants the dead letters sent again; the shipper removes it when that is done."""
        return self.path / "retry"

    @property
    def dead_letters(self) -> Path:
        """The folder of records that could not be decoded or stored, each with its reason."""
        return self.path / "dead_letters"

    def create(self, project: str, shipping: dict[str, Any]) -> None:
        """Make the spool of `project`, or take the one that is there; `shipping` tells the shipper where to.

        Raises
        ------
        SpoolError
            The folder holds something else, another version, or another project's spool.
        """
        if self._is_foreign():
            msg = f"{self.path} is not a spool of skew_ext and is not empty: set skew.spool to a folder of its own"
            raise SpoolError(msg)
        for folder in (self.path, self.schemas, self.writers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = self.check(project) if self.marker.exists() else {}
        # The id tells this spool's batches from those of others at the same destination.
        identity = present.get("id") or secrets.token_hex(4)
        wanted = {"format": FORMAT, "version": VERSION, "id": identity, "project": project, "shipping": shipping}
        if present != wanted:
            write_atomically(self.marker, json.dumps(wanted, indent=1))

    def check(self, project: str | None = None) -> dict[str, Any]:
        """Give the marker of an existing spool, checked; the same errors as `create`, and one if there is none."""
        marker = self.read_marker()
        if marker.get("format") != FORMAT:
            msg = f"{self.path} is not a spool of skew_ext: name the folder that skew.spool names"
            raise SpoolError(msg)
        if marker.get("version") != VERSION:
            msg = (
                f"{self.path} is a spool of format {marker.get('version')}, and this skew_ext reads {VERSION}: "
                "drain it with the version that wrote it"
            )
            raise SpoolError(msg)
        if project is not None and marker.get("project") != project:
            hint = nearest(project, [str(marker.get("project"))])
            msg = (
                f"{self.path} is the spool of project {marker.get('project')!r}, not {project!r}{hint}: "
                "give each project a spool of its own"
            )
            raise SpoolError(msg)
        return marker

    def read_marker(self) -> dict[str, Any]:
        """Give spool.json as it is."""
        try:
            marker = json.loads(self.marker.read_text(encoding="utf-8"))
        except FileNotFoundError:
            msg = f"no spool at {self.path}: nothing was logged there yet, or skew.spool names another folder"
            raise SpoolError(msg) from None
        except (OSError, ValueError) as error:
            msg = f"{self.marker} cannot be read ({error}): restore it, or start with an empty spool"
            raise SpoolError(msg) from None
        if not isinstance(marker, dict):
            msg = f"{self.path} is not a spool of skew_ext: name the folder that skew.spool names"
            raise SpoolError(msg)
        return marker

    def writer_folders(self) -> list[Path]:
        """Give the folders of all writers that have something here, oldest first."""
        if not self.writers.is_dir():
            return []
        return sorted(folder for folder in self.writers.iterdir() if folder.is_dir() and folder.name[0] != ".")

    def count_segments(self) -> int:
        """Count the segments of all writers."""
        return sum(len(segments(folder)) for folder in self.writer_folders())

    def put_schema(self, schema_hash: str, text: str) -> None:
        """Keep a schema under its hash; the same hash always has the same text."""
        target = self.schemas / f"{schema_hash}.json"
        if not target.exists():
            write_atomically(target, text)

    def get_schema(self, schema_hash: str) -> str:
        """Give the text of a schema; SpoolError if it is not here."""
        try:
            return (self.schemas / f"{schema_hash}.json").read_text(encoding="utf-8")
        except OSError as error:
            msg = f"schema {schema_hash} is missing from {self.schemas} ({error}): its lookups cannot be decoded"
            raise SpoolError(msg) from None

    def _is_foreign(self) -> bool:
        if self.marker.exists() or not self.path.exists():
            return False
        # Another process may be making the same spool just now: its folders come before its marker.
        ours, passing = (self.schemas.name, self.writers.name), f".{self.marker.name}."
        others = any(path.name not in ours and not path.name.startswith(passing) for path in self.path.iterdir())
        return others and not self.marker.exists()  # asked again: the other may have just finished


def segments(folder: Path) -> list[Path]:
    """Give a writer's segments, oldest first."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SEGMENT_SUFFIX)
    except FileNotFoundError:  # the shipper has deleted it, all of it being stored
        return []


def segment_number(path: Path) -> int:
    """Give the number that a segment's name carries."""
    return int(path.stem)


def write_atomically(target: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new, also after a crash."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)


class FileLock:
    """An flock on a file: released by the kernel when its holder dies, however it dies.

    A holder can hand it to a child: `inherited` is the descriptor that the child got it as.
    """

    def __init__(self, path: Path, inherited: int | None = None) -> None:
        self._path = path
        self._descriptor = inherited

    @property
    def descriptor(self) -> int:
        """The descriptor that holds the lock; -1 where it is not held."""
        return -1 if self._descriptor is None else self._descriptor

    def acquire(self) -> bool:
        """Take the lock if it is free; say whether it is held now."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; harmless if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(path: Path) -> bool:
    """Say whether a living process holds the lock file at `path`."""
    if not path.exists():
        return False
    lock = FileLock(path)
    free = lock.acquire()
    lock.release()
    return not free
