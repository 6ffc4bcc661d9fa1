"""From what differs to what to do: findings with their severity, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from skew_ext.audit.causes.loads import LATE
from skew_ext.audit.distribution import how_it_came, how_much
from skew_ext.clock import duration_text
from skew_ext.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skew_ext.model import DistributionRow, FeatureParity, NotCompared, Severity, Verdict

FAIL_RATE = 0.01
"""The share of a feature's cells from which a broken promise fails the audit; below it, it warns."""
LATE_WARN_RATE = 0.05
"""The share from which late rows are worth a warning: they are the data's nature, and the training set's concern."""
SCHEDULED = ("stale_online", "missing_online")
"""Causes that a schedule makes by itself: between two materializations a known row waits to be served."""
SCHEDULE_SLACK = 1.25
"""How far beyond its declared interval a materialization may run before stale cells stop being by design."""

REMEDIES = {
    "future_served": "materialize only up to the present: pass end_date=datetime.now(timezone.utc), never local time",
    "expired_served": "online reads do not honour the TTL: refill the source, or drop values older than the TTL "
    "at serving as training does",
    "restated": "train with filter_by_created_timestamp=True, so that training sees what serving could",
    "late_arrival": "train with filter_by_created_timestamp=True, so that training sees what serving could; "
    "or move event times to when the fact is known",
    "stale_online": "run `feast materialize` for the gap, and alert on its schedule",
    "evicted_online": "give the online store room, and a key TTL longer than the view's TTL and two materializations "
    "(Redis: key_ttl_seconds, maxmemory-policy); then materialize the keys again",
    "missing_online": "materialize these keys: `feast materialize` from before their first event",
    "precision": "declare the feature in the type that it is computed in, on both sides, and look for a cast in the "
    "job that writes the online store",
    "type_coercion": "write the column online in its own type: a frame of another library, or a CSV, has cast it on "
    "the way",
    "default_filled": "fill missing values in one place, in a shared transform that training runs too",
    "timestamp_shift": "one side takes local times for UTC: write event times with their time zone",
    "rescaled": "the job that writes the online store converts units, or the source does: make it one shared transform",
    "swapped_feature": "the job that writes the online store has two columns exchanged: write columns by name, "
    "not by position",
    "transform_version": "deploy the registered transform to serving, or `feast apply` the one that runs there",
    "transform_divergence": "the transform depends on more than its inputs: run `skew transforms check`",
    "unexplained": "look at the examples, and at who else writes to the online store",
}


Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class FeatureContext:
    """What the findings of one feature need beside its parity.

    `beyond` counts, for the causes that a schedule makes, the cells that waited longer than it; `spans` has each
    cause's first and last serving time; `constants` says in words what was learned of a cause: a factor, a shift, the
    load that late rows came in.
    `has_created` is whether the view's source says when its rows were created.
    """

    materialize_every: timedelta | None = None
    beyond: dict[str, int] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    has_created: bool = True


def parity_findings(parity: FeatureParity, context: FeatureContext) -> Iterable[Finding]:
    """Give one finding for each cause of a feature's differing cells."""
    for cause, count in parity.causes.items():
        severity, note = _severity(cause, count, parity, context)
        rate = count / parity.compared
        since, until = context.spans.get(cause, (None, None))
        yield Finding(
            code=cause,
            severity=severity,
            feature=parity.feature,
            cause=cause,
            message=f"{count:,} of {parity.compared:,} served cells ({rate:.2%}) {_said(cause, context)}{note}",
            remedy=_remedy(cause, severity, context),
            since=since,
            until=until,
        )


_BY_DESIGN = "nothing, if the schedule is meant; materialize more often for fresher features"
_SAYS = {
    "future_served": "came from after the request",
    "expired_served": "were past their TTL, where training has null",
    "restated": "were rewritten at the source after they were served",
    "late_arrival": "differ since training uses a row that arrived after serving",
    "stale_online": "were an older row: a newer one was known and not yet materialized",
    "evicted_online": "were absent, though an earlier lookup of the same key was served",
    "missing_online": "were absent, though a value was known",
    "precision": "are the right value, rounded",
    "type_coercion": "are the right value, cast",
    "default_filled": "have a default in the place of a value, or nothing in the place of one",
    "timestamp_shift": "are the right value of another time: one side's clock is off",
    "rescaled": "are the right value times one factor",
    "swapped_feature": "are another feature's value",
    "transform_version": "were computed by another version of the transform than the registered one",
    "transform_divergence": "are not what the transform gives from the logged inputs",
    "unexplained": "differ, and no known cause reproduces them",
}
_NEEDS_CREATED = ("stale_online", "missing_online", "unexplained")
"""Causes that rows which came late, or were rewritten, are taken for where the source says nothing of created times."""
_NO_CREATED = (
    "; the source has no created timestamp column, so rows that came late or were rewritten cannot be told from these"
)


