"""The page's histograms: what was served against a reference, on the reference's cells, as paths of an SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from skew_ext.model import Histogram
from skew_ext.report import words
from skew_ext.report.timeline import TALL, bars

LABELLED = 6
"""So many slots, at most, have room for a label each."""
MOVED = 0.005
"""A difference of shares below this is none to speak of."""


class Slot(NamedTuple):
    """One cell, and both sides' shares of it."""

    label: str
    reference: float
    served: float


@dataclass(frozen=True)
class Drawn:
    """Two sides' bars in `slots` slots; `top` is the share that is as high as the plot.

    `labels` stand below: one for each slot, or those of both ends of an axis. `moved` names the cell whose share
    differs most, "" where none does.
    """

    slots: int
    top: float
    reference: str
    served: str
    labels: tuple[str, ...]
    moved: str


def drawn(histogram: Histogram | None) -> Drawn | None:
    """Draw a histogram; None where there is none, or nothing in it."""
    slots = [] if histogram is None else _slots(histogram)
    top = max((max(one.reference, one.served) for one in slots), default=0.0)
    if histogram is None or not top:
        return None
    none = [0.0] * len(slots)
    return Drawn(
        slots=len(slots),
        top=top,
        reference=bars(none, [TALL * one.reference / top for one in slots]),
        served=bars(none, [TALL * one.served / top for one in slots]),
        labels=_labels(histogram, slots),
        moved=_moved(slots),
    )


def _slots(histogram: Histogram) -> list[Slot]:
    """Give the cells to draw: of numbers, the open ones at both ends only where they have something."""
    slots = list(map(Slot, histogram.labels, histogram.reference, histogram.served))
    if histogram.edges:
        empty = [not one.reference and not one.served for one in slots]
        slots = slots[empty[0] : len(slots) - empty[-1]]
    more = [("other", histogram.other), ("NaN", histogram.nans), ("null", histogram.nulls)]
    return [*slots, *(Slot(name, *shares) for name, shares in more if any(shares))]


def _labels(histogram: Histogram, slots: list[Slot]) -> tuple[str, ...]:
    if len(slots) <= LABELLED:
        return tuple(one.label for one in slots)
    if not histogram.edges:
        return ()
    return slots[0].label, slots[-1].label


def _moved(slots: list[Slot]) -> str:
    most = max(slots, key=lambda one: abs(one.served - one.reference))
    if abs(most.served - most.reference) < MOVED:
        return ""
    return f"{most.label}: {words.percent(most.reference)} → {words.percent(most.served)}"
