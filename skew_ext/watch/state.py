"""What the watch of one service remembers, beside its windows and incidents."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skew_ext.watch.detector import DetectorState
from skew_ext.watch.spread import Scale

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ServiceState:
    """Where the watch of one service stands.

    All that was served before `watermark` was audited. `totals` counts cells since the watch began, by metric label and
    cause. `scales` are what each feature's values are counted on. `revision` rises with each commit: a commit on
    another than the stored one is refused, so that two watches of one log count nothing twice.
    """

    feature_service: str
    watermark: datetime
    revision: int = 0
    detector: DetectorState = field(default_factory=DetectorState)
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scales: Mapping[str, Scale] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give what has no column of its own, as JSON can hold it."""
        return {
            "detector": self.detector.to_json(),
            "totals": {label: dict(causes) for label, causes in self.totals.items()},
            "scales": {name: scale.to_json() for name, scale in self.scales.items()},
        }

    @classmethod
    def from_json(
        cls, feature_service: str, watermark: datetime, revision: int, content: dict[str, Any]
    ) -> ServiceState:
        """Give it back."""
        return cls(
            feature_service,
            watermark,
            revision,
            DetectorState.from_json(content["detector"]),
            content["totals"],
            {name: Scale.from_json(scale) for name, scale in content["scales"].items()},
        )
