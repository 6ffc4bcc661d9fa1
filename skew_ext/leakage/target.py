"""The label as something to be predicted: two classes, several, or a number; or a reason why it cannot be checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.frames import without_nan
from skew_ext.leakage.discrimination import Floats, Integers

SMALLEST_CLASS = 20
"""Members below which a class says nothing about how well it is told."""
MOST_CLASSES = 20
"""Distinct numbers above which a label is a number, and distinct texts above which it is too many classes."""
SMALLEST_NUMBER = 50
"""Rows below which a label that is a number is not checked."""


@dataclass(frozen=True)
class Target:
    """A label's rows that have a value.

    `rows` are their places in the frame; `codes` the class of each (or the rank of its number), `names` the classes;
    `numbers` the label as a number, None for classes that are none. `tested` are the classes large enough to be tested
    against the rest: of two, True or 1, or else the rarer one.
    """

    kind: Literal["classes", "number"]
    rows: npt.NDArray[np.int64]
    codes: Integers
    names: tuple[object, ...]
    numbers: Floats | None
    tested: tuple[int, ...]

    def at(self, places: Integers) -> Target:
        """Give some of its rows."""
        numbers = None if self.numbers is None else self.numbers[places]
        return replace(self, rows=self.rows[places], codes=self.codes[places], numbers=numbers)


def target(label: pa.Array) -> Target | str:
    """Read a label; a text says why it cannot be checked."""
    label = without_nan(label)
    rows = np.flatnonzero(np.asarray(label.is_valid()))
    values = label.take(pa.array(rows))
    if not len(rows):
        return "every label is null"
    if pa.types.is_nested(values.type):
        return f"the label is of type {values.type}: only numbers, texts, booleans and times can be checked"
    encoded = values.dictionary_encode()
    codes = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    names = tuple(encoded.dictionary.to_pylist())
    if len(names) == 1:
        return f"the label has one value alone ({names[0]!r}): there is nothing to predict"
    numbers = _numbers(values)
    if numbers is not None and len(names) > MOST_CLASSES:
        return _number(rows, codes, names, numbers)
    return _classes(rows, codes, names, numbers)


def _numbers(values: pa.Array) -> Floats | None:
    kind = values.type
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_date(kind):
        values = pc.cast(values.cast(pa.timestamp("us")) if pa.types.is_date(kind) else values, pa.int64(), safe=False)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _number(rows: Integers, codes: Integers, names: tuple[object, ...], numbers: Floats) -> Target | str:
    finite = np.isfinite(numbers)
    if int(finite.sum()) < SMALLEST_NUMBER:
        return f"{int(finite.sum())} rows with a label are too few to tell whether a feature gives it away"
    return Target("number", rows[finite], codes[finite], names, numbers[finite], ())


def _classes(rows: Integers, codes: Integers, names: tuple[object, ...], numbers: Floats | None) -> Target | str:
    if len(names) > MOST_CLASSES:
        return (
            f"the label has {len(names):,} classes, more than the {MOST_CLASSES} that are checked: is it an identifier?"
        )
    counts = np.bincount(codes, minlength=len(names))
    large = [
        index
        for index in np.argsort(counts, kind="stable")
        if min(counts[index], len(codes) - counts[index]) >= SMALLEST_CLASS
    ]
    if not large:
        rarest = int(counts.min())
        return f"its rarest class has {rarest:,} rows: {SMALLEST_CLASS} are the least that tell a leak from chance"
    if len(names) == 2:  # noqa: PLR2004 - of two classes, one is the other's opposite
        large = [next((index for index, name in enumerate(names) if name in (True, 1)), large[0])]
    return Target("classes", rows, codes, names, numbers, tuple(int(index) for index in large))
