"""The histogram that a person looks at: both sides on the same few cells, taken from what was counted anyway."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from skew_ext.model import Histogram
from skew_ext.statistics.arrays import Counts, Floats, Numbers
from skew_ext.statistics.category import CategorySummary, Tally, slots_of
from skew_ext.statistics.steps import DAY, HUNDREDTHS, MINUTE, MOST_CELLS, are_whole, round_edges
from skew_ext.statistics.summary import NumberColumn, NumericSummary, counts_between, quantile_edges

OF_REFERENCE = 16
"""So many categories are the reference's commonest; the rest of the cells is for those that are common as served."""
LONGEST_LABEL = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EXACT_TEXT = 1e15
"""Below it a whole double is written out."""
Labels = Callable[[float], str]


def numeric_histogram(a: NumberColumn, b: NumberColumn, kind: Any = None) -> Histogram | None:
    """Give the histogram of two sorted columns on the reference's edges; None where neither has a finite value.

    A reference without a finite value takes the edges of what was served. `kind` is the columns' Arrow type.
    """
    edges = histogram_edges(a, b, kind)
    if not edges:
        return None
    placed = _of_type(edges, a.dtype)
    counts = [counts_between(one, placed) for one in (a, b)]
    times = kind is not None and pa.types.is_temporal(kind)
    whole = not times and a.looks_whole and b.looks_whole
    labels = _labels(edges, _text_of(kind, edges) if times else _number, whole=whole)
    return _numeric(edges, labels, counts, (a.nulls, b.nulls), (a.nans, b.nans))


def histogram_edges(a: NumberColumn, b: NumberColumn, kind: Any = None) -> tuple[float, ...]:
    """Give the edges of `numeric_histogram`."""
    times = kind is not None and pa.types.is_temporal(kind)
    return round_edges(quantile_edges(a if a.size else b, HUNDREDTHS), times=times)


def _of_type(edges: tuple[float, ...], dtype: Any) -> Numbers:
    """Give edges of the values' type: integers are at or below an edge where they are at or below its floor."""
    if dtype == np.float64:
        return np.asarray(edges)
    ends = np.iinfo(dtype)
    return np.array([min(max(math.floor(edge), ends.min), ends.max) for edge in edges], dtype=dtype)


def summary_histogram(before: NumericSummary, after: NumericSummary) -> Histogram | None:
    """Give the histogram of two summaries on the same edges: at the summaries' edges that are nearest to round ones."""
    known = np.array([edge for edge in before.edges if math.isfinite(edge)])
    if not len(known):
        return None
    quantiles = [one.quantile_edges(HUNDREDTHS) for one in (before, after)]
    wanted = np.array(round_edges(quantiles[0]) or known[: MOST_CELLS - 1])
    above = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    below = np.maximum(above - 1, 0)
    with np.errstate(over="ignore"):
        nearest = np.where(wanted - known[below] < known[above] - wanted, below, above)
    edges = tuple(known[np.unique(nearest)].tolist())
    counts = [np.array(one.on(edges).counts) for one in (before, after)]
    labels = _labels(edges, _number, whole=all(map(are_whole, quantiles)))
    return _numeric(edges, labels, counts, (before.nulls, after.nulls), (before.nans, after.nans))


def _numeric(
    edges: tuple[float, ...],
    labels: tuple[str, ...],
    counts: list[Counts],
    nulls: tuple[int, int],
    nans: tuple[int, int],
) -> Histogram:
    cells = [np.append(of, [nan, null]) for of, nan, null in zip(counts, nans, nulls, strict=True)]
    a, b = (_shares(of) for of in cells)
    return Histogram(
        edges=edges,
        labels=labels,
        reference=tuple(a[:-2].tolist()),
        served=tuple(b[:-2].tolist()),
        nans=(float(a[-2]), float(b[-2])),
        nulls=(float(a[-1]), float(b[-1])),
    )


def _shares(cells: Counts) -> Floats:
    shares: Floats = cells / max(int(cells.sum()), 1)
    return shares


def tally_histogram(a: Tally, b: Tally, most: int = MOST_CELLS - 1) -> Histogram | None:
    """Give the histogram of two tallies: the reference's commonest categories, then the commonest served of the rest.

    None where neither side has a value.
    """
    most = min(most, MOST_CELLS - 1)
    first = a.top(min(most, OF_REFERENCE))
    rest = [name for name in dict.fromkeys((*b.top(most), *a.top(most))) if name not in first]
    return _categories((*first, *rest[: most - len(first)]), a, b)


def _categories(names: tuple[str, ...], a: Tally, b: Tally) -> Histogram | None:
    if not names:
        return None
    counts = []
    for one in (a, b):
        cells = np.zeros(len(names) + 1, dtype=np.int64)
        np.add.at(cells, slots_of(one.values, names), one.counts)
        counts.append(np.append(cells, one.nulls))
    return _categorical(names, counts)


def category_histogram(before: CategorySummary, after: CategorySummary) -> Histogram | None:
    """Give the histogram of two summaries on the same categories: the reference's commonest."""
    most = MOST_CELLS - 1
    names = before.categories[:most]
    cells = [[*one.counts[:most], one.present - sum(one.counts[:most]), one.nulls] for one in (before, after)]
    return _categorical(names, [np.array(of, dtype=np.int64) for of in cells]) if names else None


def _categorical(names: Sequence[str], counts: list[Counts]) -> Histogram:
    a, b = (_shares(of) for of in counts)
    return Histogram(
        labels=tuple(name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…" for name in names),
        reference=tuple(a[:-2].tolist()),
        served=tuple(b[:-2].tolist()),
        other=(float(a[-2]), float(b[-2])),
        nulls=(float(a[-1]), float(b[-1])),
    )


def _labels(edges: tuple[float, ...], text: Labels, *, whole: bool) -> tuple[str, ...]:
    """Name each cell; one that holds a single number by that number. Of whole numbers both ends are in the cell."""
    between = (_between(a, b, text, whole=whole) for a, b in pairwise(edges))
    return (_below(edges, text), *between, f"over {text(edges[-1])}")


def _below(edges: tuple[float, ...], text: Labels) -> str:
    just_below = len(edges) > 1 and math.nextafter(edges[0], math.inf) == edges[1]
    return f"under {text(edges[1])}" if just_below else f"up to {text(edges[0])}"


def _between(a: float, b: float, text: Labels, *, whole: bool) -> str:
    first = math.floor(a) + 1 if whole else a
    return text(b) if first == b or math.nextafter(a, math.inf) == b else f"{text(first)} to {text(b)}"


def _number(value: float) -> str:
    """Write a number as short as it can be and no shorter."""
    if value == int(value) and abs(value) < _EXACT_TEXT:
        return f"{int(value):,}"
    return repr(float(value)).removesuffix(".0")


def _text_of(kind: Any, edges: tuple[float, ...]) -> Labels:
    """Give what writes an edge of a type: dates and times of day by the clock, in UTC."""
    if pa.types.is_duration(kind):
        return lambda value: str(timedelta(microseconds=int(value)))
    clock = "%H:%M" if all(edge % MINUTE == 0 for edge in edges) else "%H:%M:%S"
    day = "%Y-%m-%d" if all(edge % DAY == 0 for edge in edges) else f"%Y-%m-%d {clock}"
    return partial(_moment, form=clock if pa.types.is_time(kind) else day)


def _moment(value: float, form: str) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=int(value))).strftime(form)
    except OverflowError:  # beyond the years 1 to 9999
        return f"{_number(value)} us"
