"""`skew watch`: rounds over the services of a repo, until stopped. A round that fails is told and tried again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from skew_ext.auditor.window import training_columns
from skew_ext.baseline.plan import plan_views
from skew_ext.clock import utc_now
from skew_ext.errors import SkewError
from skew_ext.repo import feature_service as find_service
from skew_ext.repo import settings_of
from skew_ext.watch.auditing import WindowAudit
from skew_ext.watch.drift import Training, drift_sightings, proposal
from skew_ext.watch.metrics import ServiceView, WatchView
from skew_ext.watch.round import RoundResult, ServiceWatch
from skew_ext.watch.score import score_change
from skew_ext.watch.store import OtherWatchError, open_watch_store
from skew_ext.watch.summary import together
from skew_ext.watch.windows import SPANS, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from feast import FeatureStore

    from skew_ext.clock import Clock
    from skew_ext.watch.incident import Incident
    from skew_ext.watch.options import WatchOptions
    from skew_ext.watch.summary import WindowSummary
    from skew_ext.watch.telling import Teller

logger = logging.getLogger("skew_ext")
SCORE_EVERY = timedelta(hours=1)


@dataclass
class WatchRound:
    """What one round over all services did; `failed` says what could not be done, by service."""

    services: dict[str, RoundResult] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    open: list[Incident] = field(default_factory=list)


class Watcher:
    """Watches services of a repo.

    Parameters
    ----------
    store
        The repo's feature store.
    feature_services
        Which; all of the repo that have a log, where none is named.
    options, teller
        How, and who is told.
    training_set
        What the model was trained on, for drift: columns named `view__feature` or `feature`.
    clock
        Says what time it is.

    Raises
    ------
    RepoError
        A service is not there.
    SettingsError
        The settings do not fit.
    AuditError
        The training set has none of the features of a service that is named.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        store: FeatureStore,
        feature_services: Sequence[str],
        options: WatchOptions,
        teller: Teller,
        *,
        training_set: pa.Table | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.view = WatchView()
        self._store = store
        self._settings = settings_of(store)
        self._kept = open_watch_store(self._settings, store.project)
        self._named = tuple(feature_services)
        self._options = options
        self._teller = teller
        self._training_set = training_set
        self._clock = clock
        self._audit = WindowAudit(store, clock)
        self._watches: dict[str, ServiceWatch] = {}
        self._training: dict[str, Training] = {}
        self._score_at: dict[str, datetime] = {}
        for name in self._named:
            self._watch(name)

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set; the present window is finished first."""
        while not stop.is_set():
            begun = self._clock()
            self.round(stop)
            passed = self._clock() - begun
            stop.wait(max((self._options.every - passed).total_seconds(), 0.1))

    def round(self, stop: threading.Event | None = None) -> WatchRound:
        """Go once over all services, and tell what is to be told."""
        done = WatchRound()
        views: dict[str, ServiceView] = {}
        for name in self._services():
            if stop is not None and stop.is_set():
                break
            watch = self._one(name, done)
            view = None if watch is None else self._service_view(watch)
            if view is not None:
                views[name] = view
                done.open += view.incidents
            elif name in self.view.services:
                views[name] = self.view.services[name]
        rounds = dict(self.view.rounds)
        rounds["done"] += len(done.services)
        rounds["failed"] += len(done.failed)
        self.view = WatchView(views, rounds, self._clock())
        return done

    def _services(self) -> list[str]:
        if self._named:
            return list(self._named)
        try:
            return sorted(service.name for service in self._store.list_feature_services())
        except Exception as error:  # noqa: BLE001 - a registry can be anywhere; the next round may find it
            logger.warning("the registry cannot be read: %s", _line(error))
            return list(self._watches)

    def _watch(self, name: str) -> ServiceWatch:
        if name not in self._watches:
            service = find_service(self._store, name)
            training = Training()
            if self._training_set is not None:
                columns = [view.column(one) for view in plan_views(self._store, service) for one in view.features]
                training = Training.of(training_columns(self._training_set, columns))
            self._training[name] = training
            self._watches[name] = ServiceWatch(
                name, self._kept, self._audit, self._settings, self._options, self._clock, training.scales
            )
        return self._watches[name]

    def _one(self, name: str, done: WatchRound) -> ServiceWatch | None:
        try:
            watch = self._watch(name)
            done.services[name] = watch.run()
            self._consider_drift(watch)
            self._teller.tell(watch)
        except OtherWatchError as error:
            self._watches[name].forget()
            logger.info("%s", error)
            return None
        except Exception as error:  # whatever it is (a store away, a file cut), the next round tries again
            done.services.pop(name, None)
            done.failed[name] = _line(error)
            if name in self._watches:
                self._watches[name].forget()
            logger.warning("%s was not watched in this round: %s", name, _line(error))
            if not isinstance(error, (SkewError, OSError)):
                logger.debug("where it failed", exc_info=True)
            return None
        return watch

    def _consider_drift(self, watch: ServiceWatch) -> None:
        training = self._training[watch.feature_service]
        important = [one for one in training.spreads if _named_in(one, self._options.important)]
        if not important or watch.state is None:
            return
        windows = self._windows(watch, watch.state.watermark)
        watch.drifting = drift_sightings(training, windows["1h"], windows["1d"], important)
        drifts = [one for one in watch.incidents.values() if not one.proposal and one.group in important]
        last = self._score_at.get(watch.feature_service)
        if not drifts or (last is not None and self._clock() - last < SCORE_EVERY):
            return
        self._score_at[watch.feature_service] = self._clock()
        score = score_change(self._store, self._clock())
        for one in drifts:
            proposed = proposal(one, watch.incidents.values(), score)
            if proposed:
                watch.told(replace(one, proposal=proposed))

    @staticmethod
    def _windows(watch: ServiceWatch, now: datetime) -> Mapping[str, WindowSummary]:
        return {name: together(within(watch.kept, now, span), now - span, now) for name, span in SPANS.items()}

    def _service_view(self, watch: ServiceWatch) -> ServiceView | None:
        if watch.state is None:
            return None
        return ServiceView(
            state=watch.state,
            windows=self._windows(watch, watch.state.watermark),
            incidents=tuple(watch.incidents.values()),
            training=self._training[watch.feature_service],
            max_features=self._options.max_features,
        )


def _named_in(column: str, important: Sequence[str]) -> bool:
    """Whether a feature is among the important ones, named `view__feature`, `view:feature` or by itself."""
    return any(column == one.replace(":", "__", 1) or column.endswith(f"__{one}") for one in important)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, SkewError) else f"{type(error).__name__}: {text}"
