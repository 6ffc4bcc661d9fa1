"""The conservation law as Prometheus metrics: `skew_log_records_total{outcome, reason}` and the rows in the spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from skew_ext.metrics_server import LastCounts, serve
from skew_ext.shipping.stats import log_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client.core import Metric

    from skew_ext.shipping.stats import LogStats

_PLAIN = ("accepted", "stored", "duplicate", "dead_lettered")


class StatsCollector:
    """Counts the rows of a spool anew at each scrape, and says how old the counts are where that fails or takes long.

    It is what Prometheus' client calls a custom collector.
    """

    def __init__(self, count: Callable[[], LogStats]) -> None:
        self._counts = LastCounts(count)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics."""
        counts, age = self._counts.get()
        if counts is not None:
            yield from _families(counts)
        yield GaugeMetricFamily(
            "skew_log_counts_age_seconds",
            "How long ago the rows were counted that the other metrics tell of; more than 0 where they cannot be now",
            age,
        )


class _Given:
    """Counts that are there already."""

    def __init__(self, counts: LogStats) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Give the metrics."""
        return _families(self._counts)


def _families(counts: LogStats) -> Iterator[Metric]:
    records = CounterMetricFamily(
        "skew_log_records",
        "Entity rows by what became of them: accepted = stored + duplicate + dead_lettered + dropped + in spool",
        labels=["outcome", "reason"],
    )
    for outcome in _PLAIN:
        records.add_metric([outcome, ""], getattr(counts, outcome))
    for reason, rows in counts.dropped.items():
        records.add_metric(["dropped", reason], rows)
    yield records
    yield GaugeMetricFamily("skew_spool_rows", "Entity rows that wait to be stored", counts.in_spool)
    yield GaugeMetricFamily(
        "skew_log_unaccounted_rows",
        "Entity rows that the law misses: 0 is right",
        counts.unaccounted,
    )
    yield CounterMetricFamily(
        "skew_log_conflict_rows", "Stored rows that contradict others of their request id", counts.conflicts
    )


def metrics_text(counts: LogStats) -> str:
    """Give the metrics in Prometheus' text format."""
    return generate_latest(_registry(_Given(counts))).decode()


def serve_metrics(spool: Path, port: int, address: str = "127.0.0.1") -> Callable[[], None]:
    """Serve the metrics of a spool; give what ends it. SettingsError if the port cannot be had."""
    return serve(_registry(StatsCollector(lambda: log_stats(spool))), port, address)


def _registry(collector: StatsCollector | _Given) -> CollectorRegistry:
    # A registry of our own: the default one may be another library's, or meant for several processes.
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
