"""What an engine gives an audit, and which one a repo's audit runs on.

The pass over the log (retrieve, compare, count) runs where the data are. What comes back is bounded or added up:
counts, the rows that differ in blocks of bounded size, and an even sample for the distributions. Causes, statistics
and findings are made of these, and know no engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from skew_ext.auditor.first_pass import FirstPass
from skew_ext.baseline.narrowed import narrowed
from skew_ext.errors import SettingsError
from skew_ext.repo import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from feast import FeatureService, FeatureStore

    from skew_ext.audit.over_time import Stretches
    from skew_ext.auditor.counting import ViewCounts
    from skew_ext.auditor.window import WindowLog
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.baseline.retrieval import Baseline

SECOND = 1_000_000


class Sample(Protocol):
    """The even sample of rows that distributions are made of."""

    @property
    def rows(self) -> int:
        """How many rows are in it."""


class Engine(Protocol):
    """The pass over a window's log, and what it found."""

    rows: int
    """Rows audited."""
    counts: list[ViewCounts]
    """The counts of each view, in the service's order."""
    baseline: Baseline
    """What the store did to the rows on the way; its columns are empty."""

    @property
    def sample(self) -> Sample:
        """The rows that `distributions` gives."""

    def run(self, parts: Iterator[pa.Table], say: Callable[[str], None]) -> None:
        """Take the log. An engine that reads the log by itself leaves `parts` alone."""

    def blocks(self) -> Iterator[tuple[pa.Table, dict[str, pa.ChunkedArray]]]:
        """Give the rows that differ, and their baseline, in blocks of bounded size.

        Each block is an even sample of the window, with a column `first_served_column(alias)` for each view.
        """

    def distributions(self) -> pa.Table:
        """Give the even sample, baseline columns (`BASELINE_PREFIX`) beside the served ones."""

    def close(self) -> None:
        """Let go of what was kept for it."""


def engine_for(
    store: FeatureStore, service: FeatureService, views: Sequence[ViewPlan], stretches: Stretches, log: WindowLog
) -> Engine:
    """Give the engine that `skew.engine` names; of itself, Spark where the repo's offline store is Spark.

    Raises
    ------
    SettingsError
        It names Spark, and the repo's offline store is another, or a view is of a kind that Spark cannot do.
    """
    wanted = settings_of(store).engine
    reason = "" if wanted == "embedded" else spark_cannot(store, views)
    if wanted == "spark" and reason:
        msg = f"engine: spark in feature_store.yaml cannot be had: {reason}; use engine: auto"
        raise SettingsError(msg)
    if wanted == "embedded" or reason:
        return FirstPass(narrowed(store), service, views, stretches)
    from skew_ext.engines.spark.first_pass import SparkPass  # noqa: PLC0415 - pyspark comes with an extra

    return SparkPass(store, service, views, stretches, log)


def spark_cannot(store: FeatureStore, views: Sequence[ViewPlan]) -> str:
    """Say why an audit cannot run in Feast's Spark session; empty where it can."""
    provider: Any = store._get_provider()  # noqa: SLF001 - the offline store has no public door
    names = [one.__name__ for one in type(getattr(provider, "offline_store", None)).__mro__]
    if "SparkOfflineStore" not in names:
        return f"the repo's offline store is {names[0]}"
    for view in views:
        # Feast's Spark store truncates it: the right values come from the source's rows, which the other engine reads.
        if view.ttl_microseconds is not None and view.ttl_microseconds % SECOND:
            return f"the TTL of {view.alias} has a fraction of a second, which Feast's Spark store does not keep"
    return ""
