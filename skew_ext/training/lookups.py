"""The logged lookups that a training set is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from skew_ext.baseline.evidence import microseconds
from skew_ext.baseline.plan import plan_views
from skew_ext.errors import LogError, SpoolError
from skew_ext.log.reading import read_log
from skew_ext.repo import feature_service as find_service
from skew_ext.repo import settings_of
from skew_ext.schema import LOG_TIMESTAMP, MODEL_VERSION, STATUS_SUFFIX, TIMESTAMP_SUFFIX
from skew_ext.shipping.stats import log_stats

if TYPE_CHECKING:
    from datetime import datetime

    from feast import FeatureStore

    from skew_ext.training.joining import Integers


@dataclass(frozen=True)
class Lookups:
    """Rows of the log in the order of serving.

    `features` are the columns `view__feature`; `given` are those that a lookup is asked with, join keys and request
    data; `keys` are the join keys.
    """

    service: str
    table: pa.Table
    features: list[str]
    given: list[str]
    keys: list[str]

    @property
    def served_at(self) -> Integers:
        """When each was served, in microseconds since 1970."""
        return microseconds(self.table[LOG_TIMESTAMP])

    def not_given(self) -> dict[str, int]:
        """Count, for each feature, the lookups whose response left it out."""
        invalid = pa.scalar(int(FieldStatus.INVALID), pa.int32())
        counts = {name: pc.sum(pc.equal(self.table[name + STATUS_SUFFIX], invalid)).as_py() for name in self.features}
        return {name: count for name, count in counts.items() if count}


def logged_lookups(
    store: FeatureStore, service: str, start: datetime | None, end: datetime | None, model_version: str | None
) -> Lookups:
    """Read the lookups of a service served in [start, end), by one model version if given.

    Raises
    ------
    RepoError
        There is no such service.
    LogError
        There are none, or the log cannot be read.
    """
    views = plan_views(store, find_service(store, service))
    log = read_log(store, service, start, end, records=False)
    if model_version is not None and log.num_rows:
        log = log.filter(pc.equal(log[MODEL_VERSION], model_version))
    if not log.num_rows:
        raise LogError(_none(store, service, model_version))
    names = log.column_names
    features = [name for name in names if name + STATUS_SUFFIX in names]
    derived = {name + suffix for name in features for suffix in ("", STATUS_SUFFIX, TIMESTAMP_SUFFIX)}
    given = [name for name in names if name not in derived and not name.startswith("__")]
    registered = {key for view in views for key in view.join_keys.values()}
    return Lookups(service, log, features, given, [name for name in given if name in registered])


def _none(store: FeatureStore, service: str, model_version: str | None) -> str:
    version = "" if model_version is None else f" by model version {model_version!r}"
    try:
        waiting = log_stats(settings_of(store).spool).in_spool
    except SpoolError:
        waiting = 0
    hint = f"{waiting:,} rows wait in the spool: run `skew ship --drain`" if waiting else "name another window"
    return f"the log has no lookups of {service!r}{version} in that window: {hint}"
