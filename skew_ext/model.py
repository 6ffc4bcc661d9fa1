"""What an audit returns: plain, frozen data that every report format is rendered from.

All times are UTC with microseconds. Feature names are `{view}__{feature}`, as in the log's columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Severity = Literal["info", "warn", "fail"]
Verdict = Literal["pass", "warn", "fail"]
Cell = object
"""One feature value as Python sees it: None, bool, int, float, str, bytes, datetime, or a list of these."""


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
class DistributionRow:
    """One feature's served values against a reference (the baseline of the same rows, or the training set).

    A statistic that does not apply to the feature's kind is None. `null_rate` is (reference, served).
    """

    feature: str
    kind: Literal["numeric", "categorical", "boolean", "other"]
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


@dataclass(frozen=True)
class Distribution:
    """`skew`: against the baseline of the same rows. `drift`: against the training set; empty without one."""

    skew: list[DistributionRow] = field(default_factory=list)
    drift: list[DistributionRow] = field(default_factory=list)


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
