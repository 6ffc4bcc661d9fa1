"""One view of the audit: its columns compared, its differing cells explained by the source's rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.audit.causes import Attribution, attribute_view
from skew_ext.audit.causes.cells import NO_TIME, DifferingCells, Evidence, Siblings, Wider
from skew_ext.audit.causes.explained import listener
from skew_ext.audit.causes.shifting import LONGEST, bounds
from skew_ext.audit.cells import compare, plain
from skew_ext.audit.findings import SCHEDULE_SLACK, SCHEDULED, FeatureContext
from skew_ext.audit.parity import Judged, feature_parity, per_cell, time_span
from skew_ext.auditor.served import first_served_column
from skew_ext.auditor.wider import WiderRows
from skew_ext.baseline.evidence import fetch, microseconds, unordered
from skew_ext.schema import LOG_TIMESTAMP, STATUS_SUFFIX, TIMESTAMP_SUFFIX, TRANSFORMS
from skew_ext.serving.resolution import FINGERPRINT_TAG

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt
    from feast import FeatureStore

    from skew_ext.audit.cells import Comparison
    from skew_ext.baseline.evidence import Indexes, SourceRows
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.model import FeatureParity

SECOND = 1_000_000
_EDGE = 2 * SECOND
"""How far past the asked range source rows are fetched, so that rounding of a bound loses none."""


@dataclass(frozen=True)
class ViewResult:
    """What the audit of one view gives for a block of rows: an entry for each feature, in the view's order.

    `parities` count the cells of the block, which is chosen from rows that differ: whoever counted all rows puts their
    counts in.
    """

    parities: list[FeatureParity]
    contexts: list[FeatureContext]
    judged: list[Judged]


class ViewAudit:
    """Audits one view's features over a block of the log's rows.

    The block holds the rows of the window with a differing cell (an even sample of them, where they are very many) and
    no others. What is asked of rows that do not differ is counted before, in the pass over all of them: when each
    key was first served stands in the column `first_served_column(alias)`, in microseconds, `NO_TIME` for never.
    """

    def __init__(
        self, store: FeatureStore, plan: ViewPlan, log: pa.Table, baseline: dict[str, pa.ChunkedArray]
    ) -> None:
        self._store = store
        self._plan = plan
        self._log = log
        self._features = [
            name for name in plan.features if plan.column(name) in log.column_names and plan.column(name) in baseline
        ]
        self._baseline = baseline
        self._served_at = microseconds(log[LOG_TIMESTAMP])
        self._asked = {name: _asked(log[plan.column(name) + STATUS_SUFFIX]) for name in self._features}
        self._events = self._served_events()
        self._unordered = unordered(plan.view)

    def run(self) -> ViewResult:
        """Compare, explain, and sum up."""
        compared = {name: self._compare(name) for name in self._features}
        differing = {name: self._asked[name][comparison.different] for name, comparison in compared.items()}
        explainer = self._explainer(differing)
        cells = [self._cells(name, differing[name], explainer) for name in compared]
        judged = [
            self._judged(*one) for one in zip(compared, differing.values(), cells, attribute_view(cells), strict=True)
        ]
        parities = [feature_parity(comparison, one) for comparison, one in zip(compared.values(), judged, strict=True)]
        return ViewResult(parities, [self._context(one) for one in judged], judged)

    def _compare(self, name: str) -> Comparison:
        column, asked = self._plan.column(name), pa.array(self._asked[name])
        sets = name in self._unordered
        served, expected = (side[column].take(asked) for side in (self._log, self._baseline))
        return compare(plain(served, unordered=sets), plain(expected, unordered=sets))

    def _served_events(self) -> npt.NDArray[np.int64]:
        events = np.full(self._log.num_rows, NO_TIME)
        for name in () if self._plan.on_demand else self._features:
            here = microseconds(self._log[self._plan.column(name) + TIMESTAMP_SUFFIX])
            events = np.maximum(events, here)
        return events

    def _explainer(self, differing: dict[str, Indexes]) -> _Explainer | None:
        rows = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *differing.values()]))
        if self._plan.on_demand or not len(rows):
            return None
        events, times = self._events[rows], self._served_at[rows]
        earliest = min(int(times.min()), int(events[events != NO_TIME].min(initial=int(times.min()))))
        # Without a TTL the row that training uses may be as old as the source; with one, nothing older than it counts.
        # The margin is for rows that had expired by then: they say for how long a key had waited to be materialized.
        ttl, margin = self._plan.ttl_microseconds, _EDGE + 2 * self._schedule()
        start = 0 if ttl is None else earliest - ttl - margin
        end = max(int(times.max()), int(events.max())) + _EDGE
        source, keys = fetch(self._store, self._plan, self._log.take(pa.array(rows)), max(start, 0), end)
        precision = _precision(self._store)
        searched = _searched(source, keys, times, events, ttl=ttl, precision=precision)

        def wider(features: Collection[str]) -> Wider:
            since, until = (0 if ttl is None else max(start - LONGEST, 0)), end + LONGEST
            return Wider(*fetch(self._store, self._plan, self._log.take(pa.array(rows)), since, until, features))

        differ = [name for name, places in differing.items() if len(places)]
        return _Explainer(source, rows, searched, precision, self._unordered, WiderRows(differ, wider))

    def _cells(self, name: str, rows: Indexes, explainer: _Explainer | None) -> DifferingCells:
        column, chosen = self._plan.column(name), pa.array(rows)
        served_at, events = self._served_at[rows], self._events[rows]
        evidence = None
        if explainer is not None:
            evidence = explainer.evidence(name, rows)
        return DifferingCells(
            served=plain(self._log[column].take(chosen), unordered=name in self._unordered),
            baseline=plain(self._baseline[column].take(chosen), unordered=name in self._unordered),
            served_event=events,
            served_at=served_at,
            ttl=self._plan.ttl_microseconds,
            evidence=evidence,
            fingerprints_differ=self._fingerprints_differ(rows),
            first_served=self._first_served(rows),
            siblings=self._siblings(column, rows, explainer),
        )

    def _judged(self, name: str, rows: Indexes, cells: DifferingCells, found: Attribution) -> Judged:
        column = self._plan.column(name)
        judged = Judged(column, self._log, self._keys(), rows, cells, found.causes, found.constants)
        _tell(judged)
        return judged

    def _first_served(self, rows: Indexes) -> Indexes | None:
        column = first_served_column(self._plan.alias)
        if column not in self._log.column_names:
            return None
        return np.asarray(self._log[column].to_numpy()[rows], dtype=np.int64)

    def _siblings(self, column: str, rows: Indexes, explainer: _Explainer | None) -> Siblings:
        """Give the other features that the log has in this one's type."""
        kind = self._log[column].type
        others = {
            name: plain(values)
            for name, values in self._baseline.items()
            if name != column and name in self._log.column_names and self._log[name].type.equals(kind)
        }
        stored = {} if explainer is None else explainer.source.values
        named = {self._plan.column(name): values for name, values in stored.items()}
        return Siblings(others, {name: values for name, values in named.items() if name in others}, rows)

    def _keys(self) -> list[str]:
        if not self._plan.on_demand:
            return list(self._plan.join_keys.values())
        return [name for name in self._plan.view.get_request_data_schema() if name in self._log.column_names]

    def _fingerprints_differ(self, rows: Indexes) -> npt.NDArray[np.bool_]:
        registered = self._plan.view.tags.get(FINGERPRINT_TAG) if self._plan.on_demand else None
        if registered is None or not len(rows):
            return np.zeros(len(rows), dtype=bool)
        expected = f"{self._plan.alias}={registered}"
        logged = self._log[TRANSFORMS].take(pa.array(rows)).to_pylist()
        return np.array([expected not in (text or "").split(" ") for text in logged], dtype=bool)

    def _context(self, judged: Judged) -> FeatureContext:
        every, evidence, times = self._plan.materialize_every, judged.cells.evidence, judged.cells.served_at
        spans = {cause: time_span(times[judged.causes == cause]) for cause in set(judged.causes.tolist())}
        known = evidence is None or evidence.source.created is not None
        context = FeatureContext(every, spans=spans, constants=judged.constants, has_created=known)
        if every is None or evidence is None:
            return context
        beyond: dict[str, int] = {}
        limit = self._schedule() * SCHEDULE_SLACK
        for cause in SCHEDULED:
            waiting = (judged.causes == cause) & (evidence.waiting_since != NO_TIME)
            late = np.flatnonzero(waiting)
            late = late[(times - evidence.waiting_since)[late] > limit]
            if len(late):
                beyond[cause], spans[cause] = len(late), time_span(times[late])
        return replace(context, beyond=beyond)

    def _schedule(self) -> int:
        """Give the declared interval of materialization in microseconds; 0 where none is declared."""
        every = self._plan.materialize_every
        return 0 if every is None else every // timedelta(microseconds=1)


