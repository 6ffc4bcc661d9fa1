"""`training_set_from_log`: the features exactly as they were served, with the labels that came later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from skew_ext.errors import TrainingSetError
from skew_ext.frames import Frame
from skew_ext.repo import open_store
from skew_ext.schema import (
    ENVIRONMENT,
    LOG_TIMESTAMP,
    MODEL_NAME,
    MODEL_VERSION,
    REQUEST_ID,
    ROW,
    SCHEMA,
    STATUS_SUFFIX,
    TIMESTAMP_SUFFIX,
    TRANSFORMS,
)
from skew_ext.training.joining import Take
from skew_ext.training.labels import GivenLabels, LabelNames, given_labels, logged_labels, unknown_times
from skew_ext.training.lookups import Lookups, logged_lookups
from skew_ext.training.matching import Matched, Terms, match
from skew_ext.training.saving import save
from skew_ext.training.training_set import EVENT_TIMESTAMP, LABEL_OBSERVED_AT, TrainingSet

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.saved_dataset import SavedDatasetStorage

_KEPT = (REQUEST_ID, ROW, MODEL_NAME, MODEL_VERSION, ENVIRONMENT, TRANSFORMS, SCHEMA)


def training_set_from_log(  # noqa: PLR0913 - all but the first three by name
    repo: FeatureStore | str | PathLike[str],
    labels: Frame | Literal["log"] | None,
    feature_service: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    model_version: str | None = None,
    label: str = "label",
    on: Sequence[str] | str | None = None,
    label_time: str = "event_timestamp",
    observed_at: str = "observed_at",
    label_delay: timedelta = timedelta(0),
    tolerance: timedelta | None = None,
    take: Take | None = None,
    also: Sequence[str] = (),
    event_times: bool = False,
    save_as: str | None = None,
    storage: SavedDatasetStorage | None = None,
    allow_overwrite: bool = False,
) -> TrainingSet:
    """Join logged lookups to labels: the training set of Google's Rule #29, "train like you serve".

    Labels are joined by request id where they have a column `request_id` (and `row`, the position in the request, or
    join keys, where a request has several entity rows); otherwise by key and time:

    - labels with both times are about the lookup of their key that is nearest to `label_time`, within `tolerance`
      (by default the very same time);
    - labels with one time alone were observed then: a lookup at t takes one that was observed in
      [t + label_delay, t + label_delay + tolerance], and `tolerance` must be given.

    A label observed before t + label_delay is never joined to a lookup at t: it cannot be about its outcome. No row is
    lost or gained unsaid: `account` of the result says what became of every lookup and every label.

    Parameters
    ----------
    repo
        A Feast repo's folder, or a feature store; the log is that of its `skew:` settings.
    labels
        A pandas frame or an Arrow table; "log" or None are the labels that `ServingLogger.log_label` logged.
    feature_service
        Whose lookups are trained on.
    start, end
        Only lookups served in [start, end). A naive time is taken as UTC. Labels may be of any time.
    model_version
        Only lookups logged with this model version.
    label
        The column of `labels` with the label, and its name in the result.
    on
        The columns to join on: `request_id`, `row`, join keys, or fields of request data.
    label_time, observed_at
        The columns of `labels` with the time that a label is about, and when it was observed. Times without a zone
        are taken as UTC. Labels that name the request need neither.
    label_delay
        How long after a lookup its label may be observed at the earliest: nothing by default.
    tolerance
        See above.
    take
        Which of several labels that fit is taken, by the time of observation: by default the "last" by request id
        (a correction counts), and the "first" by key and one time; the nearest where labels say what they are about.
    also
        More columns of `labels` that go along: weights, say.
    event_times
        Keep each feature's event time and status too, as `view__feature__timestamp` and `view__feature__status`.
    save_as, storage, allow_overwrite
        Save it as a Feast SavedDataset of this name, in this storage: by default a Parquet file under the repo's
        `data/skew/training`, where the offline store reads files.

    Returns
    -------
    TrainingSet

    Raises
    ------
    RepoError, SettingsError
        The repo cannot be opened, or has no such service.
    LogError
        The log has no lookups there, or cannot be read.
    TrainingSetError
        The labels lack a column (the nearest is suggested) or hold what cannot be joined; none fits; or the set
        cannot be saved as asked.
    """
    terms = Terms(label_delay, tolerance, take)
    names = LabelNames(label, label_time, observed_at, tuple(also))
    store = open_store(repo)
    lookups = logged_lookups(store, feature_service, start, end, model_version)
    _check_names(names, lookups, event_times=event_times)
    if labels is None or isinstance(labels, str):
        _check_log(labels, on)
        given = logged_labels(store, start)
    else:
        given = given_labels(labels, names, _listed(on), lookups)
    matched = match(lookups, given, terms)
    if not matched.account.rows:
        raise TrainingSetError(_none_fits(lookups, given, matched))
    made = _training_set(lookups, given, matched, names, event_times=event_times)
    if save_as is None:
        return made
    saved = save(store, made, save_as, lookups, storage, allow_overwrite=allow_overwrite)
    return replace(made, saved=saved)


def _training_set(
    lookups: Lookups, labels: GivenLabels, matched: Matched, names: LabelNames, *, event_times: bool
) -> TrainingSet:
    rows = np.flatnonzero(matched.taken >= 0)
    log, places = lookups.table.take(pa.array(rows)), pa.array(matched.taken[rows])
    suffixes = ("", TIMESTAMP_SUFFIX, STATUS_SUFFIX) if event_times else ("",)
    chosen = [*lookups.given, LOG_TIMESTAMP, *(name + suffix for name in lookups.features for suffix in suffixes)]
    fields = [log.schema.field(name) for name in (*chosen, *_KEPT)]
    columns = [log[name] for name in chosen]
    observed = pa.nulls(len(rows), pa.timestamp("us", tz="UTC"))
    if (known := labels.observed_or_about) is not None:
        observed = known.take(places)
    labelled = {names.label: labels.value.take(places), **{name: v.take(places) for name, v in labels.also.items()}}
    schema = pa.schema(
        [field.with_name(EVENT_TIMESTAMP) if field.name == LOG_TIMESTAMP else field for field in fields[: len(chosen)]]
        + [pa.field(name, values.type) for name, values in labelled.items()]
        + fields[len(chosen) :]
        + [pa.field(LABEL_OBSERVED_AT, observed.type)]
    )
    arrays = [*columns, *labelled.values(), *(log[name] for name in _KEPT), observed]
    return TrainingSet(
        table=pa.table(arrays, schema=schema),
        features=list(lookups.features),
        label=names.label,
        account=matched.account,
        model_versions=_counts(log[MODEL_VERSION]),
        transforms=_counts(log[TRANSFORMS]),
        notes=_notes(lookups, labels, log),
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return dict(Counter(value or "" for value in column.to_pylist()).most_common())


def _notes(lookups: Lookups, labels: GivenLabels, log: pa.Table) -> list[str]:
    notes = []
    versions, transforms = _counts(log[MODEL_VERSION]), _counts(log[TRANSFORMS])
    if len(versions) > 1:
        said = ", ".join(f"{name or 'none'} ({count:,} rows)" for name, count in versions.items())
        notes.append(f"the rows were served by several model versions: {said}; choose one by model_version=...")
    if len(transforms) > 1:
        notes.append(f"the rows were served by {len(transforms)} versions of the transforms: see `transforms`")
    if labels.observed_or_about is None:
        notes.append("the labels do not say when they were observed: each was taken as observed after its lookup")
    elif unknown := unknown_times(labels.observed_or_about):
        notes.append(f"{unknown:,} labels do not say when they were observed, and count as observed after their lookup")
    for name, count in replace(lookups, table=log).not_given().items():
        notes.append(f"{name} is null in {count:,} rows because Feast left it out of their responses")
    return notes


def _check_names(names: LabelNames, lookups: Lookups, *, event_times: bool) -> None:
    """Refuse a label, or a column that goes along, whose name the result has already."""
    taken = {*lookups.given, *lookups.features, *_KEPT, EVENT_TIMESTAMP, LABEL_OBSERVED_AT}
    if event_times:
        taken |= {name + suffix for name in lookups.features for suffix in (TIMESTAMP_SUFFIX, STATUS_SUFFIX)}
    asked = [names.label, *names.also]
    twice = next((name for name in asked if name in taken or asked.count(name) > 1), None)
    if twice is not None:
        msg = f"{twice!r} would stand in the training set twice: rename that column of the labels"
        raise TrainingSetError(msg)


def _check_log(labels: Any, on: object) -> None:
    if labels not in (None, "log"):
        msg = f"labels are a frame, or 'log' for those that were logged, not {labels!r}"
        raise TrainingSetError(msg)
    if on is not None:
        msg = "labels of the log are joined by request id: leave `on` out"
        raise TrainingSetError(msg)


def _listed(on: Sequence[str] | str | None) -> Sequence[str] | None:
    return [on] if isinstance(on, str) else on


def _none_fits(lookups: Lookups, labels: GivenLabels, matched: Matched) -> str:
    """Say why the training set would be empty, with one value of each side to compare."""
    account, names = matched.account, list(labels.on)
    said = ", ".join(line for line in str(account).splitlines())
    ours = lookups.table[names[0]][0].as_py()
    theirs = next((value.as_py() for value in labels.on[names[0]] if value.is_valid), None)
    return (
        f"no label fits a lookup: {said}; {names[0]} is for instance {ours!r} in the log and {theirs!r} in the labels"
    )
