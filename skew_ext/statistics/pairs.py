"""Two columns read side by side, in the form that is quickest to compare them in."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pyarrow as pa

from skew_ext.statistics.arrays import NumericColumn, numbers_of, one_type
from skew_ext.statistics.columns import Column
from skew_ext.statistics.counted import CountedColumn, counted_gaps
from skew_ext.statistics.gaps import Gaps
from skew_ext.statistics.kinds import value_type
from skew_ext.statistics.located import LocatedColumn, located_gaps, located_pair
from skew_ext.statistics.ordered import Comparison, Distances, distances, limit_p_value

Pair: TypeAlias = (
    tuple[NumericColumn, NumericColumn] | tuple[LocatedColumn, LocatedColumn] | tuple[CountedColumn, CountedColumn]
)


def columns_of(reference: Column, served: Column) -> Pair:
    """Give both columns sorted and of one type; or large ones counted, or located on one grid.

    Integers are counted or sorted, since how many are distinct is asked of them.
    """
    whole = pa.types.is_integer(value_type(reference.type))
    with ThreadPoolExecutor(2) as pool:  # what is long here is done without the GIL
        read = list(pool.map(numbers_of, (reference, served)))
        first, second = pool.map(lambda one: CountedColumn.of(*one), read)
        if first is not None and second is not None and first.dtype == second.dtype:
            return first, second
        located = None if whole else located_pair(read[0], read[1], pool.map)
        return located or one_type(*pool.map(lambda one: NumericColumn.sorted(*one), read))


def distances_between(pair: Pair, edges: Sequence[float] = ()) -> Distances:
    """Compare both columns by their order; what is about `edges`, which will be asked for, is found on the way."""
    a, b = pair
    if not len(a) or not len(b) or isinstance(a, NumericColumn) or isinstance(b, NumericColumn):
        return distances(a.values, b.values)
    if isinstance(a, LocatedColumn) and isinstance(b, LocatedColumn):
        return _tested(pair, located_gaps(a, b, edges))
    return _tested(pair, counted_gaps(a, b))  # type: ignore[arg-type] # a pair is of one kind


def _tested(pair: Pair, gaps: Gaps) -> Distances:
    a, b = pair
    statistic = gaps.largest / (len(a) * len(b))
    test = Comparison(statistic, limit_p_value(statistic, len(a), len(b)))
    return Distances(test, gaps.area if a.size and b.size else None, gaps.error)
