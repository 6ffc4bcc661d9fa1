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
from skew_ext.audit.causes.hypotheses import Hypothesis
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
    filled, emptied = _filled_in(cells), _emptied(cells)
    proposals = []
    constant = _most_telling(cells, cells.served.filter(pa.array(filled)))
    if constant is not None:
        fits, says = partial(_is_filled, constant=constant), f"{shown(constant)} for null"
        proposals.append(_hypothesis(cells, constant, Hypothesis(fits, says, _filled_in)))
    constant = _most_telling(cells, _right(cells).filter(pa.array(emptied)))
    if constant is not None:
        fits, says = partial(_is_empty, constant=constant), f"null for {shown(constant)}"
        proposals.append(_hypothesis(cells, constant, Hypothesis(fits, says, _emptied)))
    return max(proposals, key=lambda one: int(one.fits(cells).sum()), default=None)


def _hypothesis(cells: DifferingCells, constant: pa.Scalar, one: Hypothesis) -> Hypothesis:
    return replace(one, by_chance=_share(cells, constant), expected=_stands_for_nothing(constant.as_py()))


def _stands_for_nothing(constant: Any) -> bool:
    """Say whether people write the constant where there is no value, so that it is no surprise in the place of null."""
    if isinstance(constant, str):
        return constant.strip().lower() in WORDS_FOR_NOTHING or not constant.strip()
    if isinstance(constant, bool) or not isinstance(constant, int | float):
        return False
    return constant in NUMBERS_FOR_NOTHING or math.isnan(constant)


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


def _most_telling(cells: DifferingCells, values: pa.Array) -> pa.Scalar | None:
    """Give, of the most common values, the one least likely by chance: what the source has often is no sign."""
    if not len(values) or pa.types.is_nested(values.type):
        return None
    counts = pc.value_counts(values)
    order = pc.sort_indices(counts.field("counts"), sort_keys=[("", "descending")])[:CANDIDATES]
    candidates = [(counts.field("values")[place], counts.field("counts")[place].as_py()) for place in order.to_pylist()]

    def by_chance(candidate: tuple[pa.Scalar, int]) -> tuple[float, int]:
        constant, count = candidate
        return float(binom.sf(count - 1, len(values), _share(cells, constant) or 0.0)), -count

    return min(candidates, key=by_chance)[0]


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
