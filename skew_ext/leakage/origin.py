"""Where a training row's values come from: pure functions over sorted source rows.

For each training row (key, time, and its values as one code) they say whether it is the point-in-time row, one that
was known then, an older one, one from after, or none; and how often chance alone would say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.frames import in_one_piece, without_nan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.baseline.evidence import SourceRows
    from skew_ext.leakage.discrimination import Floats, Integers, Mask

SEED = 20_260_302
_DIGITS, _DIGITS_32 = 12, 6


@dataclass(frozen=True)
class Asked:
    """Training rows: their keys as the source's codes, their times in microseconds, the view's TTL."""

    keys: Integers
    at: Integers
    ttl: int | None


@dataclass(frozen=True)
class Codes:
    """Values of one or several columns as one integer a row; `nothing` is the code of a row of nulls."""

    trained: Integers
    source: Integers
    nothing: int


class Origins:
    """Answers where values come from, for the training rows of one view and the codes of some of its columns."""

    def __init__(self, source: SourceRows, asked: Asked, codes: Codes) -> None:
        self._source, self._asked, self._codes = source, asked, codes

    @cached_property
    def point_in_time(self) -> Mask:
        """Rows with the values of the latest event at or before their time."""
        return self._is(self._at(self._asked.at, known=False))

    @cached_property
    def known(self) -> Mask:
        """Rows with the values of the latest event that was created by their time."""
        return self._is(self._at(self._asked.at, known=True))

    @cached_property
    def known_later(self) -> Mask:
        """Rows with the values of a point-in-time row that was created after their time, and others were known."""
        if self._source.created is None:
            return np.zeros(len(self._asked.at), dtype=bool)
        positions = self._at(self._asked.at, known=False)
        late = positions >= 0
        late[late] = self._source.created[positions[late]] > self._asked.at[late]
        return late & self.point_in_time & ~self.known

    @cached_property
    def nothing_known(self) -> Mask:
        """Rows for which no source row at all was created by their time."""
        return self._at(self._asked.at, known=True) < 0

    @cached_property
    def latest(self) -> Mask:
        """Rows with the values of the last row that the source has of their key."""
        return self._is(self.last_row)

    @cached_property
    def last_row(self) -> Integers:
        """The position of the last source row of each row's key; -1 without one."""
        forever = np.full(len(self._asked.at), np.iinfo(np.int64).max)
        return self._source.latest(self._asked.keys, forever, None, known=False)

    @cached_property
    def telling(self) -> Mask:
        """Rows for which the last row of the source has other values than the point-in-time row."""
        return np.asarray(self._code(self.last_row) != self._code(self._at(self._asked.at, known=False)), dtype=bool)

    def shifted(self, by: int, rows: Integers) -> Mask:
        """Say which of some rows have the point-in-time values of `by` microseconds later."""
        asked = self._asked
        positions = self._source.latest(asked.keys[rows], asked.at[rows] + by, asked.ttl, known=False)
        return np.asarray(self._codes.trained[rows] == self._code(positions), dtype=bool)

    def occurs(self, rows: Integers, wanted: Integers | None = None) -> tuple[Mask, Mask]:
        """Say whether some rows' values stand in a row of their key at or before their time, and in one after it.

        With `wanted`, those values are looked for instead.
        """
        keys, at = self._asked.keys[rows], self._asked.at[rows]
        codes = self._codes.trained[rows] if wanted is None else wanted
        low, high, middle = self._places(keys, codes, at)
        return (middle > low) & (low < high), (high > middle) & (low < high)

    def first_after(self, rows: Integers) -> Integers:
        """Give the position of the first source row of the key after a row's time that has its values."""
        low, high, middle = self._places(self._asked.keys[rows], self._codes.trained[rows], self._asked.at[rows])
        found = (middle < high) & (low < high)
        result = np.full(len(rows), -1, dtype=np.int64)
        result[found] = self._order[middle[found]]
        return result

    def by_chance(self, rows: Integers) -> float:
        """Give the share of other training rows for which the values of `rows` would stand only in a later row.

        It is what a share of values 'from the future' is worth: of two values that take turns, half are by chance.
        """
        random = np.random.default_rng(SEED)
        others = random.integers(0, len(self._asked.at), len(rows))
        before, after = self.occurs(others, self._codes.trained[rows])
        return float((after & ~before).mean()) if len(rows) else 0.0

    def _at(self, times: Integers, *, known: bool) -> Integers:
        return self._source.latest(self._asked.keys, times, self._asked.ttl, known=known)

    def _is(self, positions: Integers) -> Mask:
        return np.asarray(self._codes.trained == self._code(positions), dtype=bool)

    def _code(self, positions: Integers) -> Integers:
        return np.append(self._codes.source, self._codes.nothing)[positions]

    @cached_property
    def _order(self) -> Integers:
        return np.lexsort((self._source.events, self._codes.source, self._source.keys))

    @cached_property
    def _ranked(self) -> tuple[Integers, Integers, Integers]:
        """Give the pairs of key and code that the source has, the distinct events, and each row as one integer."""
        keys, codes = self._source.keys[self._order], self._codes.source[self._order]
        pairs = keys * self._width + codes
        distinct, ranks = np.unique(pairs), np.unique(self._source.events)
        places = np.searchsorted(distinct, pairs) * (len(ranks) + 1) + np.searchsorted(
            ranks, self._source.events[self._order]
        )
        return distinct, ranks, places

    @cached_property
    def _width(self) -> int:
        return (
            max(int(self._codes.source.max(initial=0)), int(self._codes.trained.max(initial=0)), self._codes.nothing)
            + 1
        )

    def _places(self, keys: Integers, codes: Integers, at: Integers) -> tuple[Integers, Integers, Integers]:
        """Give [low, high) of the rows with key and code, in order of events, and the first of them after `at`."""
        distinct, ranks, places = self._ranked
        pairs = keys * self._width + codes
        place = np.searchsorted(distinct, pairs)
        there = np.zeros(len(pairs), dtype=bool)
        inside = place < len(distinct)
        there[inside] = distinct[place[inside]] == pairs[inside]
        base = place * (len(ranks) + 1)
        low = np.searchsorted(places, base)
        high = np.where(there, np.searchsorted(places, base + len(ranks) + 1), low)
        middle = np.clip(np.searchsorted(places, base + np.searchsorted(ranks, at, side="right")), low, high)
        return low, high, middle


