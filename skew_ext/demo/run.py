"""`skew demo` from end to end: sources, model, replay, log, audit, report."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from skew_ext.demo.folder import DemoFolder, make_folder
from skew_ext.demo.incidents import Incident, incident_of
from skew_ext.demo.landing import Landing
from skew_ext.demo.schedule import Schedule
from skew_ext.demo.steps import Steps
from skew_ext.demo.summary import Scores, say

if TYPE_CHECKING:
    from feast import FeatureService

    from skew_ext.demo.model import DelayModel
    from skew_ext.demo.replay import Replay
    from skew_ext.demo.world import World
    from skew_ext.report import Report
    from skew_ext.serving.store import LoggedFeatureStore

SERVICE: Final = "departure_delay"


def run_demo(
    folder: Path, incident: str = "stale", days: int = 3, console: Console | None = None, *, progress: bool = True
) -> Report:
    """Replay real days with an incident in them, audit what was served, and say what came out.

    Parameters
    ----------
    folder
        Where all that the demo writes is put; emptied first if an earlier demo wrote it.
    incident
        "none", "stale", "ttl", "late", "units" or "transform".
    days
        How many New York days to replay, from 2013-07-22: the dates are real.
    console
        Where the result is printed; standard output by default.
    progress
        Show progress on standard error, where that is a terminal.

    Returns
    -------
    The audit's report. The folder has it as HTML and JSON, with the replay's truth and every prediction.

    Raises
    ------
    DemoError
        The folder is not the demo's, there is no such incident, or what the demo needs is not installed.
    """
    schedule = Schedule.of(days)
    planned = incident_of(incident, schedule)
    made = make_folder(folder)
    with warnings.catch_warnings(), Steps(shown=progress) as steps:
        warnings.simplefilter("ignore")
        demo = _Demo(made, schedule, planned, steps)
        demo.run()
    say(console or Console(), demo.report, demo.scores, planned, made, demo.replay.warnings)
    return demo.report


@dataclass
class _Serving:
    """What serves: a store with its service, and the model that takes its responses."""

    store: LoggedFeatureStore
    service: FeatureService
    model: DelayModel
    training: pa.Table


class _Demo:
    """The steps of one run, in their order; Feast and scikit-learn are imported once the arguments are known good."""

    replay: Replay
    report: Report
    scores: Scores

    def __init__(self, folder: DemoFolder, schedule: Schedule, incident: Incident, steps: Steps) -> None:
        self._folder, self._schedule, self._incident, self._steps = folder, schedule, incident, steps

    def run(self) -> None:
        """Run them all."""
        with self._steps.step("Computing source rows from flights and weather"):
            world = self._world()
        landing = Landing(self._folder.sources, world, self._incident.source_rows(world.rows))
        with self._steps.step("Applying the Feast repo"):
            self._apply(landing)
        with self._steps.step("Training a model on three weeks of departures"):
            serving = self._train(world)
        served = self._replay(serving, landing, world)
        with self._steps.step("Shipping the log"):
            self._ship(serving.store)
        with self._steps.step("Auditing what was served"):
            self.report = self._audit(serving)
        with self._steps.step("Scoring the same departures on point-in-time features"):
            self.scores = self._score(serving, world, served)

    def _world(self) -> World:
        from skew_ext.demo.world import load_world  # noqa: PLC0415

        return load_world(self._folder.repo, self._schedule)

    def _apply(self, landing: Landing) -> None:
        from skew_ext.demo.repo import apply  # noqa: PLC0415

        landing.until(self._schedule.start)
        apply(self._folder.repo)

    def _train(self, world: World) -> _Serving:
        from skew_ext.demo.model import DelayModel, one_thread, point_in_time  # noqa: PLC0415
        from skew_ext.serving.store import LoggedFeatureStore  # noqa: PLC0415

        store = LoggedFeatureStore(repo_path=str(self._folder.repo))
        service = store.get_feature_service(SERVICE)
        training = point_in_time(store, service, world.training)
        model = DelayModel(service)
        with one_thread():
            model.fit(training, world.training["late"])
        return _Serving(store, service, model, training)

    def _replay(self, serving: _Serving, landing: Landing, world: World) -> list[float]:
        from skew_ext.demo.model import one_thread  # noqa: PLC0415
        from skew_ext.demo.replay import Replay  # noqa: PLC0415

        self.replay = Replay(
            serving.store,
            serving.service,
            serving.model,
            landing=landing,
            lookups=world.lookups,
            schedule=self._schedule,
            incident=self._incident,
            scratch=self._folder.path / "edited",
        )
        label = f"Replaying {len(world.lookups):,} departures"
        with self._steps.step(label, total=len(world.lookups)) as advance, one_thread():
            served = self.replay.run(advance)
        self.replay.truth.write(self._folder.truth)
        pq.write_table(pa.Table.from_pylist(self.replay.rows_online), self._folder.rows_online)
        return served

    def _ship(self, store: LoggedFeatureStore) -> None:
        from skew_ext.repo import settings_of  # noqa: PLC0415
        from skew_ext.shipping.shipper import Shipper  # noqa: PLC0415

        Shipper(settings_of(store).spool).drain()

    def _audit(self, serving: _Serving) -> Report:
        from skew_ext import SkewAuditor  # noqa: PLC0415
        from skew_ext.demo.repo import quiet  # noqa: PLC0415

        with quiet():
            report = SkewAuditor(serving.store).run_audit(
                SERVICE, self._schedule.start, self._schedule.end, training_set=serving.training
            )
        report.to_html(self._folder.report_html)
        self._folder.report_json.write_text(report.to_json() + "\n", encoding="utf-8")
        return report

    def _score(self, serving: _Serving, world: World, served: list[float]) -> Scores:
        from skew_ext.demo.model import auc, one_thread, point_in_time  # noqa: PLC0415

        late = world.lookups["late"]
        baseline = point_in_time(serving.store, serving.service, world.lookups)
        with one_thread():
            trained = serving.model.scores(baseline)
        columns = world.lookups[["request_id", "event_timestamp", "late"]]
        predictions = columns.assign(score_served=served, score_point_in_time=trained)
        pq.write_table(pa.Table.from_pandas(predictions, preserve_index=False), self._folder.predictions)
        return Scores(auc(late, predictions["score_served"]), auc(late, predictions["score_point_in_time"]))
