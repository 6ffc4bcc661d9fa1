"""What an audit is given: the logged rows of the window, and the training set's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.clock import as_utc
from skew_ext.errors import AuditError, SpoolError, nearest
from skew_ext.log.reading import read_log
from skew_ext.repo import settings_of
from skew_ext.schema import MODEL_VERSION
from skew_ext.shipping.stats import log_stats

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    from feast import FeatureStore

SAMPLE_SEED = 20_260_301


def logged_rows(
    store: FeatureStore, service: str, start: datetime, end: datetime, model_version: str | None
) -> pa.Table:
    """Give the rows served in [start, end); AuditError if the window is the wrong way round, or has no rows."""
    start, end = as_utc(start), as_utc(end)
    if start >= end:
        msg = f"the window [{start.isoformat()}, {end.isoformat()}) is empty: give a start before its end"
        raise AuditError(msg)
    log = read_log(store, service, start, end)
    if model_version is not None and log.num_rows:
        log = log.filter(pc.equal(log[MODEL_VERSION], model_version))
    if not log.num_rows:
        raise AuditError(_no_rows(store, service, start, end, model_version))
    return log


def waiting_in_spool(store: FeatureStore) -> int:
    """Give the rows that still wait in the spool; 0 where there is none."""
    try:
        return log_stats(settings_of(store).spool).in_spool
    except SpoolError:
        return 0


def sampled(log: pa.Table, sample: int | None) -> pa.Table:
    """Give `sample` rows of the log, drawn evenly and the same each time, in their order; all if None or fewer."""
    if sample is None or sample >= log.num_rows:
        return log
    if sample < 1:
        msg = f"a sample of {sample} rows says nothing: give at least 1"
        raise AuditError(msg)
    chosen = np.random.default_rng(SAMPLE_SEED).choice(log.num_rows, size=sample, replace=False)
    return log.take(pa.array(np.sort(chosen)))


def training_columns(training_set: pd.DataFrame | pa.Table | None, features: list[str]) -> dict[str, Any]:
    """Give the training set's column of each feature, named `view__feature` or by the feature alone.

    Raises
    ------
    AuditError
        It has none of the features; the nearest name is suggested.
    """
    if training_set is None:
        return {}
    table = training_set if isinstance(training_set, pa.Table) else pa.Table.from_pandas(training_set)
    found = {}
    for feature in features:
        for name in (feature, feature.partition("__")[2]):
            if name in table.column_names:
                found[feature] = table[name]
                break
    if not found:
        hint = nearest(features[0], table.column_names) if features else ""
        msg = f"the training set has no column {features[0]!r}{hint}, nor any other feature of the service"
        raise AuditError(msg)
    return found


def _no_rows(store: FeatureStore, service: str, start: datetime, end: datetime, model_version: str | None) -> str:
    version = "" if model_version is None else f" by model version {model_version!r}"
    waiting = waiting_in_spool(store)
    hint = (
        f"{waiting:,} rows still wait in the spool: run `skew ship --drain`"
        if waiting
        else "serve through SkewProvider or LoggedFeatureStore, or audit another window"
    )
    return f"the log has no rows of {service!r}{version} in [{start.isoformat()}, {end.isoformat()}); {hint}"
