"""Blocks that were explained one by one, put together: each feature's parity, and what its findings need.

Counts add up. Medians and quantiles of several blocks are the means of theirs, weighted by cells: each block is an even
sample of the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from skew_ext.audit.findings import FeatureContext, Span
from skew_ext.audit.parity import EXAMPLES_PER_CAUSE, STALE
from skew_ext.model import Example, FeatureParity, Lag
from skew_ext.statistics import wilson

if TYPE_CHECKING:
    from skew_ext.auditor.counting import ViewCounts


@dataclass
class Explained:
    """What the blocks said of one feature."""

    parities: list[FeatureParity] = field(default_factory=list)
    contexts: list[FeatureContext] = field(default_factory=list)

    def parity(self, counts: ViewCounts, name: str) -> FeatureParity:
        """Give the feature's parity over the whole window."""
        compared, mismatched = counts.compared[name], sum(one.mismatched for one in self.parities)
        causes: Counter[str] = Counter()
        for one in self.parities:
            causes.update(one.causes)
        return FeatureParity(
            feature=counts.plan.column(name),
            compared=compared,
            mismatched=mismatched,
            rate=mismatched / compared if compared else 0.0,
            ci95=wilson(mismatched, compared),
            within_rounding=counts.within_rounding[name],
            largest_error=max(
                (one.largest_error for one in self.parities if one.largest_error is not None), default=None
            ),
            median_error=_mean((one.median_error, one.mismatched) for one in self.parities),
            causes=dict(causes),
            lag=_lag(self.parities),
            examples=_examples(self.parities),
            over_time=counts.over_time.of(counts.plan.column(name)),
        )

    def context(self) -> FeatureContext:
        """Give what the feature's findings need."""
        if not self.contexts:
            return FeatureContext()
        beyond: Counter[str] = Counter()
        for one in self.contexts:
            beyond.update(one.beyond)
        spans = {cause: self._span(cause, late=cause in beyond) for one in self.contexts for cause in one.spans}
        return replace(self.contexts[0], beyond=dict(beyond), spans=spans)

    def _span(self, cause: str, *, late: bool) -> Span:
        """Give a cause's first and last serving time; with `late`, of blocks with cells beyond the schedule."""
        of = [one.spans[cause] for one in self.contexts if cause in (one.beyond if late else one.spans)]
        return min(since for since, _ in of), max(until for _, until in of)


def _mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight]
    if len(known) == 1:  # not through a quotient, which rounds
        return known[0][0]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None


def _lag(parities: Sequence[FeatureParity]) -> Lag | None:
    lags = [(one.lag, one.causes.get(STALE, 0)) for one in parities if one.lag is not None]
    if not lags:
        return None

    def merged(of: Callable[[Lag], float]) -> float:
        return _mean((of(lag), cells) for lag, cells in lags) or 0.0

    return Lag(merged(lambda lag: lag.p50), merged(lambda lag: lag.p95), max(lag.max for lag, _ in lags))


def _examples(parities: Sequence[FeatureParity]) -> list[Example]:
    """Give a few of each cause, spread over the window."""
    every = [example for one in parities for example in one.examples]
    if len(parities) <= 1:
        return every
    chosen: list[Example] = []
    for cause in dict.fromkeys(example.cause for example in every):
        some = sorted((one for one in every if one.cause == cause), key=lambda one: one.served_at)
        spread = np.linspace(0, len(some) - 1, min(EXAMPLES_PER_CAUSE, len(some))).astype(int)
        chosen.extend(some[place] for place in np.unique(spread))
    return chosen
