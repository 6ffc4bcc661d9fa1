"""`type_coercion`: the right value, taken through another type."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.audit.causes.cells import nothing
from skew_ext.audit.causes.hypotheses import Hypothesis, drawn_from_source
from skew_ext.audit.cells import compare

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask

Cast = Callable[[Any], Any]
_SMALLEST = -(2**63)


def _digits(value: str) -> int:
    # Python reads "1_0" and " 1" as numbers too; a column of identifiers has other text in it.
    if not value.lstrip("+-").isdigit():
        raise ValueError(value)
    return int(value)


def _number(value: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _wrapped(bits: int) -> Cast:
    half = 1 << (bits - 1)
    return lambda value: (int(value) + half) % (2 * half) - half


_FROM_TEXT: tuple[tuple[str, Cast], ...] = (
    ("text through float", lambda value: str(_number(value))),
    ("text through whole numbers", lambda value: str(_digits(value))),
    ("text through float32", lambda value: str(np.float32(_number(value)))),
    ("text through float and whole numbers", lambda value: str(int(_number(value)))),
)
_TO_TEXT: tuple[tuple[str, Cast], ...] = (
    ("text", str),
    ("text through float", lambda value: str(float(value))),
    ("text through whole numbers", lambda value: str(int(value))),
    ("text in small letters", lambda value: str(value).lower()),
)
_TO_WHOLE: tuple[tuple[str, Cast], ...] = (
    ("bool", lambda value: int(bool(value))),
    ("int32", _wrapped(32)),
    ("int16", _wrapped(16)),
    ("int8", _wrapped(8)),
)
_TO_FLOAT: tuple[tuple[str, Cast], ...] = (("bool", lambda value: float(bool(value))),)
_TO_BOOL: tuple[tuple[str, Cast], ...] = (("bool", lambda value: bool(float(value))),)
_NULL_TEXT = ("None", "nan", "NaN", "<NA>", "NaT")


def type_coercion(cells: DifferingCells) -> Hypothesis | None:
    """The right value was cast to another type, and maybe back: digits through float, numbers through bool.

    A null that was cast became the text 'nan', or the smallest whole number.
    """
    best, count = None, 0
    casts = _casts(cells)
    for says, cast in casts:
        fits = partial(_fits, cast=cast)
        found = int(fits(cells).sum())
        if found > count:
            # No other value would happen to be what a cast makes of this one, where that is a text.
            certain = pa.types.is_string(cells.served.type)
            chance = None if certain else _by_chance(cells, fits)
            best = Hypothesis(fits, f"through {says}", by_chance=chance, tried=len(casts), certain=certain)
            count = found
    return best


def _by_chance(cells: DifferingCells, fits: Callable[[DifferingCells], Mask]) -> float | None:
    """Give the share of cells that would fit by chance: a bool has two values, which may be common ones.

    As many would as for a value of the source, drawn at random, or as have any other value in common.
    """
    share = drawn_from_source(cells, fits)
    others = cells.served.filter(pa.array(~fits(cells))).drop_null()
    most = int(pc.max(pc.value_counts(others).field("counts")).as_py()) if len(others) else 0
    return None if share is None else max(share, most / len(cells))


def _casts(cells: DifferingCells) -> list[tuple[str, Cast]]:
    served, baseline = cells.served.type, cells.baseline.type
    if pa.types.is_string(served):
        texts = _FROM_TEXT if pa.types.is_string(baseline) or pa.types.is_large_string(baseline) else _TO_TEXT
        return [*texts, *((f"text, {null!r} for null", partial(_null_as, null)) for null in _NULL_TEXT)]
    if pa.types.is_integer(served):
        return [*_TO_WHOLE, ("whole numbers, the smallest for null", partial(_null_as, _SMALLEST))]
    if pa.types.is_boolean(served):
        return list(_TO_BOOL) if not pa.types.is_boolean(baseline) else []
    return list(_TO_FLOAT) if pa.types.is_floating(served) else []


def _null_as(text: Any, value: Any) -> Any:
    return text if value is None else value


def _fits(cells: DifferingCells, cast: Cast) -> Mask:
    found = nothing(cells)
    for reference in cells.references():
        values = [_cast(value, cast) for value in reference.to_pylist()]
        try:
            given = pa.array(values, type=cells.served.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            continue
        changed = compare(cells.served, reference).different
        found |= changed & ~cells.served_null & ~compare(cells.served, given).different
    return found


def _cast(value: Any, cast: Cast) -> Any:
    if value is None and not (isinstance(cast, partial) and cast.func is _null_as):
        return None
    try:
        return cast(value)
    except (TypeError, ValueError, OverflowError):
        return None
