"""`SkewAuditor`: the log of a feature service against Feast's point-in-time retrieval, and why they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skew_ext.audit.findings import (
    baseline_findings,
    distribution_findings,
    in_order_of_harm,
    verdict_of,
)
from skew_ext.auditor.view import ViewAudit
from skew_ext.auditor.window import logged_rows, sampled, training_columns, waiting_in_spool
from skew_ext.baseline.plan import plan_views
from skew_ext.baseline.retrieval import point_in_time, recompute_on_demand
from skew_ext.clock import as_utc, utc_now
from skew_ext.model import Distribution, Finding, Parity
from skew_ext.repo import feature_service as find_service
from skew_ext.repo import open_store
from skew_ext.report import Report
from skew_ext.serving.resolution import FINGERPRINT_TAG, TRANSFORM_TAG
from skew_ext.statistics import distribution_rows
from skew_ext.transform import installed_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from os import PathLike

    import pandas as pd
    import pyarrow as pa
    from feast import FeatureStore

    from skew_ext.auditor.view import ViewResult
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.baseline.retrieval import Baseline
    from skew_ext.clock import Clock


class SkewAuditor:
    """Audits what a repo served.

    Parameters
    ----------
    store_or_repo_path
        A `feast.FeatureStore`, or the folder of a Feast repo.
    clock
        Says when the report was made.

    Raises
    ------
    RepoError
        The folder is no usable Feast repo.
    """

    def __init__(self, store_or_repo_path: FeatureStore | str | PathLike[str], clock: Clock = utc_now) -> None:
        self._store = open_store(store_or_repo_path)
        self._clock = clock

    def run_audit(  # noqa: PLR0913 - the public contract
        self,
        feature_service: str,
        start: datetime,
        end: datetime,
        training_set: pd.DataFrame | pa.Table | None = None,
        model_version: str | None = None,
        sample: int | None = None,
        *,
        progress: Callable[[str], None] | None = None,
    ) -> Report:
        """Compare each cell served in [start, end) with what training gets for the same key and time.

        Parameters
        ----------
        feature_service
            The service whose lookups are audited.
        start, end
            The window, by serving time. A naive time is taken as UTC.
        training_set
            What the model was trained on, for drift: columns named `view__feature` or `feature`.
        model_version
            Only lookups logged with this model version.
        sample
            At most this many rows, drawn evenly and the same each time; None for all.
        progress
            Called with the name of each step as it begins.

        Raises
        ------
        RepoError
            No such service.
        AuditError
            The window is the wrong way round or has no rows, the offline store fails, or the training set has none
            of the features.
        LogError
            The log cannot be read.
        """
        say = progress or (lambda _: None)
        service = find_service(self._store, feature_service)
        views = plan_views(self._store, service)
        say("reading the log")
        found = logged_rows(self._store, feature_service, start, end, model_version)
        log = sampled(found, sample)
        # Asked of before the long work: a training set that does not fit is said at once.
        trained = training_columns(training_set, [view.column(name) for view in views for name in view.features])
        say("point-in-time retrieval")
        baseline = point_in_time(self._store, service, views, log)
        for view in views:
            if view.on_demand:
                recompute_on_demand(view, views, log, baseline)
        say("comparing and explaining")
        results = [ViewAudit(self._store, view, log, baseline.columns).run() for view in views]
        say("distributions")
        distribution = _distribution(views, log, baseline, trained)
        findings = in_order_of_harm(
            [
                *(finding for result in results for finding in result.findings),
                *_transform_findings(views),
                *baseline_findings(baseline.lost_rows, baseline.repeated_rows, _not_compared(views, log, baseline)),
                *distribution_findings(distribution.skew, "baseline"),
                *distribution_findings(distribution.drift, "training set"),
            ]
        )
        return Report(
            project=self._store.project,
            feature_service=feature_service,
            start=as_utc(start),
            end=as_utc(end),
            rows=log.num_rows,
            verdict=verdict_of(findings),
            findings=findings,
            parity=_parity(results),
            distribution=distribution,
            ttl=[result.ttl for result in results if result.ttl is not None],
            created_at=self._clock(),
            notes=self._notes(found.num_rows, log.num_rows),
        )

    def _notes(self, found: int, audited: int) -> list[str]:
        notes = []
        if audited < found:
            notes.append(f"a sample of {audited:,} of the window's {found:,} rows was audited")
        waiting = waiting_in_spool(self._store)
        if waiting:
            notes.append(f"{waiting:,} served rows wait in the spool and were not audited: run `skew ship --drain`")
        return notes


def _parity(results: Sequence[ViewResult]) -> Parity:
    features = [parity for result in results for parity in result.parities]
    return Parity(
        cells=sum(parity.compared for parity in features),
        mismatched=sum(parity.mismatched for parity in features),
        features=features,
    )


def _distribution(
    views: Sequence[ViewPlan], log: pa.Table, baseline: Baseline, trained: dict[str, Any]
) -> Distribution:
    columns = [view.column(name) for view in views for name in view.features]
    columns = [column for column in columns if column in log.column_names]
    return Distribution(
        skew=distribution_rows(
            (column, baseline.columns[column], log[column]) for column in columns if column in baseline.columns
        ),
        drift=distribution_rows((column, trained[column], log[column]) for column in columns if column in trained),
    )


def _not_compared(views: Sequence[ViewPlan], log: pa.Table, baseline: Baseline) -> dict[str, str]:
    reasons = dict(baseline.not_comparable)
    for view in views:
        for name in view.features:
            if view.column(name) not in log.column_names:
                reasons[view.column(name)] = "no lookup of the window logged it: it is newer than the window"
    return reasons


def _transform_findings(views: Sequence[ViewPlan]) -> Iterable[Finding]:
    for view in views:
        reference = view.view.tags.get(TRANSFORM_TAG) if view.on_demand else None
        if reference is None:
            continue
        installed, registered = installed_fingerprint(reference), view.view.tags.get(FINGERPRINT_TAG)
        if installed != registered:
            message = f"the registered transform {reference} is not the one installed where this audit ran"
            remedy = "audit with the registered code installed, or `feast apply` the code that is meant"
            yield Finding("transform_mismatch", "warn", view.alias, None, message, remedy)
