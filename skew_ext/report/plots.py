"""Where things stand in the page's small plots, in per cent of their width; the template draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from skew_ext.model import DistributionRow, ViewTtl


@dataclass(frozen=True)
class Staleness:
    """A box plot of one view's staleness on a scale that grows as log(1 + seconds), which 0 has a place on.

    The line is from p1 to p99, the box from p25 to p75; `ttl` is None where the view has none.
    """

    line: tuple[float, float]
    box: tuple[float, float]
    median: float
    ttl: float | None


@dataclass(frozen=True)
class Effect:
    """How far a distribution moved: the length of its PSI's bar, and where the thresholds stand that it is set to."""

    length: float
    watch: float
    act: float


def effect(row: DistributionRow, thresholds: dict[str, dict[str, float]]) -> Effect | None:
    """Place a row's PSI against the thresholds that judged it, `psi_act` in the middle; None where either is absent."""
    limits = thresholds.get(row.feature) or thresholds.get("default") or {}
    watch, act = limits.get("psi_watch"), limits.get("psi_act")
    if row.psi is None or math.isnan(row.psi) or watch is None or not act:
        return None
    return Effect(min(50 * row.psi / act, 100.0), 50 * watch / act, 50.0)


def staleness(view: ViewTtl) -> Staleness | None:
    """Place the quantiles of a view's staleness, and its TTL; None where nothing was served."""
    known = view.staleness_quantiles
    if not known.keys() >= {"p1", "p25", "p50", "p75", "p99"}:
        return None
    shown = [known["p1"], known["p99"]] + ([view.ttl_seconds] if view.ttl_seconds is not None else [])
    low, high = (_scale(end) for end in (min(shown), max(shown)))

    def place(seconds: float) -> float:
        # 3 % are left free at both ends, so that what stands there is seen.
        return 3 + 94 * (_scale(seconds) - low) / (high - low) if high > low else 50.0

    return Staleness(
        (place(known["p1"]), place(known["p99"])),
        (place(known["p25"]), place(known["p75"])),
        place(known["p50"]),
        None if view.ttl_seconds is None else place(view.ttl_seconds),
    )


def _scale(seconds: float) -> float:
    return math.log1p(max(seconds, 0.0))  # a row from after the request, of negative age, stands at 0
