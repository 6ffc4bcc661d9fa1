"""What could have changed values on their way, learned from the cells that no source row explains.

A cause such as 'another unit' has a constant that is not known beforehand. It is learned from the differing cells, and
believed only where coincidence is out of question: small whole numbers, booleans and constants fit many a constant.
Each cause proposes one hypothesis; the one that reproduces most is asked first, and what it reproduces is no evidence
for the others. Three things are asked.

- It reproduces `MIN_CELLS` cells at least, where a single one could be chance; or `FEWEST_CELLS`, where the source
  itself says that chance is out of the question (at most `SETTLED`), as of a default that it never has, or where the
  constant is to be expected.
- Far fewer cells would fit by chance: so many of those that it could reproduce, with a (binomial) probability of at
  most `CHANCE`, were the served values dealt out anew among those cells, or drawn from the feature's source. Of a
  constant that is to be expected, as 'none' is for null, the probability may be `CHANCE_OF_EXPECTED`.
- It reproduces nearly all (`NEARLY_ALL`) of the cells that it could and that no other hypothesis reproduces: so several
  causes in one feature do not hide each other. Or the case is settled without that: chance has a probability of at most
  `SETTLED`, and `MANY_VALUES` different values are reproduced, or so many that they settle it by themselves, each
  counted once. Then cells that differ for reasons that nobody knows do not hide it either. Of a constant that is to
  be expected `CHANCE` is little enough for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.stats import binom

from skew_ext.audit.cells import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skew_ext.audit.causes.cells import DifferingCells, Mask, Times

NEARLY_ALL = 0.9
"""The share of a feature's cells, of those that nothing else reproduces, that one constant must."""
MIN_CELLS, FEWEST_CELLS = 5, 3
MANY_VALUES = 10
"""So many different values that one constant reproduces are no coincidence, whatever share of the cells they are."""
CHANCE = 1e-3
CHANCE_OF_EXPECTED = 0.05
"""With odds of five to one before anything is seen, this leaves one mistake in a hundred."""
SETTLED = 1e-9
LEARNED_FROM = 5000
"""Of so many cells at most a constant is learned, drawn evenly over the window; it is then tried on all."""
MOST_CONSTANTS = 4
"""So many of each cause are learned of one feature at most."""
_DEALS, _PAIRS, _MANY_PAIRS = 4, 2000, 20_000


@dataclass(frozen=True)
class Hypothesis:
    """One way in which values may have been changed.

    `fits` says which cells it reproduces, `applies` which it could (all, where it is None). `says` is its constant in
    words. `by_chance` is the share of cells that would fit by chance where that is not to be found by dealing the
    served values out anew. `tried` is among how many it is the best: one of many fits by chance more easily
    (Bonferroni). Of a `certain` one a single cell is enough, of an `expected` one few are. Once its constant is known
    of one feature, `alone` says of which cells of another a single one is enough.
    """

    fits: Callable[[DifferingCells], Mask]
    says: str = ""
    applies: Callable[[DifferingCells], Mask] | None = None
    by_chance: float | None = None
    tried: int = 1
    certain: bool = False
    expected: bool = False
    alone: Callable[[DifferingCells], Mask] | None = None


Proposer = Callable[["DifferingCells"], "Hypothesis | None"]


def learned(cells: DifferingCells, proposers: Iterable[tuple[str, Proposer]]) -> dict[str, list[Hypothesis]]:
    """Give, by cause, the hypotheses that are believed of cells that nothing else explains.

    What they leave open is asked again: two jobs may write two units, and a clock that is an hour off is off by another
    hour in winter. Each constant stands on its own cells.
    """
    proposers, believed = list(proposers), dict[str, list[Hypothesis]]()
    open_cells = cells.take(evenly(len(cells), LEARNED_FROM))
    for _ in range(MOST_CONSTANTS):
        found, left = _believed(open_cells, proposers)
        for cause, hypothesis in found.items():
            believed.setdefault(cause, []).append(hypothesis)
        if not found or not left.any():
            break
        open_cells = open_cells.take(np.flatnonzero(left))
    return believed


def _believed(cells: DifferingCells, proposers: Iterable[tuple[str, Proposer]]) -> tuple[dict[str, Hypothesis], Mask]:
    """Give the hypotheses that are believed, one of each cause at most, and which cells they leave open."""
    proposed = {cause: found for cause, propose in proposers if (found := propose(cells)) is not None}
    trials = {cause: Trial.of(cells, found) for cause, found in proposed.items()}
    remaining, believed = np.ones(len(cells), dtype=bool), {}
    while trials:
        cause = max(trials, key=lambda name: int((trials[name].fits & remaining).sum()))
        trial = trials.pop(cause)
        others = np.logical_or.reduce([np.zeros(len(cells), dtype=bool), *(one.fits for one in trials.values())])
        if trial.convinces(cells, remaining, others):
            believed[cause] = trial.hypothesis
            remaining &= ~trial.fits
    return believed, remaining


