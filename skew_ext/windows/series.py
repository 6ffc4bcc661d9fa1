"""One key's values of one column in order of event time, with running totals: what a window is read from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from math import copysign, isinf
from typing import Any, Final

from skew_ext.windows.errors import WindowError
from skew_ext.windows.exact import UNIT, rounded, units, with_infinities

_LEAST, _MOST = -(2**63), 2**63 - 1
# Infinities are counted in one integer, so many of each sign: positive ones in its low digits, negative ones above.
_NEGATIVE: Final = 2**48
_INTEGERS: Final = 0


class Series:
    """Values that are not null, by event time and, where times tie, by the order column and then the value.

    `totals[n]` is the exact sum of all values before position n, from wherever the series once began; only their
    differences are used, so the front can be cut off.
    """

    __slots__ = ("exponent", "infinities", "orders", "times", "totals", "values")

    def __init__(self, *, exponent: int | None, ordered: bool) -> None:
        """Make an empty series that keeps totals in units of 2**exponent; with None, no totals."""
        self.exponent = exponent
        self.times: list[int] = []
        self.values: list[Any] = []
        self.orders: list[Any] | None = [] if ordered else None
        self.totals: list[int] | None = None if exponent is None else [0]
        self.infinities: list[int] | None = None

    def add(self, time: int, value: Any, order: Any) -> None:
        """Put a value in its place."""
        place = bisect_right(self.times, time)
        while place and self.times[place - 1] == time and self._rank(place - 1) > _rank(order, value):
            place -= 1
        self.times.insert(place, time)
        self.values.insert(place, value)
        if self.orders is not None:
            self.orders.insert(place, order)
        if self.totals is not None:
            self._add_total(place, value)

    def _rank(self, place: int) -> tuple[Any, ...]:
        return _rank(None if self.orders is None else self.orders[place], self.values[place])

    def _add_total(self, place: int, value: Any) -> None:
        infinite = self.exponent != _INTEGERS and isinf(value)
        if infinite and self.infinities is None:
            self.infinities = [0] * len(self.values)
        if self.infinities is not None:
            _insert(self.infinities, place, (1 if value > 0 else _NEGATIVE) if infinite else 0)
        if self.totals is not None:
            _insert(self.totals, place, 0 if infinite else value if self.exponent == _INTEGERS else units(value))

    def drop_before(self, time: int) -> None:
        """Drop what is older than `time`."""
        first = bisect_left(self.times, time)
        for kept in (self.times, self.values, self.orders, self.totals, self.infinities):
            if kept is not None:
                del kept[:first]

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Give the positions [low, high) of the values from event time `first` to `last`, both included."""
        return bisect_left(self.times, first), bisect_right(self.times, last)

    def total(self, low: int, high: int, divisor: int) -> float:
        """Give the sum over [low, high), divided, with one rounding."""
        assert self.totals is not None  # noqa: S101 - kept where a sum or a mean is declared
        assert self.exponent is not None  # noqa: S101 - likewise
        found = rounded(self.totals[high] - self.totals[low], self.exponent, divisor)
        if self.infinities is None:
            return found
        negative, positive = divmod(self.infinities[high] - self.infinities[low], _NEGATIVE)
        return with_infinities(found, positive, negative)

    def integer_total(self, low: int, high: int) -> int:
        """Give the sum of integers over [low, high)."""
        assert self.totals is not None  # noqa: S101 - kept where a sum or a mean is declared
        total = self.totals[high] - self.totals[low]
        if not _LEAST <= total <= _MOST:
            raise WindowError("a sum of integers lies beyond int64; declare the column Float64")
        return total


def _insert(running: list[int], place: int, amount: int) -> None:
    """Put `amount` into running totals as the one at `place`: what follows grows by it."""
    tail = running[place:]
    running[place + 1 :] = [total + amount for total in tail] if amount else tail


def _rank(order: Any, value: Any) -> tuple[Any, ...]:
    # Floats in IEEE 754's total order: -0.0 before 0.0.
    return (order, value, copysign(1.0, value) if isinstance(value, float) else 0)


def exponent_of(kind: str) -> int:
    """Give the exponent of the unit that totals of a column type are kept in."""
    return _INTEGERS if kind.startswith("Int") else UNIT


def _sum(series: Series, low: int, high: int) -> Any:
    return series.integer_total(low, high) if series.exponent == _INTEGERS else series.total(low, high, 1)


def _extreme(choose: Callable[[Sequence[Any]], Any], sign: float) -> Callable[[Series, int, int], Any]:
    def reduce(series: Series, low: int, high: int) -> Any:
        values = series.values[low:high]
        found = choose(values)
        if found == 0 and isinstance(found, float):
            # 0.0 and -0.0 compare equal, so which of them was found is chance.
            signs = [copysign(1.0, value) for value in values if value == 0]
            return 0.0 * (sign if sign in signs else -sign)
        return found

    return reduce


REDUCERS: Final[Mapping[str, Callable[[Series, int, int], Any]]] = {
    "count": lambda _, low, high: high - low,
    "sum": _sum,
    "mean": lambda series, low, high: series.total(low, high, high - low),
    "min": _extreme(min, -1.0),
    "max": _extreme(max, 1.0),
    "count_distinct": lambda series, low, high: len(set(series.values[low:high])),
    "first": lambda series, low, _: series.values[low],
    "last": lambda series, _, high: series.values[high - 1],
}
