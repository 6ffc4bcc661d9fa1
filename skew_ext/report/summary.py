"""What an audit found in a sentence, which causes it found, what was fine, and what it could not check."""

from __future__ import annotations

from collections import Counter

from skew_ext.model import AuditReport, DistributionRow, FeatureParity
from skew_ext.report import remarks, words
from skew_ext.report.course import Course


def causes(report: AuditReport) -> list[tuple[str, int]]:
    """Give each cause and its cells over all features, the commonest first."""
    total: Counter[str] = Counter()
    for one in report.parity.features:
        total.update(one.causes)
    return total.most_common()


def sentence(report: AuditReport) -> str:
    """Say in one sentence what the audit found."""
    parity = report.parity
    if parity.cells == 0:
        return "No served cell could be compared with what training would get."
    if parity.mismatched == 0:
        same = f"All {words.count(parity.cells)} served cells are what training would get"
        other = sum(finding.severity != "info" for finding in report.findings)
        return f"{same}, with {words.plural(other, 'other finding')}." if other else f"{same}."
    differ = f"{words.count(parity.mismatched)} of {words.count(parity.cells)} served cells"
    rate = words.percent(parity.mismatched / parity.cells)
    accepted = "; none of it asks for a change" if report.verdict == "pass" else ""
    return f"{differ} ({rate}) are not what training would get{_mostly(report)}{accepted}."


def _mostly(report: AuditReport) -> str:
    ranked = causes(report)
    if not ranked:
        return ""
    cause, cells = ranked[0]
    meaning = words.CAUSES.get(cause, cause)
    mostly = f": {meaning}" if cells == report.parity.mismatched else f", most often because {meaning}"
    return mostly + _when(report, cause)


def _when(report: AuditReport, cause: str) -> str:
    """Say when the cells of a cause were served, over all features; nothing of what is by design."""
    broken = [one for one in report.findings if one.cause == cause and one.severity != "info"]
    since = [one.since for one in broken if one.since is not None]
    until = [one.until for one in broken if one.until is not None]
    course = Course.of((one.over_time for one in report.parity.features if cause in one.causes), [cause])
    return f", {course.when(min(since), max(until), report.end)}" if course is not None and since and until else ""


def fine(report: AuditReport) -> list[str]:
    """Say what was checked and found fine."""
    lines = [
        _same(report.parity.features),
        *(_passing(question, rows) for question, rows in _questions(report)),
        _kept(report),
        remarks.steady(report),
    ]
    return [line for line in lines if line]


def unchecked(report: AuditReport) -> list[str]:
    """Say what was not checked, and why."""
    lines = [_few(question, rows) for question, rows in _questions(report)]
    if not report.distribution.drift:
        lines.append("drift, as no training set was given")
    if report.impact is not None and report.impact.error is not None:
        lines.append(f"decisions: {report.impact.error}")
    empty = sum(one.compared == 0 for one in report.parity.features)
    if empty:
        lines.append(f"parity of {words.plural(empty, 'feature')} without a cell to compare")
    return [line for line in lines if line]


def _questions(report: AuditReport) -> list[tuple[str, list[DistributionRow]]]:
    return [("skew", report.distribution.skew), ("drift", report.distribution.drift)]


def _same(features: list[FeatureParity]) -> str:
    same = [one for one in features if one.compared and not one.mismatched]
    cells = sum(one.compared for one in same)
    total = words.plural(len(features), "feature")
    return f"{len(same)} of {total} served as trained ({words.count(cells)} cells)" if same else ""


def _passing(question: str, rows: list[DistributionRow]) -> str:
    passed = sum(row.verdict == "pass" for row in rows)
    return f"no distribution {question} in {passed} of {words.plural(len(rows), 'feature')}" if passed else ""


def _few(question: str, rows: list[DistributionRow]) -> str:
    few = sum(row.verdict == "too_few" for row in rows)
    return f"distribution {question} of {words.plural(few, 'feature')} with too few rows" if few else ""


def _kept(report: AuditReport) -> str:
    kept = sum(one.served_past_ttl == 0 for one in report.ttl)
    return f"nothing served past its TTL in {kept} of {words.plural(len(report.ttl), 'view')}" if kept else ""