def evenly(count: int, most: int) -> Times:
    """Give at most `most` of `count` places, spread evenly."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).astype(np.int64)


@dataclass(frozen=True)
class Trial:
    """A hypothesis, the cells that it reproduces, and those that it could."""

    hypothesis: Hypothesis
    fits: Mask
    could: Mask

    @classmethod
    def of(cls, cells: DifferingCells, hypothesis: Hypothesis) -> Trial:
        """Try a hypothesis on cells."""
        fits = hypothesis.fits(cells)
        could = np.ones(len(cells), dtype=bool) if hypothesis.applies is None else hypothesis.applies(cells)
        return cls(hypothesis, fits, fits | could)

    def convinces(self, cells: DifferingCells, remaining: Mask, others: Mask) -> bool:
        """Say whether it is believed, by the cells that remain; `others` are those that rivals reproduce."""
        fits, could = self.fits & remaining, self.could & remaining
        if self.hypothesis.certain:
            return bool(fits.any())
        few = fits.sum() < MIN_CELLS
        if fits.sum() < FEWEST_CELLS or (few and self.hypothesis.by_chance is None):
            return False
        chance = self.hypothesis.tried * self._chance(cells, fits, could)
        if chance > self._most_by_chance(few=bool(few)):
            return False
        nearly_all = fits.sum() >= NEARLY_ALL * (fits | (could & ~others)).sum()
        settled = chance <= (CHANCE if self.hypothesis.expected else SETTLED)
        return bool(nearly_all or (settled and self._by_values(cells, fits, could)))

    def _most_by_chance(self, *, few: bool) -> float:
        """Give the largest probability of chance with which it is believed, of few cells or of more."""
        if self.hypothesis.expected:
            return CHANCE_OF_EXPECTED
        return SETTLED if few else CHANCE

    def _chance(self, cells: DifferingCells, fits: Mask, could: Mask) -> float:
        """Give the probability that so many cells fit by chance. Nulls, alike all of them, are no evidence."""
        share = self.hypothesis.by_chance
        if share is not None:
            return _tail(int(fits.sum()), int(could.sum()), share)
        valued = could & ~cells.served_null
        share = _dealt_anew(cells.take(np.flatnonzero(valued)), self.hypothesis)
        return _tail(int((fits & valued).sum()), int(valued.sum()), share)

    def _by_values(self, cells: DifferingCells, fits: Mask, could: Mask) -> bool:
        """Say whether many values fit, and not one many times: an entity that is asked for often is one piece of it.

        Few values cannot settle it among themselves. But where they fit better than by chance, the source's many values
        can: were they served in their place, hardly any would.
        """
        if self.hypothesis.by_chance is not None or len(_first_of_values(cells, fits)) >= MANY_VALUES:
            return True
        once = _first_of_values(cells, could & ~cells.served_null)
        some, count = cells.take(once), int(fits[once].sum())

        def by_chance(share: float) -> float:
            return self.hypothesis.tried * _tail(count, len(once), share)

        dealt = by_chance(_dealt_anew(some, self.hypothesis))
        drawn = drawn_from_source(some, self.hypothesis.fits, _MANY_PAIRS) if SETTLED < dealt <= CHANCE else None
        return dealt <= SETTLED or (drawn is not None and by_chance(drawn) <= SETTLED)


def _tail(count: int, trials: int, share: float) -> float:
    return float(binom.sf(count - 1, trials, min(share, 1.0))) if count else 1.0


def _dealt_anew(cells: DifferingCells, hypothesis: Hypothesis) -> float:
    """Give the share of cells that fit with the served value of another cell in place of their own.

    One pair more than was seen counts as fitting: what was never seen may still happen (Laplace).
    """
    count, fitting = len(cells), 0
    deals = min(max(_DEALS, _PAIRS // max(count, 1)), count - 1)
    order = np.random.default_rng(0).permutation(count)
    for deal in range(1, deals + 1):
        others = np.empty(count, dtype=np.int64)
        others[order] = np.roll(order, deal)
        dealt = replace(cells, served=cells.served.take(pa.array(others)))
        fitting += int(hypothesis.fits(dealt).sum())
    return (fitting + 1) / (max(deals, 0) * count + 1)


def _first_of_values(cells: DifferingCells, mask: Mask) -> Times:
    """Give the places of the mask at which each served value stands first."""
    places, first = np.flatnonzero(mask), dict[str, int]()
    for place, value in zip(places.tolist(), cells.served.take(pa.array(places)).to_pylist(), strict=True):
        first.setdefault(repr(value), place)
    return np.array(list(first.values()), dtype=np.int64)


def drawn_from_source(
    cells: DifferingCells, fits: Callable[[DifferingCells], Mask], pairs: int = _PAIRS
) -> float | None:
    """Give the share of cells that would fit, were what was served drawn from the feature's values in the source.

    Of so many `pairs` at least; a share below one in that many is not to be seen.

    None for on-demand outputs, which have none there.
    """
    evidence = cells.evidence
    if evidence is None or not len(evidence.values) or not len(cells):
        return None
    random, fitting, rounds = np.random.default_rng(0), 0, max(_DEALS, pairs // len(cells))
    for _ in range(rounds):
        drawn = random.integers(len(evidence.values), size=len(cells))
        try:
            served = plain(evidence.values.take(pa.array(drawn))).cast(cells.served.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return 0.0
        fitting += int(fits(replace(cells, served=served)).sum())
    return (fitting + 1) / (rounds * len(cells) + 1)
