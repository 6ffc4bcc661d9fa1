"""The report as one HTML page: no script, no request, and every name and value in it escaped."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from skew_ext.model import AuditReport, DistributionRow, Example, FeatureParity
from skew_ext.report import harm, histograms, plots, remarks, summary, timeline, words
from skew_ext.text import visible

MOST_EXAMPLES = 10
MOST_OF_ALL = 300
"""So many examples fit a page that can be mailed, whatever the number of features; each keeps at least three."""
URGENCY = ("act", "watch", "too_few", "pass")
_QUOTED = re.compile(r"`([^`]+)`")
LABELS = {"pass": "Pass", "warn": "Warn", "fail": "Fail", "info": "Info"}


@dataclass(frozen=True)
class _Plots:
    """What is drawn of one feature."""

    name: str
    parity: FeatureParity | None
    skew: DistributionRow | None
    drift: DistributionRow | None

    @property
    def told(self) -> bool:
        """Whether there is anything to look at: cells that differ, or a distribution that has moved."""
        moved = any(row is not None and row.verdict in ("act", "watch") for row in (self.skew, self.drift))
        return moved or bool(self.parity and self.parity.mismatched)

    @property
    def any(self) -> bool:
        """Whether anything can be drawn."""
        drawn = any(row is not None and row.histogram is not None for row in (self.skew, self.drift))
        return drawn or bool(self.parity and timeline.of_feature(self.parity))


def page(report: AuditReport, *, findings_alone: bool = False) -> str:
    """Give the whole page, or its findings alone."""
    return _template().render(_context(report), findings_alone=findings_alone)


def embedded(report: AuditReport, *, findings_alone: bool = False) -> str:
    """Give the page for a notebook, in a frame of its own: neither its style nor the notebook's reaches the other."""
    style = "width:100%;height:720px;border:1px solid #8884;border-radius:8px"
    source = html.escape(page(report, findings_alone=findings_alone))
    return f'<iframe sandbox title="skew audit" style="{style}" srcdoc="{source}"></iframe>'


@cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(lambda name: files("skew_ext.report").joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": words.count,
        "plural": words.plural,
        "percent": words.percent,
        "duration": words.duration,
        "span": lambda value: words.span(*value),
        "moment": words.moment,
        "figure": words.figure,
        "probability": words.probability,
        "cell": words.cell,
        "entity": words.key,
        "name": _breakable,
        "remarks": remarks.of_distribution,
        "thresholds": remarks.of_thresholds,
        "basis": remarks.of_ttl,
        "staleness": plots.staleness,
        "effect": plots.effect,
        "timeline": timeline.of_harm,
        "course": timeline.of_feature,
        "histogram": histograms.drawn,
        "prose": _prose,
        "opening": _opening,  # jinja's own capitalize makes "TTL" into "ttl"
    }
    return environment.get_template("template.html.j2")


def _context(report: AuditReport) -> dict[str, Any]:
    features = sorted(report.parity.features, key=lambda one: -one.rate)
    causes = _bars(report)
    return {
        "report": report,
        "labels": LABELS,
        "meanings": words.CAUSES,
        "sentence": summary.sentence(report),
        "decisions": remarks.decisions(report.impact),
        "harms": harm.harms(report),
        "timeline": timeline.of_report(report),
        "severities": _severities(report),
        "causes": causes,
        "order": {one["name"]: place for place, one in enumerate(causes)},
        "fine": summary.fine(report),
        "unchecked": summary.unchecked(report),
        "differing": [one for one in features if one.mismatched],
        "plots": _plots(report, features),
        "moved": _moved(report),
        "same": sorted((one for one in features if not one.mismatched), key=lambda one: one.feature),
        "widest": max((one.ci95[1] for one in features if one.mismatched), default=1.0),
        "examples": _examples(features),
        "matrix": sorted({name for one in report.ttl for name in one.matrix}),
        "distributions": [
            ("Skew", "served values against the baseline of the same rows", _split(report.distribution.skew)),
            ("Drift", "served values against the training set", _split(report.distribution.drift)),
        ],
    }


def _severities(report: AuditReport) -> list[tuple[str, int]]:
    """Give the severities that there are, the gravest first, each with the number of its findings."""
    found = Counter(str(one.severity) for one in report.findings)
    return [(severity, found[severity]) for severity in harm.SEVERITIES if severity in found]


def _examples(features: list[FeatureParity]) -> list[tuple[FeatureParity, list[Example]]]:
    shown = [one for one in features if one.examples]
    most = max(3, min(MOST_EXAMPLES, MOST_OF_ALL // max(len(shown), 1)))
    return [(one, one.examples[:most]) for one in shown]


def _plots(report: AuditReport, features: list[FeatureParity]) -> tuple[list[_Plots], list[_Plots]]:
    """Give what is drawn of each feature, those that differ or have moved before the others."""
    skew, drift = ({row.feature: row for row in rows} for rows in (report.distribution.skew, report.distribution.drift))
    known = {one.feature: one for one in features}
    drawn = [_Plots(name, known.get(name), skew.get(name), drift.get(name)) for name in {**known, **skew, **drift}]
    drawn = [one for one in drawn if one.any]
    return [one for one in drawn if one.told], [one for one in drawn if not one.told]


def _moved(report: AuditReport) -> dict[tuple[str, str], tuple[DistributionRow, str]]:
    """Give the row that a finding of a distribution is about, with the name of its reference, by code and feature."""
    of = report.distribution
    against = (("psi_skew", of.skew, "the baseline"), ("psi_drift", of.drift, "the training set"))
    rows = ((code, row, name) for code, some, name in against for row in some if row.histogram is not None)
    return {(code, row.feature): (row, name) for code, row, name in rows}


def _finalized(value: Any) -> Any:
    """Return text of data as it is shown: no control character, and nothing that turns the reading order round."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    """Escape a name and let it break after its underscores, which browsers do not do by themselves."""
    return Markup("_<wbr>").join(escape(visible(name)).split("_"))


def _opening(text: str) -> str:
    """Begin with a capital, as a sentence does, unless it begins with a name such as trip__km."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].rstrip(",:;").isalpha() else text


def _prose(text: str) -> Markup:
    """Escape a message, and set as code what stands in it between backticks."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(visible(text)))))  # noqa: S704 - escaped right here


def _bars(report: AuditReport) -> list[dict[str, Any]]:
    """Give each cause with its share of the compared cells, and its bar's length against the longest one's."""
    ranked = summary.causes(report)
    longest = ranked[0][1] if ranked else 1
    return [
        {"name": name, "cells": cells, "rate": cells / max(report.parity.cells, 1), "length": 100 * cells / longest}
        for name, cells in ranked
    ]


def _split(rows: list[DistributionRow]) -> tuple[list[DistributionRow], list[DistributionRow]]:
    """Part the rows that want a look, the most urgent first, from those that pass."""
    ranked = sorted(rows, key=lambda row: (URGENCY.index(row.verdict), -(row.psi or 0.0), row.feature))
    return [row for row in ranked if row.verdict != "pass"], [row for row in ranked if row.verdict == "pass"]
