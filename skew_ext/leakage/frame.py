"""The training frame as it is checked: its columns as Arrow arrays, its times, its label, the entity of each row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from skew_ext.baseline.evidence import NONE, microseconds
from skew_ext.errors import TrainingSetError, nearest
from skew_ext.frames import Frame, column, column_names, in_one_piece, listed, times
from skew_ext.training.identity import ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.leakage.discrimination import Integers

WHAT = "the training set"


@dataclass(frozen=True)
class TrainingFrame:
    """A frame's columns by name. `at` are the rows' times in microseconds since 1970, `NONE` where null; None without.

    `timestamp` is the column that they are from, and `naive` whether it had no time zone. `mixed` are columns whose
    values are of several types: they are taken as text.
    """

    columns: dict[str, pa.Array]
    rows: int
    timestamp: str | None = None
    at: Integers | None = None
    naive: bool = False
    mixed: tuple[str, ...] = ()

    def require(self, name: str, role: str) -> pa.Array:
        """Give a column; TrainingSetError, with the nearest name, if it is not there."""
        if name not in self.columns:
            names = list(self.columns)
            msg = f"{WHAT} has no column {name!r}, {role}{nearest(name, names)}; it has: {listed(names)}"
            raise TrainingSetError(msg)
        return self.columns[name]

    def timed(self, name: str) -> TrainingFrame:
        """Give the frame with the times of one of its columns."""
        values = self.columns[name]
        naive = (pa.types.is_timestamp(values.type) and values.type.tz is None) or pa.types.is_date(values.type)
        if pa.types.is_string(values.type):
            naive = not any(_zoned(text) for text in values.slice(0, 1000).to_pylist() if text is not None)
        return replace(self, timestamp=name, at=microseconds(times(values, name, WHAT)), naive=naive)

    def entities(self, keys: Sequence[str]) -> Integers:
        """Give each row the number of its entity; without keys in the frame, each row is its own."""
        there = [key for key in keys if key in self.columns]
        if not there:
            return np.arange(self.rows)
        codes = np.zeros(self.rows, dtype=np.int64)
        for key in there:
            values = ranks(self.columns[key]) + 1
            _, codes = np.unique(codes * (int(values.max(initial=0)) + 1) + values, return_inverse=True)
        return np.asarray(codes, dtype=np.int64)


def read_frame(frame: Frame) -> TrainingFrame:
    """Read a frame.

    Raises
    ------
    TrainingSetError
        It is no frame, has no rows, or a column twice.
    """
    names = column_names(frame, WHAT)
    if not len(frame):
        msg = f"{WHAT} has no rows: there is nothing to check"
        raise TrainingSetError(msg)
    columns, mixed = {}, []
    for name in names:
        try:
            columns[name] = column(frame, name, WHAT)
        except TrainingSetError:  # noqa: PERF203 - a column of its own each
            columns[name] = _as_text(frame, names.index(name))
            mixed.append(name)
    return TrainingFrame(columns, len(frame), mixed=tuple(mixed))


def time_columns(frame: TrainingFrame) -> list[str]:
    """Give the columns that hold times."""
    return [name for name, values in frame.columns.items() if pa.types.is_timestamp(values.type)]


def following(entities: Integers, at: Integers) -> Integers:
    """Give for each row the place of the next row in time of the same entity, or -1; rows without a time have none."""
    order = np.lexsort((at, entities))
    linked = (entities[order][1:] == entities[order][:-1]) & (at[order][:-1] != NONE) & (at[order][1:] > at[order][:-1])
    result = np.full(len(entities), -1, dtype=np.int64)
    result[order[:-1][linked]] = order[1:][linked]
    return result


def _as_text(frame: Frame, place: int) -> pa.Array:
    values: Any = frame.iloc[:, place] if isinstance(frame, pd.DataFrame) else frame.column(place).to_pylist()
    texts = [None if _is_null(value) else f"{type(value).__name__}: {value}" for value in values]
    return in_one_piece(pa.array(texts, pa.string()))


def _is_null(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN


def _zoned(text: str) -> bool:
    clock = text.strip()[10:]
    return clock.endswith(("Z", "z")) or "+" in clock or "-" in clock
