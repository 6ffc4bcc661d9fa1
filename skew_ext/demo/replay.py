"""The replay: hour by hour rows land, are materialized, and departures are asked about, as they were on those days."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from skew_ext.demo.repo import quiet
from skew_ext.demo.schedule import MATERIALIZED
from skew_ext.demo.truth import ReplayTruth, ViewTruth, summed
from skew_ext.demo.world import KEYS, REQUEST
from skew_ext.serving.context import request_context

if TYPE_CHECKING:
    from pathlib import Path

    from feast import FeatureService

    from skew_ext.demo.incidents import Incident
    from skew_ext.demo.landing import Landing
    from skew_ext.demo.model import DelayModel
    from skew_ext.demo.schedule import Schedule
    from skew_ext.serving.store import LoggedFeatureStore

WEATHER: Final = "origin_weather"


class Replay:
    """One replay of a world, with one incident, against a store and a model.

    Parameters
    ----------
    store, service, model
        What serves: every lookup goes through the store for this service, and its response to the model.
    landing, lookups, schedule, incident
        What is replayed. What was known before the replay has landed.
    scratch
        A folder for what the incident writes.
    """

    def __init__(  # noqa: PLR0913 - what a replay is made of
        self,
        store: LoggedFeatureStore,
        service: FeatureService,
        model: DelayModel,
        *,
        landing: Landing,
        lookups: pd.DataFrame,
        schedule: Schedule,
        incident: Incident,
        scratch: Path,
    ) -> None:
        self._store, self._service, self._model = store, service, model
        self._landing, self._asked, self._schedule, self._incident = landing, lookups, schedule, incident
        self._scratch = scratch
        self._views = {
            view: ViewTruth(landing.rows(view), keys, _features(store, view), _ttl(store, view))
            for view, keys in KEYS.items()
        }
        asked = lookups["event_timestamp"]
        self.truth = ReplayTruth(
            incident=incident.name,
            begin=incident.begin.isoformat(),
            until=incident.until.isoformat(),
            lookups=len(asked),
            lookups_in_incident=int(asked.between(incident.begin, incident.until, inclusive="left").sum()),
        )
        self.rows_online: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self._edited_cells = 0

    def run(self, advance: Callable[[], None]) -> list[float]:
        """Replay, with `advance` called after each lookup; give each lookup's score, as served."""
        self._materialize(self._schedule.sources_from, self._schedule.start)
        scores: list[float] = []
        ticks = set(self._schedule.ticks())
        with _warnings_kept(self.warnings):
            for begin, end in self._stretches(ticks):
                if begin in ticks:
                    self._tick(begin)
                serving = self._incident.serving(self._scratch)
                with serving if self._incident.active(begin) else nullcontext():
                    for lookup in self._lookups(begin, end):
                        scores.append(self._serve(lookup))
                        advance()
        self._landing.rest()
        summed(self._views, self.truth)
        return scores

    def _stretches(self, ticks: set[datetime]) -> list[tuple[datetime, datetime]]:
        """Cut the replay where something happens between lookups: at ticks, and where the incident begins and ends."""
        window = (self._schedule.start, self._incident.begin, self._incident.until)
        cuts = sorted({*ticks, *(at for at in window if at < self._schedule.end)})
        return list(zip(cuts, [*cuts[1:], self._schedule.end], strict=True))

    def _tick(self, tick: datetime) -> None:
        self._landing.until(tick)
        if not self._incident.materializes(tick):
            self.truth.skipped_ticks.append(tick.isoformat())
            return
        self._materialize(tick - MATERIALIZED, tick)
        factor = self._incident.after_materialization(self._store, tick, self._newest_weather(tick))
        if factor is not None:
            self._views[WEATHER].rescale(*factor)

    def _materialize(self, start: datetime, end: datetime) -> None:
        with quiet():
            self._store.materialize(start, end)
        for view in self._views.values():
            view.materialize(start, end)

    def _newest_weather(self, tick: datetime) -> pd.DataFrame:
        landed = self._landing.landed(WEATHER)
        landed = landed[landed["event_timestamp"] <= tick]
        return landed.sort_values("event_timestamp").groupby("origin").tail(1)

    def _lookups(self, begin: datetime, end: datetime) -> list[dict[str, Any]]:
        first, last = self._asked["event_timestamp"].searchsorted([pd.Timestamp(begin), pd.Timestamp(end)])
        rows = self._asked.iloc[first:last]
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.itertuples(index=False, name=None)]

    def _serve(self, lookup: dict[str, Any]) -> float:
        at = lookup["event_timestamp"].to_pydatetime()
        with request_context(request_id=lookup["request_id"], served_at=at):
            response = self._store.get_online_features(self._service, [{name: lookup[name] for name in REQUEST}])
        self._note(lookup, at)
        return self._model.score(response.to_dict())

    def _note(self, lookup: dict[str, Any], at: datetime) -> None:
        for name, view in self._views.items():
            events = view.lookup(tuple(lookup[key] for key in view.keys), at)
            self.rows_online.append({"request_id": lookup["request_id"], "view": name, **events._asdict()})
        # The edited constant scales the weather's part: nothing differs where there is none.
        edited = self._incident.edits if self._incident.active(at) else None
        if edited and self._views[WEATHER].online((lookup["origin"],), "severity"):
            self._edited_cells += 1
            self.truth.causes[edited] = {"transform_version": self._edited_cells}


def _features(store: LoggedFeatureStore, view: str) -> list[str]:
    return [feature.name for feature in store.get_feature_view(view).features]


def _ttl(store: LoggedFeatureStore, view: str) -> timedelta:
    ttl = store.get_feature_view(view).ttl
    assert ttl is not None  # noqa: S101 - every view of the demo has one
    return ttl


@contextmanager
def _warnings_kept(kept: list[str]) -> Iterator[None]:
    """Keep what serving warns of for the end, rather than in the midst of a progress bar."""
    logger, handler = logging.getLogger("skew_ext"), _Keeper(kept)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


class _Keeper(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record.getMessage())