_LOADED = "; a reload that rewrites the created times of old rows looks the same"
_IF_RELOADED = (
    "if the load wrote rows anew that were there before, have it keep their created times, and audit what was served "
    "after it: these cells may be stale or missing; if the rows came with it, "
)


def _said(cause: str, context: FeatureContext) -> str:
    constant = f" ({context.constants[cause]})" if cause in context.constants else ""
    unsure = "" if context.has_created or cause not in _NEEDS_CREATED else _NO_CREATED
    return _SAYS[cause] + constant + (_LOADED if _in_one_load(cause, context) else unsure)


def _remedy(cause: str, severity: Severity, context: FeatureContext) -> str:
    if cause in SCHEDULED and severity == "info":
        return _BY_DESIGN
    return (_IF_RELOADED if _in_one_load(cause, context) else "") + REMEDIES[cause]


def _in_one_load(cause: str, context: FeatureContext) -> bool:
    return cause == LATE and LATE in context.constants


def _severity(cause: str, count: int, parity: FeatureParity, context: FeatureContext) -> tuple[Severity, str]:
    if cause in ("late_arrival", "restated"):
        return ("warn" if count > LATE_WARN_RATE * parity.compared else "info"), ""
    if cause in SCHEDULED:
        return _scheduled_severity(cause, count, parity, context)
    return ("fail" if count >= FAIL_RATE * parity.compared else "warn"), ""


def _scheduled_severity(cause: str, count: int, parity: FeatureParity, context: FeatureContext) -> tuple[Severity, str]:
    known = parity.lag if cause == "stale_online" else None
    lag = "" if known is None else f" for {duration_text(known.p50)} (median), at most {duration_text(known.max)}"
    worst: Severity = "fail" if count >= FAIL_RATE * parity.compared else "warn"
    if context.materialize_every is None:
        unsaid = f"{lag}; tag the view with skew.materialize_every to say what is by design"
        return ("warn" if cause == "stale_online" else worst), unsaid
    every, beyond = duration_text(context.materialize_every.total_seconds()), context.beyond.get(cause, 0)
    if not beyond:
        return "info", f"{lag}: within the schedule of every {every}"
    severity: Severity = "fail" if beyond >= FAIL_RATE * parity.compared else "warn"
    return severity, f"{lag}; {beyond:,} of them beyond the schedule of every {every}"


def distribution_findings(rows: Sequence[DistributionRow], against: str) -> Iterable[Finding]:
    """Give a finding for each feature whose served distribution left its reference.

    Drift is told and not judged: that the world differs from the training set is no fault of the pipeline.
    """
    skew = against == "baseline"
    moved = [row for row in rows if row.verdict in ("watch", "act")]
    for row in sorted(moved, key=lambda row: -(row.psi or 0.0)):
        severity: Severity = "warn" if skew and row.verdict == "act" else "info"
        yield Finding(
            code="psi_skew" if skew else "psi_drift",
            severity=severity,
            feature=row.feature,
            cause=None,
            message=f"the served distribution is off the {against}: {how_much(row)}{how_it_came(row)}",
            remedy="see the causes of its differing cells" if skew else _DRIFT_REMEDIES[row.change],
            since=row.since,
            until=row.until,
        )


_DRIFT_REMEDIES = {
    "sudden": "look at what was deployed or loaded at that time, before anything is retrained",
    "gradual": "compare the periods; retrain if it lasts",
    "steady": "compare the periods; retrain if it lasts",
    None: "compare the periods; retrain if it lasts",
}


def baseline_findings(lost: int, repeated: int, not_comparable: dict[str, NotCompared]) -> Iterable[Finding]:
    """Give the findings about the baseline itself: what the offline store did to rows, and what has no baseline."""
    remedy = "rows were put right for this audit; a training set from this store needs the same care"
    if lost:
        message = f"the offline store dropped {lost:,} entity rows; they count as null, as other stores give them"
        yield Finding("baseline_rows_lost", "warn", None, None, message, remedy)
    if repeated:
        message = f"the offline store gave {repeated:,} entity rows more than once; the first of each counts"
        yield Finding("baseline_rows_repeated", "warn", None, None, message, remedy)
    for feature, reason in sorted(not_comparable.items()):
        yield Finding("not_compared", "info", feature, None, f"not compared: {reason.why}", reason.remedy)


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Give the verdict: that of the worst finding; info alone passes."""
    severities = {finding.severity for finding in findings}
    return "fail" if "fail" in severities else "warn" if "warn" in severities else "pass"


_RANK = {"fail": 0, "warn": 1, "info": 2}


def in_order_of_harm(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings: the worst first, then as they were given."""
    return sorted(findings, key=lambda finding: _RANK[finding.severity])
