"""Which label belongs to which lookup: pure functions over numpy arrays.

Both sides come with one integer for each identity (`codes`, -1 for none) and times in microseconds. A lookup's
candidates are the labels of its code within a range of times; of them, those count that were observed at or after
the lookup's time plus the label delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Take = Literal["first", "last"]
FOREVER = np.int64(2**62)


@dataclass(frozen=True)
class Sought:
    """Lookups that seek a label."""

    codes: Integers
    times: Integers


@dataclass(frozen=True)
class Labels:
    """Labels sorted by code and time. `order` gives their places as they came; `values` are ranks of their values."""

    codes: Integers
    times: Integers
    values: Integers
    order: Integers

    @classmethod
    def of(cls, codes: Integers, times: Integers, values: Integers) -> Labels:
        """Sort labels; those of one code and time keep the order in which they came."""
        order = np.lexsort((np.arange(len(codes)), times, codes))
        return cls(codes[order], times[order], values[order], order)


@dataclass(frozen=True)
class Joined:
    """For each lookup, the place of its label as it came (-1 for none), and what became of each label.

    `conflicting` says for each lookup whether the labels that fit it differ in value; `candidate` and `observed` for
    each label, as it came, whether some lookup's range has it, and whether it counted for one.
    """

    taken: Integers
    conflicting: Mask
    candidate: Mask
    observed: Mask


def join_observed(sought: Sought, labels: Labels, window: tuple[int, int] | None, delay: int, take: Take) -> Joined:
    """Join labels whose only time is that of their observation.

    Parameters
    ----------
    sought
        Identity and time of each lookup.
    labels
        `labels.times` is when each was observed.
    window
        A label is a candidate when it was observed in [lookup + window[0], lookup + window[1]]; None is at any time.
    delay
        Labels observed before lookup + delay do not count.
    take
        Which of several that count is taken.
    """
    low, high = _range(labels, sought, window)
    counted = np.clip(_search(labels, sought.codes, sought.times + delay, side="left"), low, high)
    found = counted < high
    pick = np.where(found, counted if take == "first" else high - 1, -1)
    return Joined(
        taken=_as_came(labels, pick),
        conflicting=found & _differ(labels, counted, high),
        candidate=_covered(labels, low, high),
        observed=_covered(labels, counted, high),
    )


def join_about(sought: Sought, labels: Labels, observed: Integers, tolerance: int, delay: int) -> Joined:
    """Join labels that say which time they are about (`labels.times`) and when they were observed.

    The nearest in time within `tolerance`, before or after, is taken: of two that are equally near the earlier. A label
    observed before lookup + delay does not count. `observed` is in the order in which the labels came.
    """
    low, high = _range(labels, sought, (-tolerance, tolerance))
    known, lookups, asked = observed[labels.order], sought.times, len(sought.codes)
    best, distance = np.full(asked, -1, dtype=np.int64), np.full(asked, FOREVER)
    counts, first_value = np.zeros(len(labels.codes), dtype=bool), np.full(asked, -1, dtype=np.int64)
    conflicting = np.zeros(asked, dtype=bool)
    active, place = np.flatnonzero(low < high), low.copy()
    while len(active):
        here = place[active]
        fits = known[here] >= lookups[active] + delay
        rows, at = active[fits], here[fits]
        counts[at] = True
        new = first_value[rows] < 0
        first_value[rows[new]] = labels.values[at[new]]
        conflicting[rows] |= first_value[rows] != labels.values[at]
        away = np.abs(labels.times[at] - lookups[rows])
        nearer = away < distance[rows]
        best[rows[nearer]], distance[rows[nearer]] = at[nearer], away[nearer]
        place[active] += 1
        active = active[place[active] < high[active]]
    candidate = _covered(labels, low, high)
    return Joined(_as_came(labels, best), conflicting, candidate, _unsorted(labels, counts))


def _range(labels: Labels, sought: Sought, window: tuple[int, int] | None) -> tuple[Integers, Integers]:
    codes, always = sought.codes, np.full(len(sought.codes), FOREVER)
    start, end = (-always, always) if window is None else (sought.times + window[0], sought.times + window[1])
    low, high = _search(labels, codes, start, side="left"), _search(labels, codes, end, side="right")
    return low, np.where(codes < 0, low, np.maximum(low, high))


def _search(labels: Labels, codes: Integers, times: Integers, *, side: Literal["left", "right"]) -> Integers:
    # Code and time become one integer by ranking the times, so that one sorted search does for all codes.
    ranks = np.unique(np.concatenate([labels.times, times]))
    width = np.int64(len(ranks) + 1)
    held = labels.codes * width + np.searchsorted(ranks, labels.times)
    wanted = codes * width + np.searchsorted(ranks, times)
    return np.asarray(np.searchsorted(held, wanted, side=side), dtype=np.int64)


def _covered(labels: Labels, low: Integers, high: Integers) -> Mask:
    """Say for each label, as it came, whether any of the ranges [low, high) has it."""
    edges = np.zeros(len(labels.codes) + 1, dtype=np.int64)
    some = low < high
    np.add.at(edges, low[some], 1)
    np.add.at(edges, high[some], -1)
    return _unsorted(labels, np.cumsum(edges)[:-1] > 0)


def _differ(labels: Labels, low: Integers, high: Integers) -> Mask:
    """Say whether the labels of each range [low, high) have more than one value."""
    changes = np.concatenate([[0, 0], np.cumsum(labels.values[1:] != labels.values[:-1])])[: len(labels.values) + 1]
    # changes[i + 1] counts the changes of value up to label i, so a range's own are those after its first label.
    inside = high - low > 1
    result = np.zeros(len(low), dtype=bool)
    result[inside] = changes[high[inside]] > changes[low[inside] + 1]
    return result


def _unsorted(labels: Labels, marks: Mask) -> Mask:
    result = np.zeros(len(marks), dtype=bool)
    result[labels.order] = marks
    return result


def _as_came(labels: Labels, places: Integers) -> Integers:
    result = np.full(len(places), -1, dtype=np.int64)
    result[places >= 0] = labels.order[places[places >= 0]]
    return result
