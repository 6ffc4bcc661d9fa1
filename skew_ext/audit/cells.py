"""Cell by cell: equal to the bit, equal within a dtype's rounding, or different.

NaN equals NaN and null equals null; NaN is not null. -0.0 and 0.0, and numbers within four units in the last place
of the served type, differ by rounding only. Sets are equal whatever their order, maps and structs by their entries that
have a value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.log.opaque import opened

Mask = npt.NDArray[np.bool_]
ROUNDING_UNITS = 4


@dataclass(frozen=True)
class Comparison:
    """For each row: whether the cells are the same, and whether only up to rounding. The rest differ."""

    same: Mask
    rounding: Mask

    @property
    def different(self) -> Mask:
        """The cells that differ by more than rounding."""
        return ~(self.same | self.rounding)


def compare(served: pa.Array, baseline: pa.Array) -> Comparison:
    """Compare two aligned columns, the baseline in the served column's type where it has a value in it.

    A baseline value that the served type cannot hold is different, whatever it is.
    """
    served, baseline = plain(served), plain(baseline)
    if holds_messages(served, baseline):
        return _entries(served, baseline)
    if pa.types.is_list(served.type) and pa.types.is_list(baseline.type):
        return _lists(served, baseline)
    converted, held = _in_type(baseline, served.type)
    null_served, null_baseline = is_null(served), is_null(baseline)
    both = ~null_served & ~null_baseline
    same = null_served & null_baseline
    rounding = np.zeros(len(served), dtype=bool)
    exact, close = _values(served, converted, baseline)
    same |= both & held & exact
    rounding |= both & held & close & ~exact
    return Comparison(same, rounding)


def plain(array: pa.Array | pa.ChunkedArray, *, unordered: bool = False) -> pa.Array:
    """Give an array in one piece, with dictionaries decoded and large types narrowed.

    With `unordered` its lists are sets: each is put in one order, so that equal sets are equal lists.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        return plain(array.cast(pa.list_(array.type.value_type)), unordered=unordered)
    narrow = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}.get(array.type)
    array = array if narrow is None else array.cast(narrow)
    return _in_one_order(array) if unordered and pa.types.is_list(array.type) else array


def _in_one_order(sets: pa.Array) -> pa.Array:
    ordered = [None if values is None else sorted(set(values), key=_rank) for values in sets.to_pylist()]
    return pa.array(ordered, type=sets.type)


def _rank(value: Any) -> tuple[bool, Any]:
    return (False, "") if value is None else (True, value)


def is_null(array: pa.Array) -> Mask:
    """Say which cells are null; NaN is not."""
    return np.asarray(pc.is_null(array).to_numpy(zero_copy_only=False), dtype=bool)


def numbers(array: pa.Array) -> npt.NDArray[np.float64] | None:
    """Give a numeric column as float64 with NaN for null; None where it is not numeric."""
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return None
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def mapped(array: pa.Array, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> pa.Array | None:
    """Give a column of numbers or timestamps, or of lists of them, with `change` done to its values.

    Timestamps are changed as whole microseconds. Nulls stay. None for a column of anything else.
    """
    column = plain(array)
    if pa.types.is_list(column.type):
        # A copy of its own: a slice's offsets do not start at zero.
        column = column.take(pa.array(np.arange(len(column))))
        values = mapped(column.values, change)
        return None if values is None else pa.ListArray.from_arrays(column.offsets, values, mask=column.is_null())
    if pa.types.is_timestamp(column.type):
        whole = mapped(column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()), change)
        return None if whole is None else whole.cast(pa.timestamp("us", column.type.tz))
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    null = is_null(column)
    filled = np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False))
    return pa.array(change(filled), mask=null)


def _in_type(array: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, Mask]:
    """Give the baseline in the served type, and which of its cells could be converted."""
    if array.type.equals(wanted):
        return array, np.ones(len(array), dtype=bool)
    try:
        return array.cast(wanted), np.ones(len(array), dtype=bool)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _one_by_one(array, wanted)


def _one_by_one(array: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, Mask]:
    values: list[Any] = []
    held = np.ones(len(array), dtype=bool)
    for place, value in enumerate(array):
        converted, held[place] = _converted(value, wanted)
        values.append(converted)
    return pa.array(values, type=wanted), held


def _converted(value: pa.Scalar, wanted: pa.DataType) -> tuple[Any, bool]:
    try:
        return value.cast(wanted).as_py(), True
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None, False


