"""The page's plots: rates over time and histograms, as paths that hold what the numbers say."""

from __future__ import annotations

import dataclasses
import math
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from skew_ext.model import Distribution, FeatureParity, Finding, Histogram, OverTime, Parity
from skew_ext.report import Report, histograms, timeline
from skew_ext.report.harm import harms
from tests.unit.test_report import HOSTILE, START, report, row

HOUR = timedelta(hours=1)
BAR = re.compile(r"M(\d+) (\d+)V(-?\d+)")
NUMBERS = Histogram(
    ("up to 0", "0 to 1", "1 to 2", "over 2"), (0.0, 0.5, 0.3, 0.0), (0.0, 0.25, 0.3, 0.2), (0.2, 0.25), (0.0, 1.0, 2.0)
)
CITIES = Histogram((HOSTILE, "Oslo"), (0.9, 0.1), (0.2, 0.1), (0.0, 0.0), other=(0.0, 0.7))


def counted(causes: dict[str, list[int]], compared: list[int]) -> FeatureParity:
    """Give a feature whose cells were counted hour by hour."""
    totals = {cause: sum(cells) for cause, cells in causes.items()}
    over_time = OverTime(START, 3600, compared, causes)
    cells = sum(totals.values())
    rate = cells / sum(compared)
    return FeatureParity("trip__km", sum(compared), cells, rate, (0.0, 1.0), causes=totals, over_time=over_time)


def heights(path: str) -> dict[int, tuple[float, float]]:
    """Give from where to where each slot's bar goes, in per cent of the plot's height."""
    return {int(float(x)): (100 - int(low), 100 - int(high)) for x, low, high in BAR.findall(path)}


def plotted(**changes: Any) -> Report:
    """Give a report of one feature with a fault, a schedule and distributions."""
    one = counted({"rescaled": [0, 10, 40, 0], "stale_online": [5, 5, 0, 0]}, [100, 100, 100, 0])
    findings = [
        Finding("rescaled", "fail", "trip__km", "rescaled", "m", "r", START + HOUR, START + 3 * HOUR),
        Finding("stale_online", "info", "trip__km", "stale_online", "m", "r", START, START + 2 * HOUR),
    ]
    skew, drift = row("trip__km", "act", psi=0.4, histogram=NUMBERS), row("trip__km", histogram=CITIES)
    base = report(
        parity=Parity(300, one.mismatched, [one]), findings=findings, distribution=Distribution([skew], [drift])
    )
    return dataclasses.replace(base, **changes)


def test_the_windows_plot_stacks_severities_on_the_share_of_all_cells() -> None:
    """The gravest lowest; the highest stretch is as high as the plot; where nothing was served there is no line."""
    found = timeline.of_report(plotted())
    assert found is not None
    assert (found.slots, found.top, found.each) == (4, 0.4, "1 h")
    assert [layer.name for layer in found.layers] == ["fail", "info"]
    assert heights(found.layers[0].path) == {1: (0, 25), 2: (0, 100)}
    assert heights(found.layers[1].path) == {0: (0, 12), 1: (25, 37)}
    assert found.traffic == "M-0.5 100h3"
    assert found.label == "the share of cells that differ over time, at most 40.0%, at 2026-03-01 02:00 UTC"


def test_a_findings_plot_has_its_cells_alone() -> None:
    first, second = (timeline.of_harm(harm) for harm in harms(plotted()))
    assert first is not None
    assert second is not None
    assert heights(first.layers[0].path) == {1: (0, 25), 2: (0, 100)}
    assert (second.layers[0].name, second.top) == ("info", 0.05)


def test_a_stretch_with_hardly_a_cell_does_not_set_the_scale_and_one_cell_is_seen() -> None:
    found = timeline.of_feature(counted({"rescaled": [1, 500, 3]}, [100_000, 1000, 3]))
    assert found is not None
    assert found.top == 0.5
    assert heights(found.layers[0].path) == {0: (0, timeline.LEAST), 1: (0, 100), 2: (0, 100)}


@pytest.mark.parametrize(
    ("causes", "compared"), [({}, [9, 9]), ({"rescaled": [5]}, [9])], ids=["nothing differs", "one stretch"]
)
def test_nothing_is_drawn_where_there_is_no_course(causes: dict[str, list[int]], compared: list[int]) -> None:
    one = counted(causes, compared)
    assert timeline.of_feature(one) is None
    assert timeline.of_report(report(parity=Parity(9, one.mismatched, [one]), findings=[])) is None


def test_reports_without_counts_over_time_have_no_plot_of_them() -> None:
    """Those that an older version has written."""
    assert timeline.of_report(report()) is None
    assert [timeline.of_harm(harm) for harm in harms(report())] == [None] * 5


