"""The report as data, from one made by hand: JSON with keys to the letter, frames, and findings in order."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from skew_ext.audit.distribution import how_much
from skew_ext.model import (
    Distribution,
    DistributionRow,
    Example,
    FeatureParity,
    Finding,
    Lag,
    Parity,
    Severity,
    ViewTtl,
)
from skew_ext.report import Report, words
from skew_ext.report.as_json import encoded
from skew_ext.report.harm import harms

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
HOSTILE = "<script>alert(1)</script>[bold]x[/bold]"
FRAMES = {"parity", "causes", "examples", "findings", "distribution", "histograms", "ttl", "over_time", "impact"}


def parity(feature: str, causes: dict[str, int], *, examples: int = 0, lag: Lag | None = None) -> FeatureParity:
    """Give a feature of a thousand compared cells."""
    cells = sum(causes.values())
    shown = [
        Example({"id": number}, f"r{number}", START, math.nan, None, START, None, next(iter(causes)))
        for number in range(examples)
    ]
    return FeatureParity(feature, 1000, cells, cells / 1000, (0.0, 0.9), causes=causes, lag=lag, examples=shown)


def finding(feature: str | None, cause: str | None, severity: Severity = "fail") -> Finding:
    """Give a finding whose message and remedy name its feature and cause."""
    return Finding(f"PARITY_{cause}", severity, feature, cause, f"{feature} is off by {cause}", f"mend {cause}")


def row(feature: str, verdict: Any = "pass", **statistics: Any) -> DistributionRow:
    """Give a numeric row."""
    values: dict[str, Any] = (
        dict.fromkeys(["psi", "ks", "ks_p", "chi2", "chi2_p", "js", "wasserstein", "mean_z"]) | statistics
    )
    return DistributionRow(feature, "numeric", 1000, 900, **values, null_rate=(0.0, 0.25), verdict=verdict)


def report(**changes: Any) -> Report:
    """Give a report with a stale view, a rescaled feature, a drift and a hostile name."""
    lag = Lag(60.0, 5400.0, 86400.0)
    features = [
        parity("driver__a", {"stale_online": 120}, examples=12, lag=lag),
        parity("driver__b", {"stale_online": 115, "precision": 1}, lag=lag),
        parity("trip__km", {"rescaled": 900}, examples=1),
        parity(f"trip__{HOSTILE}", {"unexplained": 2}, examples=1),
        parity("trip__same", {}),
    ]
    findings = [
        finding("trip__zone", None, "warn"),
        finding("driver__a", "stale_online"),
        finding("trip__km", "rescaled"),
        finding("driver__b", "stale_online"),
        finding(f"trip__{HOSTILE}", "unexplained", "warn"),
        finding(None, None, "info"),
    ]
    base = Report(
        project="rides",
        feature_service="ranking",
        start=START,
        end=START + timedelta(days=1),
        rows=1000,
        verdict="fail",
        findings=findings,
        parity=Parity(5000, sum(one.mismatched for one in features), features),
        distribution=Distribution([row("trip__km", "act", psi=0.4, wasserstein=math.inf)], [row("driver__a", psi=0.0)]),
        ttl=[ViewTtl("driver", 7200.0, 1000, {"served_inside": 990, "absent_outside": 10}, lag, 3)],
        created_at=datetime(2026, 3, 2, 1, 2, 3, 4, tzinfo=timezone.utc),
        notes=["7 rows wait in the spool"],
    )
    return dataclasses.replace(base, **changes)


CLEAN: dict[str, Any] = {
    "verdict": "pass",
    "findings": [],
    "parity": Parity(1000, 0, [parity("trip__same", {})]),
    "distribution": Distribution([row("trip__same", psi=0.0)], []),
}


def strict(text: str) -> Any:
    """Read JSON, with NaN and Infinity being errors."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_has_the_contracts_keys() -> None:
    """Schema 1, to the letter; more keys may be there, none of these may go."""
    document = strict(report().to_json())
    assert document["schema"] == 1
    assert document["window"] == {
        "start": "2026-03-01T00:00:00.000000+00:00",
        "end": "2026-03-02T00:00:00.000000+00:00",
    }
    assert document["created_at"] == "2026-03-02T01:02:03.000004+00:00"
    keys = {"feature_service", "rows", "verdict", "parity", "ttl", "distribution", "findings"}
    assert keys <= document.keys()
    assert document["parity"].keys() >= {"cells", "mismatched", "features"}
    feature = document["parity"]["features"][0]
    assert feature.keys() >= {"feature", "compared", "mismatched", "rate", "ci95", "causes", "examples"}
    assert (feature["ci95"], feature["causes"]) == ([0.0, 0.9], {"stale_online": 120})
    assert feature["lag"] == {"p50": 60.0, "p95": 5400.0, "max": 86400.0}
    keys = {"code", "severity", "feature", "cause", "message", "remedy", "since", "until"}
    assert document["findings"][0].keys() == keys
    assert document["ttl"]["driver"]["matrix"] == {"served_inside": 990, "absent_outside": 10}


