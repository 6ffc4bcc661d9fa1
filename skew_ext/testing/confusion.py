"""The confusion matrix of an audit: the causes that it found against the causes that were put in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

NONE = "none"
"""Stands for a cell that is as it should be, or that the audit took for one."""
CELL = ["request_id", "row", "feature"]


@dataclass(frozen=True)
class Confusion:
    """How often each true cause (`matrix`'s index) was given each cause (its columns), in cells.

    Cells that are as they should be, and were found so, are not counted. Matrices add up.
    """

    matrix: pd.DataFrame

    @property
    def recall(self) -> pd.Series[float]:
        """Of the cells with a true cause, the share that was given it."""
        return self._share(self.matrix.sum(axis=1))

    @property
    def precision(self) -> pd.Series[float]:
        """Of the cells that were given a cause, the share of which it is true."""
        return self._share(self.matrix.sum(axis=0))

    def table(self) -> pd.DataFrame:
        """Give for each cause its cells, recall and precision."""
        columns = {"cells": self.matrix.sum(axis=1), "recall": self.recall, "precision": self.precision}
        table = pd.DataFrame(columns)
        return table[table.index != NONE]

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.matrix.add(other.matrix, fill_value=0).fillna(0).astype(int))

    def _share(self, totals: pd.Series[float]) -> pd.Series[float]:
        right = {cause: self.matrix.loc[cause, cause] for cause in self.matrix.index if cause in self.matrix.columns}
        return (pd.Series(right) / totals).reindex(totals.index)


def confusion(cells: pd.DataFrame, truth: pd.DataFrame) -> Confusion:
    """Set found causes against true ones, cell by cell.

    Parameters
    ----------
    cells
        What an audit found: `request_id`, `row`, `feature` and `cause`, as `explained_cells` gives them.
    truth
        What is true, with the same columns, as `FaultyRepo.truth` has it.
    """
    true, found = _by_cell(truth), _by_cell(cells)
    counts = Counter((true.get(cell, NONE), found.get(cell, NONE)) for cell in true.keys() | found.keys())
    names = sorted({name for pair in counts for name in pair})
    table = [[counts[cause, given] for given in names] for cause in names]
    index, columns = pd.Index(names, name="true"), pd.Index(names, name="found")
    return Confusion(pd.DataFrame(table, index=index, columns=columns, dtype=int))


def _by_cell(cells: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    return {tuple(cell): cause for *cell, cause in cells[[*CELL, "cause"]].itertuples(index=False, name=None)}


def total(matrices: Iterable[Confusion]) -> Confusion:
    """Add matrices up; there is at least one."""
    first, *others = matrices
    for other in others:
        first += other
    return first
