"""The spool: where served lookups wait, in files shared through memory, until the shipper has stored them.

Layout, every folder 0700 and every file 0600:

    spool.json                 whose spool this is, of which format, and where it ships to
    schemas/<hash>.json        what a lookup's columns mean, written once by the first process that serves it
    writers/<writer>/lock      held (flock) while the process lives, so that its death is known at once
    writers/<writer>/state     counters, memory-mapped: what was accepted, and what was dropped and why
    writers/<writer>/N.seg     segments, preallocated and memory-mapped: the pages outlive a kill -9
    dead_letters/<record>      what could not be decoded or stored, with its reason
    set_aside/<writer>         what was left in the folder of a writer that is shipped, and is no file of ours
    losses                     counts of rows that were lost while no writer was there to count them
    ledger.json                the shipper's: how far each writer is shipped, and what became of the rows
    shipper.lock               held by the one shipper

Invariants: a writer only appends; only the shipper deletes, and only what its ledger has as stored. What has another
name or kind than these is left alone. No link in here is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any

from skew_ext.errors import SpoolError, nearest
from skew_ext.serving.files import read_regular, write_atomically
from skew_ext.serving.segment_file import segments
from skew_ext.serving.uncounted import make_losses

FORMAT = "skew_ext spool"
VERSION = 1
HASH_DIGITS = 16
"""How many hex digits of SHA-256 a schema is known by."""
_SCHEMA = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}", re.ASCII)
_WRITER = re.compile(r"[0-9a-f]{32}", re.ASCII)
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MOUNTED = "; where it is a mounted volume, mount that one folder above"


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
    def losses(self) -> Path:
        """The file that counts rows which were lost while no writer was there to count them."""
        return self.path / "losses"

    @property
    def set_aside(self) -> Path:
        """The folder of what was found in writers' folders and is not ours."""
        return self.path / "set_aside"

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
        if self._is_foreign(project):
            msg = f"{self.path} is not a spool of skew_ext and is not empty: set skew.spool to a folder of its own"
            raise SpoolError(msg)
        for folder in (self.path, self.schemas, self.writers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.marker.exists() and self._is_mine():
            self.path.chmod(0o700)  # made by hand, and empty: it may have been made with any umask
        present = {} if not self.marker.exists() or self._is_recoverable(project) else self.check(project)
        self._check_place()
        make_losses(self.losses)
        # The id tells this spool's batches from those of others at the same destination.
        identity = present.get("id") or secrets.token_hex(4)
        wanted = {"format": FORMAT, "version": VERSION, "id": identity, "project": project, "shipping": shipping}
        if present != wanted:
            write_atomically(self.marker, json.dumps(wanted, indent=1))

    def set_surroundings(self, surroundings: str) -> None:
        """Say in the marker with what environment the spool is shipped; OSError or SpoolError if that cannot be."""
        marker = self.check()
        marker["shipping"]["surroundings"] = surroundings
        write_atomically(self.marker, json.dumps(marker, indent=1))

    def check(self, project: str | None = None) -> dict[str, Any]:
        """Give the marker of an existing spool, checked; the same errors as `create`, and one if there is none."""
        marker = self.read_marker()
        self._check_place()
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
            marker = json.loads(read_regular(self.marker))
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
        """Return the folders of all writers that have something here, oldest first: real folders of the right name.

        Raises
        ------
        OSError
            They are there and cannot be listed.
        """
        try:
            with os.scandir(self.writers) as entries:
                return sorted(
                    self.writers / one.name
                    for one in entries
                    if is_writer_name(one.name) and one.is_dir(follow_symlinks=False)
                )
        except FileNotFoundError:
            return []

    def aside(self, writer: str) -> Path:
        """Return the folder that a writer's is while it is being made."""
        return self.writers / f".{writer}"

    def abandoned_asides(self) -> list[Path]:
        """Return the folders of writers that may have died while they were made."""
        return [path for path in self.writers.glob(".*") if is_writer_name(path.name[1:]) and not path.is_symlink()]

    def count_segments(self) -> int:
        """Count the segments of all writers."""
        return sum(len(segments(folder)) for folder in self.writer_folders())

    def put_schema(self, schema_hash: str, text: str) -> None:
        """Keep a schema under its hash; the same hash always has the same text. A damaged one is written anew."""
        with contextlib.suppress(SpoolError):
            if self.get_schema(schema_hash) == text:
                return
        self.schemas.mkdir(mode=0o700, exist_ok=True)
        write_atomically(self.schemas / f"{schema_hash}.json", text)

    def has_schema(self, schema_hash: str) -> bool:
        """Return whether there is something under the name of a schema, without reading it."""
        return (self.schemas / f"{schema_hash}.json").exists()

    def get_schema(self, schema_hash: str) -> str:
        """Return the text of a schema; SpoolError if it is not here, or is not what its hash says."""
        if not _SCHEMA.fullmatch(schema_hash):
            msg = f"{schema_hash[:40]!r} is not the hash of a schema: the record that names it is damaged"
            raise SpoolError(msg)
        try:
            text = read_regular(self.schemas / f"{schema_hash}.json")
        except OSError as error:
            msg = f"schema {schema_hash} is missing from {self.schemas} ({error}): its lookups cannot be decoded"
            raise SpoolError(msg) from None
        if hashlib.sha256(text).hexdigest()[:HASH_DIGITS] != schema_hash:
            msg = f"schema {schema_hash} in {self.schemas} is damaged: its lookups cannot be decoded"
            raise SpoolError(msg)
        return text.decode()

    def _check_place(self) -> None:
        """Raise SpoolError where others could put into the spool what a shipper then takes for its own."""
        if not self._is_mine():
            msg = (
                f"{self.path} belongs to user {self.path.stat().st_uid}, and this process runs as user "
                f"{os.geteuid()}: run it as the spool's owner, or give it a spool of its own in skew.spool{_MOUNTED}"
            )
            raise SpoolError(msg)
        status = self.path.stat()
        if status.st_mode & stat.S_IWOTH:
            msg = f"{self.path} can be written by other users, who could change the log: run chmod go-w on it{_MOUNTED}"
            raise SpoolError(msg)
        if status.st_mode & stat.S_IWGRP:
            # Kubernetes gives a volume's folders to the pod's group. What others of it put there is not taken.
            self.path.chmod(stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)

    def _is_mine(self) -> bool:
        return self.path.stat().st_uid == os.geteuid()

    def _is_foreign(self, project: str) -> bool:
        if self.marker.exists() or not self.path.exists():
            return False
        # Another process may be making the same spool just now: its folders come before its marker.
        ours, passing = (self.schemas.name, self.writers.name, self.losses.name), f".{self.marker.name}."
        others = any(path.name not in ours and not path.name.startswith(passing) for path in self.path.iterdir())
        # Asked again: the other may have just finished.
        return others and not self.marker.exists() and not self._is_recoverable(project)

    def _is_recoverable(self, project: str) -> bool:
        """Return whether the marker is gone or damaged, and the schemas say that this is the project's spool."""
        with contextlib.suppress(SpoolError):
            self.read_marker()
            return False
        projects = set()
        for path in self.schemas.glob("*.json"):
            with contextlib.suppress(SpoolError, ValueError, KeyError, TypeError):
                projects.add(json.loads(self.get_schema(path.stem))["project"])
        return projects == {project} and self.writers.is_dir()


def is_writer_name(name: str) -> bool:
    """Return whether a name is one that a writer's folder has."""
    return _WRITER.fullmatch(name) is not None
