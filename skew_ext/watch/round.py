"""One round of the watch of one service: what came late, what is new, each window kept in one step of its own.

A step (`Commit`) holds a window's summary, the watermark behind it, the counters, and the incidents that it opened or
closed. Killed between any two steps, the next round goes on at the watermark: nothing is counted twice or left out.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from skew_ext.watch.counting import count_rows
from skew_ext.watch.detector import Observation, Outcome, observe
from skew_ext.watch.incident import Sighting
from skew_ext.watch.labels import added
from skew_ext.watch.sightings import NEEDS_CONTEXT, better_known, sightings
from skew_ext.watch.state import ServiceState
from skew_ext.watch.store import Commit
from skew_ext.watch.summary import WindowSummary, together
from skew_ext.watch.telling import TELL_WITHIN
from skew_ext.watch.windows import Kept, cuts, due_for_merging, may_grow, outdated
from skew_ext.watch.wording import title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skew_ext.clock import Clock
    from skew_ext.settings import SkewSettings
    from skew_ext.watch.auditing import WindowAudit
    from skew_ext.watch.incident import Incident
    from skew_ext.watch.options import WatchOptions
    from skew_ext.watch.spread import Scale
    from skew_ext.watch.store import WatchStore

logger = logging.getLogger("skew_ext")
LOOK_BACK = timedelta(minutes=10)
"""How much before the first window of an incident is audited with it, to know its cause better."""
FIRST_LOOK = timedelta(hours=1)
"""How far back a watch begins that has not watched before."""


@dataclass
class RoundResult:
    """What a round did: windows and rows that were audited, and incidents as they are now."""

    windows: int = 0
    rows: int = 0
    changed: tuple[Incident, ...] = ()


class ServiceWatch:
    """The watch of one service. What it knows is in the store; it keeps a copy between rounds."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        feature_service: str,
        store: WatchStore,
        audit: WindowAudit,
        settings: SkewSettings,
        options: WatchOptions,
        clock: Clock,
        scales: Mapping[str, Scale] | None = None,
    ) -> None:
        self.feature_service = feature_service
        self.drifting: list[Sighting] = []
        self._store = store
        self._audit = audit
        self._settings = settings
        self._options = options
        self._clock = clock
        self._scales = dict(scales or {})
        self.state: ServiceState | None = None
        self.kept: list[Kept] = []
        self.incidents: dict[str, Incident] = {}
        self.untold: dict[str, Incident] = {}
        self._result = RoundResult()

    def forget(self) -> None:
        """Read everything from the store again in the next round: another watch, or an error, was at work."""
        self.state = None

    def run(self) -> RoundResult:
        """Audit what came late and what is new, merge what has settled; give what was done.

        Raises
        ------
        OtherWatchError
            Another watch of this log was faster.
        SkewError
            The log cannot be read, the audit cannot be done, or the store cannot be used. What was done before stays.
        """
        self._result = RoundResult()
        until = (self._clock() - self._options.margin).replace(microsecond=0)
        self._load(until)
        state = self._present()
        late = may_grow(self.kept, state.watermark, self._options.late)
        stretches = [(one.window.start, one.window.end) for one in late]
        new = [(state.watermark, until)] if until > state.watermark else []
        counts = count_rows(self._settings, self.feature_service, [*stretches, *new])
        for one, count in zip(late, counts, strict=False):
            if count > one.window.rows:
                self._late(one)
        if new:
            self._new(state.watermark, until, counts[-1])
        self._merge()
        return self._result

    def told(self, incident: Incident) -> None:
        """Keep what became of an incident's messages."""
        self._store.save([incident])
        self.untold[incident.id] = incident
        if incident.id in self.incidents:
            self.incidents[incident.id] = incident

    def _load(self, until: datetime) -> None:
        if self.state is not None:
            return
        stored = self._store.state(self.feature_service)
        state = stored or ServiceState(self.feature_service, until - FIRST_LOOK)
        self.state = replace(state, scales={**state.scales, **self._scales})
        self.kept = self._store.windows(self.state) if stored else []
        since = self._clock() - TELL_WITHIN
        self.untold = {one.id: one for one in self._store.incidents(self.feature_service, since=since)}
        self.incidents = {name: one for name, one in self.untold.items() if one.open}

    def _present(self) -> ServiceState:
        if self.state is None:
            msg = "a watch that was not loaded"
            raise RuntimeError(msg)
        return self.state

    def _new(self, start: datetime, until: datetime, rows: int) -> None:
        """Audit what is new, once it is enough to be judged, or has waited long enough."""
        state = self._present()
        if not state.revision and not rows:
            self.state = None  # Nothing was ever served: the watch begins with the first row.
            return
        if rows < self._options.min_rows and until - start < self._options.hold:
            return
        pieces = list(cuts(start, until, self._options.every, 2 if rows >= 2 * self._options.min_rows else 1))
        counts = count_rows(self._settings, self.feature_service, pieces) if len(pieces) > 1 else [rows]
        for served, some in itertools.groupby(zip(pieces, counts, strict=True), key=lambda one: one[1] > 0):
            if not served:
                self._nothing([WindowSummary(*piece) for piece, _ in some])
                continue
            for piece, _ in some:
                self._window(*piece)

    def _nothing(self, windows: Sequence[WindowSummary]) -> None:
        """Keep that nothing was served in some windows: it says nothing good or bad, but rows may come late."""
        moved = replace(self._present(), watermark=windows[-1].end)
        self._commit(Commit(moved, [Kept("slice", one) for one in windows]))
        self._result.windows += len(windows)

    def _late(self, kept: Kept) -> None:
        """Audit again what has more rows now than it had. What was empty is cut first, as if it were new."""
        span = kept.window.start, kept.window.end
        pieces = [span] if kept.window.rows else list(cuts(*span, self._options.every))
        if len(pieces) == 1:
            self._window(*span, replacing=kept)
            return
        empty = [Kept("slice", WindowSummary(first, last)) for first, last in pieces]
        self._commit(Commit(self._present(), empty, [kept]))
        counts = count_rows(self._settings, self.feature_service, pieces)
        for one, count in zip(empty, counts, strict=True):
            if count:
                self._window(one.window.start, one.window.end, replacing=one)

    def _window(self, start: datetime, end: datetime, replacing: Kept | None = None) -> None:
        """Audit one window and keep it, with all that follows from it, in one step."""
        state = self._present()
        report, summary, scales = self._audit.window(self.feature_service, start, end, state.scales)
        found = sightings(report, self._options.alert_on)
        outcome = Outcome(state.detector)
        if replacing is None or not replacing.window.rows:
            window = Observation(start, end, summary.rows, [*found, *self.drifting])
            outcome = self._observed(state, window)
        before = {} if replacing is None else replacing.window.features
        moved = replace(
            state,
            watermark=max(state.watermark, end),
            detector=outcome.state,
            totals=added(state.totals, summary.features, before, self._options.max_features),
            scales=scales,
        )
        dropped = [] if replacing is None else [replacing]
        level = "slice" if replacing is None else replacing.level
        self._commit(Commit(moved, [Kept(level, summary)], dropped, outcome.changed))
        self._result.windows += 1
        self._result.rows += summary.rows
        for incident in outcome.opened:
            logger.warning("%s opened: %s", incident.id, title(incident, "opened"))
        for incident in outcome.closed:
            logger.info("%s has healed: %s", incident.id, title(incident, "closed"))
        self._result.changed += tuple(outcome.changed)

    def _observed(self, state: ServiceState, window: Observation) -> Outcome:
        outcome = observe(
            self.feature_service,
            state.detector,
            window,
            self.incidents.values(),
            burn_in=self._options.burn_in,
            now=self._clock(),
        )
        return replace(outcome, opened=[self._looked_at(one, window) for one in outcome.opened])

    def _looked_at(self, incident: Incident, window: Observation) -> Incident:
        """Audit an incident's windows together, with what was before them, where that may tell its cause better."""
        if incident.cause not in NEEDS_CONTEXT:
            return incident
        start = min(incident.since, window.start) - LOOK_BACK
        report, _, _ = self._audit.window(self.feature_service, start, window.end, self._present().scales)
        mine = Sighting(
            incident.group,
            incident.cause,
            incident.severity,
            incident.features,
            incident.cells,
            incident.compared,
            incident.message,
            incident.remedy,
            incident.evidence,
        )
        known = better_known(mine, sightings(report, "warn"))
        return replace(
            incident,
            seen_as=incident.cause,
            cause=known.cause,
            message=known.message,
            remedy=known.remedy,
            evidence=known.evidence,
        )

    def _commit(self, step: Commit) -> None:
        self.state = self._store.commit(step)
        dropped = {one.key for one in step.dropped}
        self.kept = [one for one in self.kept if one.key not in dropped] + list(step.added)
        for one in step.incidents:
            self.incidents[one.id] = self.untold[one.id] = one
        self.incidents = {name: one for name, one in self.incidents.items() if one.open}

    def _merge(self) -> None:
        """Merge slices to hours and hours to days, and let go of what no window reaches any more."""
        if self.state is None or not self.state.revision:
            return
        added: list[Kept] = []
        dropped: list[Kept] = []
        for level, parts in due_for_merging(self.kept, self.state.watermark - self._options.late):
            windows = [one.window for one in parts]
            start, end = min(one.start for one in windows), max(one.end for one in windows)
            added.append(Kept(level, together(windows, start, end)))
            dropped += parts
        gone = outdated(self.kept, self.state.watermark)
        if dropped or gone:
            known = {one.key for one in dropped}
            dropped += [one for one in gone if one.key not in known]
            self._commit(Commit(self.state, added, dropped))
