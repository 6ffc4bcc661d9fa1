"""Sums that do not depend on the order, nor on how they were come by: exact integers, rounded once.

Every finite float64 is a whole number of units of 2**-1074, the smallest one. Totals are kept as such whole numbers,
so adding and taking away are exact, and the one rounding, to the nearest with ties to even, happens when a sum or mean
is read. The result is the correctly rounded true sum, as `math.fsum` gives it, whatever the path. (The idea is that of
Kulisch's accumulator; Neal, "Fast exact summation using small and large superaccumulators", arXiv:1505.05571.)
A total of zero is +0.0; one beyond the floats is infinite; infinities of both signs give NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

UNIT: Final = -1074
"""The binary exponent of the unit that a float's total is kept in."""

Limb = npt.NDArray[np.int64]
_WIDTH: Final = 32
_MASK: Final = np.uint64(2**_WIDTH - 1)
_SIGNIFICAND: Final = 53


def units(value: float) -> int:
    """Give a finite float as a whole number of units of 2**-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (-UNIT + 1 - denominator.bit_length())


def rounded(total: int, exponent: int, count: int = 1) -> float:
    """Give total * 2**exponent / count as the nearest float64, ties to even; infinite beyond the floats."""
    try:
        if exponent < 0:
            return total / (count << -exponent)  # Python divides integers with one correct rounding
        return (total << exponent) / count
    except OverflowError:
        return float("inf") if total > 0 else float("-inf")


def with_infinities(total: float, positive: int, negative: int) -> float:
    """Give the total of finite values together with so many infinities of each sign."""
    if positive and negative:
        return float("nan")
    return float("inf") if positive else float("-inf") if negative else total


def range_totals(values: npt.NDArray[Any], reduce: Callable[[Limb], Limb], count: int) -> tuple[Sequence[int], int]:
    """Give exact totals over ranges of finite floats or integers, and the binary exponent of their unit.

    Parameters
    ----------
    values
        int64 or float64, finite.
    reduce
        Gives the sums over the ranges of one array of int64, whose entries are below 2**32 in size: exact, by running
        sums, for fewer than 2**31 values.
    count
        How many ranges `reduce` gives.
    """
    if values.dtype.kind == "i":
        low, high = values & np.int64(2**_WIDTH - 1), values >> _WIDTH
        return _joined([reduce(low), reduce(high)]), 0
    fraction, exponents = np.frexp(values)
    significands = np.abs(np.ldexp(fraction, _SIGNIFICAND)).astype(np.uint64)
    present = significands != 0
    if not present.any():
        return [0] * count, 0
    exponents = exponents.astype(np.int64) - _SIGNIFICAND
    base = int(exponents[present].min())
    shifts = np.where(present, exponents - base, 0)
    return _joined([reduce(limb) for limb in _limbs(significands, np.signbit(values), shifts)]), base


def _limbs(significands: npt.NDArray[np.uint64], negative: npt.NDArray[np.bool_], shifts: Limb) -> Iterator[Limb]:
    """Cut significand * 2**shift into digits of 32 bits, least first, each with the value's sign."""
    places, bits = shifts // _WIDTH, (shifts % _WIDTH).astype(np.uint64)
    width, one = np.uint64(_WIDTH), np.uint64(1)
    digits = (
        (significands << bits) & _MASK,
        (significands >> (width - bits)) & _MASK,
        (significands >> (np.uint64(2 * _WIDTH - 1) - bits)) >> one,  # in two steps: a shift by 64 is undefined
    )
    signs = np.where(negative, np.int64(-1), np.int64(1))
    signed = [digit.astype(np.int64) * signs for digit in digits]
    for place in range(int(places.max()) + len(signed)):
        limb = np.zeros(len(shifts), dtype=np.int64)
        for offset, digit in enumerate(signed):
            np.copyto(limb, digit, where=places == place - offset)
        yield limb


def _joined(limbs: list[Limb]) -> Sequence[int]:
    total = limbs[-1].astype(object)
    for limb in reversed(limbs[:-1]):
        total = (total << _WIDTH) + limb
    joined: list[int] = total.tolist()
    return joined
