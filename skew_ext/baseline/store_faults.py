"""What Feast's offline stores are known to get wrong in a point-in-time retrieval, and which of it concerns a view.

Each was reproduced with Feast 0.67. A store is known by its class, a subclass of ours included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feast import FeatureStore

    from skew_ext.baseline.plan import ViewPlan

SECOND = 1_000_000


@dataclass(frozen=True)
class StoreFaults:
    """How one offline store departs from the point-in-time value.

    `ignores_ttl`: expired values are used. `truncates_ttl`: to whole seconds, and 0 is no TTL. `skips_null_created`:
    rows without a created time are never used. `joins_keys`: the parts of a composite key stand together without a
    separator. `unordered_ties`: of rows with one event time, any may be used; with `ignores_created` also where
    their created times differ. `reserved_suffix`: features of such a name cannot be retrieved.
    """

    ignores_ttl: bool = False
    truncates_ttl: bool = False
    skips_null_created: bool = False
    joins_keys: bool = False
    unordered_ties: bool = False
    ignores_created: bool = False
    reserved_suffix: str = ""

    def keeps_ttl(self, view: ViewPlan) -> bool:
        """Whether the store keeps this view's TTL."""
        ttl = view.ttl_microseconds
        if ttl is None:
            return True
        return not self.ignores_ttl and not (self.truncates_ttl and ttl % SECOND)

    def readable(self, view: ViewPlan, feature: str) -> bool:
        """Whether the store can retrieve this feature."""
        return not self.reserved_suffix or not view.column(feature).endswith(self.reserved_suffix)

    @property
    def mistakes_rows(self) -> bool:
        """Whether the store may use another row than the point-in-time one, and only the source's rows show it."""
        return self.skips_null_created or self.unordered_ties


_SQL = StoreFaults(truncates_ttl=True, skips_null_created=True, joins_keys=True, unordered_ties=True)
_KNOWN = {
    "DuckDBOfflineStore": StoreFaults(reserved_suffix="_y"),
    "DaskOfflineStore": StoreFaults(unordered_ties=True, ignores_created=True),
    "RayOfflineStore": StoreFaults(ignores_ttl=True, unordered_ties=True, ignores_created=True),
    "PostgreSQLOfflineStore": _SQL,
    "SparkOfflineStore": _SQL,
    "BigQueryOfflineStore": _SQL,
    "RedshiftOfflineStore": _SQL,
    "SnowflakeOfflineStore": StoreFaults(truncates_ttl=True, joins_keys=True),
}
_NONE = StoreFaults()


def known_faults(store: FeatureStore) -> StoreFaults:
    """Give what is known of the repo's offline store; of one that is not known, nothing."""
    provider: Any = store._get_provider()  # noqa: SLF001 - the offline store has no public door
    classes: Sequence[type] = type(getattr(provider, "offline_store", None)).__mro__
    return next((_KNOWN[one.__name__] for one in classes if one.__name__ in _KNOWN), _NONE)
