"""What the next lookups are logged with: request id, model version, serving time."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skew_ext.clock import as_utc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


@dataclass(frozen=True)
class RequestContext:
    """The values set for the current task or thread; None is 'not set'."""

    request_id: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    environment: str | None = None
    served_at: datetime | None = None


NOT_SET = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("skew_ext_request_context", default=NOT_SET)


def current() -> RequestContext:
    """Give the context that a lookup made now is logged with."""
    return _current.get()


@contextmanager
def request_context(
    request_id: str | None = None,
    model_version: str | None = None,
    served_at: datetime | None = None,
    *,
    model_name: str | None = None,
    environment: str | None = None,
) -> Iterator[RequestContext]:
    """Set what the lookups inside the block are logged with; nested blocks add to the outer one.

    Held in a ContextVar, so it is right under threads and asyncio.

    Parameters
    ----------
    request_id
        Ties the log to the caller's own records. Several lookups may share one.
    model_version, model_name, environment
        Override the settings of the same names.
    served_at
        For replay and tests: the time of serving. A naive time is taken as UTC.
    """
    given: dict[str, Any] = {
        "request_id": request_id,
        "model_name": model_name,
        "model_version": model_version,
        "environment": environment,
        "served_at": None if served_at is None else as_utc(served_at),
    }
    context = replace(_current.get(), **{name: value for name, value in given.items() if value is not None})
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def new_request_id() -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7): milliseconds since 1970, then random bits; sorts by time."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
