"""The conservation law as Prometheus metrics: `skew_log_records_total{outcome, reason}` and the rows in the spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from skew_ext.errors import SettingsError
from skew_ext.shipping.stats import log_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client.core import Metric

    from skew_ext.shipping.stats import LogStats

_PLAIN = ("accepted", "stored", "duplicate", "dead_lettered")


class StatsCollector:
    """Counts the rows of a spool anew at each scrape; what Prometheus' client calls a custom collector."""

    def __init__(self, count: Callable[[], LogStats]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """Give the metrics."""
        counts = self._count()
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
    return generate_latest(_registry(lambda: counts)).decode()


def serve_metrics(spool: Path, port: int, address: str = "127.0.0.1") -> None:
    """Serve the metrics of a spool on a thread of its own; SettingsError if the port cannot be had."""
    try:
        start_http_server(port, address, _registry(lambda: log_stats(spool)))
    except OSError as error:
        msg = f"metrics cannot be served on {address}:{port} ({error}): choose another --metrics-port"
        raise SettingsError(msg) from None


def _registry(count: Callable[[], LogStats]) -> CollectorRegistry:
    # A registry of our own: the default one may be another library's, or meant for several processes.
    registry = CollectorRegistry()
    registry.register(StatsCollector(count))
    return registry
