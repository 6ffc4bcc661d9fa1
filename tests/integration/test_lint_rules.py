"""Every rule finds its own failing example, which is a real Feast repo, and not its passing one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from skew_ext import lint
from skew_ext.linting.report import LintReport
from skew_ext.linting.rule import SEVERITIES, Example, Rule
from skew_ext.linting.rules import RULES
from tests.lint_repos import applied, build

OF_THE_REGISTRY = "SKW024"
# Feast cannot open or apply these here: the store's client is not installed, or the fault stops `feast apply` itself.
NO_REGISTRY = ("redshift", "type: remote", "sample_rat:")


def every_rule() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def linted(folder: Path, rule: Rule, example: Example, **options: Any) -> LintReport:
    """Lint an example's files; what can only be found in a registry, there."""
    build(folder, example)
    if rule.code == OF_THE_REGISTRY:
        applied(folder)
    return lint(folder, registry=rule.code == OF_THE_REGISTRY, **options)


@every_rule()
def test_the_failing_example_is_found_at_its_place(rule: Rule, tmp_path: Path) -> None:
    found = linted(tmp_path / "repo", rule, rule.bad, select=[rule.code]).findings
    assert {finding.code for finding in found} == {rule.code}
    for finding in found:
        assert (finding.severity, finding.remedy) == (rule.severity, rule.remedy)
        if rule.code == OF_THE_REGISTRY:
            assert finding.place is None
            continue
        assert finding.place is not None, finding
        assert finding.place.path.name in ("features.py", "feature_store.yaml")
        line = finding.place.path.read_text().splitlines()[finding.place.line - 1]
        assert finding.kind == "settings" or re.search(r"\(|^def ", line), line


@every_rule()
def test_the_passing_example_is_not_found_and_has_nothing_worse_than_info(rule: Rule, tmp_path: Path) -> None:
    report = linted(tmp_path / "repo", rule, rule.good)
    assert rule.code not in {finding.code for finding in report.findings}
    assert not report.at_least("warn"), report.findings
    assert report.checked > 0


@pytest.mark.parametrize(
    "rule", [one for one in RULES if not any(word in one.bad.yaml for word in NO_REGISTRY)], ids=lambda rule: rule.code
)
def test_the_registry_gives_the_same_findings_as_the_files(rule: Rule, tmp_path: Path) -> None:
    folder = build(tmp_path / "repo", rule.bad)
    applied(folder)
    files = {(one.code, one.name, one.feature, one.message) for one in lint(folder).findings}
    registered = {(one.code, one.name, one.feature, one.message) for one in lint(folder, registry=True).findings}
    assert {one for one in registered if one[0] != OF_THE_REGISTRY} == files


def test_the_table_is_in_order_and_complete() -> None:
    assert [rule.code for rule in RULES] == [f"SKW{number:03}" for number in range(1, len(RULES) + 1)]
    assert len({rule.name for rule in RULES}) == len(RULES) >= 20
    for rule in RULES:
        assert rule.severity in SEVERITIES
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
        assert rule.summary.endswith(".")
        assert len(rule.reason) > 100
        assert not rule.remedy.endswith(".")
