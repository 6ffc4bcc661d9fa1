"""What stands beside the numbers: decisions, how distributions changed, TTLs advised; on the page and the terminal."""

from __future__ import annotations

import dataclasses
import html
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from skew_ext.model import Distribution, Impact, ScoreChange, TtlAdvice, ViewTtl
from skew_ext.report import Report, plots, remarks, summary
from skew_ext.report.harm import harms
from tests.unit.test_report import CLEAN, HOSTILE, START, finding, report, row
from tests.unit.test_report_views import printed

NAMES = ("p1", "p5", "p25", "p50", "p75", "p95", "p99")
LIMITS = {"default": {"psi_watch": 0.1, "psi_act": 0.2}}
IMPACT = Impact(
    threshold=0.5,
    rows=1000,
    overall=ScoreChange("", 400, 120, 0.12, 0.05, 0.7),
    by_cause=[
        ScoreChange("rescaled", 300, 100, 0.1, 0.06, 0.7),
        ScoreChange("stale_online", 120, 30, 0.03, 0.02, 0.4),
    ],
    by_feature=[ScoreChange(f"trip__{HOSTILE}", 300, 100, 0.1, 0.06, 0.7)],
)
ADVICE = TtlAdvice(10_800.0, 600.0, {"p50": 600.0, "p95": 3600.0}, {"p99": 60.0}, "events come within an hour")
TTL = ViewTtl(
    view="driver",
    ttl_seconds=7200.0,
    rows=1000,
    matrix={"served_inside": 990, "absent_outside": 10},
    staleness_seconds=None,
    served_past_ttl=3,
    share_past_ttl=0.003,
    staleness_quantiles=dict(zip(NAMES, (0.0, 5.0, 60.0, 300.0, 900.0, 3600.0, 9000.0), strict=True)),
    recommended=ADVICE,
)


def changed(**changes: Any) -> Report:
    """Give the report with an impact, a TTL with advice, and a distribution that changed at once."""
    moved = row(
        "trip__km", "act", psi=0.4, change="sudden", since=START, out_of_range=0.25, unseen=0.0, constant=(False, True)
    )
    told = Distribution([moved], [], {**LIMITS, HOSTILE: {"psi_watch": 0.3}})
    return report(**{"impact": IMPACT, "ttl": [TTL], "distribution": told} | changes)


def page(one: Report, folder: Path) -> str:
    """Give the text of the report's page, its elements apart."""
    body = one.to_html(folder / "r.html").read_text("utf-8").partition("<body>")[2].replace("<wbr>", "")
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_page_tells_decisions_after_findings_and_before_causes(tmp_path: Path) -> None:
    """The sentence stands below the verdict, the tables by cause and by feature where they belong."""
    text = page(changed(), tmp_path)
    said = [
        "120 of 1,000 rows (12.0%) got another decision than with training's values, at a threshold of 0.5, most",
        *("The gravest first", "Decisions The rows with a differing cell", "Rows scored 400", "Cause, alone"),
        *("stale_online 120 30", "Feature, alone", f"trip__{HOSTILE} 300 100", "Causes Each differing cell"),
    ]
    places = [text.find(one) for one in said]
    assert -1 not in places
    assert places == sorted(places)


def test_terminal_tells_decisions_within_eighty_columns() -> None:
    """Right below the verdict; a cause's name is data like any other."""
    text = printed(changed())
    assert max(map(len, text.splitlines())) <= 80
    assert "Decisions: 120 of 1,000 rows (12.0%)" in text
    assert text.index("Decisions:") < text.index("What differs")


def test_decisions_that_did_not_change_are_fine_and_those_not_scored_unchecked() -> None:
    """Neither is silent, and neither is told as harm."""
    same = changed(impact=Impact(0.5, 1000, ScoreChange("", 400, 0, 0.0, 0.01, 0.25)))
    assert "no decision changed at a threshold of 0.5; scores of 400 rows moved by at most 0.25" in summary.fine(same)
    clean = report(**CLEAN, impact=Impact(0.5, 1000, ScoreChange("", 0, 0, 0.0, 0.0, 0.0)))
    assert "no decision changed at a threshold of 0.5" in summary.fine(clean)
    failed = changed(impact=Impact(0.5, 1000, ScoreChange("", 0, 0, 0.0, 0.0, 0.0), error="it raised"))
    assert "decisions: it raised" in summary.unchecked(failed)
    assert not any("decision" in line for line in summary.fine(failed))
    assert [remarks.decisions(one.impact) for one in (same, clean, failed, report())] == [""] * 4


def test_page_tells_how_a_distribution_changed_and_by_which_thresholds(tmp_path: Path) -> None:
    """When it came, what lies outside, what is constant; shares of nothing are not told."""
    text = page(changed(), tmp_path)
    assert "Sudden since 2026-03-01 00:00:00 UTC" in text
    assert "25.0% outside the reference's range" in text
    assert "Constant in what was served" in text
    assert "unseen in the reference" not in text
    assert "Thresholds psi_watch 0.1" in text
    assert f"Thresholds of {HOSTILE} : psi_watch 0.3" in text


