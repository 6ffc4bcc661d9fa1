"""What an audit returns: plain, frozen data that every report format is rendered from.

All times are UTC with microseconds. Feature names are `{view}__{feature}`, as in the log's columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

Severity = Literal["info", "warn", "fail"]
Verdict = Literal["pass", "warn", "fail"]
Cell = object
"""One feature value as Python sees it: None, bool, int, float, str, bytes, datetime, or a list of these."""


class NotCompared(NamedTuple):
    """Why a feature has no baseline, and what would give it one."""

    why: str
    remedy: str


@dataclass(frozen=True)
class Example:
    """One differing cell: whose, when, both values, and both event times where they are known."""

    key: dict[str, Cell]
    request_id: str
    served_at: datetime
    served: Cell
    baseline: Cell
    served_event: datetime | None
    baseline_event: datetime | None
    cause: str


@dataclass(frozen=True)
class Lag:
    """How far behind the newest row known at serving the served rows were, in seconds."""

    p50: float
    p95: float
    max: float


@dataclass(frozen=True)
class OverTime:
    """One feature's cells by when they were served, in stretches of `step_seconds` from `start` on.

    The first and the last stretch may reach beyond the window. `causes` counts the differing cells of each cause.
    """

    start: datetime
    step_seconds: int
    compared: list[int]
    causes: dict[str, list[int]] = field(default_factory=dict)

    @property
    def mismatched(self) -> list[int]:
        """The differing cells of each stretch, whatever their cause."""
        return [sum(cells) for cells in zip(*self.causes.values(), strict=True)] or [0] * len(self.compared)


@dataclass(frozen=True)
class FeatureParity:
    """Served against baseline for one feature. `ci95` is the Wilson interval of `rate`.

    `largest_error` and `median_error` are absolute errors over the differing numeric cells, None otherwise.
    `within_rounding` counts cells that differ only by their dtype's rounding: compared, and not mismatched.
    """

    feature: str
    compared: int
    mismatched: int
    rate: float
    ci95: tuple[float, float]
    within_rounding: int = 0
    largest_error: float | None = None
    median_error: float | None = None
    causes: dict[str, int] = field(default_factory=dict)
    lag: Lag | None = None
    examples: list[Example] = field(default_factory=list)
    over_time: OverTime | None = None


@dataclass(frozen=True)
class Parity:
    """All compared cells of the window."""

    cells: int
    mismatched: int
    features: list[FeatureParity]


@dataclass(frozen=True)
class Finding:
    """One thing to know, and to do. `feature` is None where it concerns the whole audit.

    `since` and `until` are the first and the last serving time of the cells that it is about, where it is about
    cells; of stale cells, those that are staler than the declared schedule, if any are.
    """

    code: str
    severity: Severity
    feature: str | None
    cause: str | None
    message: str
    remedy: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Histogram:
    """One feature's reference and served rows on the same cells, at most 20 of them; pairs are (reference, served).

    Of numbers the cells are (edges[i-1], edges[i]], the outer two open, one more than there are edges; of dates and
    times edges are microseconds since the epoch. Of categories there are no edges; all that is in none of the cells
    is `other`. `labels` name the cells in their order, for people; categories are cut at 80 characters. Shares are of
    all rows of a side: those of the cells, `other`, `nans` and `nulls` add up to 1, and to 0 where it has no rows.
    """

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    served: tuple[float, ...]
    nulls: tuple[float, float]
    edges: tuple[float, ...] = ()
    other: tuple[float, float] = (0.0, 0.0)
    nans: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class DistributionRow:
    """One feature's served values against a reference (the baseline of the same rows, or the training set).

    A statistic that does not apply to the feature's kind is None. Pairs are (reference, served).
    """

    feature: str
    kind: Literal["numeric", "categorical", "boolean", "datetime", "embedding", "identifier", "other"]
    n_reference: int
    n_served: int
    psi: float | None
    ks: float | None
    ks_p: float | None
    chi2: float | None
    chi2_p: float | None
    js: float | None
    wasserstein: float | None
    mean_z: float | None
    null_rate: tuple[float, float]
    verdict: Literal["pass", "watch", "act", "too_few"]
    out_of_range: float | None = None
    """Share of the served numbers that are below or above all of the reference's."""
    unseen: float | None = None
    """Share of the served values that are in no category of the reference."""
    constant: tuple[bool, bool] = (False, False)
    """Whether all values that are there are one and the same."""
    cosine: float | None = None
    """Cosine distance of the embeddings' centroids: 0 for one direction, 1 for a right angle, 2 for opposite ones."""
    norm_ratio: float | None = None
    """Mean norm of the served embeddings over the reference's."""
    wrong_dimension: float | None = None
    """Share of the served embeddings that have not the reference's dimension."""
    ks_error: float | None = None
    """How much larger than `ks` the gap over all values may be, where it comes from bins; 0 where it is exact."""
    wasserstein_error: float | None = None
    """How far from `wasserstein` the distance over all values may be; 0 where it is exact."""
    change: Literal["sudden", "gradual", "steady"] | None = None
    """How what differs came: at once (as a pipeline bug does), by and by (as drift does), or before the window."""
    since: datetime | None = None
    """Since when, where it came within the window."""
    until: datetime | None = None
    """Until when, where it went by within the window."""
    note: str | None = None
    """Why statistics are absent, or not judged."""
    histogram: Histogram | None = None
    """Both sides on a few cells, to look at; None where there is no order and no category, or no value."""


