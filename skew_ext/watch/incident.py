"""Incidents: one for each group of features and cause that is over the threshold, until it has healed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skew_ext.report.as_json import encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMES = ("since", "opened_at", "last_seen", "closed_at")
UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class Sighting:
    """One group and cause over the threshold in one window, with the words and the evidence of its audit.

    `group` is a feature view, or a feature that stands alone, or "" for what concerns the whole service.
    """

    group: str
    cause: str
    severity: str
    features: tuple[str, ...]
    cells: int
    compared: int
    message: str
    remedy: str
    evidence: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Incident:
    """What is wrong, since when, how bad, why, and what to do.

    `since` is the start of the first window that showed it, `last_seen` the end of the last one; `opened_at` and
    `closed_at` are when the watch said so. `cells` of `compared` served cells differed, over all its windows.
    `deliveries` says of each message (`opened:notify1`, `closed:hook`, ...) when it was delivered; None while it waits.
    `refusals` says the same of each that was not taken: how often, since when, why, and when it is tried again.
    `answer` is what the hook said. `proposal` says why to retrain, or nothing. `seen_as` is the cause that single
    windows give, where more context has told a better one.
    """

    id: str
    feature_service: str
    group: str
    cause: str
    severity: str
    features: tuple[str, ...]
    since: datetime
    opened_at: datetime
    last_seen: datetime
    message: str
    remedy: str
    windows: int = 0
    cells: int = 0
    compared: int = 0
    closed_at: datetime | None = None
    evidence: tuple[Mapping[str, Any], ...] = ()
    deliveries: Mapping[str, str | None] = field(default_factory=dict)
    answer: str = ""
    seen_as: str = ""
    proposal: str = ""
    refusals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether it has not healed yet."""
        return self.closed_at is None

    def concerns(self, sighting: Sighting) -> bool:
        """Whether a sighting is of this incident: one that nothing explains may be of any cause."""
        same = sighting.cause in (self.cause, self.seen_as) or UNEXPLAINED in (sighting.cause, self.cause)
        return self.group == sighting.group and same

    def seen_again(self, sighting: Sighting, end: datetime) -> Incident:
        """Give the incident after another window that showed it; a cause that was found now takes the place of none."""
        known = self.cause != UNEXPLAINED or sighting.cause == UNEXPLAINED
        told = (
            self
            if known
            else replace(
                self, cause=sighting.cause, message=sighting.message, remedy=sighting.remedy, evidence=sighting.evidence
            )
        )
        return replace(
            told,
            features=tuple(dict.fromkeys((*self.features, *sighting.features))),
            last_seen=max(self.last_seen, end),
            windows=self.windows + 1,
            cells=self.cells + sighting.cells,
            compared=self.compared + sighting.compared,
        )

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can hold it; times are ISO 8601 in UTC."""
        content: dict[str, Any] = encoded(asdict(self))
        return {**content, "open": self.open}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Incident:
        """Give it back."""
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in content.items() if name in known}
        for name in _TIMES:
            values[name] = None if values.get(name) is None else datetime.fromisoformat(values[name])
        for name in ("features", "evidence"):
            values[name] = tuple(values[name])
        return cls(**values)


def incident_id(feature_service: str, sighting: Sighting, since: datetime) -> str:
    """Give a name for an incident that is the same however often its opening is tried."""
    known = f"{feature_service}\n{sighting.group}\n{sighting.cause}\n{since.isoformat()}"
    return "skw-" + hashlib.sha256(known.encode("utf-8", "backslashreplace")).hexdigest()[:12]
