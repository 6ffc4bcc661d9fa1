"""Source rows over a longer time, read only for the features that a shifted clock is asked of."""

from __future__ import annotations

from collections.abc import Callable, Collection

from skew_ext.audit.causes.cells import Wider

Fetch = Callable[[Collection[str]], Wider]
"""Reads the rows, with the values of some features."""


class WiderRows:
    """`features` are those with differing cells. Few are ever asked of, and most often one.

    So the first is read by itself, and at the second all others with it: the source is read twice at most.
    """

    def __init__(self, features: Collection[str], fetch: Fetch) -> None:
        self._waiting = set(features)
        self._fetch = fetch
        self._read: dict[str, Wider] = {}

    def of(self, feature: str) -> Wider:
        """Give rows that have the values of a feature."""
        if feature not in self._read:
            some = {*self._waiting, feature} if self._read else {feature}
            self._read |= dict.fromkeys(some, self._fetch(some))
            self._waiting -= some
        return self._read[feature]
