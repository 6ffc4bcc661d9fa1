"""A fault: what can go wrong with an entity key's rows on their way to the online store, and from there to training."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from skew_ext.testing.timeline import Timeline
    from skew_ext.testing.views import Row, SyntheticView


class Fault:
    """The base of the faults, and as it stands the clean way: each method changes nothing.

    One is made for each view that it happens in, so that what it decides by `random` (a factor, a shift) holds for all
    of the view's keys. It changes what lands in the source, what the job that fills the online store writes, or what is
    done to that store.

    Parameters
    ----------
    view
        The view that it happens in.
    times
        When the jobs and lookups are.
    random
        A generator of its own.
    """

    cause: str = ""
    """The cause in the audit's table that describes it; empty for none."""

    def __init__(self, view: SyntheticView, times: Timeline, random: np.random.Generator) -> None:
        self.view = view
        self.times = times
        self.random = random

    def fits(self) -> bool:
        """Tell whether the view is one in which it can happen."""
        return True

    def cause_of(self, feature: str, changed: frozenset[str], served: Collection[str]) -> str:
        """Give what is wrong with a differing cell; empty for nothing.

        The job `changed` some features of its row, and of the row `served` were asked for.
        """
        del feature, changed, served
        return self.cause

    def source(self, rows: list[Row]) -> list[Row]:
        """Give a key's rows as they come into the source; `rows` are as they should, in order of event time."""
        return rows

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Give what a round's job writes online of a key: the newest row that has happened and is known."""
        now = self.times.tick(tick)
        return next((row for row in reversed(rows) if row.event <= now and row.created <= now), None)

    def evicts(self, tick: int) -> bool:
        """Tell whether the online store loses the key before a round."""
        del tick
        return False

    def afterwards(self, rows: list[Row]) -> list[Row]:
        """Give the source's rows as training finds them, after all lookups."""
        return rows

    def drawn(self) -> dict[str, Any]:
        """Draw values for all of the view's features."""
        return {name: feature.draw(self.random) for name, feature in self.view.features.items()}