@dataclass(frozen=True)
class Distribution:
    """`skew`: against the baseline of the same rows. `drift`: against the training set; empty without one.

    `thresholds` are those that the verdicts used: under "default", and under a feature's name where it has its own.
    """

    skew: list[DistributionRow] = field(default_factory=list)
    drift: list[DistributionRow] = field(default_factory=list)
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ViewTtl:
    """One view's TTL in practice.

    `matrix` counts rows under `served_inside`, `served_outside`, `absent_inside` and `absent_outside`: whether the
    online store had a row, and whether training has a value within the TTL.
    `ttl_seconds` is None for a view without TTL. `staleness_seconds` is serving time minus served event time.
    """

    view: str
    ttl_seconds: float | None
    rows: int
    matrix: dict[str, int]
    staleness_seconds: Lag | None
    served_past_ttl: int
    share_past_ttl: float = 0.0
    """Of the rows for which something was served."""
    staleness_quantiles: dict[str, float] = field(default_factory=dict)
    """p1 to p99, in seconds."""
    recommended: TtlAdvice | None = None


@dataclass(frozen=True)
class TtlAdvice:
    """The TTL and the interval of materialization that a view's source asks for, and why; in seconds.

    `gap` and `arrival` are quantiles (p50, p95, p99): of the time between a key's events, and of created minus event
    time.
    """

    ttl: float
    materialize_every: float
    gap: dict[str, float]
    arrival: dict[str, float]
    reason: str


@dataclass(frozen=True)
class ScoreChange:
    """What one thing did to the model's scores: rows scored, decisions that flipped, and by how much scores moved.

    `what` is a cause or a feature, "" for everything together. `share` is of all rows audited, or of the sample scored.
    `mean_change` is the mean absolute change over the rows that it touched.
    """

    what: str
    rows: int
    flipped: int
    share: float
    mean_change: float
    largest_change: float


@dataclass(frozen=True)
class Impact:
    """What the differing cells did to a model's decisions, a score of `threshold` or more being a yes.

    `rows` is how many rows `share` counts over. By cause and by feature, only those cells are as served and all
    others as training has them.
    """

    threshold: float
    rows: int
    overall: ScoreChange
    by_cause: list[ScoreChange] = field(default_factory=list)
    by_feature: list[ScoreChange] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class AuditReport:
    """Everything one audit found. `rows` is the number of logged entity rows in [start, end)."""

    project: str
    feature_service: str
    start: datetime
    end: datetime
    rows: int
    verdict: Verdict
    findings: list[Finding]
    parity: Parity
    distribution: Distribution
    ttl: list[ViewTtl]
    created_at: datetime
    notes: list[str] = field(default_factory=list)
    impact: Impact | None = None
