"""Round numbers to cut a feature's values at, so that a person can read the axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import numpy as np

MOST_CELLS = 20
HUNDREDTHS = 100
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_SECOND = 1_000_000
MINUTE, _HOUR, DAY = 60 * _SECOND, 3600 * _SECOND, 86_400 * _SECOND
_TIMES = (
    *(_SECOND * count for count in (1, 2, 5, 10, 15, 30)),
    *(MINUTE * count for count in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * count for count in (1, 2, 3, 6, 12)),
    *(DAY * count for count in (1, 2, 7, 14)),
)


def round_edges(quantiles: Sequence[float], *, times: bool = False) -> tuple[float, ...]:
    """Give at most 19 edges at round numbers a step apart, over the bulk of a reference.

    Parameters
    ----------
    quantiles
        The reference's edges for a hundred bins (`quantile_edges`).
    times
        Whether numbers are microseconds: a step is then a number of seconds, minutes, hours or days that clocks know.

    Returns
    -------
    tuple of float
        Rising; the cells are (edge[i-1], edge[i]], the outer ones open. A least value that is a round number is cut out
        on both sides, as is a single value: the zeros of an amount have a cell of their own.
    """
    if not quantiles:
        return ()
    low, high = _bulk(quantiles)
    if low == high:
        return tuple(edge for edge in (math.nextafter(low, -math.inf), low) if math.isfinite(edge))
    most = MOST_CELLS - 2
    with np.errstate(over="ignore"):
        least = (high - low) / most
    if not 0.0 < least < math.inf:
        return _some(quantiles)
    whole = are_whole(quantiles)
    for step in _steps(least, whole=whole, times=times):
        first, last = math.ceil(Decimal(low) / step) - 1, math.ceil(Decimal(high) / step)
        if last - first <= most:
            edges = tuple(float(number * step) for number in range(first, last + 1))
            if edges[1] == low and not whole:
                edges = (math.nextafter(low, -math.inf), *edges[1:])
            rises = all(a < b for a, b in pairwise(edges)) and edges[0] < low <= high <= edges[-1] < math.inf
            return edges if rises and edges[0] > -math.inf else _some(quantiles)
    return _some(quantiles)


def _bulk(quantiles: Sequence[float]) -> tuple[float, float]:
    """Give the values that all but a hundredth at either end lie between; the first edge may be just below a value."""
    just_below = len(quantiles) > 1 and math.nextafter(quantiles[0], math.inf) == quantiles[1]
    return quantiles[1 if just_below else 0], quantiles[-1]


def _steps(least: float, *, whole: bool, times: bool) -> list[Decimal]:
    """Give steps about as long as `least`, or longer, the shortest first."""
    if times and _SECOND <= least <= _TIMES[-1]:
        return [Decimal(step) for step in _TIMES if step >= least]
    unit = Decimal(DAY) if times and least > DAY else Decimal(1)
    scale = Decimal(1).scaleb(math.floor((Decimal(least) / unit).log10()))
    found = [unit * scale * power * step for power in (1, 10) for step in _STEPS]
    whole = whole or unit > 1
    return [step for step in found if step >= Decimal(least) and (not whole or _is_whole(step / unit))] or [unit]


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def are_whole(quantiles: Sequence[float]) -> bool:
    """Say whether the values that quantiles were taken from are whole: an edge may stand just below its value."""
    return all(math.isinf(edge) or edge % 1 == 0 or math.nextafter(edge, math.inf) % 1 == 0 for edge in quantiles)


def _some(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Give some of the quantiles, where steps of one length cannot be told from one another."""
    known = [edge for edge in quantiles if math.isfinite(edge)]
    places = np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_CELLS - 1)).astype(np.int64))
    return tuple(known[place] for place in places)
