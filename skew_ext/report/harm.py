"""The findings in the order of harm, with how much of what was served each concerns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from skew_ext.model import AuditReport, FeatureParity, Finding
from skew_ext.report import words
from skew_ext.report.course import Course

SEVERITIES = ("fail", "warn", "info")
NAMES_SHOWN = 3
TOLD_TOGETHER = ("psi_skew", "psi_drift")
"""Findings without a cause of which the worst speaks for the rest, whatever their views."""


@dataclass(frozen=True)
class Extent:
    """How many of the compared cells a finding concerns; at least one."""

    cells: int
    compared: int

    @property
    def rate(self) -> float:
        """The share of the compared cells."""
        return self.cells / self.compared


@dataclass(frozen=True)
class Harm:
    """One finding, or several that are told as one: of one view and cause, or of distributions that moved."""

    findings: tuple[Finding, ...]
    extents: tuple[Extent, ...]
    parities: tuple[FeatureParity, ...]
    view: str | None
    end: datetime
    """Of the window."""

    @property
    def first(self) -> Finding:
        """The finding that speaks for all."""
        return self.findings[0]

    @property
    def extent(self) -> Extent | None:
        """All cells that the findings concern together; None where they are not about cells."""
        if not self.extents:
            return None
        return Extent(sum(one.cells for one in self.extents), sum(one.compared for one in self.extents))

    @property
    def rates(self) -> tuple[float, float] | None:
        """The lowest and the highest share of cells among the findings."""
        found = [one.rate for one in self.extents]
        return (min(found), max(found)) if found else None

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """The first and the last serving time that the findings are about."""
        since = [one.since for one in self.findings if one.since is not None]
        until = [one.until for one in self.findings if one.until is not None]
        return (min(since), max(until)) if since and until else None

    @cached_property
    def course(self) -> Course | None:
        """The cells that the findings concern over the time of the window; None where they are not about cells."""
        cause = self.first.cause
        return Course.of((one.over_time for one in self.parities), [cause]) if cause and self.extents else None

    @property
    def when(self) -> str:
        """Say since when and until when what the findings are about was served; nothing where that is not known."""
        if self.span is None:
            return ""
        return words.span(*self.span) if self.course is None else self.course.when(*self.span, self.end)

    @property
    def what(self) -> str:
        """Name what differs: a feature, or a view and the first few of its features."""
        names = [finding.feature for finding in self.findings if finding.feature]
        if not names:
            return "The baseline" if self.first.code.startswith("baseline_") else "The whole audit"
        if len(names) == 1:
            return names[0]
        if self.view is None:
            return f"{words.plural(len(names), 'feature')}, most {names[0]}"
        short = [name.removeprefix(f"{self.view}__") for name in names]
        more = f" and {len(short) - NAMES_SHOWN} more" if len(short) > NAMES_SHOWN else ""
        return f"{self.view}: {', '.join(short[:NAMES_SHOWN])}{more}"

    @property
    def why(self) -> str:
        """Say the cause in a few words, or what the finding says where it has none."""
        cause, others = self.first.cause, len(self.findings) - 1
        if cause in words.CAUSES:
            return f"{words.CAUSES[cause]} ({cause})"
        return f"{self.first.message}, and {words.plural(others, 'other')} less" if others else self.first.message

    @property
    def lag(self) -> float | None:
        """For how long, at most, a newer row had waited to be materialized, in seconds; of stale cells only."""
        lags = [one.lag.max for one in self.parities if one.lag]
        return max(lags) if lags and self.first.cause == "stale_online" else None

    @property
    def share(self) -> str:
        """Say which share of the cells the findings concern, from the least to the most of them."""
        if self.rates is None:
            return words.NONE
        low, high = (words.percent(rate) for rate in self.rates)
        return f"{high} of cells" if low == high else f"{low} to {high} of cells"

    @property
    def story(self) -> str:
        """Say why, how late at most, and from when to when: not of what is by design, nor twice what a message says."""
        late = f", up to {words.duration(self.lag)} late" if self.lag is not None else ""
        told = self.when if self.first.cause is not None and self.first.severity != "info" else ""
        return self.why + late + (f"; {told}" if told else "")

    @property
    def remedies(self) -> list[str]:
        """Every remedy once."""
        return list(dict.fromkeys(finding.remedy for finding in self.findings))

    @property
    def _kind(self) -> tuple[str, str, str | None, str | None]:
        return self.first.code, self.first.severity, self.first.cause, self.view

    def takes(self, other: Harm) -> bool:
        """Whether `other` is told in the same row: one cause in one view, or distributions that moved as this one."""
        if self._kind != other._kind:
            return False
        return self.first.code in TOLD_TOGETHER if self.view is None else self.first.cause is not None

    def with_also(self, other: Harm) -> Harm:
        """Give both as one."""
        return Harm(
            self.findings + other.findings,
            self.extents + other.extents,
            self.parities + other.parities,
            self.view,
            self.end,
        )


def harms(report: AuditReport) -> list[Harm]:
    """Give the findings, the gravest first: by severity, then by how many cells they concern."""
    folded: list[Harm] = []
    for finding in report.findings:
        one = _harm(finding, report)
        place = next((at for at, other in enumerate(folded) if other.takes(one)), None)
        if place is None:
            folded.append(one)
        else:
            folded[place] = folded[place].with_also(one)
    return sorted(folded, key=_gravity)


def _gravity(harm: Harm) -> tuple[int, int]:
    return SEVERITIES.index(harm.first.severity), -(harm.extent.cells if harm.extent else 0)


def _harm(finding: Finding, report: AuditReport) -> Harm:
    parities = tuple(one for one in report.parity.features if _concerns(finding, one))
    cells = sum(one.causes.get(finding.cause or "", 0) for one in parities)
    compared = sum(one.compared for one in parities)
    extents = (Extent(cells, compared),) if cells else ()
    single = len(parities) == 1 and parities[0].feature == finding.feature
    one_view = single and finding.code not in TOLD_TOGETHER
    view = _view_of(finding.feature or "", report) if one_view else None
    return Harm((finding,), extents, parities, view, report.end)


def _concerns(finding: Finding, one: FeatureParity) -> bool:
    name = finding.feature
    return name is not None and (one.feature == name or one.feature.startswith(f"{name}__"))


def _view_of(feature: str, report: AuditReport) -> str:
    """Give the feature's view: a known one where that fits, since both names may hold two underscores."""
    known = [one.view for one in report.ttl if feature.startswith(f"{one.view}__")]
    return max(known, key=len, default=feature.partition("__")[0])
