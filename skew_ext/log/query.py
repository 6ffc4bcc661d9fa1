"""What is asked of the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class LogQuery:
    """Which rows to read. None does not narrow; times are aware, and the window is [start, end).

    `records` matters where `feature_service` is one of `skew_ext.schema.RESERVED`: True is `ServingLogger`'s records
    of that name, False the lookups of a service that somebody gave that name, None the lookups where there are any.
    """

    feature_service: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    request_id: str | None = None
    records: bool | None = None
