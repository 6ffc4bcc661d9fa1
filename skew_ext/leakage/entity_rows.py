"""The frame's rows against the entity rows that it was made for: lost, gained, or repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.errors import TrainingSetError, nearest
from skew_ext.frames import Frame, column, column_names, times
from skew_ext.leakage.codes import REMEDIES
from skew_ext.leakage.report import EXAMPLES, LeakageFinding
from skew_ext.statistics import wilson
from skew_ext.training.identity import like, ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.leakage.discrimination import Integers
    from skew_ext.leakage.frame import TrainingFrame
    from skew_ext.model import Severity

WHAT = "the entity rows"
REPEATED_SHARE = 0.01
FEWEST = 5


def entity_row_findings(frame: TrainingFrame, entity_rows: Frame, keys: Sequence[str]) -> list[LeakageFinding]:
    """Count each key and time in the frame and in the entity rows, and tell what differs.

    Raises
    ------
    TrainingSetError
        The entity rows lack the frame's time or all of its keys, or have other types.
    """
    by = [key for key in keys if key in frame.columns] + ([frame.timestamp] if frame.timestamp else [])
    there = column_names(entity_rows, WHAT)
    missing = next((name for name in by if name not in there), None)
    if missing is not None or not by:
        said = f"{missing!r}{nearest(str(missing), there)}" if missing else "in common with the frame: a key, a time"
        msg = f"{WHAT} have no column {said}"
        raise TrainingSetError(msg)
    ours, theirs = _identities(frame, entity_rows, by)
    width = max(int(ours.max(initial=0)), int(theirs.max(initial=0))) + 1
    got, asked = np.bincount(ours, minlength=width), np.bincount(theirs, minlength=width)
    findings = []
    lost, gained = np.maximum(asked - got, 0), np.where(asked == 0, got, 0)
    repeated = np.where(asked > 0, np.maximum(got - asked, 0), 0)
    size = len(theirs)
    if lost.any():
        said = f"{int(lost.sum()):,} of {size:,} entity rows are not in the training set"
        examples = _examples({name: column(entity_rows, name, WHAT) for name in by}, theirs, lost)
        findings.append(_finding("rows_lost", "warn", said, int(lost.sum()), size, examples))
    columns = {name: frame.columns[name] for name in by}
    if gained.any():
        said = f"{int(gained.sum()):,} rows of the training set are of no entity row"
        findings.append(
            _finding("rows_gained", "warn", said, int(gained.sum()), len(ours), _examples(columns, ours, gained))
        )
    if repeated.any():
        said = f"{int(repeated.sum()):,} rows of the training set repeat an entity row more often than it was asked for"
        findings.append(
            _finding(
                "rows_repeated",
                "warn",
                said,
                int(repeated.sum()),
                len(ours),
                _examples(columns, ours, repeated),
            )
        )
    return findings


def copied_rows(frame: TrainingFrame) -> list[str]:
    """Tell of rows that are copies of another in every column, where a column is fine enough to make that no accident.

    A note, and no finding: one entity may well be asked for twice at one time.
    """
    if frame.at is None:
        return []
    codes, fine = np.zeros(frame.rows, dtype=np.int64), False
    for values in frame.columns.values():
        own = ranks(values) + 1
        distinct = len(np.unique(own))
        # Seldom repeated numbers: two rows that share one by chance are rare, and share the rest more rarely still.
        fine |= bool(pa.types.is_floating(values.type)) and distinct > frame.rows / 2
        _, codes = np.unique(codes * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
    _, first = np.unique(codes, return_index=True)
    copies = np.ones(frame.rows, dtype=bool)
    copies[first] = False
    count = int(copies.sum())
    if not fine or count < FEWEST or count < REPEATED_SHARE * frame.rows:
        return []
    first_copy = int(np.flatnonzero(copies)[0])
    said = f"{count:,} of {frame.rows:,} rows are copies of another row in every column"
    return [f"{said}, the first of them row {first_copy}: keep copies on one side of the split"]


def _identities(frame: TrainingFrame, entity_rows: Frame, by: Sequence[str]) -> tuple[Integers, Integers]:
    codes = np.zeros(frame.rows + len(entity_rows), dtype=np.int64)
    for name in by:
        ours, theirs = frame.columns[name], column(entity_rows, name, WHAT)
        if name == frame.timestamp:
            ours, theirs = times(ours, name, "the training set"), times(theirs, name, WHAT)
        values = ranks(pa.concat_arrays([ours, like(theirs, ours.type, name)])) + 1
        _, codes = np.unique(codes * (int(values.max(initial=0)) + 1) + values, return_inverse=True)
    codes = np.asarray(codes, dtype=np.int64)
    return codes[: frame.rows], codes[frame.rows :]


def _examples(columns: dict[str, pa.Array], codes: Integers, counts: Integers) -> list[dict[str, object]]:
    rows = np.flatnonzero(counts[codes] > 0)[:EXAMPLES]
    return [{"row": int(row), **{name: values[int(row)].as_py() for name, values in columns.items()}} for row in rows]


def _finding(  # noqa: PLR0913 - the parts of a finding
    code: str, severity: Severity, message: str, rows: int, size: int, examples: list[dict[str, object]]
) -> LeakageFinding:
    share = min(rows / size, 1.0) if size else 1.0
    interval = wilson(min(rows, size), size)
    return LeakageFinding(
        code, severity, None, None, message, REMEDIES[code],
        rows=rows, checked=size, share=share, ci95=interval, examples=examples,
    )  # fmt: skip
