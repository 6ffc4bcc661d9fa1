"""Lookups that were logged twice under one request id: a caller that tried again, most often.

The same feature set for the same entity rows under the same request id, served with the same values, is a duplicate and
is left out; with other values it is a conflict, counted, and both are kept. Another feature set, or other entity rows,
under the same id is a lookup of its own. Lookups whose id was made here cannot be either.

Known are the last `MOST` such lookups that this shipper has shipped: a repeat that comes after as many others, or
after the shipper was started anew, is stored as a lookup of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.log.table import Entry
    from skew_ext.schema import LogSchema

MOST = 50_000
_MOST_VERSIONS = 8
DUPLICATE, CONFLICT, NEW = "duplicate", "conflict", "new"
_Key: TypeAlias = tuple[bytes, bytes, int]


class RecentRequests:
    """The lookups with a caller's request id that were shipped last, each by 64 bits of its values.

    A batch is judged by a `Judge`, and remembered when it is committed: what was only planned, and never shipped, must
    not make the same rows their own duplicates when they are read again.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: OrderedDict[_Key, tuple[int, ...]] = OrderedDict()

    def known(self, key: _Key) -> tuple[int, ...]:
        """Return the values that were shipped under a key."""
        return self._seen.get(key, ())

    def remember(self, judged: dict[_Key, tuple[int, ...]]) -> None:
        """Remember what a batch was judged by."""
        for key, values in judged.items():
            self._seen.pop(key, None)
            self._seen[key] = values
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)


class Judge:
    """Says what the records of one batch are, by those that were shipped before and by each other."""

    def __init__(self, recent: RecentRequests) -> None:
        self._recent = recent
        self.judged: dict[_Key, tuple[int, ...]] = {}

    def judge(self, entry: Entry, schema: LogSchema) -> str:
        """Return what a record is: DUPLICATE, CONFLICT or NEW."""
        if entry.record.own_id:
            return NEW
        try:
            entity, values = _summary(entry, schema)
        except Exception:  # noqa: BLE001 - what cannot be read is for the decoder to set aside
            return NEW
        key = (entry.record.request_id, entry.record.schema, entity)
        known = self.judged.pop(key, None) or self._recent.known(key)
        self.judged[key] = known if values in known else (*known[-_MOST_VERSIONS + 1 :], values)
        return DUPLICATE if values in known else CONFLICT if known else NEW


def _summary(entry: Entry, schema: LogSchema) -> tuple[int, int]:
    """Give what stands for a lookup's entity rows, and for all that was served; the columns' order does not matter."""
    response = GetOnlineFeaturesResponse.FromString(entry.record.response)
    names: Sequence[str] = response.metadata.feature_names.val
    columns = {name: result.SerializeToString() for name, result in zip(names, response.results, strict=True)}
    entity = hash(tuple(columns[key.name] for key in schema.join_keys))
    return entity, hash((frozenset(columns.items()), entry.record.request, entry.record.constants))
