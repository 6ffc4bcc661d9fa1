"""The page's plots over time: the share of cells that differ, in stretches of the window, as paths of an SVG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skew_ext.audit.over_time import neat_steps
from skew_ext.clock import duration_text
from skew_ext.model import AuditReport, FeatureParity
from skew_ext.report import words
from skew_ext.report.course import Course
from skew_ext.report.harm import SEVERITIES, Harm

TALL = 100
"""The height of every plot, in units of its own."""
FEWEST = 2
MOST_TICKS, FEW_TICKS = 7, 4
LEAST = 2
"""How high a bar is at least."""
LAST_TICK = 96.0
FULL = 0.1
"""A stretch with fewer than this share of the usual number of cells does not set the scale."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_Counts = npt.NDArray[np.float64]


class Tick(NamedTuple):
    """A time on the axis: where, in per cent of the width, and how it reads."""

    left: float
    label: str


class Layer(NamedTuple):
    """Bars of one colour: a severity, and the path of an SVG."""

    name: str
    path: str


@dataclass(frozen=True)
class Timeline:
    """Bars in `slots` stretches, `top` being the share that is as high as the plot; `label` says it to who cannot see.

    `traffic` is a line below the stretches in which cells were compared: where it is missing, nothing was served.
    """

    slots: int
    top: float
    traffic: str
    layers: tuple[Layer, ...]
    ticks: tuple[Tick, ...]
    label: str
    each: str


def of_report(report: AuditReport) -> Timeline | None:
    """Draw all cells that differ, stacked by the severity of their findings, the gravest lowest."""
    severity = {(one.feature, one.cause): str(one.severity) for one in report.findings}
    causes: dict[str, list[tuple[FeatureParity, str]]] = defaultdict(list)
    for one in report.parity.features:
        for cause in one.causes:
            causes[severity.get((one.feature, cause), SEVERITIES[-1])].append((one, cause))
    whole = Course.of((one.over_time for one in report.parity.features), [])
    if whole is None or not causes:
        return None
    layers = {name: _cells(causes[name], whole) for name in SEVERITIES if causes[name]}
    return _drawn(whole, layers)


def of_harm(harm: Harm) -> Timeline | None:
    """Draw the cells that a finding, or several that are told as one, concern."""
    return None if harm.course is None else _drawn(harm.course, {str(harm.first.severity): harm.course.cells})


def of_feature(one: FeatureParity) -> Timeline | None:
    """Draw all differing cells of a feature; None for one without."""
    course = Course.of([one.over_time], list(one.causes))
    return None if course is None or not one.mismatched else _drawn(course, {"all": course.cells}, FEW_TICKS)


def _cells(of: list[tuple[FeatureParity, str]], whole: Course) -> _Counts:
    total = np.zeros_like(whole.compared)
    for one, cause in of:
        course = Course.of([one.over_time], [cause])
        # All features of one audit are counted in the same stretches.
        total += 0 if course is None else course.cells
    return total


def _drawn(course: Course, layers: Mapping[str, _Counts], most_ticks: int = MOST_TICKS) -> Timeline | None:
    """Draw layers of cells, one on the other; None where the window is too short for a course, or nothing differs."""
    total = np.sum(list(layers.values()), axis=0)
    if len(course.compared) < FEWEST or not total.any():
        return None
    rates = Course(course.start, course.step, course.compared, total).rates
    usual = course.compared >= FULL * np.median(course.compared[course.served])
    top = float(rates[usual].max()) or float(rates.max())
    below, paths = np.zeros_like(total), []
    for name, cells in layers.items():
        low, high = (TALL * np.clip(_rate(one, course.compared) / top, 0.0, 1.0) for one in (below, below + cells))
        paths.append(Layer(name, bars(low, high)))
        below = below + cells
    most = int(np.argmax(np.where(usual, rates, -1.0)))
    when = words.minute(course.start + most * course.step)
    return Timeline(
        slots=len(total),
        top=top,
        traffic=line(course.served),
        layers=tuple(paths),
        ticks=ticks(course.start, course.step * len(total), most_ticks),
        label=f"the share of cells that differ over time, at most {words.percent(top)}, at {when}",
        each=duration_text(course.step.total_seconds()),
    )


def _rate(cells: _Counts, compared: _Counts) -> _Counts:
    return np.divide(cells, compared, out=np.zeros_like(cells), where=compared > 0)


def bars(lows: npt.ArrayLike, highs: npt.ArrayLike) -> str:
    """Give the path of bars, one in each slot that has any, from one height to another; the lowest can still be seen.

    Each is a line along the middle of its slot, to be drawn as wide as a bar: that takes the fewest characters.
    """
    ends = np.stack([np.asarray(lows, float), np.asarray(highs, float)])
    heights = np.rint(ends).astype(int)
    return "".join(
        f"M{place} {TALL - heights[0, place]}V{TALL - max(heights[1, place], heights[0, place] + LEAST)}"
        for place in np.flatnonzero(ends[1] > ends[0])
    )


def line(slots: npt.NDArray[np.int64]) -> str:
    """Give the path of a line below slots, with gaps where there are gaps."""
    runs = np.split(slots, np.flatnonzero(np.diff(slots) > 1) + 1)
    return "".join(f"M{run[0] - 0.5:g} {TALL}h{len(run)}" for run in runs if len(run))


def ticks(start: datetime, length: timedelta, most: int = MOST_TICKS) -> tuple[Tick, ...]:
    """Give neat times to stand below a stretch of time, about `most`; a day by its date, all else by its hour."""
    whole = length // timedelta(microseconds=1)
    step = next(step for step in neat_steps() if whole // step <= most)
    first = (start - _EPOCH) // timedelta(microseconds=1)
    times = range(-(-first // step) * step, first + whole, step)
    places = [(100 * (time - first) / whole, _EPOCH + timedelta(microseconds=time)) for time in times]
    return tuple(Tick(left, _read(moment, step)) for left, moment in places if left < LAST_TICK)


def _read(moment: datetime, step: int) -> str:
    if moment.hour == moment.minute == moment.second == 0:
        return f"{moment:%m-%d}"
    return f"{moment:%H:%M:%S}" if step < 60_000_000 else f"{moment:%H:%M}"  # noqa: PLR2004 - a minute
