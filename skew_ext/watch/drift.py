"""Drift against the training set, from the watch's windows, and when retraining is worth proposing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skew_ext.statistics import Thresholds
from skew_ext.watch.incident import Incident, Sighting
from skew_ext.watch.spread import Scale, Spread, divergence
from skew_ext.watch.summary import FeatureSummary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import pyarrow as pa

    from skew_ext.watch.score import ScoreChange
    from skew_ext.watch.summary import WindowSummary

DRIFT, JUMP = "psi_drift", "psi_jump"
LIMITS = Thresholds()
_REMEDY = {
    DRIFT: "compare the periods; retrain if it lasts and the score falls",
    JUMP: "look for a change in a pipeline or a source: the world seldom changes within an hour",
}


@dataclass(frozen=True)
class Training:
    """The training set as it is kept: each feature's scale, and its counts on it."""

    scales: dict[str, Scale] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Mapping[str, pa.ChunkedArray]) -> Training:
        """Summarize the training set's columns, by the features' names in the log."""
        made = cls()
        for name, column in columns.items():
            scale = Scale.of(name, column, column, LIMITS)
            spread = None if scale is None else scale.count(column)
            if scale is not None and spread is not None:
                made.scales[name], made.spreads[name] = scale, spread
        return made


def drift_sightings(
    training: Training, last_hour: WindowSummary, last_day: WindowSummary, important: Collection[str]
) -> list[Sighting]:
    """Give the important features whose last day is off the training set: PSI over 0.2, and no chance.

    One whose last hour is as far off the day before it has jumped: that is how a broken pipeline looks.
    """
    found = []
    for name in important:
        served, recent = (window.features.get(name, FeatureSummary()).served for window in (last_day, last_hour))
        moved = divergence(training.spreads.get(name), served, LIMITS.minimum_rows)
        if moved is None or moved[0] < LIMITS.psi_act or moved[1] >= LIMITS.alpha:
            continue
        jumped = divergence(served, recent, LIMITS.minimum_rows)
        cause = JUMP if jumped is not None and jumped[0] >= LIMITS.psi_act and jumped[1] < LIMITS.alpha else DRIFT
        message = f"the last day's values are off the training set: PSI {moved[0]:.2f}"
        found.append(Sighting(name, cause, "warn", (name,), 0, 0, message, _REMEDY[cause]))
    return found


def proposal(drift: Incident, open_incidents: Iterable[Incident], score: ScoreChange | None) -> str:
    """Say that retraining is proposed, and why; "" where it is not.

    Only for drift, where the labelled score fell, and nothing is broken.
    """
    broken = any(one.cause != DRIFT for one in open_incidents)
    if drift.cause != DRIFT or broken or score is None or not score.fell:
        return ""
    return f"retrain: {drift.message}, and the score fell ({score})"
