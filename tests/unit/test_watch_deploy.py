"""The alert rules and the dashboard: they parse as Prometheus parses them, and ask for metrics that there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.core import CounterMetricFamily

from skew_ext.shipping.metrics import StatsCollector
from skew_ext.shipping.stats import LogStats
from skew_ext.watch.ages import AgeSketch
from skew_ext.watch.drift import Training
from skew_ext.watch.metrics import ServiceView, WatchCollector, WatchView
from skew_ext.watch.state import ServiceState
from skew_ext.watch.summary import FeatureSummary, WindowSummary
from tests.kit import HOUR, NOON

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "skew-alerts.yml").read_text())
RULE_TESTS = yaml.safe_load((DEPLOY / "prometheus" / "skew-alerts.test.yml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "skew.json").read_text())
GRAFANA = {"$__rate_interval": "5m", "$window": "1h", "$feature_service": ".*", "$feature": ".*"}


def metrics() -> dict[str, set[str]]:
    """Give the samples' names that are served, with their labels."""
    summary = WindowSummary(NOON, NOON + HOUR, 1, {"v__f": FeatureSummary(1, 0, {}, 1)}, {"v": AgeSketch({1: 1}, 1.0)})
    state = ServiceState("s", NOON, totals={"v__f": {"equal": 1}})
    service = ServiceView(state, {"1h": summary}, (), Training(), 10)
    view = WatchView({"s": service}, last_round=NOON)
    stats = StatsCollector(lambda: LogStats(1, 1, 0, 0, {"full": 1}, 0))
    found: dict[str, set[str]] = {}
    for family in (*WatchCollector(lambda: view).collect(), *stats.collect()):
        suffix = "_total" if isinstance(family, CounterMetricFamily) else ""
        found[family.name + suffix] = set(family._labelnames)  # type: ignore[attr-defined]
    return found


def expressions() -> Iterator[str]:
    for group in RULES["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for text in (
        *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
        *(one["expr"] for one in DASHBOARD["annotations"]["list"]),
    ):
        expression = text
        for name, value in GRAFANA.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, expression
        yield expression


def selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    """Give the selectors in an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param", "vs"):
        child = getattr(node, name, None)
        if child is not None:
            yield from selectors(child)
    for child in getattr(node, "args", None) or ():
        yield from selectors(child)


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_parses_and_asks_for_what_is_served(expression: str) -> None:
    served = metrics()
    found = list(selectors(promql_parser.parse(expression)))
    assert found
    for one in found:
        assert one.name in served, one.name
        for matcher in one.matchers.matchers:
            assert matcher.name in served[one.name], (one.name, matcher.name)


def test_each_rule_is_tested_and_its_tests_speak_of_what_is_served() -> None:
    """That a series in the rules' tests could come from a watch or a shipper; `instance` is Prometheus' own."""
    served = metrics()
    tested = {one["alertname"] for test in RULE_TESTS["tests"] for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert tested == {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
    for test in RULE_TESTS["tests"]:
        for series in test["input_series"]:
            (one,) = selectors(promql_parser.parse(series["series"]))
            labels = {matcher.name for matcher in one.matchers.matchers} - {"instance"}
            assert labels <= served[str(one.name)], series


def test_rules_fire_on_what_they_are_for_and_on_nothing_else() -> None:
    """By Prometheus' own promtool, where it can be had: SKEW_TEST_PROMTOOL, or on PATH."""
    program = os.environ.get("SKEW_TEST_PROMTOOL") or shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not here; on Debian and Ubuntu: apt install prometheus")
    for command in (["check", "rules", "skew-alerts.yml"], ["test", "rules", "skew-alerts.test.yml"]):
        done = subprocess.run(
            [program, *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_names_that_are_promised_are_served() -> None:
    served = metrics()
    assert {"feature", "cause"} <= served["skew_cells_total"]
    assert "outcome" in served["skew_log_records_total"]
    assert {"skew_mismatch_ratio", "skew_psi", "skew_null_ratio", "skew_staleness_seconds"} <= set(served)


def test_a_rule_has_what_prometheus_asks_of_it() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", rule["alert"])
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
        for text in rule["annotations"].values():
            for label in re.findall(r"\$labels\.(\w+)", text):
                assert label in rule["expr"], (rule["alert"], label)


def test_panels_do_not_overlap_and_have_names_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
