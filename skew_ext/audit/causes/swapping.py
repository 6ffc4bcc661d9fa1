"""`swapped_feature`: another feature's value."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.audit.causes.cells import nothing
from skew_ext.audit.causes.hypotheses import MIN_CELLS, Hypothesis
from skew_ext.audit.cells import compare, plain

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask


def swapped_feature(cells: DifferingCells) -> Hypothesis | None:
    """What was served is another feature's value in the same row."""
    best, count = None, MIN_CELLS - 1
    for name in cells.siblings.columns if cells.siblings else ():
        fits = partial(_fits, other=name)
        mask = fits(cells)
        # One value alone may be anything: a default, a constant column.
        if mask.sum() > count and _varies(cells.served.filter(pa.array(mask))):
            could, tried = partial(_among, other=name), len(cells.siblings.columns) if cells.siblings else 1
            best, count = Hypothesis(fits, f"with {name}", could, tried=tried), int(mask.sum())
    return best


def _varies(values: pa.Array) -> bool:
    known = values.drop_null()
    if not len(known):
        return False
    first = pa.repeat(pa.scalar(known[0].as_py(), type=known.type), len(known))
    return bool(compare(known, first).different.any())


def _among(cells: DifferingCells, other: str) -> Mask:
    """Say where the served value is one that the other feature has somewhere."""
    if cells.siblings is None or pa.types.is_nested(cells.served.type):
        return np.ones(len(cells), dtype=bool)
    values = [plain(cells.siblings.columns[other])]
    if other in cells.siblings.stored:
        values.append(plain(cells.siblings.stored[other]).cast(values[0].type, safe=False))
    served = cells.served.cast(values[0].type, safe=False)
    return np.asarray(pc.is_in(served, pa.concat_arrays(values)).to_numpy(zero_copy_only=False), dtype=bool)


def _fits(cells: DifferingCells, other: str) -> Mask:
    siblings, found = cells.siblings, nothing(cells)
    if siblings is None or other not in siblings.columns:
        return found
    baseline = plain(siblings.columns[other].take(pa.array(siblings.rows)))
    for reference in cells.right(baseline, siblings.stored.get(other)):
        found |= ~compare(plain(cells.served), reference).different
    return np.asarray(found, dtype=bool)
