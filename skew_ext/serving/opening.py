"""Opening a store's spool at its first lookup, and again from time to time where that fails."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from skew_ext.errors import SpoolError
from skew_ext.serving.losses import Losses
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.writer import SpoolWriter, writer_for

if TYPE_CHECKING:
    from skew_ext.settings import SkewSettings

RETRY_SECONDS = 1.0
_SHIPPING = {"destination", "flush_seconds", "sample_rate", "spool_max_hours"}
"""The settings that the shipper needs: they are kept in the spool."""


def make_spool(settings: SkewSettings, project: str) -> SpoolDirectory:
    """Make the spool of a project, or take the one that is there; SpoolError or OSError if that cannot be."""
    spool = SpoolDirectory(settings.spool)
    spool.create(project, settings.model_dump(mode="json", include=_SHIPPING))
    return spool


class Opening:
    """The way to a process's writer. While there can be none it counts what is lost, for the writer to come.

    `writer` is the one that was opened last: after a fork, another process's.
    """

    def __init__(self, settings: SkewSettings) -> None:
        self.spool = SpoolDirectory(settings.spool)
        self._settings = settings
        self._losses = Losses(str(settings.spool))
        self.writer: SpoolWriter | None = None
        self._process = 0
        self._lost = 0
        self._lock = threading.Lock()
        self._retry_at = 0.0

    def lost(self, rows: int) -> None:
        """Count rows that no writer is there to count."""
        with self._lock:
            self._lost += rows
        self._losses.lost("spool_unavailable", rows)

    def open(self, project: str) -> SpoolWriter | None:
        """Give this process's writer, and keep it in `writer`; None while there can be none."""
        if self._process != os.getpid():  # a child does not count its parent's losses, nor wait for its threads
            self._process, self._lost, self._retry_at = os.getpid(), 0, 0.0
            self._lock = threading.Lock()
        if time.monotonic() < self._retry_at:
            return None
        settings = self._settings
        try:
            make_spool(settings, project)
            writer = writer_for(
                self.spool,
                settings.segment_bytes,
                settings.spool_max_bytes,
                start_shipper=settings.start_shipper,
            )
        except (OSError, SpoolError) as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._losses.lost("spool_unavailable", 0, str(error))
            return None
        self._count_lost(writer)
        self.writer = writer
        return writer

    def _count_lost(self, writer: SpoolWriter) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            writer.count_dropped("spool_unavailable", lost)
        self._losses.kept(quiet=0)