def _values(served: pa.Array, converted: pa.Array, baseline: pa.Array) -> tuple[Mask, Mask]:
    kind = served.type
    if pa.types.is_floating(kind):
        return _floats(served, converted, baseline)
    if pa.types.is_nested(kind):
        return _nested(served, converted)
    exact = np.asarray(pc.fill_null(pc.equal(served, converted), fill_value=False).to_numpy(zero_copy_only=False))
    return exact, np.zeros(len(served), dtype=bool)


def _floats(served: pa.Array, converted: pa.Array, baseline: pa.Array) -> tuple[Mask, Mask]:
    left, right = (np.asarray(array.to_numpy(zero_copy_only=False)) for array in (served, converted))
    exact = bitwise_equal(left, right)
    if pa.types.is_floating(baseline.type) and baseline.type.bit_width > served.type.bit_width:
        # The declared type is narrower than the source's: equal after rounding is not equal to the bit.
        wide = np.asarray(baseline.to_numpy(zero_copy_only=False))
        exact &= (left.astype(wide.dtype) == wide) | (np.isnan(left) & np.isnan(wide))
        return exact, bitwise_equal(left, right) | _near(left, right)
    # Nearly all cells are equal to the bit, and the distance is asked only of the others.
    places = np.flatnonzero(~exact)
    close = np.zeros(len(exact), dtype=bool)
    close[places] = _near(left[places], right[places])
    return exact, close


def bitwise_equal(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Mask:
    """Compare floats of one dtype by their bits, any NaN being equal to any other."""
    whole = np.dtype(f"i{left.dtype.itemsize}")
    bits = np.ascontiguousarray(left).view(whole) == np.ascontiguousarray(right).view(whole)
    return np.asarray(bits | (np.isnan(left) & np.isnan(right)), dtype=bool)


def _near(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Mask:
    with np.errstate(invalid="ignore", over="ignore"):
        finite = np.isfinite(left) & np.isfinite(right)
        bound = ROUNDING_UNITS * np.spacing(np.maximum(np.abs(left), np.abs(right)))
        return np.asarray(finite & (np.abs(left - right) <= bound), dtype=bool)


def _nested(served: pa.Array, converted: pa.Array) -> tuple[Mask, Mask]:
    pairs = zip(served.to_pylist(), converted.to_pylist(), strict=True)
    exact = np.fromiter((_alike(ours, theirs) for ours, theirs in pairs), dtype=bool, count=len(served))
    return exact, np.zeros(len(served), dtype=bool)


def _lists(served: pa.Array, baseline: pa.Array) -> Comparison:
    """Compare lists by all of their elements at once; lists differ by rounding where no element differs by more."""
    ours, theirs = (
        np.asarray(side.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)) for side in (served, baseline)
    )
    same = (ours == theirs) & (ours <= 0)
    rounding = np.zeros(len(served), dtype=bool)
    rows = np.flatnonzero((ours == theirs) & (ours > 0))
    if len(rows):
        left, right = (side.take(pa.array(rows)).flatten() for side in (served, baseline))
        elements = compare(left, right)
        starts = np.concatenate([[0], np.cumsum(ours[rows])[:-1]])
        same[rows] = np.logical_and.reduceat(elements.same, starts)
        rounding[rows] = np.logical_and.reduceat(elements.same | elements.rounding, starts) & ~same[rows]
    return Comparison(same, rounding)


def holds_messages(served: pa.Array, baseline: pa.Array) -> bool:
    """Say whether a column of the log holds Feast's messages, as it does of maps and structs."""
    return bool(pa.types.is_binary(served.type) and pa.types.is_nested(baseline.type))


def _entries(served: pa.Array, baseline: pa.Array) -> Comparison:
    ours = (None if value is None else _valued(opened(value)) for value in served.to_pylist())
    pairs = zip(ours, map(_valued, baseline.to_pylist()), strict=True)
    same = np.fromiter((_alike(left, right) for left, right in pairs), dtype=bool, count=len(served))
    return Comparison(same, np.zeros(len(served), dtype=bool))


def _valued(value: Any) -> Any:
    """Give a map, which Arrow may have as a list of pairs, as its entries that have a value: a struct has all keys."""
    if isinstance(value, list) and value and all(isinstance(each, tuple) for each in value):
        value = dict(value)
    if isinstance(value, dict):
        return {key: _valued(each) for key, each in value.items() if each is not None}
    return list(map(_valued, value)) if isinstance(value, list) else value


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_alike(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_alike, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return bool(bitwise_equal(np.array([left]), np.array([right]))[0])
    return bool(left == right)


def matches(values: pa.Array, positions: npt.NDArray[np.int64], served: pa.Array) -> Mask:
    """Say which served cells equal the source's value at the given position; -1 stands for 'no row', a null."""
    taken = plain(values).take(pa.array(positions, mask=positions < 0))
    return ~compare(served, taken).different
