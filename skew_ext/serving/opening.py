"""Opening a store's spool at its first lookup, and again from time to time where that fails."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from skew_ext.errors import SpoolError
from skew_ext.serving.forks import current_process
from skew_ext.serving.losses import Losses
from skew_ext.serving.spool import SpoolDirectory
from skew_ext.serving.surroundings import fingerprint_of
from skew_ext.serving.writer import SpoolWriter, uncounted_of, writer_for

if TYPE_CHECKING:
    from skew_ext.settings import SkewSettings

RETRY_SECONDS = 1.0
_SHIPPING = {"destination", "flush_seconds", "sample_rate", "spool_max_hours"}
"""The settings that the shipper needs: they are kept in the spool."""


def make_spool(settings: SkewSettings, project: str) -> SpoolDirectory:
    """Make the spool of a project, or take the one that is there; SpoolError or OSError if that cannot be."""
    spool = SpoolDirectory(settings.spool)
    shipping = settings.model_dump(mode="json", include=_SHIPPING)
    spool.create(project, {**shipping, "surroundings": fingerprint_of(shipping["destination"])})
    return spool


class Opening:
    """The way to a process's writer. While there can be none it counts what is lost, for the writer to come.

    `writer` is the one that was opened last: after a fork, another process's.
    """

    def __init__(self, settings: SkewSettings) -> None:
        self.spool = SpoolDirectory(settings.spool)
        self._settings = settings
        self._losses = Losses(str(settings.spool))
        self._uncounted = uncounted_of(self.spool)
        self.writer: SpoolWriter | None = None
        self._retry_at = 0.0
        self._process = (0, 0)

    def lost(self, rows: int) -> None:
        """Count rows that no writer is there to count."""
        self._uncounted.add("spool_unavailable", rows)
        self._losses.lost("spool_unavailable", rows)

    def open(self, project: str) -> SpoolWriter | None:
        """Give this process's writer, and keep it in `writer`; None while there can be none."""
        if self._process != current_process():
            self._process, self._retry_at = current_process(), 0.0
        if time.monotonic() < self._retry_at:
            return None
        settings = self._settings
        self._uncounted.can_be_settled(project, partial(make_spool, settings, project))
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
            self._uncounted.save(project)
            return None
        for reason, rows in self._uncounted.take().items():
            writer.count_dropped(reason, rows)
        self._losses.kept(quiet=0)
        self.writer = writer
        return writer
