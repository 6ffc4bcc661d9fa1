"""The frame's cells against their point-in-time values, and for those that differ, where they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID

from skew_ext.audit.cells import compare, plain
from skew_ext.baseline.evidence import NONE, fetch
from skew_ext.baseline.narrowed import narrowed
from skew_ext.baseline.retrieval import point_in_time, recompute_on_demand
from skew_ext.errors import TrainingSetError
from skew_ext.frames import MICROSECONDS, times, without_nan
from skew_ext.leakage.frame import WHAT
from skew_ext.leakage.settling import settled
from skew_ext.leakage.view_cells import ViewCells
from skew_ext.leakage.wording import Worded
from skew_ext.log.values import arrow_type
from skew_ext.schema import LOG_TIMESTAMP
from skew_ext.training.identity import like

if TYPE_CHECKING:
    from feast import FeatureStore

    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.baseline.retrieval import Baseline
    from skew_ext.leakage.discrimination import Integers, Mask
    from skew_ext.leakage.features import Wanted
    from skew_ext.leakage.frame import TrainingFrame
    from skew_ext.leakage.report import LeakageFinding

SAMPLE_SEED = 20_260_301
_FIRST, _LAST = (int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000 for year in (1900, 2200))
"""Between these the whole source is read: whether a cell is the latest value needs the latest."""


@dataclass
class CellCheck:
    """Findings about cells, how many rows were looked at, and notes on what was not.

    `wanted` are the features that were looked at, each column left to one view.
    """

    wanted: Wanted
    checked: int = 0
    findings: list[LeakageFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_cells(
    store: FeatureStore, frame: TrainingFrame, wanted: Wanted, sample: int, say: Callable[[str], None]
) -> CellCheck:
    """Hold each cell of the wanted features against Feast's point-in-time retrieval for its row's key and time.

    Of a frame of more than `sample` rows, so many are looked at, drawn evenly and the same each time.

    Raises
    ------
    AuditError
        The offline store fails.
    TrainingSetError
        A join key is of a type that the entity's cannot be made of.
    """
    result = CellCheck(settled(wanted, {}))
    if frame.at is None or not wanted.columns:
        return result
    keys = {name: _key(frame, name, kind) for name, kind in _key_types(wanted).items()}
    usable = np.flatnonzero(_complete(frame, keys))
    if len(usable) < frame.rows:
        result.notes.append(f"{frame.rows - len(usable):,} rows lack a key or their time: their cells were not checked")
    rows = _sampled(usable, sample)
    if len(rows) < len(usable):
        result.notes.append(f"cells were checked in a sample of {len(rows):,} of {frame.rows:,} rows")
    if not len(rows):
        return result
    result.checked = len(rows)
    table = _table(frame, wanted, keys, rows)
    say("point-in-time retrieval")
    baseline = point_in_time(narrowed(store), wanted.service, wanted.views, table)
    for view in wanted.views:
        if view.on_demand:
            recompute_on_demand(view, wanted.views, table, baseline)
    checking = _Checking(store, frame, wanted, rows, table, baseline, result)
    if wanted.unclear:
        result.wanted = settled(wanted, checking.equal())
        checking = replace(checking, wanted=result.wanted)
    for view in wanted.views:
        say(f"comparing {view.alias}")
        checking.view(view)
    _tell_store(baseline, result)
    return result


@dataclass(frozen=True)
class _Checking:
    """The rows that are checked, as rows of the log (`table`), with their baseline."""

    store: FeatureStore
    frame: TrainingFrame
    wanted: Wanted
    rows: Integers
    table: pa.Table
    baseline: Baseline
    result: CellCheck

    def view(self, view: ViewPlan) -> None:
        """Check one view."""
        trained = self._trained(view)
        if not trained:
            return
        worded = Worded(self.frame, self.wanted, view, self.rows)
        if view.on_demand:
            self._on_demand(worded, trained)
        elif not view.join_keys:
            self.result.notes.append(f"{view.alias} was not checked: it has no entity")
        elif getattr(view.view, "feature_transformation", None) is not None:
            self.result.notes.append(f"{view.alias} was not checked: it transforms its source rows")
        else:
            self._stored(worded, trained)

    def equal(self) -> dict[str, int]:
        """Count, for each `view__feature`, the cells that have its point-in-time value."""
        return {
            column: int((~compare(values, self._expected(column)).different).sum())
            for view in self.wanted.views
            for name, values in self._trained(view).items()
            if (column := view.column(name)) not in self.baseline.not_comparable
        }

    def _trained(self, view: ViewPlan) -> dict[str, pa.Array]:
        found = {name: self.wanted.columns.get(view.column(name)) for name in view.features}
        places = pa.array(self.rows)
        return {
            name: comparable(self.frame.columns[column].take(places))
            for name, column in found.items()
            if column is not None
        }

    def _stored(self, worded: Worded, trained: dict[str, pa.Array]) -> None:
        expected = {name: self._expected(worded.view.column(name)) for name in trained}
        source, keys = fetch(self.store, worded.view, self.table, _FIRST, _LAST)
        cells = ViewCells(worded, trained, expected, source, keys)
        cells.run()
        self.result.findings.extend(cells.findings)
        self.result.notes.extend(cells.notes)

    def _on_demand(self, worded: Worded, trained: dict[str, pa.Array]) -> None:
        for name, values in trained.items():
            column = worded.view.column(name)
            if column in self.baseline.not_comparable:
                self.result.notes.append(f"{column} was not checked: {self.baseline.not_comparable[column].why}")
                continue
            expected = self._expected(column)
            differs = compare(values, expected).different
            if differs.any():
                self.result.findings.append(worded.not_transformed(name, differs, expected))

    def _expected(self, column: str) -> pa.Array:
        return comparable(plain(self.baseline.columns[column]))


def comparable(values: pa.Array) -> pa.Array:
    """Give values as frames can hold them: NaN as null, times in UTC with microseconds, and nothing but nulls as some.

    A column without a value has no type of its own in pandas, and there is no comparing of such.
    """
    if pa.types.is_timestamp(values.type):
        return times(values, "", WHAT)
    return pa.nulls(len(values), pa.float64()) if pa.types.is_null(values.type) else without_nan(values)


def _table(frame: TrainingFrame, wanted: Wanted, keys: dict[str, pa.Array], rows: Integers) -> pa.Table:
    """Give the frame's rows as rows of the log: keys, times, request data, and features as `view__feature`."""
    places = pa.array(rows)
    columns = {name: frame.columns[name] for name in wanted.request_data if name in frame.columns}
    columns |= {full: frame.columns[name] for full, name in wanted.columns.items()} | keys
    assert frame.at is not None  # noqa: S101 - it was asked for before
    moments = pa.array(frame.at[rows]).cast(MICROSECONDS)
    return pa.table({**{name: values.take(places) for name, values in columns.items()}, LOG_TIMESTAMP: moments})


