"""The event and created times of a view's source, for the TTL that they ask for: a bounded number of rows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import utils

from skew_ext.baseline.evidence import NONE, Times, microseconds
from skew_ext.baseline.source_rows import rows_of

if TYPE_CHECKING:
    from feast import FeatureStore

    from skew_ext.baseline.plan import ViewPlan

MOST_READ, MOST_KEPT = 2_000_000, 250_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST_LOOK, _LONGEST = timedelta(hours=1), timedelta(days=30)
_TTLS = 8


def source_times(store: FeatureStore, view: ViewPlan, end: int) -> tuple[Times, Times, Times | None]:
    """Give key codes, event times and created times (None without a column of them) of rows with events up to `end`.

    In microseconds. As far back as eight TTLs or thirty days, whichever is longer, or as some two million rows go; of
    many rows, those of a part of the keys, each key with all of its rows.
    """
    last = EPOCH + timedelta(microseconds=end)
    longest = max(_LONGEST, _TTLS * timedelta(microseconds=view.ttl_microseconds or 0))
    look = _read(store, view, last - _FIRST_LOOK, last)
    per_hour = max(look.num_rows, 1)
    table = _read(store, view, last - min(longest, _FIRST_LOOK * (MOST_READ / per_hour)), last)
    return _coded(table)


def _read(store: FeatureStore, view: ViewPlan, start: datetime, end: datetime) -> pa.Table:
    """Read the times under the names `event` and `created`, and the keys under their own."""
    entities = [store.registry.get_entity(name, store.project) for name in view.view.entities]
    keys, _, event, created = utils._get_column_names(view.view, entities)  # noqa: SLF001 - as in evidence.py
    provider: Any = store._get_provider()  # noqa: SLF001 - likewise
    job = provider.offline_store.pull_all_from_table_or_query(
        config=store.config,
        data_source=view.view.batch_source,
        join_key_columns=list(keys),
        feature_name_columns=[],
        timestamp_field=event,
        created_timestamp_column=created,
        start_date=max(start, EPOCH),
        end_date=end,
    )
    # Without features Feast's Spark store gives every column of the source.
    table = rows_of(job, [*keys, event, created])
    times = {"skew_event": table[event]} | ({"skew_created": table[created]} if created else {})
    return pa.table({name: table[name] for name in keys} | times)


def _coded(table: pa.Table) -> tuple[Times, Times, Times | None]:
    events = microseconds(table["skew_event"])
    stated = microseconds(table["skew_created"]) if "skew_created" in table.column_names else None
    keys = table.select([name for name in table.column_names if name not in ("skew_event", "skew_created")])
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    if keys.num_columns:
        frame = keys.to_pandas(integer_object_nulls=True)
        hashes = np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)
    kept = hashes % np.uint64(-(-max(table.num_rows, 1) // MOST_KEPT)) == 0
    created = None if stated is None else np.where(stated == NONE, events, stated)[kept]
    return hashes[kept].view(np.int64), events[kept], created
