"""`default_filled`: a constant in the place of nothing, or nothing in the place of a constant."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import binom

from skew_ext.audit.causes.cells import nothing
from skew_ext.audit.causes.hypotheses import FEWEST_CELLS, Hypothesis
from skew_ext.audit.cells import compare, is_null, plain
from skew_ext.text import visible

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask

LONGEST_SHOWN = 60
CANDIDATES = 5
WORDS_FOR_NOTHING: Final = frozenset(
    {"-", "--", "?", "#n/a", "<na>", "missing", "n/a", "na", "nan", "nat", "nil", "none", "null", "undefined"}
    | {"not available", "unknown"}
)
"""What stands for no value in text, in small letters: much of it is what pandas reads as such."""
NUMBERS_FOR_NOTHING: Final = (0, -1)


def default_filled(cells: DifferingCells) -> Hypothesis | None:
    """One constant was served where there is no value, or no value where there is one constant."""
    proposals = []
    for which, values, fits, says in (
        (_filled_in, cells.served, _is_filled, "{} for null"),
        (_emptied, _right(cells), _is_empty, "null for {}"),
    ):
        found = _most_telling(cells, values.filter(pa.array(which(cells))))
        if found is not None:
            constant, by_chance = found
            one = Hypothesis(partial(fits, constant=constant), says.format(shown(constant)), which)
            expected = _stands_for_nothing(constant.as_py()) and _of_rows(cells, one.fits(cells)) >= FEWEST_CELLS
            share = _share(cells, constant)
            tried = 1 if expected else CANDIDATES
            proposals.append((by_chance, replace(one, by_chance=share, tried=tried, expected=expected)))
    return min(proposals, key=lambda one: one[0], default=(0, None))[1]


def _stands_for_nothing(constant: Any) -> bool:
    """Say whether people write the constant where there is no value, so that it is no surprise in the place of null."""
    if isinstance(constant, str):
        return constant.strip().lower() in WORDS_FOR_NOTHING or not constant.strip()
    if isinstance(constant, bool) or not isinstance(constant, int | float):
        return False
    return constant in NUMBERS_FOR_NOTHING or math.isnan(constant)


def _of_rows(cells: DifferingCells, fits: Mask) -> int:
    """Count the rows behind some cells: a row that was served often is one piece of evidence.

    A row that the source has no more is none: what was served of it may have been its value.
    """
    evidence = cells.evidence
    if evidence is None:
        return int(fits.sum())
    rows = evidence.at_event[fits & (evidence.at_event >= 0)]
    return len(np.unique(rows)) + int((fits & ~cells.has_event).sum())


def shown(constant: pa.Scalar) -> str:
    """Give a constant as it is told: a served value is untrusted text, and may be long."""
    return visible(repr(constant.as_py())[:LONGEST_SHOWN])


def _filled_in(cells: DifferingCells) -> Mask:
    null = nothing(cells)
    for reference in cells.references():
        null |= is_null(reference)
    return null & ~cells.served_null


def _emptied(cells: DifferingCells) -> Mask:
    """Say where a row was served, with nothing in it."""
    there = cells.has_event if cells.evidence is not None else np.ones(len(cells), dtype=bool)
    return cells.served_null & there & ~is_null(_right(cells))


def _right(cells: DifferingCells) -> pa.Array:
    return cells.references()[0]


def _is_filled(cells: DifferingCells, constant: pa.Scalar) -> Mask:
    return _filled_in(cells) & _equals(cells.served, constant)


def _is_empty(cells: DifferingCells, constant: pa.Scalar) -> Mask:
    return _emptied(cells) & _equals(_right(cells), constant)


def _equals(values: pa.Array, constant: pa.Scalar) -> Mask:
    if not len(values):
        return np.zeros(0, dtype=bool)
    return ~compare(values, pa.repeat(pa.scalar(constant.as_py(), type=values.type), len(values))).different


def _most_telling(cells: DifferingCells, values: pa.Array) -> tuple[pa.Scalar, tuple[float, int]] | None:
    """Give, of the most common values, the one least likely by chance: what the source has often is no sign.

    With it, how likely that is; of two alike the one with more cells comes first.
    """
    if not len(values) or pa.types.is_nested(values.type):
        return None
    counts = pc.value_counts(values)
    order = pc.sort_indices(counts.field("counts"), sort_keys=[("", "descending")])[:CANDIDATES]
    candidates = [(counts.field("values")[place], counts.field("counts")[place].as_py()) for place in order.to_pylist()]

    def by_chance(candidate: tuple[pa.Scalar, int]) -> tuple[float, int]:
        constant, count = candidate
        return float(binom.sf(count - 1, len(values), _share(cells, constant) or 0.0)), -count

    best = min(candidates, key=by_chance)
    return best[0], by_chance(best)


def _share(cells: DifferingCells, constant: pa.Scalar) -> float | None:
    """Give how often the feature has the constant anyway: its share of the source's values, one more taken for seen.

    None for on-demand outputs, which have none there; then no constant is believed.
    """
    if cells.evidence is None:
        return None
    values = plain(cells.evidence.values).drop_null()
    try:
        typed = pa.scalar(constant.as_py(), type=values.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return 1 / (len(values) + 1)
    return float((_equals(values, typed).sum() + 1) / (len(values) + 1))