def _key_types(wanted: Wanted) -> dict[str, pa.DataType]:
    types = {}
    for view in wanted.views:
        for column in () if view.on_demand else view.view.entity_columns:
            if column.name != DUMMY_ENTITY_ID:
                types[view.join_keys[column.name]] = arrow_type(column.dtype.to_value_type().name)
    return types


def _key(frame: TrainingFrame, name: str, wanted: pa.DataType) -> pa.Array:
    values = frame.columns[name]
    if pa.types.is_integer(values.type) and pa.types.is_string(wanted):
        return values.cast(wanted)  # a CSV file does not tell "7" from 7; "007" it would have kept
    try:
        return like(values, wanted, name)
    except TrainingSetError:
        msg = f"the join key {name!r} is {values.type} in {WHAT}, and {wanted} in the repo: convert it"
        raise TrainingSetError(msg) from None


def _complete(frame: TrainingFrame, keys: dict[str, pa.Array]) -> Mask:
    assert frame.at is not None  # noqa: S101 - it was asked for before
    complete = frame.at != NONE
    for values in keys.values():
        complete &= np.asarray(values.is_valid())
    return np.asarray(complete, dtype=bool)


def _sampled(rows: Integers, most: int) -> Integers:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(rows, size=most, replace=False))


def _tell_store(baseline: Baseline, result: CellCheck) -> None:
    if baseline.lost_rows:
        result.notes.append(f"the offline store dropped {baseline.lost_rows:,} rows when it was asked again")
    if baseline.repeated_rows:
        result.notes.append(f"the offline store gave {baseline.repeated_rows:,} rows more than once when asked again")
