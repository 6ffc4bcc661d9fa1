"""Columns as the statistics see them: their kind, and numeric values sorted once for all that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.statistics.columns import Arrow, Column, decoded, parts
from skew_ext.statistics.kinds import kind_between, value_type

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[Any]
"""float64, or int64 where doubles would not be exact."""
PlainKind = Literal["numeric", "categorical", "boolean", "other"]

_AT_ONCE = 1 << 16
_SAMPLE = 1 << 10
LARGEST_EXACT = 2**53
"""Up to here doubles hold every integer."""


class Rising:
    """What holds for values in rising order, however often each is there."""

    values: Numbers

    @property
    def dtype(self) -> npt.DTypeLike:
        """The type of the values."""
        return self.values.dtype

    @property
    def low(self) -> float:
        """The lowest value, infinite the wrong way round where there is none."""
        return float(self.values[0]) if len(self.values) else math.inf

    @property
    def high(self) -> float:
        """The highest value."""
        return float(self.values[-1]) if len(self.values) else -math.inf


@dataclass(frozen=True, eq=False)
class NumericColumn(Rising):
    """A numeric column, sorted.

    The rule for what is not an ordinary number: null is absent and is only counted; NaN is a value, but has no
    place in an order, and is only counted; the infinities are ordered like any value, and are left out of what
    sums (`finite`). Values are float64, save integers of which any is over 2**53: those stay int64, so that 2**53 and
    2**53 + 1 are two values. Booleans are 0 and 1; dates and times are microseconds.
    """

    values: Numbers
    """Rising, infinities included, NaN not."""
    nulls: int
    nans: int

    @classmethod
    def of(cls, column: Column) -> NumericColumn:
        """Sort the values of a column of numbers, booleans, dates or times."""
        return cls.sorted(*numbers_of(column))

    @classmethod
    def sorted(cls, values: Numbers, nulls: int) -> NumericColumn:
        """Sort values, in their own memory."""
        values.sort()
        present = int(np.searchsorted(values, np.nan)) if values.dtype == np.float64 else len(values)
        return cls(values[:present], nulls=nulls, nans=len(values) - present)

    @property
    def finite(self) -> Numbers:
        """The values without the infinities: a view, not a copy."""
        if self.values.dtype != np.float64:
            return self.values
        start = np.searchsorted(self.values, -np.inf, side="right")
        stop = np.searchsorted(self.values, np.inf, side="left")
        return self.values[start:stop]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def size(self) -> int:
        """How many values are finite."""
        return len(self.finite)

    @property
    def constant(self) -> bool:
        """Whether all values are one and the same."""
        return len(self.values) > 0 and bool(self.values[0] == self.values[-1]) and self.nans == 0

    @property
    def looks_whole(self) -> bool:
        """Whether the values are whole numbers, as a sample tells."""
        return whole_numbers(self.finite[:: self.size // _SAMPLE + 1])

    def at(self, ranks: Counts) -> Numbers:
        """Give the finite values at these places."""
        return self.finite[ranks]

    def upto(self, edges: Numbers) -> Counts:
        """Count the values at or below each edge."""
        return np.searchsorted(self.values, edges, side="right").astype(np.int64)

    def moments(self) -> tuple[float, float]:
        """Give the mean of the finite values, and the sum of squared deviations from it; (0, 0) of none."""
        finite = self.finite
        if len(finite) == 0:
            return 0.0, 0.0
        if finite[0] == finite[-1]:  # a constant: its mean as summed would differ from it by rounding
            return float(finite[0]), 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # sums near the largest double are honestly infinite
            mean = float(finite.mean())
            squares = 0.0
            for start in range(0, len(finite), _AT_ONCE):
                deviations = finite[start : start + _AT_ONCE] - mean
                squares += float(np.einsum("i,i->", deviations, deviations))
            return mean, squares

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(np.count_nonzero(self.values[1:] != self.values[:-1])) + 1 if len(self.values) else 0


def whole_numbers(values: Numbers) -> bool:
    """Say whether all of them are whole."""
    return bool(np.all(values == np.floor(values)))


def apart(a: Numbers, b: Numbers) -> Floats:
    """Give how far values are apart; integers as if they had no sign, since their differences may not fit."""
    if a.dtype == np.float64:
        distance: Floats = np.abs(a - b)
        return distance
    return (np.maximum(a, b).view(np.uint64) - np.minimum(a, b).view(np.uint64)).astype(np.float64)


def numbers_of(column: Column) -> tuple[Numbers, int]:
    """Give the values that are not null, in their order, in an array of its own; and how many are null."""
    whole = pa.types.is_integer(value_type(column.type)) and not pa.types.is_uint64(value_type(column.type))
    kept: Numbers = np.empty(len(column), dtype=np.int64 if whole else np.float64)
    filled = 0
    for part in parts(column):
        present = as_numbers(decoded(part).drop_null(), exact=whole)
        kept[filled : filled + len(present)] = present
        filled += len(present)
    found = kept[:filled]
    return (_doubles(found) if whole and _within_doubles(found) else found), len(column) - filled


def _within_doubles(whole: Numbers) -> bool:
    return not len(whole) or (int(whole.min()) >= -LARGEST_EXACT and int(whole.max()) <= LARGEST_EXACT)


def _doubles(whole: Numbers) -> Floats:
    """Give integers as doubles, in the same memory."""
    doubles: Floats = whole.view(np.float64)
    for start in range(0, len(whole), _AT_ONCE):
        doubles[start : start + _AT_ONCE] = whole[start : start + _AT_ONCE].astype(np.float64)
    return doubles


def as_numbers(present: pa.Array, *, exact: bool) -> Any:
    """Cast as numpy does, without a copy where none is needed."""
    if pa.types.is_temporal(present.type):
        present = microseconds(present)
    if pa.types.is_decimal(present.type) or pa.types.is_boolean(present.type):
        present = present.cast(pa.uint8() if pa.types.is_boolean(present.type) else pa.float64())
    values = present.to_numpy(zero_copy_only=False)
    return values if exact else values.astype(np.float64, copy=False)


def microseconds(present: pa.Array) -> pa.Array:
    """Give dates, times and durations as microseconds, since the epoch or midnight where they have one."""
    if pa.types.is_duration(present.type):
        return present.cast(pa.duration("us"), safe=False).cast(pa.int64())
    if pa.types.is_time(present.type):
        return present.cast(pa.time64("us"), safe=False).cast(pa.int64())
    return present.cast(pa.timestamp("us", getattr(present.type, "tz", None)), safe=False).cast(pa.int64())


def one_type(a: NumericColumn, b: NumericColumn) -> tuple[NumericColumn, NumericColumn]:
    """Give both columns in the type that both can have: integers beyond doubles only where both sides are whole."""
    if a.values.dtype == b.values.dtype:
        return a, b
    both = (_cast(one, np.int64) if _whole(a, b) else _cast(one, np.float64) for one in (a, b))
    return next(both), next(both)


def _whole(a: NumericColumn, b: NumericColumn) -> bool:
    doubles = a.values if a.values.dtype == np.float64 else b.values
    return bool(np.all(np.abs(doubles) <= LARGEST_EXACT) and np.all(doubles == np.floor(doubles)))


def _cast(column: NumericColumn, dtype: Any) -> NumericColumn:
    return NumericColumn(column.values.astype(dtype, copy=False), column.nulls, column.nans)


def kind_of(reference: Arrow, served: Arrow) -> PlainKind:
    """Give the kind that both columns share, "other" for what is neither number, text nor boolean."""
    kind = kind_between(reference, served)
    return kind if kind in ("numeric", "categorical", "boolean") else "other"
