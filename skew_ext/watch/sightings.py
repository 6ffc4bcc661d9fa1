"""What an audit's report says of a window that an incident could be made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from skew_ext.report.as_json import encoded
from skew_ext.report.harm import SEVERITIES, harms
from skew_ext.watch.incident import UNEXPLAINED, Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skew_ext.model import Example
    from skew_ext.report import Report
    from skew_ext.report.harm import Harm

EXAMPLES = 3
NEEDS_CONTEXT = (UNEXPLAINED, "missing_online", "expired_served")
"""Causes that one small window may give to cells of which more context knows better: a factor takes several cells to
be believed, and that a key was evicted shows only beside an earlier lookup of it."""


def sightings(report: Report, alert_on: str) -> list[Sighting]:
    """Give what is at or over the threshold, a group and cause each, the gravest first.

    The threshold is the audit's own: a finding of severity `alert_on` or worse.
    """
    grave = SEVERITIES[: SEVERITIES.index(alert_on) + 1]
    return [_sighting(harm) for harm in harms(report) if harm.first.severity in grave]


def better_known(of: Sighting, others: Iterable[Sighting]) -> Sighting:
    """Give what a wider window says of the same group: its commonest cause, where that explains at least as much."""
    there = [one for one in others if one.group == of.group and one.cause != UNEXPLAINED]
    best = max(there, key=lambda one: one.cells, default=of)
    return best if best.cells * 2 >= of.cells else of


def _sighting(harm: Harm) -> Sighting:
    cause = harm.first.cause or harm.first.code
    return Sighting(
        group=harm.view or harm.first.feature or "",
        cause=cause,
        severity=harm.first.severity,
        features=tuple(dict.fromkeys(one.feature for one in harm.findings if one.feature)),
        cells=harm.extent.cells if harm.extent else 0,
        compared=harm.extent.compared if harm.extent else 0,
        message=harm.first.message,
        remedy=" ".join(harm.remedies),
        evidence=tuple({"feature": feature, **encoded(asdict(one))} for feature, one in _examples(harm, cause)),
    )


def _examples(harm: Harm, cause: str) -> list[tuple[str, Example]]:
    """Give a few examples with their features: one of each feature first."""
    found = [
        (place, parity.feature, one)
        for parity in harm.parities
        for place, one in enumerate(one for one in parity.examples if one.cause == cause)
    ]
    return [(feature, one) for _, feature, one in sorted(found, key=lambda each: each[0])[:EXAMPLES]]