def test_json_distribution_rows_have_the_contracts_keys() -> None:
    """Skew and drift apart, null rates as a pair, an infinity as text."""
    distribution = strict(report().to_json())["distribution"]
    statistics = {"psi", "ks", "ks_p", "chi2", "chi2_p", "js", "wasserstein", "mean_z"}
    keys = {"feature", "kind", "n_reference", "n_served", "null_rate", "verdict"} | statistics
    assert keys <= distribution["skew"][0].keys() == distribution["drift"][0].keys()
    assert distribution["skew"][0]["null_rate"] == [0.0, 0.25]
    assert distribution["skew"][0]["wasserstein"] == "Infinity"


@pytest.mark.parametrize(
    ("seconds", "until", "expected"),
    [
        (0, 0, "2026-03-01 00:00:00 UTC"),
        (1, 59, "2026-03-01 00:00:01 to 00:00:59 UTC"),
        (59, 60, "2026-03-01 00:00 to 00:01 UTC"),
        (0, 86_400, "2026-03-01 00:00 to 2026-03-02 00:00 UTC"),
    ],
)
def test_a_span_is_as_exact_as_it_has_to_be(seconds: int, until: int, expected: str) -> None:
    assert words.span(START + timedelta(seconds=seconds), START + timedelta(seconds=until)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (np.float32(0.5), 0.5),
        (np.float64(math.inf), "Infinity"),
        (2**63, 2**63),
        (b"\x00\xff", {"base64": base64.b64encode(b"\x00\xff").decode()}),
        (datetime(2026, 1, 1, 12), "2026-01-01T12:00:00.000000+00:00"),  # noqa: DTZ001 - naive is UTC
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T00:00:00.000000+00:00"),
        (date(2026, 1, 1), "2026-01-01"),
        (Decimal("1.10"), "1.10"),
        ([1, None, math.nan], [1, None, "NaN"]),
        ({"b", "a"}, ["a", "b"]),
        ({1: b""}, {"1": {"base64": ""}}),
        ("\ud800", "\ud800"),
    ],
)
def test_every_cell_has_its_json(value: object, expected: object) -> None:
    """Whatever Feast served, the document stays strict JSON."""
    example = dataclasses.replace(report().parity.features[0].examples[0], served=value)
    document = strict(json.dumps(encoded(example), allow_nan=False))
    assert document["served"] == expected


def test_of_keeps_the_audits_data() -> None:
    """A report is its audit, field by field."""
    one = report()
    assert Report.of(one) == one
    assert isinstance(Report.of(one), Report)


def test_findings_are_folded_and_in_the_order_of_harm() -> None:
    """Two stale features at 12 % are one row; what concerns more cells comes first, what is no failure last."""
    told = harms(report())
    assert [one.what for one in told] == [
        "trip__km",
        "driver: a, b",
        f"trip__{HOSTILE}",
        "trip__zone",
        "The whole audit",
    ]
    extent = told[1].extent
    assert extent is not None
    assert (extent.cells, extent.compared) == (235, 2000)
    assert [one.feature for one in told[1].findings] == ["driver__a", "driver__b"]
    assert told[1].remedies == ["mend stale_online"]


def test_one_cause_in_one_view_is_one_row_with_its_range_of_rates() -> None:
    """The rates of the mildest and of the worst feature are told."""
    features = [parity("driver__a", {"stale_online": 100}), parity("driver__b", {"stale_online": 200})]
    findings = [finding(one.feature, "stale_online") for one in features]
    (told,) = harms(report(parity=Parity(2000, 300, features), findings=findings))
    assert (told.what, told.rates) == ("driver: a, b", (0.1, 0.2))


def test_distributions_that_moved_are_one_row_and_the_worst_speaks() -> None:
    """Whatever their views; other findings without a cause each keep their own row."""
    features = [parity(name, {}) for name in ("driver__a", "driver__b", "trip__a")]
    moved = [dataclasses.replace(finding(one.feature, None, "info"), code="psi_drift") for one in features]
    alone = [dataclasses.replace(finding(one.feature, None, "info"), code="not_compared") for one in features]
    told = harms(report(parity=Parity(3000, 0, features), findings=[*moved, *alone]))
    assert [one.what for one in told] == ["3 features, most driver__a", "driver__a", "driver__b", "trip__a"]
    assert told[0].why == "driver__a is off by None, and 2 others less"


