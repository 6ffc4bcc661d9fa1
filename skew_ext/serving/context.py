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


current = _current.get
"""Gives the context that a lookup made now is logged with."""


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


def new_request_id(now: int | None = None) -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7): milliseconds since 1970, then random bits; sorts by time.

    `now` is the time in nanoseconds since 1970, where the caller has it already.
    """
    milliseconds = hex((time.time_ns() if now is None else now) // 1_000_000)
    if len(milliseconds) != _USUAL_LENGTH:
        milliseconds = f"0x{max(0, int(milliseconds, 16)):012x}"[-_USUAL_LENGTH:]
    try:
        tail = _random_tails.pop()
    except IndexError:
        tail = _drawn_tail()
    return f"0{milliseconds[2:9]}-{milliseconds[9:]}{tail}"


_USUAL_LENGTH = 13
"""Of `hex` of the milliseconds, from 2004 to 2527. Formatting with padding costs a lookup several times as much."""
_DIGITS, _DRAWN = 20, 32
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_random_tails: list[str] = []
"""The random ends of ids to come, drawn many at a time: a system call for each would be half the cost of an id."""


def _drawn_tail() -> str:
    digits = os.urandom(_DIGITS // 2 * _DRAWN).hex()
    drawn = [digits[place : place + _DIGITS] for place in range(0, len(digits), _DIGITS)]
    tails = [f"-7{each[:3]}-{_VARIANT[each[3]]}{each[4:7]}-{each[7:19]}" for each in drawn]
    _random_tails.extend(tails[1:])
    return tails[0]


# A child that inherited the tails would make its parent's ids again.
os.register_at_fork(after_in_child=_random_tails.clear)
