"""The event and created times of a view's source, for the TTL that they ask for: a bounded number of rows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from feast import utils

from skew_ext.baseline.evidence import NONE, Times, microseconds
from skew_ext.baseline.source_rows import key_hashes, of_part, rows_of_some

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
    _, per_hour = _read(store, view, last - _FIRST_LOOK, last)
    return _coded(*_read(store, view, last - min(longest, _FIRST_LOOK * (MOST_READ / max(per_hour, 1))), last))


def _read(store: FeatureStore, view: ViewPlan, start: datetime, end: datetime) -> tuple[pa.Table, int]:
    """Read the times and the keys, of a part of the keys at least; and say how many rows there are."""
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
    table, rows = rows_of_some(job, [*keys, event, created], keys, MOST_KEPT)
    times = {"skew_event": table[event]} | ({"skew_created": table[created]} if created else {})
    return pa.table({name: table[name] for name in keys} | times), rows


def _coded(table: pa.Table, rows: int) -> tuple[Times, Times, Times | None]:
    events = microseconds(table["skew_event"])
    stated = microseconds(table["skew_created"]) if "skew_created" in table.column_names else None
    keys = table.select([name for name in table.column_names if name not in ("skew_event", "skew_created")])
    hashes = key_hashes(keys)
    kept = of_part(hashes, rows, MOST_KEPT)
    created = None if stated is None else np.where(stated == NONE, events, stated)[kept]
    return hashes[kept].view(np.int64), events[kept], created
