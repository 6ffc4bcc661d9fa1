"""Lookups that were logged twice under one request id: a caller that tried again, most often.

The same feature set for the same entity rows under the same request id, served with the same values, is a duplicate and
is left out; with other values it is a conflict, counted, and both are kept. Another feature set, or other entity rows,
under the same id is a lookup of its own. Lookups whose id was made here cannot be either.

Known are the last `MOST` such lookups that this shipper has shipped: a repeat that comes after as many others, or
after the shipper was started anew, is stored as a lookup of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.log.table import Entry
    from skew_ext.schema import LogSchema

MOST = 50_000
_MOST_VERSIONS = 8
DUPLICATE, CONFLICT, NEW = "duplicate", "conflict", "new"


class RecentRequests:
    """The lookups with a caller's request id that were seen last, each by 64 bits of its values."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: OrderedDict[tuple[bytes, bytes, int], tuple[int, ...]] = OrderedDict()

    def judge(self, entry: Entry, schema: LogSchema) -> str:
        """Say what a record is, DUPLICATE, CONFLICT or NEW, and remember it."""
        if entry.record.own_id:
            return NEW
        try:
            entity, values = _summary(entry, schema)
        except Exception:  # noqa: BLE001 - what cannot be read is for the decoder to set aside
            return NEW
        key = (entry.record.request_id, entry.record.schema, entity)
        known = self._seen.pop(key, ())
        self._seen[key] = known if values in known else (*known[-_MOST_VERSIONS + 1 :], values)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return DUPLICATE if values in known else CONFLICT if known else NEW


def _summary(entry: Entry, schema: LogSchema) -> tuple[int, int]:
    """Give what stands for a lookup's entity rows, and for all that was served; the columns' order does not matter."""
    response = GetOnlineFeaturesResponse.FromString(entry.record.response)
    names: Sequence[str] = response.metadata.feature_names.val
    columns = {name: result.SerializeToString() for name, result in zip(names, response.results, strict=True)}
    entity = hash(tuple(columns[key.name] for key in schema.join_keys))
    return entity, hash((frozenset(columns.items()), entry.record.request, entry.record.constants))