def test_when_it_happened_spans_all_that_is_told_together() -> None:
    """From the first cell of any of the features to the last."""
    features = [parity("driver__a", {"stale_online": 100}), parity("driver__b", {"stale_online": 200})]
    start = report().start
    spans = [(start, start + timedelta(hours=2)), (start - timedelta(hours=1), start)]
    findings = [
        dataclasses.replace(finding(one.feature, "stale_online"), since=since, until=until)
        for one, (since, until) in zip(features, spans, strict=True)
    ]
    (told,) = harms(report(parity=Parity(2000, 300, features), findings=findings))
    assert told.span == (start - timedelta(hours=1), start + timedelta(hours=2))


def test_a_finding_about_a_view_counts_its_features() -> None:
    """Its cells are those of all of the view's features, and of no view whose name only begins alike."""
    features = [parity("trip__a", {"rescaled": 10}), parity("trip__b", {"rescaled": 30}), parity("trips__a", {})]
    (told,) = harms(report(parity=Parity(3000, 40, features), findings=[finding("trip", "rescaled")]))
    assert told.extent is not None
    assert (told.what, told.extent.cells, told.extent.compared) == ("trip", 40, 2000)


def test_frames_have_their_columns_however_little_was_found() -> None:
    """The same columns for an empty report, save those of the TTL matrix."""
    full = report().to_frames()
    empty = report(parity=Parity(0, 0, []), findings=[], ttl=[], distribution=Distribution()).to_frames()
    assert full.keys() == empty.keys() == FRAMES
    for name in FRAMES - {"ttl", "over_time"}:
        assert list(full[name].columns) == list(empty[name].columns)
        assert len(empty[name]) == 0
    assert set(full["ttl"].columns) - set(empty["ttl"].columns) == {"served_inside", "absent_outside"}


def test_frames_hold_the_reports_numbers() -> None:
    """One row for each feature, cause, example, finding, distribution row and view."""
    tables = report().to_frames()
    first = tables["parity"].iloc[0]
    assert (first["feature"], first["mismatched"], first["ci95_high"], first["lag_p95"]) == (
        "driver__a",
        120,
        0.9,
        5400.0,
    )
    assert tables["causes"].to_dict("records")[2] == {
        "feature": "driver__b",
        "cause": "precision",
        "cells": 1,
        "share": 0.001,
    }
    assert len(tables["examples"]) == 14
    assert tables["examples"]["key"][0] == {"id": 0}
    assert list(tables["distribution"]["question"]) == ["skew", "drift"]
    assert list(tables["distribution"]["null_rate_served"]) == [0.25, 0.25]
    assert tables["ttl"].iloc[0]["absent_outside"] == 10
    assert len(tables["findings"]) == 6


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0%"), (1.0, "100%"), (1e-9, "<0.01%"), (0.05, "5.00%"), (0.5, "50.0%"), (0.999999, "99.99%")],
)
def test_percent_never_rounds_to_none_or_all(share: float, said: str) -> None:
    """One cell in a million is not none, and all but one are not all."""
    assert words.percent(share) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "—"), (1.5, "1.5 s"), (60, "1 min"), (5400, "1 h 30 min"), (90_000, "1 d 1 h"), (-7200, "-2 h")],
)
def test_durations_say_two_units(seconds: float | None, said: str) -> None:
    """The two largest, and none that is zero."""
    assert words.duration(seconds) == said


def test_cells_that_differ_look_different() -> None:
    """Type, sign and absence are seen."""
    values = [None, "null", math.nan, "nan", 1, 1.0, "1", -0.0, 0.0, b"1", True, "True"]
    assert len({words.cell(value) for value in values}) == len(values)
    assert words.cell("a\x1b\n") == "'a\\x1b\\n'"
    assert words.cell("x" * 500).endswith("… (500 long)")


def test_null_rates_are_told_where_they_differ() -> None:
    moved = row("trip__km", "act", psi=0.4)
    assert how_much(moved) == "PSI 0.40, null rate 0.0% to 25.0%"
    assert how_much(dataclasses.replace(moved, null_rate=(0.1, 0.10001))) == "PSI 0.40"
    assert how_much(dataclasses.replace(moved, psi=None, null_rate=(0.0, 0.0))) == "null rate 0.0%"