@dataclass(frozen=True)
class _Explainer:
    """Finds the evidence for cells of one view: the source is read, and searched, once for all of its features."""

    source: SourceRows
    rows: Indexes
    searched: dict[str, Indexes]
    precision: int
    unordered: set[str]
    wider: WiderRows

    def evidence(self, name: str, rows: Indexes) -> Evidence:
        """Give the evidence of one feature for some of the rows."""
        places = np.searchsorted(self.rows, rows)
        found = {what: positions[places] for what, positions in self.searched.items()}
        return Evidence(
            source=self.source,
            values=plain(self.source.values[name], unordered=name in self.unordered),
            **found,
            numbers=places,
            precision=self.precision,
            feature=name,
            wider=partial(self.wider.of, name),
        )


def _searched(  # noqa: PLR0913 - a row is known by these
    source: SourceRows, keys: Indexes, served_at: Indexes, events: Indexes, *, ttl: int | None, precision: int
) -> dict[str, Indexes]:
    """Find the rows behind each served row: what `Evidence` has beside the values."""
    has_event = events != NO_TIME
    low, high = (np.where(has_event, bound, NO_TIME) for bound in bounds(np.where(has_event, events, 0), precision))
    first_at, end_at = source.span(keys, low, high)
    end_at = np.where(has_event, end_at, first_at)
    following = source.first_after(keys, high, served_at)
    waiting = np.full(len(keys), NO_TIME)
    waiting[following >= 0] = source.known_from(following[following >= 0])
    return {
        "training": source.latest(keys, served_at, ttl, known=False),
        "known": source.latest(keys, served_at, ttl, known=True),
        "known_ever": source.latest(keys, served_at, None, known=True),
        "first_at": first_at,
        "end_at": end_at,
        "at_event": source.known_within(first_at, end_at, served_at),
        "waiting_since": waiting,
    }


def _tell(judged: Judged) -> None:
    wanted = listener()
    if wanted is not None:
        wanted.add(per_cell(judged))


def _asked(statuses: pa.ChunkedArray) -> Indexes:
    """Give the rows of lookups that asked for a feature and were given it.

    Rows under an earlier schema have no status; a feature that Feast left out of its response has INVALID.
    """
    given = pc.greater(pc.fill_null(statuses, 0), 0)
    return np.flatnonzero(given.combine_chunks().to_numpy(zero_copy_only=False))


def _precision(store: FeatureStore) -> int:
    """Give the unit, in microseconds, to which the online store truncates event times.

    Feast's SQLite store keeps whole seconds. Others keep microseconds, some through a float: one either way is let be.
    """
    kind = str(getattr(store.config.online_store, "type", ""))
    return SECOND if kind == "sqlite" or kind.endswith(".SqliteOnlineStore") else 1
