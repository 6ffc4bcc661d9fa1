"""From windows to incidents: a burn-in, two windows in a row over the threshold, one incident, and healing.

Pure: the state goes in, the state and what has changed come out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skew_ext.watch.incident import UNEXPLAINED, Incident, Sighting, incident_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

IN_A_ROW = 2
"""So many windows in a row open an incident, and so many without it close one."""


@dataclass(frozen=True)
class Streak:
    """A group and cause that was over the threshold in each of the last `windows` windows, the first at `since`."""

    group: str
    cause: str
    since: datetime
    windows: int
    cells: int
    compared: int

    def concerns(self, sighting: Sighting) -> bool:
        """Whether a sighting goes on with it: what nothing explains may be any cause."""
        same = sighting.cause == self.cause or UNEXPLAINED in (sighting.cause, self.cause)
        return self.group == sighting.group and same


@dataclass(frozen=True)
class DetectorState:
    """What is remembered between windows. `observed` counts windows with rows; `quiet` those since an incident."""

    observed: int = 0
    streaks: tuple[Streak, ...] = ()
    quiet: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        streaks = [{**vars(one), "since": one.since.isoformat()} for one in self.streaks]
        return {"observed": self.observed, "streaks": streaks, "quiet": dict(self.quiet)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> DetectorState:
        """Give it back."""
        streaks = [{**one, "since": datetime.fromisoformat(one["since"])} for one in content["streaks"]]
        return cls(content["observed"], tuple(Streak(**one) for one in streaks), content["quiet"])


@dataclass(frozen=True)
class Observation:
    """One window: [start, end), how many rows it has, and what was over the threshold in it."""

    start: datetime
    end: datetime
    rows: int
    sightings: Sequence[Sighting]


@dataclass(frozen=True)
class Outcome:
    """The state after a window, and the incidents that it opened, saw again, or closed, as they are now."""

    state: DetectorState
    opened: list[Incident] = field(default_factory=list)
    seen: list[Incident] = field(default_factory=list)
    closed: list[Incident] = field(default_factory=list)

    @property
    def changed(self) -> list[Incident]:
        """All of them."""
        return [*self.opened, *self.seen, *self.closed]


def observe(  # noqa: PLR0913 - the state, the window, and what is ruled
    feature_service: str,
    state: DetectorState,
    window: Observation,
    incidents: Iterable[Incident],
    *,
    burn_in: int,
    now: datetime,
) -> Outcome:
    """Take the next window of a service; `incidents` are its open ones.

    A window without rows says nothing, neither good nor bad. The first `burn_in` windows with rows are only observed.
    """
    if not window.rows:
        return Outcome(state)
    observed = state.observed + 1
    if observed <= burn_in:
        return Outcome(replace(state, observed=observed))
    outcome = Outcome(DetectorState(observed))
    quiet: dict[str, int] = {}
    left = list(window.sightings)
    for incident in incidents:
        mine = [one for one in left if incident.concerns(one)]
        left = [one for one in left if one not in mine]
        _go_on(outcome, incident, mine, window, state.quiet.get(incident.id, 0), quiet, now)
    streaks = []
    for sighting in left:
        streak = _grown(state.streaks, sighting, window)
        if streak.windows >= IN_A_ROW:
            outcome.opened.append(_opened(feature_service, streak, sighting, window, now))
        else:
            streaks.append(streak)
    return replace(outcome, state=DetectorState(observed, tuple(streaks), quiet))


def _go_on(  # noqa: PLR0913 - an incident and its window
    outcome: Outcome,
    incident: Incident,
    sightings: Sequence[Sighting],
    window: Observation,
    quiet_before: int,
    quiet: dict[str, int],
    now: datetime,
) -> None:
    if sightings:
        for sighting in sightings:
            incident = incident.seen_again(sighting, window.end)
        outcome.seen.append(incident)
    elif window.start < incident.last_seen:
        quiet[incident.id] = quiet_before  # Rows that came late: they were served before it was last seen.
    elif quiet_before + 1 >= IN_A_ROW:
        outcome.closed.append(replace(incident, closed_at=now))
    else:
        quiet[incident.id] = quiet_before + 1


def _grown(streaks: Iterable[Streak], sighting: Sighting, window: Observation) -> Streak:
    before = next((one for one in streaks if one.concerns(sighting)), None)
    if before is None:
        return Streak(sighting.group, sighting.cause, window.start, 1, sighting.cells, sighting.compared)
    cause = before.cause if sighting.cause == UNEXPLAINED else sighting.cause
    cells, compared = before.cells + sighting.cells, before.compared + sighting.compared
    return Streak(sighting.group, cause, min(before.since, window.start), before.windows + 1, cells, compared)


def _opened(service: str, streak: Streak, sighting: Sighting, window: Observation, now: datetime) -> Incident:
    return Incident(
        id=incident_id(service, sighting, streak.since),
        feature_service=service,
        group=sighting.group,
        cause=streak.cause,
        severity=sighting.severity,
        features=sighting.features,
        since=streak.since,
        opened_at=now,
        last_seen=window.end,
        message=sighting.message,
        remedy=sighting.remedy,
        windows=streak.windows,
        cells=streak.cells,
        compared=streak.compared,
        evidence=sighting.evidence,
    )
