"""`check_leakage`: a training set against the repo that it came from, and against its own label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from os import PathLike
from typing import TYPE_CHECKING

from skew_ext.audit.findings import in_order_of_harm, verdict_of
from skew_ext.clock import Clock, utc_now
from skew_ext.errors import TrainingSetError
from skew_ext.frames import Frame
from skew_ext.leakage.cells import CellCheck, check_cells
from skew_ext.leakage.entity_rows import copied_rows, entity_row_findings
from skew_ext.leakage.features import Wanted, wanted_features
from skew_ext.leakage.frame import read_frame
from skew_ext.leakage.label import LabelCheck, check_label
from skew_ext.leakage.moments import naive_note, time_findings, with_times
from skew_ext.leakage.report import LeakageFinding, LeakageReport
from skew_ext.repo import open_store

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

    from skew_ext.leakage.frame import TrainingFrame

SAMPLE = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_WEIGHTS = ("weight", "weights", "sample_weight", "sample_weights", "class_weight")


def check_leakage(  # noqa: PLR0913 - the public contract
    training_df: Frame,
    repo: FeatureStore | str | PathLike[str],
    features: Sequence[str] | FeatureService | str | None = None,
    label: str | None = None,
    timestamp: str = "event_timestamp",
    *,
    entity_rows: Frame | None = None,
    weights: str | None = None,
    sample: int = SAMPLE,
    clock: Clock = utc_now,
    progress: Callable[[str], None] | None = None,
) -> LeakageReport:
    """Look for what a training set knows and serving will not.

    Cells are set against Feast's point-in-time retrieval for the row's key and time. Cells that differ are looked for
    in the source's other rows: values from after the row's time are leaks, older ones are not. Columns are set against
    the label, on rows that were held out; intervals allow for the number of columns, for small classes and for rows
    of one entity, so that chance is not called a leak.

    Parameters
    ----------
    training_df
        The training set, as it was retrieved: a pandas frame or an Arrow table.
    repo
        A Feast repo's folder, or a feature store.
    features
        References (`view:feature`), a feature service, or its name. None takes the columns that are named like the
        repo's features: `view__feature`, or `feature`; where several views have one of that name, the view that fits.
    label
        The column that is to be predicted. Without one, only cells, times and rows are checked.
    timestamp
        The column with the time of each row. Times without a zone are taken as UTC.
    entity_rows
        The keys and times that the training set was made for, to tell rows that were lost, gained or repeated.
    weights
        A column of weights: no feature. Columns named `weight` or `sample_weight` are taken as such anyway.
    sample
        Cells are checked in at most so many rows, drawn evenly and the same each time.
    clock
        Says when the check was made, and which times are still to come.
    progress
        Called with the name of each step as it begins.

    Returns
    -------
    LeakageReport

    Raises
    ------
    RepoError
        `repo` cannot be opened, or has no such feature service.
    TrainingSetError
        The frame has no rows, or no column for the label or for a feature that was asked for (the nearest is
        suggested); or a column holds what it should not.
    AuditError
        The offline store fails.
    """
    if sample < 1:
        msg = f"a sample of {sample} rows says nothing: give at least 1"
        raise TrainingSetError(msg)
    say = progress or (lambda _: None)
    store = open_store(repo)
    frame = read_frame(training_df)
    own = _own(frame, label, weights)
    frame, findings = with_times(frame, timestamp, label)
    asked = wanted_features(store, frame, features, own | {timestamp, str(frame.timestamp)})
    now = clock()
    findings += time_findings(frame, (now - _EPOCH) // timedelta(microseconds=1))
    cells = check_cells(store, frame, asked, sample, say)
    wanted = cells.wanted
    say("rows")
    findings += cells.findings
    if entity_rows is not None:
        findings += entity_row_findings(frame, entity_rows, wanted.keys)
    say("label")
    told = LabelCheck() if label is None else check_label(frame, label, wanted.keys, own)
    ordered = _in_order([*findings, *told.findings])
    return LeakageReport(
        project=store.project,
        rows=frame.rows,
        checked=cells.checked,
        label=label,
        timestamp=frame.timestamp,
        features={column: full for full, column in wanted.columns.items()},
        verdict=verdict_of(ordered),
        findings=ordered,
        notes=_notes(frame, wanted, cells, told, label),
        created_at=now,
    )


def _own(frame: TrainingFrame, label: str | None, weights: str | None) -> set[str]:
    """Give the columns that are no features; TrainingSetError if one that was named is not there."""
    own = {name for name in _WEIGHTS if name in frame.columns}
    for name, role in ((label, "the label"), (weights, "the weights")):
        if name is not None:
            frame.require(name, role)
            own.add(name)
    return own


def _in_order(findings: Sequence[LeakageFinding]) -> list[LeakageFinding]:
    order = {id(finding): place for place, finding in enumerate(in_order_of_harm(findings))}
    return sorted(findings, key=lambda finding: order[id(finding)])


def _notes(frame: TrainingFrame, wanted: Wanted, cells: CellCheck, told: LabelCheck, label: str | None) -> list[str]:
    notes = [*wanted.notes, *cells.notes, *copied_rows(frame)]
    if frame.naive:
        notes.append(naive_note(frame))
    if frame.mixed:
        notes.append(f"values of several types were taken as text: {', '.join(frame.mixed)}")
    if label is None:
        notes.append("no label was named: what the features tell of it was not checked")
    return [*notes, *told.notes]
