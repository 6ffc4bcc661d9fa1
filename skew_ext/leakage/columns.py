"""The frame's columns as what a model could take: numbers, categories, or identifiers, which are left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.baseline.evidence import NONE
from skew_ext.frames import times, without_nan
from skew_ext.leakage.discrimination import Floats, Integers

if TYPE_CHECKING:
    from skew_ext.leakage.frame import TrainingFrame

IDENTIFIER_SHARE = 0.5
"""A text or integer column with more distinct values than this share of its rows names rows, and describes none."""
BINS = 32
_SECOND = 1e6


@dataclass(frozen=True)
class Column:
    """A column of the rows that have a label.

    `codes` are its categories or bins, null being one of its own; `numbers` its values where it is numeric, NaN for
    null. `distinct` counts its values, null left out.
    """

    name: str
    codes: Integers
    numbers: Floats | None
    nulls: int
    distinct: int

    @property
    def constant(self) -> bool:
        """Whether it has one value alone, null included."""
        return not len(self.codes) or bool((self.codes == self.codes[0]).all())

    def at(self, rows: Integers) -> Column:
        """Give the column in some of its rows."""
        numbers = None if self.numbers is None else self.numbers[rows]
        nulls = self.nulls if numbers is None else int(np.isnan(numbers).sum())
        return Column(self.name, self.codes[rows], numbers, nulls, self.distinct)


def model_columns(frame: TrainingFrame, skipped: set[str], rows: Integers) -> tuple[list[Column], list[str]]:
    """Give the columns that a model could take, but for `skipped` and our own; and those of no kind to be checked."""
    found, unchecked = [], []
    for name, values in frame.columns.items():
        if name in skipped or name.startswith("__"):
            continue
        column = _column(name, without_nan(values.take(pa.array(rows))), frame, rows)
        if column is None:
            unchecked.append(name)
        elif not column.constant:
            found.append(column)
    return found, unchecked


def time_column(name: str, at: Integers) -> Column:
    """Give times in microseconds as a column; those that are null become null."""
    return _binned(name, np.where(at == NONE, np.nan, at.astype(np.float64)))


def _column(name: str, values: pa.Array, frame: TrainingFrame, rows: Integers) -> Column | None:
    kind = values.type
    if pa.types.is_null(kind):
        return Column(name, np.zeros(len(values), dtype=np.int64), None, len(values), 0)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _binned(name, _since(values, frame, rows))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _categories(name, values)
    return _numeric(name, values)


def _numeric(name: str, values: pa.Array) -> Column | None:
    kind = values.type
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    return None if pa.types.is_integer(kind) and _counts_rows(numbers) else _binned(name, numbers)


def _categories(name: str, values: pa.Array) -> Column | None:
    encoded = values.dictionary_encode()
    if len(encoded.dictionary) > IDENTIFIER_SHARE * len(values):
        return None
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return Column(name, np.asarray(codes, dtype=np.int64), None, values.null_count, len(encoded.dictionary))


def _since(values: pa.Array, frame: TrainingFrame, rows: Integers) -> Floats:
    """Give times in seconds after the row's own time: that a time is late says nothing, that it is later does."""
    moments = times(values, "", "").cast(pa.int64()).cast(pa.float64(), safe=False)
    numbers = np.asarray(moments.to_numpy(zero_copy_only=False), dtype=np.float64)
    base = frame.at[rows] if frame.at is not None else 0
    return np.asarray((numbers - base) / _SECOND, dtype=np.float64)


def _counts_rows(numbers: Floats) -> bool:
    """Say whether integers run through a range each once, as row numbers and serial keys do."""
    known = numbers[np.isfinite(numbers)]
    if len(known) < len(numbers) or len(np.unique(known)) < len(known):
        return False
    return float(known.max() - known.min()) <= len(known) / IDENTIFIER_SHARE


def _binned(name: str, numbers: Floats) -> Column:
    """Give a numeric column with its values in bins of about equal counts; few distinct values are bins themselves."""
    null = np.isnan(numbers)
    known = numbers[~null]
    distinct = np.unique(known)
    edges = (
        distinct
        if len(distinct) <= BINS
        else np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    )
    codes = np.where(null, len(edges) + 1, np.searchsorted(edges, numbers, side="left"))
    return Column(name, codes.astype(np.int64), numbers, int(null.sum()), len(distinct))