@pytest.mark.parametrize(
    ("start", "length", "labels"),
    [
        (datetime(2026, 3, 1, 4, tzinfo=timezone.utc), timedelta(days=1), ["06:00", "12:00", "18:00", "03-02"]),
        (datetime(2026, 3, 1, tzinfo=timezone.utc), timedelta(days=3), ["03-01", "12:00", "03-02", "12:00", "03-03"]),
        (datetime(2026, 3, 1, 4, 59, 58, tzinfo=timezone.utc), timedelta(seconds=5), ["04:59:58", "04:59:59"]),
        (datetime(2026, 3, 1, tzinfo=timezone.utc), timedelta(days=30), ["03-05", "03-12", "03-19", "03-26"]),
    ],
)
def test_ticks_stand_at_neat_times(start: datetime, length: timedelta, labels: list[str]) -> None:
    found = timeline.ticks(start, length)
    assert [tick.label for tick in found][: len(labels)] == labels
    assert len(found) <= timeline.MOST_TICKS + 1
    lefts = [tick.left for tick in found]
    assert lefts == sorted(lefts)
    assert all(0 <= left < 100 for left in lefts)


def test_a_histogram_sets_what_was_served_before_the_reference() -> None:
    """Open cells at the ends only where they have something, and nulls in a slot of their own."""
    found = histograms.drawn(NUMBERS)
    assert found is not None
    assert (found.slots, found.top, found.labels) == (4, 0.5, ("0 to 1", "1 to 2", "over 2", "null"))
    assert heights(found.reference) == {0: (0, 100), 1: (0, 60), 3: (0, 40)}
    assert heights(found.served) == {0: (0, 50), 1: (0, 60), 2: (0, 40), 3: (0, 50)}
    assert found.moved == "0 to 1: 50.0% → 25.0%"


def test_many_numbers_have_labels_at_both_ends_and_many_categories_none() -> None:
    edges = tuple(map(float, range(19)))
    labels = ("up to 0", *(f"{low:g} to {low + 1:g}" for low in edges[:-1]), "over 18")
    even = (0.05,) * 20
    found = histograms.drawn(Histogram(labels, even, even, (0.0, 0.0), edges))
    assert found is not None
    assert (found.slots, found.labels, found.moved) == (20, ("up to 0", "over 18"), "")
    many = histograms.drawn(Histogram(tuple("abcdefg"), (1 / 7,) * 7, (1 / 7,) * 7, (0.0, 0.0)))
    assert many is not None
    assert many.labels == ()


@pytest.mark.parametrize("histogram", [None, Histogram(("a",), (0.0,), (0.0,), (0.0, 0.0))])
def test_no_histogram_is_drawn_of_nothing(histogram: Histogram | None) -> None:
    assert histograms.drawn(histogram) is None


def test_a_page_has_the_plots_and_its_categories_are_text(tmp_path: Path) -> None:
    """When, both distributions, and what moved most; a category's name makes no element."""
    source = plotted().to_html(tmp_path / "r.html").read_text("utf-8")
    body = source.partition("<body>")[2]
    assert body.count('class="timeline ') == 4  # of the window, of each finding, of the feature
    assert body.count('class="bins"') == 2
    assert "Most moved 0 to 1: 50.0% → 25.0%" in body
    assert "<script" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;[bold]x[/bold]: 90.0% → 20.0%" in body
    assert "each bar 1 h, UTC" in body
    assert "in stretches of 1 h." in body.partition("How this was computed")[2]


def test_a_finding_of_a_distribution_has_its_plot(tmp_path: Path) -> None:
    """That of the reference which it is about."""
    told = Finding("psi_drift", "info", "trip__km", None, "m", "r")
    source = plotted(findings=[told]).to_html(tmp_path / "r.html").read_text("utf-8")
    card = source.partition('<article class="finding')[2].partition("</article>")[0]
    assert "as served, in front of" in card
    assert "the training set</small>" in card
    assert card.count('class="bins"') == 1
    assert "[bold]x[/bold]: 90.0% → 20.0%" in card


def test_frames_have_the_cells_over_time_and_the_histograms() -> None:
    tables = plotted().to_frames()
    over_time = tables["over_time"]
    assert list(over_time["start"]) == [START, START + HOUR, START + 2 * HOUR]
    assert list(over_time["rate"]) == [0.05, 0.15, 0.4]
    assert [list(over_time[cause]) for cause in ("rescaled", "stale_online")] == [[0, 10, 40], [5, 5, 0]]
    cells = tables["histograms"]
    skew = cells[cells["question"] == "skew"]
    assert list(skew["cell"]) == ["up to 0", "0 to 1", "1 to 2", "over 2", "null"]
    assert list(skew["low"][:4]) == [-math.inf, 0.0, 1.0, 2.0]
    assert (skew["reference"].sum(), skew["served"].sum()) == pytest.approx((1.0, 1.0))
    assert list(cells[cells["question"] == "drift"]["served"]) == [0.2, 0.1, 0.7]
