"""Columns that are made of the label: a copy under other names, a function of it, or the label of the next row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from skew_ext.leakage.columns import BINS, Column
from skew_ext.leakage.discrimination import Floats, Integers, Mask, auc
from skew_ext.leakage.target import Target

SMALLEST_VALUE = 5
"""Rows that the rarest value of a column needs: a value of one row coincides with the label by chance."""
SMALLEST_PAIRS = 30
_DISTINCT = 10
_EXACT = 1e-9

Kind = Literal["copy", "function", "next", "previous"]


@dataclass(frozen=True)
class Derived:
    """What a column is made of, and how, in a few words."""

    kind: Kind
    how: str


def derived(column: Column, target: Target, following: Integers) -> Derived | None:
    """Say how a column is made of the label; None if it is not.

    `following` gives, for each of the target's rows, the place among them of the next row of the same entity, or -1.
    """
    own = _own(column, target)
    if own is not None or not (following >= 0).any():
        return own
    pairs = np.flatnonzero(following >= 0)
    for kind, ours, theirs in (("next", pairs, following[pairs]), ("previous", following[pairs], pairs)):
        if len(pairs) >= SMALLEST_PAIRS and _same(column, target, ours, theirs):
            side = "following" if kind == "next" else "previous"
            return Derived(kind, f"is the label of the {side} row of its entity")  # type: ignore[arg-type]
    return None


def _own(column: Column, target: Target) -> Derived | None:
    everything = np.arange(len(target.rows))
    if _same(column, target, everything, everything):
        return Derived("copy", "is the label" if target.kind == "number" else "is the label under other names")
    if target.kind == "number":
        return _of_number(column, target)
    exact = _exact_codes(column)
    if exact is not None and _varies(exact) and _determined(target.codes, exact):
        return Derived("function", "is a function of the label: one value for each class")
    return None


def _of_number(column: Column, target: Target) -> Derived | None:
    numbers = target.numbers
    assert numbers is not None  # noqa: S101 - a target that is a number has them
    if column.numbers is not None and not column.nulls and column.distinct > BINS:
        slope, offset = _line(numbers, column.numbers)
        if np.allclose(column.numbers, slope * numbers + offset, rtol=_EXACT, atol=_EXACT * _spread(column.numbers)):
            return Derived("function", f"is the label times {slope:.6g}{offset:+.6g}")
        if _monotone(numbers, column.numbers):
            return Derived("function", "is a function of the label: it rises or falls with it throughout")
        return None
    exact = _exact_codes(column)
    if exact is None or not _varies(exact):
        return None
    values, counts = np.unique(exact, return_counts=True)
    if len(values) == 2 and counts.min() >= SMALLEST_VALUE and auc(numbers, exact == values[0]) in (0.0, 1.0):  # noqa: PLR2004
        return Derived("function", "is a function of the label: one value below a bound, the other above")
    return None


def _same(column: Column, target: Target, ours: Integers, theirs: Integers) -> bool:
    """Say whether the column in the rows `ours` is the label in the rows `theirs`, value by value or name by name."""
    if target.kind == "number":
        return _same_number(column, target, ours, theirs)
    exact = _exact_codes(column)
    if exact is None:
        return False
    left, right = exact[ours], target.codes[theirs]
    return _varies(left) and _varies(right) and _determined(left, right) and _determined(right, left)


def _same_number(column: Column, target: Target, ours: Integers, theirs: Integers) -> bool:
    if column.numbers is None or target.numbers is None:
        return False
    left, right = column.numbers[ours], target.numbers[theirs]
    return len(np.unique(right)) >= _DISTINCT and bool(np.array_equal(left, right))


def _exact_codes(column: Column) -> Integers | None:
    """Give codes that stand for one value each; None where bins hold several."""
    return None if column.numbers is not None and column.distinct > BINS else column.codes


def _varies(codes: Integers) -> bool:
    """Say whether there are two values, and the rarest of them are no accident."""
    counts = np.unique(codes, return_counts=True)[1]
    return len(counts) > 1 and int(len(codes) - counts.max()) >= SMALLEST_VALUE


def _determined(by: Integers, codes: Integers) -> bool:
    """Say whether each value of `by` stands with one value of `codes` alone."""
    pairs = np.unique(by * (int(codes.max(initial=0)) + 1) + codes)
    return len(pairs) == len(np.unique(by))


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    spread = x - x.mean()
    slope = float((spread * (y - y.mean())).sum() / (spread**2).sum())
    return slope, float(y.mean() - slope * x.mean())


def _spread(values: Floats) -> float:
    return float(values.max() - values.min())


def _monotone(x: Floats, y: Floats) -> bool:
    """Say whether y rises, or falls, strictly with x, equal where x is."""
    order = np.argsort(x, kind="stable")
    steps_x, steps_y = np.diff(x[order]), np.diff(y[order])
    tied: Mask = steps_x == 0
    if (~tied).sum() < _DISTINCT or (steps_y[tied] != 0).any():
        return False
    moving = steps_y[~tied]
    return bool((moving > 0).all() or (moving < 0).all())