def codes(trained: Sequence[pa.Array], source: Sequence[pa.Array]) -> Codes:
    """Code the values of columns, pairwise the same feature, in the training rows and in the source's.

    Source values are taken in the training column's type, and floating-point values in its precision less a few units
    in the last place; NaN is null, since pandas tells them apart no more.
    """
    rows = len(trained[0])
    combined = np.zeros(rows + len(source[0]) + 1, dtype=np.int64)
    for ours, theirs in zip(trained, source, strict=True):
        left, right = _alike(in_one_piece(ours), in_one_piece(theirs))
        both = pa.concat_arrays([left, right, pa.nulls(1, left.type)])
        encoded = both.dictionary_encode().indices
        values = np.asarray(encoded.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64) + 1
        _, combined = np.unique(combined * (int(values.max(initial=0)) + 1) + values, return_inverse=True)
    combined = np.asarray(combined, dtype=np.int64)
    return Codes(combined[:rows], combined[rows:-1], int(combined[-1]))


def _alike(ours: pa.Array, theirs: pa.Array) -> tuple[pa.Array, pa.Array]:
    if pa.types.is_nested(ours.type) or pa.types.is_nested(theirs.type):
        return _texts(ours), _texts(theirs)
    if pa.types.is_timestamp(ours.type) and pa.types.is_timestamp(theirs.type):
        both = (
            one.cast(pa.timestamp("us", one.type.tz), safe=False).cast(pa.timestamp("us", "UTC"))
            for one in (ours, theirs)
        )
        left, right = both
        return left, right
    if _is_number(ours.type) and _is_number(theirs.type):
        if pa.types.is_floating(ours.type) or pa.types.is_floating(theirs.type):
            narrow = pa.float32() in (ours.type, theirs.type)
            return _rounded(ours, narrow=narrow), _rounded(theirs, narrow=narrow)
        return ours.cast(pa.int64(), safe=False), theirs.cast(pa.int64(), safe=False)
    if ours.type == theirs.type:
        return ours, theirs
    return _texts(ours), _texts(theirs)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _texts(values: pa.Array) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())


def _rounded(values: pa.Array, *, narrow: bool) -> pa.Array:
    wide = values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values
    numbers: Floats = np.asarray(wide.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    digits = _DIGITS_32 if narrow else _DIGITS
    finite = np.isfinite(numbers) & (numbers != 0)
    exponents = np.floor(np.log10(np.abs(numbers), where=finite, out=np.zeros_like(numbers)))
    scale = 10.0 ** np.clip(digits - 1 - exponents, -300, 300)
    rounded = np.where(
        finite, np.rint(np.where(finite, numbers, 0) * scale) / scale, np.where(numbers == 0, 0.0, numbers)
    )
    return without_nan(pa.array(rounded, mask=np.asarray(values.is_null())))
