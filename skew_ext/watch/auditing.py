"""One window of the watch: an ordinary audit, and beside its report the summary that adds up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa

from skew_ext.auditor import SkewAuditor
from skew_ext.auditor.differing import BASELINE_PREFIX
from skew_ext.statistics import Thresholds
from skew_ext.text import visible
from skew_ext.watch.ages import AgeSketch
from skew_ext.watch.spread import Scale
from skew_ext.watch.summary import FeatureSummary, WindowSummary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from feast import FeatureStore

    from skew_ext.clock import Clock
    from skew_ext.engines.engine import Engine
    from skew_ext.report import Report
    from skew_ext.watch.spread import Spread

logger = logging.getLogger("skew_ext")
THRESHOLDS = Thresholds()


class WindowAudit(SkewAuditor):
    """Audits windows, and keeps of the last one what its summary is made of."""

    def __init__(self, store: FeatureStore, clock: Clock) -> None:
        super().__init__(store, clock)
        self._rows = pa.table({})
        self._names: list[str] = []
        self._ages: dict[str, AgeSketch] = {}

    def window(
        self, feature_service: str, start: datetime, end: datetime, scales: Mapping[str, Scale]
    ) -> tuple[Report, WindowSummary, dict[str, Scale]]:
        """Audit [start, end); give the report, the summary, and the scales with those that are new.

        A feature without a scale gets one from this window's baseline where that has values enough.
        """
        report = self.run_audit(feature_service, start, end)
        for finding in report.findings:
            if finding.code == "incomplete_log":
                logger.warning("%s", visible(finding.message))
        known = dict(scales)
        features = {}
        parities = {one.feature: one for one in report.parity.features}
        for name in (one for one in self._names if one in self._rows.column_names):
            served, baseline = self._rows[name], self._column(BASELINE_PREFIX + name)
            if name not in known and (found := Scale.of(name, baseline or served, served, THRESHOLDS)) is not None:
                known[name] = found
            parity = parities.get(name)
            features[name] = FeatureSummary(
                compared=parity.compared if parity else 0,
                mismatched=parity.mismatched if parity else 0,
                causes=dict(parity.causes) if parity else {},
                served_rows=len(served),
                nulls=served.null_count,
                served=_counted(known.get(name), served),
                baseline=_counted(known.get(name), baseline),
            )
        return report, WindowSummary(start, end, report.rows, features, self._ages), known

    def _taken(self, passed: Engine) -> None:
        self._rows = passed.distributions()
        self._names = [counts.plan.column(name) for counts in passed.counts for name in counts.plan.features]
        self._ages = {
            counts.plan.alias: AgeSketch.of(counts.ttl.ages)
            for counts in passed.counts
            if counts.ttl is not None and counts.compared
        }

    def _column(self, name: str) -> pa.ChunkedArray | None:
        return self._rows[name] if name in self._rows.column_names else None


def _counted(scale: Scale | None, column: pa.ChunkedArray | None) -> Spread | None:
    return None if scale is None or column is None else scale.count(column)
