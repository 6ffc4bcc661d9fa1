"""`SkewAuditor`: the log of a feature service against Feast's point-in-time retrieval, and why they differ."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from skew_ext.audit.baseline_faults import baseline_fault_findings
from skew_ext.audit.distribution import Distributions, identifier_notes, most_important
from skew_ext.audit.findings import (
    baseline_findings,
    distribution_findings,
    in_order_of_harm,
    parity_findings,
    verdict_of,
)
from skew_ext.audit.impact import DEFAULT_THRESHOLD, ImpactCounts, Model
from skew_ext.audit.incomplete_log import left_out_findings, missing_findings
from skew_ext.audit.over_time import Stretches
from skew_ext.audit.thresholds import limits_of
from skew_ext.audit.training_weights import with_weights
from skew_ext.audit.ttl import ttl_findings
from skew_ext.auditor.differing import BASELINE_PREFIX
from skew_ext.auditor.explaining import explain, sources_of
from skew_ext.auditor.look_back import LookBack
from skew_ext.auditor.memory import systems_allocator
from skew_ext.auditor.merging import Explained
from skew_ext.auditor.window import WindowLog, checked_window, training_columns
from skew_ext.baseline.duckdb_memory import bounded_duckdb
from skew_ext.baseline.narrowed import narrowed, retrievals_at_once
from skew_ext.baseline.plan import plan_views
from skew_ext.clock import utc_now
from skew_ext.engines.engine import engine_for
from skew_ext.model import Distribution, FeatureParity, Finding, NotCompared, Parity
from skew_ext.repo import feature_service as find_service
from skew_ext.repo import open_store
from skew_ext.report import Report
from skew_ext.serving.resolution import FINGERPRINT_TAG, TRANSFORM_TAG
from skew_ext.transform import installed_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from os import PathLike

    import pandas as pd
    import pyarrow as pa
    from feast import FeatureStore

    from skew_ext.audit.thresholds import Given, Limits
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.clock import Clock
    from skew_ext.engines.engine import Engine


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
        sample: int | float | None = None,  # noqa: PYI041 - they mean two things
        *,
        model: Model | None = None,
        threshold: float = DEFAULT_THRESHOLD,
        weights: str | None = None,
        thresholds: Given | None = None,
        importance: Mapping[str, float] | None = None,
        top_k: int | None = None,
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
            At most this many rows, or, as a float up to 1, this share of the entity keys; None for all. Keys are
            chosen by their hash, the same ones each time, and every lookup of a chosen key is audited.
        model
            Gives a score for each row of a frame: the report's `impact` then says what the differing cells did to its
            decisions. The frame has a column `view__feature` for each feature, and the request data by its names.
        threshold
            A score from this on is a yes.
        weights
            The training set's column of weights: drift is then from the weighted training set, whose rows count for
            as many as tell as much (Kish, 1965).
        thresholds
            Of the distributions: those of `skew_ext.statistics.Thresholds` by name, such as `{"psi_act": 0.3}`, and,
            under the name of a feature (`view__feature`) or a view, its own. They hold before tags such as
            `skew.psi_act` on fields and views.
        importance, top_k
            The importance of features to the model, by `view__feature`; the distributions of only the `top_k` most
            important ones are compared.
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
        window = checked_window(feature_service, start, end, model_version)
        # Asked of before the long work: a training set that does not fit is said at once.
        columns = [view.column(name) for view in views for name in view.features]
        trained, weighted = with_weights(training_columns(training_set, columns), training_set, weights)
        limits = limits_of(thresholds, views)
        compared, notes = most_important(columns, importance, top_k)
        log = WindowLog(self._store, views, window, sample)
        impact = None if model is None else ImpactCounts(model, threshold)
        stretches = Stretches.of(window.start, window.end)
        store = narrowed(self._store)
        at_once = retrievals_at_once(store, views)
        engine = engine_for(self._store, service, views, stretches, log)
        with systems_allocator(), closing(engine) as passed:
            with bounded_duckdb(store, at_once):
                passed.run(log.parts(), say)
            log.require(passed.rows, [name for counts in passed.counts for name in counts.logged])
            self._taken(passed)
            say("explaining what differs, and distributions")
            with bounded_duckdb(store), ThreadPoolExecutor(1, thread_name_prefix="skew-beside") as pool:
                distributions = pool.submit(_distribution, passed, views, limits, trained, compared)
                # Both ask the offline store, and not every one can be asked by two threads.
                sources = pool.submit(sources_of, store, passed, window) if at_once > 1 else None
                explained = explain(store, passed, impact, LookBack(log, views))
                ttls, ties = sources_of(store, passed, window) if sources is None else sources.result()
                distribution = distributions.result()
        features = [
            (counts, name, explained.get(counts.plan.column(name), Explained()))
            for counts in passed.counts
            for name in counts.features
        ]
        parities = [(one.parity(counts, name), one.context()) for counts, name, one in features]
        findings = in_order_of_harm(
            [
                *(finding for parity, context in parities for finding in parity_findings(parity, context)),
                *(finding for ttl in ttls for finding in ttl_findings(ttl)),
                *_transform_findings(views),
                *left_out_findings(log.left_out),
                *missing_findings(window.feature_service, log.missing()),
                *baseline_fault_findings(passed.baseline.faults),
                *ties,
                *baseline_findings(0, 0, _not_compared(passed)),
                *distribution_findings(distribution.skew, "baseline"),
                *distribution_findings(distribution.drift, "training set"),
            ]
        )
        return Report(
            project=self._store.project,
            feature_service=feature_service,
            start=window.start,
            end=window.end,
            rows=passed.rows,
            verdict=verdict_of(findings),
            findings=findings,
            parity=_parity([parity for parity, _ in parities]),
            distribution=distribution,
            ttl=ttls,
            created_at=self._clock(),
            notes=[*log.notes(), *_sample_notes(passed), *weighted, *notes, *identifier_notes(distribution)],
            impact=None if impact is None else impact.summary(passed.rows),
        )

    def _taken(self, passed: Engine) -> None:
        """Look at what the pass over the log found; for derived classes."""


def _sample_notes(passed: Engine) -> Iterable[str]:
    kept = passed.sample.rows
    if kept < passed.rows:
        yield f"the distributions are of an even sample of {kept:,} of the {passed.rows:,} rows; all else is of all"


def _parity(features: list[FeatureParity]) -> Parity:
    return Parity(
        cells=sum(parity.compared for parity in features),
        mismatched=sum(parity.mismatched for parity in features),
        features=features,
    )


def _distribution(
    passed: Engine, views: Sequence[ViewPlan], limits: Limits, trained: dict[str, Any], features: Sequence[str]
) -> Distribution:
    # A feature that no lookup of the window was given has a column of nulls, and nothing was served.
    given = {one.plan.column(name): one.compared[name] for one in passed.counts for name in one.features}
    served = [name for name in features if given.get(name, 1)]
    return Distributions(passed.distributions(), views, limits, BASELINE_PREFIX).run(trained, served)


def _not_compared(passed: Engine) -> dict[str, NotCompared]:
    compared = {counts.plan.column(name) for counts in passed.counts for name in counts.features}
    reasons = {name: reason for name, reason in passed.baseline.not_comparable.items() if name not in compared}
    for counts in passed.counts:
        for name in counts.plan.features:
            if name not in counts.logged:
                reasons[counts.plan.column(name)] = NotCompared(
                    "no lookup of the window logged it: it is newer than the window", "audit a later window"
                )
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
