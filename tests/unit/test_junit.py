"""The report as JUnit XML."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from xml.etree import ElementTree as ET

from skew_ext.model import AuditReport, Distribution, FeatureParity, Finding, Parity, ViewTtl
from skew_ext.report import junit

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def feature(name: str, mismatched: int = 0, compared: int = 100) -> FeatureParity:
    return FeatureParity(name, compared, mismatched, mismatched / max(compared, 1), (0.0, 1.0))


FINDINGS = [
    Finding("rescaled", "fail", "stats__rating", "rescaled", "7 of 100 cells are times 1.6", "fix it", NOON, NOON),
    Finding("late_arrival", "warn", "stats__trips", "late_arrival", "9 of 100 cells came late", "train otherwise"),
    Finding("baseline_rows_lost", "warn", None, None, "the store dropped 3 rows", "join"),
    Finding("not_compared", "info", "stats__new", None, "not compared: newer", "see"),
]
REPORT = AuditReport(
    project="rides",
    feature_service="scoring",
    start=NOON,
    end=NOON,
    rows=100,
    verdict="fail",
    findings=FINDINGS,
    parity=Parity(300, 16, [feature("stats__rating", 7), feature("stats__trips", 9), feature("stats__city", 0, 0)]),
    distribution=Distribution(),
    ttl=[ViewTtl("stats", None, 100, {}, None, 0)],
    created_at=NOON,
)


def cases(root: ET.Element) -> dict[str, ET.Element]:
    return {f"{case.get('classname')} {case.get('name')}": case for case in root.iter("testcase")}


def read(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own document


def test_a_feature_is_a_test_and_its_findings_fail_it() -> None:
    root = read(junit.dumps(REPORT))
    found = cases(root)
    failures = {name for name, case in found.items() if case.find("failure") is not None}
    assert failures == {"skew.stats rating"}
    failure = found["skew.stats rating"].find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("rescaled", "7 of 100 cells are times 1.6")
    assert "What to do: fix it" in (failure.text or "")
    assert "warn: late_arrival" in (found["skew.stats trips"].findtext("system-out") or "")
    assert found["skew.stats city"].find("skipped") is not None
    assert {"skew.audit ran", "skew.audit baseline_rows_lost", "skew.audit not_compared stats__new"} <= found.keys()


def test_counts_are_the_cases() -> None:
    root = read(junit.dumps(REPORT))
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["6", "1", "0", "1"]
    stats = root.find("testsuite[@name='stats']")
    assert stats is not None
    assert [stats.get(name) for name in ("tests", "failures")] == ["3", "1"]


def test_fail_on_warn_fails_by_warnings_too() -> None:
    found = cases(read(junit.dumps(REPORT, "warn")))
    failures = {name for name, case in found.items() if case.find("failure") is not None}
    assert failures == {"skew.stats rating", "skew.stats trips", "skew.audit baseline_rows_lost"}


def test_a_clean_report_has_no_failure() -> None:
    clean = replace(REPORT, findings=[], verdict="pass")
    assert read(junit.dumps(clean, "warn")).get("failures") == "0"


def test_names_are_data_whatever_is_in_them() -> None:
    nasty = 'a]]>"<b>&\x00\x1b[2J\ud800\u2028\x9b\u202e\u2066'
    finding = Finding("rescaled", "fail", f"stats__{nasty}", "rescaled", nasty, nasty)
    report = replace(
        REPORT, feature_service=nasty, findings=[finding], parity=Parity(1, 1, [feature(f"stats__{nasty}", 1)])
    )
    text = junit.dumps(report)
    text.encode()
    (failure,) = read(text).iter("failure")
    assert (failure.get("message") or "").startswith('a]]>"<b>&\\x00\\x1b[2J\\ud800')
    assert not set("\x9b\u202e\u2066") & set(text)
