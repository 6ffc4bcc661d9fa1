"""`precision`: the right value, rounded to a narrower type."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.audit.causes.cells import nothing
from skew_ext.audit.causes.hypotheses import Hypothesis
from skew_ext.audit.cells import compare, is_null, mapped

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask

Numbers = npt.NDArray[Any]


def _through(kind: type[np.floating[Any]]) -> Callable[[Numbers], Numbers]:
    def narrowed(values: Numbers) -> Numbers:
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(kind).astype(np.float64)

    return narrowed


def _whole_through(kind: type[np.floating[Any]]) -> Callable[[Numbers], Numbers]:
    def narrowed(values: Numbers) -> Numbers:
        through = values.astype(kind).astype(np.float64)
        fits = np.abs(through) < 2.0**63
        return np.where(fits, np.where(fits, through, 0).astype(np.int64), values)

    return narrowed


_FLOATS: tuple[tuple[str, Callable[[Numbers], Numbers], bool], ...] = (
    ("float32", _through(np.float32), True),
    ("float16", _through(np.float16), True),
    ("whole numbers, cut off", np.trunc, False),
    ("whole numbers, rounded", np.round, False),
    ("whole numbers, rounded half up", lambda values: np.floor(values + 0.5), False),
    ("whole numbers, rounded down", np.floor, False),
    ("whole numbers, rounded up", np.ceil, False),
)
_WHOLES: tuple[tuple[str, Callable[[Numbers], Numbers], bool], ...] = (
    ("float64", _whole_through(np.float64), True),
    ("float32", _whole_through(np.float32), True),
)
_UNITS = (("seconds", 1_000_000), ("milliseconds", 1000))


def precision(cells: DifferingCells) -> Hypothesis | None:
    """The right value was rounded to a narrower type: float32, float16, whole numbers, coarser timestamps.

    For whole numbers large enough the narrower type is float64.
    """
    best, count = None, 0
    narrowings = _narrowings(cells.served.type)
    for says, narrow, certain in narrowings:
        fits = partial(_fits, narrow=narrow)
        found = int(fits(cells).sum())
        if found > count:
            best, count = Hypothesis(fits, f"to {says}", _has_both, tried=len(narrowings), certain=certain), found
    return best


def _narrowings(kind: pa.DataType) -> tuple[tuple[str, Callable[[Numbers], Numbers], bool], ...]:
    element = kind.value_type if pa.types.is_list(kind) else kind
    if pa.types.is_floating(element):
        return _FLOATS
    if pa.types.is_integer(element):
        return _WHOLES
    if pa.types.is_timestamp(element):
        return tuple((says, partial(_cut, unit=unit), True) for says, unit in _UNITS)
    return ()


def _cut(values: Numbers, unit: int) -> Numbers:
    return values // unit * unit


def _has_both(cells: DifferingCells) -> Mask:
    return ~cells.served_null & ~cells.baseline_null


def _fits(cells: DifferingCells, narrow: Callable[[Numbers], Numbers]) -> Mask:
    found = nothing(cells)
    for reference in cells.references():
        rounded = mapped(reference, narrow)
        if rounded is None:
            continue
        # Two nulls are no value that was rounded, nor is a value that rounding does not change.
        changed = compare(cells.served, reference).different
        found |= changed & ~cells.served_null & ~is_null(reference) & ~compare(cells.served, rounded).different
    return found
