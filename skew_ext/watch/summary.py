"""What is kept of a window that was watched: counts, distributions on fixed bins, and ages. Summaries add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skew_ext.watch.ages import AgeSketch
from skew_ext.watch.spread import Scale, Spread, merged, spread_from_json, spread_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EQUAL = "equal"
"""What cells that do not differ count under, where others count under their cause."""


@dataclass(frozen=True)
class FeatureSummary:
    """One feature: cells compared, differing cells by cause, served nulls, and both distributions where there are any.

    `nulls` and `served_rows` are of all rows in which the feature was looked at, also where nothing could be compared.
    """

    compared: int = 0
    mismatched: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    served_rows: int = 0
    nulls: int = 0
    served: Spread | None = None
    baseline: Spread | None = None

    @property
    def ratio(self) -> float | None:
        """The share of compared cells that differ; None without any."""
        return self.mismatched / self.compared if self.compared else None

    @property
    def null_ratio(self) -> float | None:
        """The share of served cells that are null; None without any."""
        return self.nulls / self.served_rows if self.served_rows else None

    @property
    def cells(self) -> dict[str, int]:
        """All compared cells, by cause; those that do not differ under `EQUAL`."""
        unexplained = self.mismatched - sum(self.causes.values())
        lost = {"unexplained": self.causes.get("unexplained", 0) + unexplained} if unexplained > 0 else {}
        return {EQUAL: self.compared - self.mismatched, **self.causes, **lost}

    def merge(self, other: FeatureSummary) -> FeatureSummary:
        """Give both together; `other` is the later one."""
        return FeatureSummary(
            compared=self.compared + other.compared,
            mismatched=self.mismatched + other.mismatched,
            causes=dict(Counter(self.causes) + Counter(other.causes)),
            served_rows=self.served_rows + other.served_rows,
            nulls=self.nulls + other.nulls,
            served=merged(self.served, other.served),
            baseline=merged(self.baseline, other.baseline),
        )

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can hold it, without its scale."""
        content: dict[str, Any] = {"compared": self.compared, "served_rows": self.served_rows}
        content |= {name: value for name in ("mismatched", "causes", "nulls") if (value := getattr(self, name))}
        for name in ("served", "baseline"):
            spread = getattr(self, name)
            if spread is not None:
                content[name] = spread_to_json(spread)
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any], scale: Scale | None) -> FeatureSummary:
        """Give it back; a distribution on another scale than the present one is left out."""
        counts = {name: value for name, value in content.items() if name not in ("served", "baseline")}
        spreads: dict[str, Any] = {
            name: None if scale is None or name not in content else spread_from_json(content[name], scale)
            for name in ("served", "baseline")
        }
        return cls(**counts, **spreads)


@dataclass(frozen=True)
class WindowSummary:
    """What was served in [start, end), times in UTC: rows, features by `view__feature`, ages by view."""

    start: datetime
    end: datetime
    rows: int = 0
    features: dict[str, FeatureSummary] = field(default_factory=dict)
    ages: dict[str, AgeSketch] = field(default_factory=dict)

    def merge(self, other: WindowSummary) -> WindowSummary:
        """Give both together; `other` is the later one."""
        features, ages = dict(self.features), dict(self.ages)
        for name, feature in other.features.items():
            features[name] = features[name].merge(feature) if name in features else feature
        for view, sketch in other.ages.items():
            ages[view] = ages[view].merge(sketch) if view in ages else sketch
        return WindowSummary(
            min(self.start, other.start), max(self.end, other.end), self.rows + other.rows, features, ages
        )

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can hold it, without the scales."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "features": {name: feature.to_json() for name, feature in self.features.items()},
            "ages": {
                view: {"oldest": sketch.oldest, "counts": list(sketch.counts.items())}
                for view, sketch in self.ages.items()
            },
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], scales: Mapping[str, Scale]) -> WindowSummary:
        """Give it back, with the scales that its features have now."""
        return cls(
            start=datetime.fromisoformat(content["start"]),
            end=datetime.fromisoformat(content["end"]),
            rows=content["rows"],
            features={
                name: FeatureSummary.from_json(feature, scales.get(name))
                for name, feature in content["features"].items()
            },
            ages={
                view: AgeSketch({int(place): count for place, count in sketch["counts"]}, sketch["oldest"])
                for view, sketch in content["ages"].items()
            },
        )


def together(windows: Iterable[WindowSummary], start: datetime, end: datetime) -> WindowSummary:
    """Give the sum of windows as what was served in [start, end), merged in the order of time."""
    total = WindowSummary(start, end)
    for window in sorted(windows, key=lambda one: one.start):
        total = total.merge(window)
    return replace(total, start=start, end=end)
