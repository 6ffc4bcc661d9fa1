"""`rescaled`: the right value in another unit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.audit.causes.cells import nothing
from skew_ext.audit.causes.hypotheses import MIN_CELLS, Hypothesis
from skew_ext.audit.cells import numbers, plain

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask

TOLERANCE, NARROW_TOLERANCE = 1e-9, 1e-6
"""How far apart, relatively, a value and its rescaled reference may be: for 64-bit numbers, and for narrower ones."""
_LEAST_DIFFERENT = 2

Numbers = npt.NDArray[np.float64]


def rescaled(cells: DifferingCells) -> Hypothesis | None:
    """One factor turns what should have been served into what was; of a list, each element."""
    ratios, references = _ratios(cells)
    factor = _most_common(ratios, _tolerance(cells.served.type))
    if factor is None:
        return None
    tried = len(np.unique(np.round(ratios[np.isfinite(ratios)], 9)))
    hypothesis = Hypothesis(partial(_fits, factor=factor), f"by {factor:.7g}", _applies, tried=tried)
    fits = hypothesis.fits(cells)
    # One value alone fits any factor.
    if len(np.unique(references[fits & np.isfinite(references)])) < _LEAST_DIFFERENT:
        return None
    return hypothesis


def _tolerance(kind: pa.DataType) -> float:
    element = kind.value_type if pa.types.is_list(kind) else kind
    return NARROW_TOLERANCE if pa.types.is_floating(element) and element.bit_width < 64 else TOLERANCE  # noqa: PLR2004


def _ratios(cells: DifferingCells) -> tuple[Numbers, Numbers]:
    """Give each cell's ratio (of a list, its first element's) and what it is a ratio to; NaN where there is none."""
    served = _first(cells.served)
    ratios, chosen = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    for reference in cells.references():
        right = _first(reference)
        if served is None or right is None:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            found = served / right
        usable = np.isnan(ratios) & np.isfinite(found) & (found != 0) & (np.abs(found - 1) > NARROW_TOLERANCE)
        ratios[usable], chosen[usable] = found[usable], right[usable]
    return ratios, chosen


def _applies(cells: DifferingCells) -> Mask:
    return np.isfinite(_ratios(cells)[0])


def _first(array: pa.Array) -> Numbers | None:
    column = plain(array)
    if not pa.types.is_list(column.type):
        return numbers(column)
    values = numbers(column.values)
    if values is None:
        return None
    lengths = np.asarray(column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
    starts = np.asarray(column.offsets.to_numpy())[:-1]
    first = np.full(len(column), np.nan)
    first[lengths > 0] = values[starts[lengths > 0]]
    return first


def _most_common(ratios: Numbers, tolerance: float) -> float | None:
    """Give the middle of the densest cluster of ratios that are the same up to the tolerance."""
    known = np.sort(ratios[np.isfinite(ratios)])
    if len(known) < MIN_CELLS:
        return None
    ends = np.searchsorted(known, known + tolerance * np.abs(known), side="right")
    counts = ends - np.arange(len(known))
    start = int(np.argmax(counts))
    return float(np.median(known[start : int(ends[start])])) if counts[start] >= MIN_CELLS else None


def _fits(cells: DifferingCells, factor: float) -> Mask:
    found = nothing(cells)
    for reference in cells.references():
        found |= _is_multiple(plain(cells.served), plain(reference), factor)
    return found


def _is_multiple(served: pa.Array, reference: pa.Array, factor: float) -> Mask:
    tolerance = _tolerance(served.type)
    if pa.types.is_list(served.type) != pa.types.is_list(reference.type):
        return np.zeros(len(served), dtype=bool)
    if not pa.types.is_list(served.type):
        return _near(numbers(served), numbers(reference), factor, tolerance)
    return _lists_near(served, reference, factor, tolerance)


def _near(left: Any, right: Any, factor: float, tolerance: float) -> Mask:
    if left is None or right is None:
        return np.zeros(0 if left is None else len(left), dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(left - factor * right) <= tolerance * np.abs(left)
    return np.asarray(near & np.isfinite(left) & np.isfinite(right) & (left != 0), dtype=bool)


def _lists_near(served: pa.Array, reference: pa.Array, factor: float, tolerance: float) -> Mask:
    lengths, others = (
        np.asarray(array.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)) for array in (served, reference)
    )
    found = (lengths == others) & (lengths > 0)
    rows = pa.array(np.flatnonzero(found))
    left, right = numbers(served.take(rows).flatten()), numbers(reference.take(rows).flatten())
    if left is None or right is None:
        return np.zeros(len(served), dtype=bool)
    if len(rows):
        zero = (left == 0) & (right == 0)
        starts = np.concatenate([[0], np.cumsum(lengths[found])[:-1]])
        found[found] = np.logical_and.reduceat(_near(left, right, factor, tolerance) | zero, starts)
    return np.asarray(found, dtype=bool)
