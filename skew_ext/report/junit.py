"""The report as JUnit XML, which every CI system shows: a test for each feature, failed by what the audit fails on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal
from xml.etree import ElementTree as ET

from skew_ext.clock import as_utc
from skew_ext.model import AuditReport, FeatureParity, Finding
from skew_ext.report import words
from skew_ext.text import visible

AUDIT = "audit"
"""The suite of findings that are about no single compared feature."""


def dumps(report: AuditReport, fail_on: Literal["warn", "fail"] = "fail") -> str:
    """Give the report as one JUnit XML document.

    A suite for each view and a test for each of its features, with the findings that are about it: those at or over
    `fail_on` fail it, the others are its output. A feature without a cell to compare is skipped. Other findings are
    tests of the suite `audit`, by their codes.
    """
    failing = {"fail"} if fail_on == "fail" else {"fail", "warn"}
    root = ET.Element("testsuites", name=f"skew audit {_text(report.feature_service)}")
    features = {one.feature: one for one in report.parity.features}
    of_feature: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        if finding.feature in features:
            of_feature[finding.feature].append(finding)
    for view, some in _by_view(report):
        suite = _suite(root, report, view)
        for one in some:
            _feature_case(suite, view, one, of_feature[one.feature], failing)
    rest = [finding for finding in report.findings if finding.feature not in features]
    suite = _suite(root, report, AUDIT)
    _case(suite, AUDIT, "ran", [], failing)
    for finding in rest:
        _case(suite, AUDIT, f"{finding.code} {finding.feature or ''}".strip(), [finding], failing)
    _count(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _by_view(report: AuditReport) -> Iterable[tuple[str, list[FeatureParity]]]:
    views: dict[str, list[FeatureParity]] = defaultdict(list)
    for one in report.parity.features:
        views[_view(one.feature, report)].append(one)
    return views.items()


def _view(feature: str, report: AuditReport) -> str:
    """Give a feature's view: a known one where that fits, since both names may hold two underscores."""
    known = [one.view for one in report.ttl if feature.startswith(f"{one.view}__")]
    return max(known, key=len, default=feature.partition("__")[0])


def _suite(root: ET.Element, report: AuditReport, name: str) -> ET.Element:
    created = as_utc(report.created_at).replace(tzinfo=None).isoformat(timespec="seconds")
    return ET.SubElement(root, "testsuite", name=_text(name), timestamp=created)


def _feature_case(suite: ET.Element, view: str, one: FeatureParity, findings: list[Finding], failing: set[str]) -> None:
    case = _case(suite, view, one.feature.removeprefix(f"{view}__"), findings, failing)
    if not one.compared:
        ET.SubElement(case, "skipped", message="no cell to compare")
    out = case.find("system-out")
    if out is None:
        out = ET.SubElement(case, "system-out")
    counts = f"{one.mismatched:,} of {one.compared:,} cells differ ({words.percent(one.rate)})"
    out.text = "\n".join([counts, out.text] if out.text else [counts])


def _case(suite: ET.Element, classname: str, name: str, findings: list[Finding], failing: set[str]) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=f"skew.{_text(classname)}", name=_text(name), time="0")
    for finding in (finding for finding in findings if finding.severity in failing):
        failure = ET.SubElement(case, "failure", type=_text(finding.code), message=_text(finding.message))
        failure.text = _told(finding)
    told = [f"{finding.severity}: {_told(finding)}" for finding in findings if finding.severity not in failing]
    if told:
        ET.SubElement(case, "system-out").text = "\n".join(told)
    return case


def _told(finding: Finding) -> str:
    when = f" ({words.span(finding.since, finding.until)})" if finding.since and finding.until else ""
    return _text(f"{finding.code}: {finding.message}{when}\nWhat to do: {finding.remedy}")


def _count(root: ET.Element) -> None:
    for element in [*root.findall("testsuite"), root]:
        cases = list(element.iter("testcase"))
        failed = sum(case.find("failure") is not None for case in cases)
        skipped = sum(case.find("skipped") is not None for case in cases)
        for name, value in (("tests", len(cases)), ("failures", failed), ("errors", 0), ("skipped", skipped)):
            element.set(name, str(value))


def _text(value: str) -> str:
    """Give text that XML can hold: names are data, and may have control characters or lone surrogates in them."""
    return visible(value)
