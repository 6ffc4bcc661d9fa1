"""The times of the frame's rows: there, of the rows' own, and of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.baseline.evidence import NONE
from skew_ext.errors import nearest
from skew_ext.leakage.codes import REMEDIES
from skew_ext.leakage.frame import TrainingFrame, time_columns
from skew_ext.leakage.report import EXAMPLES, LeakageFinding
from skew_ext.statistics import wilson

if TYPE_CHECKING:
    from skew_ext.leakage.discrimination import Mask
    from skew_ext.model import Severity

CONSTANT_ROWS = 20
"""Rows from which one time for all is worth a word."""


def with_times(frame: TrainingFrame, timestamp: str, label: str | None) -> tuple[TrainingFrame, list[LeakageFinding]]:
    """Give the frame its times: those of the column `timestamp`, or of the only column of times, as Feast guesses.

    Raises
    ------
    TrainingSetError
        The column holds no times.
    """
    if timestamp in frame.columns:
        return frame.timed(timestamp), []
    candidates = [name for name in time_columns(frame) if name != label]
    if len(candidates) == 1:
        guessed = candidates[0]
        message = (
            f"there is no column {timestamp!r}: {guessed!r}, the only column of times, was taken, as Feast takes it"
        )
        return frame.timed(guessed), [_about(frame, "timestamp_guessed", "warn", guessed, message)]
    several = f"; {', '.join(map(repr, candidates))} all hold times" if candidates else ""
    hint = nearest(timestamp, frame.columns)
    message = f"there is no column {timestamp!r}{hint}{several}: no cell can be set against its point-in-time value"
    return frame, [_about(frame, "timestamp_missing", "fail", None, message)]


def time_findings(frame: TrainingFrame, now: int) -> list[LeakageFinding]:
    """Look at the times themselves. `now` is in microseconds since 1970."""
    if frame.at is None:
        return []
    name, known = str(frame.timestamp), frame.at != NONE
    findings = []
    if not known.all():
        message = f"{_share(~known)} have no time: what was known for them cannot be told"
        findings.append(_rows(frame, "timestamp_null", "warn", message, ~known))
    future = known & (frame.at > now)
    if future.any():
        message = f"{_share(future)} are of a time still to come: a join gives them the latest values"
        findings.append(_rows(frame, "timestamp_in_future", "warn", message, future))
    times = frame.at[known]
    if len(times) >= CONSTANT_ROWS and (times == times[0]).all():
        message = f"all {len(times):,} rows have one time: each gets the values of that time, whenever it happened"
        findings.append(_about(frame, "timestamp_constant", "warn", name, message))
    return findings


def _share(found: Mask) -> str:
    return f"{int(found.sum()):,} of {len(found):,} rows ({found.mean():.2%})"


def _rows(frame: TrainingFrame, code: str, severity: Severity, message: str, found: Mask) -> LeakageFinding:
    rows, name = int(found.sum()), str(frame.timestamp)
    examples = [
        {"row": int(row), name: frame.columns[name][int(row)].as_py()} for row in np.flatnonzero(found)[:EXAMPLES]
    ]
    share, interval = rows / len(found), wilson(rows, len(found))
    return LeakageFinding(
        code, severity, name, None, message, REMEDIES[code],
        features=(name,), rows=rows, checked=len(found), share=share, ci95=interval, examples=examples,
    )  # fmt: skip


def _about(frame: TrainingFrame, code: str, severity: Severity, name: str | None, message: str) -> LeakageFinding:
    features = () if name is None else (name,)
    return LeakageFinding(
        code,
        severity,
        name,
        None,
        message,
        REMEDIES[code],
        features=features,
        rows=frame.rows,
        checked=frame.rows,
        share=1.0,
    )


def naive_note(frame: TrainingFrame) -> str:
    """Say how times without a zone were taken."""
    kind = frame.columns[str(frame.timestamp)].type
    what = "dates: midnight" if pa.types.is_date(kind) else "times without a zone: they were taken as"
    return f"{frame.timestamp!r} holds {what} UTC, as Feast takes them"
