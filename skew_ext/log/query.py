"""What is asked of the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class LogQuery:
    """Which rows to read. None does not narrow; times are aware, and the window is [start, end)."""

    feature_service: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    request_id: str | None = None
