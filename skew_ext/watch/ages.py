"""Ages of served values as a small sketch whose quantiles are within 1 %, and which adds up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

ACCURACY = 0.01
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)


@dataclass(frozen=True)
class AgeSketch:
    """Counts of ages in buckets whose bounds grow by a constant factor.

    This is DDSketch (Masson, Rim & Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
    guarantees", VLDB 2019) on microseconds. Ages of a microsecond or less, and those of values from after the request,
    are in the bucket 0. `oldest` is exact, in seconds.
    """

    counts: dict[int, int] = field(default_factory=dict)
    oldest: float = 0.0

    @classmethod
    def of(cls, ages: npt.NDArray[np.int64]) -> AgeSketch:
        """Sketch ages in microseconds."""
        if not len(ages):
            return cls()
        places = np.ceil(np.log(np.maximum(ages, 1)) / _LOG_GAMMA).astype(np.int64)
        found, counts = np.unique(places, return_counts=True)
        return cls(dict(zip(found.tolist(), counts.tolist(), strict=True)), float(ages.max()) / 1e6)

    @property
    def rows(self) -> int:
        """How many ages are in it."""
        return sum(self.counts.values())

    def merge(self, other: AgeSketch) -> AgeSketch:
        """Give the sketch of both together, exactly."""
        if not other.counts or not self.counts:
            return self if self.counts else other
        counts = dict(self.counts)
        for place, count in other.counts.items():
            counts[place] = counts.get(place, 0) + count
        return AgeSketch(counts, max(self.oldest, other.oldest))

    def quantile(self, share: float) -> float | None:
        """Give the age in seconds that `share` of all are no older than, within 1 %; None without any."""
        rank, seen = share * (self.rows - 1), 0
        for place in sorted(self.counts):
            seen += self.counts[place]
            if seen > rank:
                return 2 * _GAMMA**place / (_GAMMA + 1) / 1e6
        return None
