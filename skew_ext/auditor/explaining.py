"""After the pass over the log: why rows differ, and what the sources of the views ask for."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from skew_ext.audit.source_ties import tie_findings
from skew_ext.audit.ttl_advice import ttl_advice
from skew_ext.auditor.merging import Explained
from skew_ext.auditor.verifying import Verifier
from skew_ext.auditor.view import ViewAudit
from skew_ext.baseline.source_times import EPOCH, source_times
from skew_ext.baseline.store_faults import known_faults

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore

    from skew_ext.audit.impact import ImpactCounts
    from skew_ext.audit.parity import Judged
    from skew_ext.auditor.look_back import LookBack
    from skew_ext.auditor.parts import Window
    from skew_ext.engines.engine import Engine
    from skew_ext.model import Finding, ViewTtl


def explain(
    store: FeatureStore, passed: Engine, impact: ImpactCounts | None, look_back: LookBack
) -> dict[str, Explained]:
    """Explain the rows that differ, block by block; gives what was found by feature."""
    explained: dict[str, Explained] = defaultdict(Explained)
    verifier = Verifier(store)
    for block, given in passed.blocks():
        baseline = verifier.verified([counts.plan for counts in passed.counts], block, given)
        rows = look_back.completed(block, baseline)
        judged = _explain_block(store, passed, rows, baseline, explained)
        if impact is not None:
            impact.add(rows.select(_inputs(passed, rows)), judged)
        del block, rows, given, baseline, judged  # before the next block is read
    passed.baseline.faults.update(verifier.faults)
    return explained


def sources_of(store: FeatureStore, passed: Engine, window: Window) -> tuple[list[ViewTtl], list[Finding]]:
    """Sum up each stored view's TTL, with the one that its source asks for; and tell where its rows are tied."""
    end = (window.end - EPOCH) // timedelta(microseconds=1)
    unordered, ttls, ties = known_faults(store).ignores_created, [], list["Finding"]()
    for counts in passed.counts:
        if counts.ttl is None or not counts.compared:
            continue
        times = source_times(store, counts.plan, end)
        ttls.append(counts.ttl.summary(ttl_advice(*times)))
        ties += tie_findings(counts.plan.alias, times, unordered=unordered)
    return ttls, ties


def _explain_block(
    store: FeatureStore, passed: Engine, rows: pa.Table, baseline: dict[str, Any], explained: dict[str, Explained]
) -> list[Judged]:
    judged = []
    for counts in passed.counts:
        result = ViewAudit(store, counts.plan, rows, baseline).run()
        judged += result.judged
        for one in result.judged:
            counts.over_time.differing(one.feature, one.cells.served_at, one.causes)
        for parity, context in zip(result.parities, result.contexts, strict=True):
            explained[parity.feature].parities.append(parity)
            explained[parity.feature].contexts.append(context)
    return judged


def _inputs(passed: Engine, rows: pa.Table) -> list[str]:
    """Give what a model sees of a row: the service's features, and the request data of its on-demand views."""
    views = [counts.plan for counts in passed.counts]
    names = [view.column(name) for view in views for name in view.features]
    names += [name for view in views if view.on_demand for name in view.view.get_request_data_schema()]
    return [name for name in dict.fromkeys(names) if name in rows.column_names]