def test_remarks_of_embeddings_and_of_what_was_not_judged() -> None:
    """A centroid's turn, another length, another dimension, and why statistics are absent."""
    one = row("v__e", "too_few", cosine=0.5, norm_ratio=2.0, wrong_dimension=0.01, ks_error=0.004, note="too few rows")
    assert remarks.of_distribution(one) == [
        *("1.00% of another dimension", "cosine distance 0.5", "norm ratio 2", "KS known to 0.004", "too few rows"),
    ]
    assert remarks.of_distribution(row("v__a", ks_error=0.0)) == []
    gone = row("v__a", change="sudden", since=START, until=START + timedelta(hours=2))
    assert remarks.of_distribution(gone) == ["sudden, 2026-03-01 00:00 to 02:00 UTC"]


def test_what_stands_in_backticks_is_code_and_nothing_else_is(tmp_path: Path) -> None:
    """A remedy's command is set as one; markup between backticks is still text."""
    told = dataclasses.replace(
        finding(None, None), remedy="run, if need be, `feast materialize`, `<b>x</b>` or `", message="a"
    )
    source = report(findings=[told]).to_html(tmp_path / "r.html").read_text("utf-8")
    assert "Run, if need be, <code>feast materialize</code>, <code>&lt;b&gt;x&lt;/b&gt;</code> or `" in source


def test_page_tells_the_ttl_advised_and_why(tmp_path: Path) -> None:
    """With the share past it, the advice, and what the advice rests on."""
    text = page(changed(), tmp_path)
    assert "3 0.30%" in text
    assert "driver 2 h 3 h 10 min Events come within an hour" in text
    assert "Between a key's events: p50 10 min, p95 1 h; from event to arrival: p99 1 min" in text
    assert "p1 0 s p99 2 h 30 min" in text


def test_staleness_plot_keeps_the_order_and_stays_inside() -> None:
    """Quantiles from left to right, the TTL between those that it parts."""
    plot = plots.staleness(TTL)
    assert plot is not None
    assert plot.ttl is not None
    places = [plot.line[0], plot.box[0], plot.median, plot.box[1], plot.ttl, plot.line[1]]
    assert places == sorted(places)
    assert (places[0], places[-1]) == pytest.approx((3.0, 97.0))


@pytest.mark.parametrize(("quantile", "ttl"), [(0.0, None), (-5.0, None), (60.0, 60.0), (60.0, 0.0)])
def test_staleness_plot_of_one_age(quantile: float, ttl: float | None) -> None:
    """One age, even one of a row from after the request, has a place."""
    plot = plots.staleness(
        dataclasses.replace(TTL, ttl_seconds=ttl, staleness_quantiles=dict.fromkeys(NAMES, quantile))
    )
    assert plot is not None
    assert all(3.0 <= place <= 97.0 for place in (*plot.line, *plot.box, plot.median))


def test_no_plot_where_nothing_was_served() -> None:
    """A view without a served row has no quantiles."""
    assert plots.staleness(dataclasses.replace(TTL, staleness_quantiles={})) is None


def test_findings_about_the_baseline_say_so() -> None:
    """What the offline store got wrong is not about the whole audit."""
    fault = dataclasses.replace(finding(None, None, "warn"), code="baseline_tie")
    assert [one.what for one in harms(report(findings=[fault, finding(None, None)]))] == [
        "The whole audit",
        "The baseline",
    ]


@pytest.mark.parametrize(
    ("psi", "feature", "length"),
    [(0.0, "v__a", 0.0), (0.1, "v__a", 25.0), (0.2, "v__a", 50.0), (9.0, "v__a", 100.0), (0.2, "v__own", 10.0)],
)
def test_effect_is_set_against_the_thresholds_that_judged_it(psi: float, feature: str, length: float) -> None:
    """A feature's own before the default ones; what is far over them ends at the edge."""
    plot = plots.effect(row(feature, psi=psi), {**LIMITS, "v__own": {"psi_watch": 0.3, "psi_act": 1.0}})
    assert plot is not None
    assert [plot.length, plot.watch, plot.act] == pytest.approx([length, 15.0 if feature == "v__own" else 25.0, 50.0])


@pytest.mark.parametrize(("psi", "limits"), [(None, LIMITS), (math.nan, LIMITS), (0.1, {})])
def test_no_effect_is_drawn_without_a_psi_or_thresholds(psi: float | None, limits: dict[str, dict[str, float]]) -> None:
    """A feature whose kind has no PSI, and a report of an older audit."""
    assert plots.effect(row("v__a", psi=psi), limits) is None


def test_frames_hold_decisions_and_advice() -> None:
    """A row for all, for each cause and for each feature; quantiles and advice beside the TTL; none where none."""
    tables = changed().to_frames()
    impact = tables["impact"]
    assert list(impact["of"]) == ["all", "cause", "cause", "feature"]
    assert list(impact["what"]) == ["", "rescaled", "stale_online", f"trip__{HOSTILE}"]
    assert list(impact["flipped"]) == [120, 100, 30, 100]
    view = tables["ttl"].iloc[0]
    assert (view["staleness_p1"], view["staleness_p25"], view["staleness_p99"]) == (0.0, 60.0, 9000.0)
    assert (view["recommended_ttl"], view["recommended_materialize_every"]) == (10_800.0, 600.0)
    assert view["share_past_ttl"] == 0.003
    failed = changed(impact=dataclasses.replace(IMPACT, error="it raised"))
    assert len(failed.to_frames()["impact"]) == len(report().to_frames()["impact"]) == 0
