"""A view's TTL in practice: who had a value, serving or training, how old the served ones were, and what TTL fits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.audit.parity import lag_of
from skew_ext.audit.sample import EvenSample
from skew_ext.clock import duration_text
from skew_ext.model import Finding, ViewTtl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skew_ext.model import TtlAdvice

    Mask = npt.NDArray[np.bool_]
    Times = npt.NDArray[np.int64]

MOST_AGES = 1_000_000
"""So many ages give the quantiles exactly; of more, an even sample of that many does."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SERVED_INSIDE, SERVED_OUTSIDE = "served_inside", "served_outside"
ABSENT_INSIDE, ABSENT_OUTSIDE = "absent_inside", "absent_outside"


class TtlCounts:
    """Sums up one view over the window's rows, part by part; `ttl` in microseconds, None without.

    Counts that are made apart, to be merged, number their rows from a `first` of their own.
    """

    def __init__(self, view: str, ttl: int | None, first: int = 0) -> None:
        self._view = view
        self._ttl = ttl
        self._rows = 0
        self._matrix: Counter[str] = Counter()
        self._past = 0
        self._oldest: int | None = None
        self._ages = EvenSample(MOST_AGES, first)

    def add(self, served_event: Times, served_at: Times, baseline_present: Mask) -> None:
        """Take the next rows; times in microseconds, `NO_TIME` where nothing was served."""
        served: Mask = served_event != NO_TIME
        age = (served_at - served_event)[served]
        self._rows += len(served)
        self._matrix[SERVED_INSIDE] += int((served & baseline_present).sum())
        self._matrix[SERVED_OUTSIDE] += int((served & ~baseline_present).sum())
        self._matrix[ABSENT_INSIDE] += int((~served & baseline_present).sum())
        self._matrix[ABSENT_OUTSIDE] += int((~served & ~baseline_present).sum())
        if len(age):
            self._past += 0 if self._ttl is None else int((age > self._ttl).sum())
            self._oldest = max(int(age.max()), self._oldest or int(age.max()))
            self._ages.add(pa.table({"age": age}))

    def merge(self, other: TtlCounts) -> None:
        """Add the counts of other rows of the same view."""
        self._rows += other._rows
        self._matrix.update(other._matrix)
        self._past += other._past
        self._oldest = max((age for age in (self._oldest, other._oldest) if age is not None), default=None)
        self._ages.merge(other._ages)

    @property
    def ages(self) -> Times:
        """The ages of served rows in microseconds; of more than `MOST_AGES`, an even sample."""
        return np.concatenate([np.zeros(0, np.int64), *(table["age"].to_numpy() for table in self._ages.tables)])

    def summary(self, advice: TtlAdvice | None = None) -> ViewTtl:
        """Give what was counted, and the TTL that the source asks for.

        The matrix sets rows served or absent online against rows inside (training has a value) or outside.
        """
        ages = self.ages
        staleness = lag_of(ages)
        served = self._matrix[SERVED_INSIDE] + self._matrix[SERVED_OUTSIDE]
        return ViewTtl(
            view=self._view,
            ttl_seconds=None if self._ttl is None else self._ttl / 1e6,
            rows=self._rows,
            matrix=dict(self._matrix),
            staleness_seconds=None if staleness is None else replace(staleness, max=(self._oldest or 0) / 1e6),
            served_past_ttl=self._past,
            share_past_ttl=self._past / served if served else 0.0,
            staleness_quantiles=_quantiles(ages),
            recommended=advice,
        )


def ttl_findings(ttl: ViewTtl) -> Iterable[Finding]:
    """Give a finding where values were served past a TTL that is shorter than its source's events allow."""
    advice, served = ttl.recommended, ttl.matrix.get(SERVED_OUTSIDE, 0)
    if advice is None or ttl.ttl_seconds is None or not served:
        return
    usual = advice.gap["p95"] + advice.arrival.get("p95", 0.0)
    if ttl.ttl_seconds < usual:
        message = (
            f"its TTL of {duration_text(ttl.ttl_seconds)} is shorter than the {duration_text(usual)} in which 95 % of "
            f"a key's next events come and arrive; {served:,} rows were served where training has none"
        )
        remedy = f"a TTL of {duration_text(advice.ttl)}, materialized every {duration_text(advice.materialize_every)}"
        yield Finding("ttl_too_short", "info", ttl.view, None, message, remedy)


def _quantiles(ages: Times) -> dict[str, float]:
    """Give the quantiles of the ages in seconds, by their names: p1, p5, ..., p99."""
    if not len(ages):
        return {}
    found = np.quantile(ages / 1e6, QUANTILES)
    return {f"p{round(100 * share)}": float(value) for share, value in zip(QUANTILES, found, strict=True)}
