"""How many independent rows the served ones are worth: rows in their order of serving resemble their neighbours."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from skew_ext.statistics.arrays import Counts, Floats
from skew_ext.statistics.signals import INDEPENDENT, Evenness

BLOCKS = (12, 24, 64)
"""Stretches that the rows are cut into: resemblance within a stretch is seen, and beyond it is a change."""
ROWS_OF_BLOCK = 8
SURE = 0.02
"""The chance below which blocks differ more than independent rows would."""
LONGEST = 0.99
"""The likeness of a row to the next one, at most: where it is 1 nothing could be told however many rows there are."""
FEWEST = 30
"""So many independent rows are needed."""
LEFT_OUT = 2
UNKNOWN = Evenness(math.inf, 1.0)
_NOTHING = 1e-12
"""A variance that is but rounding."""


def evenness_in_order(codes: Counts, expected: Floats) -> Evenness:
    """Give the inflation of variance by the likeness of rows that follow one another.

    What counts is likeness along the change itself: each row is scored by the logarithm of how much more often its
    cell is served than expected; and by its cell's number, along which a series moves. One jump at most is taken out
    first, so that what is to be told does not hide itself. Two estimates are made, and the largest of all holds. One
    cuts the rows into blocks, and sets how much neighbouring blocks differ, the two largest steps left out, against
    what independent rows would give: the ratio of von Neumann, "Distribution of the Ratio of the Mean Square Successive
    Difference to the Variance" (1941). The other takes rows for a series of first order, (1 + r) / (1 - r) with r the
    correlation of a row with the next. Where the rows are worth fewer than 30 independent ones, nothing can be told
    of them.

    Parameters
    ----------
    codes
        The cell of each row, in the order of serving.
    expected
        The share of each cell in the reference, none of them 0.
    """
    counts = np.bincount(codes, minlength=len(expected))
    change = np.log((counts + 0.5) / (counts.sum() + len(expected) / 2) / expected)[codes]
    worst = max((_evenness_of(scores) for scores in (change, codes.astype(np.float64))), key=_inflation)
    return worst if worst is INDEPENDENT or len(codes) >= FEWEST * worst.inflation else UNKNOWN


def _evenness_of(given: Floats) -> Evenness:
    scores = _without_a_jump(given)
    variance = float(np.square(scores).mean()) if len(scores) else 0.0
    if variance <= _NOTHING:
        return INDEPENDENT
    found = [_blocks(scores, variance, blocks) for blocks in BLOCKS if len(scores) >= ROWS_OF_BLOCK * blocks]
    return max([_neighbours(scores, variance), *found], key=_inflation)


def _inflation(evenness: Evenness) -> float:
    return evenness.inflation


def _without_a_jump(scores: Floats) -> Floats:
    """Give scores about their mean, or about the two means, before and after a place, that leave least."""
    n = len(scores)
    if n < 2:  # noqa: PLR2004 - a jump has two sides
        return np.zeros(n)
    centred: Floats = scores - scores.mean()
    before = np.cumsum(centred)[:-1]
    upto = np.arange(1, n)
    at = int(np.argmax(before**2 * n / (upto * (n - upto)))) + 1
    centred[:at] -= centred[:at].mean()
    centred[at:] -= centred[at:].mean()
    return centred


def _blocks(scores: Floats, variance: float, blocks: int) -> Evenness:
    starts = np.arange(blocks) * len(scores) // blocks
    sizes = np.diff(starts, append=len(scores))
    steps = np.diff(np.add.reduceat(scores, starts) / sizes)
    squares = np.sort(steps**2 / (1 / sizes[1:] + 1 / sizes[:-1]))[:-LEFT_OUT]
    usual = special.chdtri(1, 1 - (np.arange(len(squares)) + 0.5) / (blocks - 1)).mean()
    inflation = float(squares.mean()) / variance / usual
    freedom = len(squares) * 2 / 3  # successive differences share a block, and tell less than as many apart
    sure = special.chdtrc(freedom, inflation * freedom)
    return Evenness(inflation, freedom) if inflation > 1.0 and sure < SURE else INDEPENDENT


def _neighbours(scores: Floats, variance: float) -> Evenness:
    likeness = min(float((scores[1:] * scores[:-1]).sum()) / len(scores) / variance, LONGEST)
    if likeness * math.sqrt(len(scores)) < -special.ndtri(SURE):
        return INDEPENDENT
    inflation = (1 + likeness) / (1 - likeness)
    return Evenness(inflation, max(len(scores) / inflation - 1, 1.0))


def evenness_of_groups(codes: Counts, cells: int, groups: npt.NDArray[np.int64]) -> Evenness:
    """Give the inflation of variance by rows of one group being alike: lookups of one entity, again and again.

    The variance between groups over that of independent rows: the design effect of Kish, "Survey Sampling" (1965), as
    Rao & Scott (1981) average it over cells. `groups` numbers each row's group from 0.
    """
    sizes = np.bincount(groups).astype(np.float64)
    many = int(np.count_nonzero(sizes))
    if many == len(codes) or many < 2:  # noqa: PLR2004 - one group has nothing to be set against
        return INDEPENDENT if many == len(codes) else UNKNOWN
    pairs, together = np.unique(groups * cells + codes, return_counts=True)
    of_group, of_cell = np.divmod(pairs, cells)
    shares = np.bincount(codes, minlength=cells) / len(codes)
    squares = np.bincount(of_cell, weights=together.astype(np.float64) ** 2, minlength=cells)
    crossed = np.bincount(of_cell, weights=together * sizes[of_group], minlength=cells)
    residual = squares - 2 * shares * crossed + shares**2 * float(sizes @ sizes)
    kept = shares > 0
    freedom = int(kept.sum()) - 1
    if freedom == 0:  # one cell holds all rows of every group: nothing varies, and groups are what is counted
        return Evenness(len(codes) / many, many - 1.0)
    inflation = float((residual[kept] / (len(codes) * shares[kept])).sum()) / freedom * many / (many - 1)
    return Evenness(inflation, many - 1.0) if inflation > 1.0 else INDEPENDENT
