"""The watch as Prometheus metrics: cells by cause, ratios, PSI, staleness, and the log's own counters beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from skew_ext.errors import SpoolError
from skew_ext.metrics_server import serve
from skew_ext.shipping.metrics import StatsCollector
from skew_ext.shipping.stats import log_stats
from skew_ext.watch.drift import LIMITS
from skew_ext.watch.labels import admitted, label_text
from skew_ext.watch.refusals import told_to_nobody
from skew_ext.watch.spread import divergence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from prometheus_client.core import Metric

    from skew_ext.watch.drift import Training
    from skew_ext.watch.incident import Incident
    from skew_ext.watch.state import ServiceState
    from skew_ext.watch.summary import FeatureSummary, WindowSummary

QUANTILES = {"0.5": 0.5, "0.95": 0.95, "1": 1.0}


@dataclass(frozen=True)
class ServiceView:
    """What is told of one service: its state, its windows by name, its open incidents, and the training set."""

    state: ServiceState
    windows: Mapping[str, WindowSummary]
    incidents: tuple[Incident, ...]
    training: Training
    max_features: int


@dataclass
class WatchView:
    """What is told of the whole watch; replaced after each round, so that a scrape waits for nothing."""

    services: Mapping[str, ServiceView] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=lambda: {"done": 0, "failed": 0})
    last_round: datetime | None = None


class WatchCollector:
    """Gives the metrics of the last round at each scrape."""

    def __init__(self, view: Callable[[], WatchView]) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Give the metrics."""
        view = self._view()
        yield _cells(view)
        yield from _gauges(view)
        yield _staleness(view)
        yield from _of_the_watch(view)


def _cells(view: WatchView) -> Metric:
    cells = CounterMetricFamily(
        "skew_cells",
        "Served cells that were compared with the point-in-time baseline, by the cause of their difference, or equal",
        labels=["feature_service", "feature", "cause"],
    )
    for name, service in view.services.items():
        for label, causes in service.state.totals.items():
            for cause, count in causes.items():
                cells.add_metric([label_text(name), label_text(label), cause], count)
    return cells


def _gauges(view: WatchView) -> Iterator[Metric]:
    labels = ["feature_service", "feature", "window"]
    ratio = GaugeMetricFamily("skew_mismatch_ratio", "Share of compared cells that differ, 0 to 1", labels=labels)
    nulls = GaugeMetricFamily("skew_null_ratio", "Share of served cells that are null, 0 to 1", labels=labels)
    unstable = GaugeMetricFamily(
        "skew_psi",
        "PSI of served values against the baseline of the same rows (skew), or against the training set (drift)",
        labels=[*labels, "reference"],
    )
    for name, service in view.services.items():
        for window, summary in service.windows.items():
            for label, features in _by_label(service, summary).items():
                where = [label_text(name), label_text(label), window]
                _worst(ratio, where, (one.ratio for one in features.values()))
                _worst(nulls, where, (one.null_ratio for one in features.values()))
                for reference, of in _REFERENCES.items():
                    found = (of(service, feature, one) for feature, one in features.items())
                    _worst(unstable, [*where, reference], found)
    yield from (ratio, nulls, unstable)


def _by_label(service: ServiceView, summary: WindowSummary) -> dict[str, dict[str, FeatureSummary]]:
    grouped: dict[str, dict[str, FeatureSummary]] = {}
    for feature, label in admitted(summary.features, service.state.totals, service.max_features).items():
        grouped.setdefault(label, {})[feature] = summary.features[feature]
    return grouped


def _worst(metric: GaugeMetricFamily, labels: list[str], values: Iterator[float | None]) -> None:
    """Add the largest of the values; of features that share a label, the worst is told."""
    known = [value for value in values if value is not None]
    if known:
        metric.add_metric(labels, max(known))


def _skew(_: ServiceView, __: str, feature: FeatureSummary) -> float | None:
    found = divergence(feature.baseline, feature.served, LIMITS.minimum_rows)
    return None if found is None else found[0]


def _drift(service: ServiceView, name: str, feature: FeatureSummary) -> float | None:
    found = divergence(service.training.spreads.get(name), feature.served, LIMITS.minimum_rows)
    return None if found is None else found[0]


_REFERENCES: dict[str, Callable[[ServiceView, str, FeatureSummary], float | None]] = {
    "baseline": _skew,
    "training": _drift,
}


def _staleness(view: WatchView) -> Metric:
    ages = GaugeMetricFamily(
        "skew_staleness_seconds",
        "How old the served rows were: serving time minus event time, by quantile",
        labels=["feature_service", "feature_view", "window", "quantile"],
    )
    for name, service in view.services.items():
        for window, summary in service.windows.items():
            for feature_view, sketch in summary.ages.items():
                for quantile, share in QUANTILES.items():
                    age = sketch.oldest if share == 1 else sketch.quantile(share)
                    if age is not None and sketch.rows:
                        ages.add_metric([label_text(name), label_text(feature_view), window, quantile], age)
    return ages


def _of_the_watch(view: WatchView) -> Iterator[Metric]:
    opened = GaugeMetricFamily(
        "skew_incidents_open", "Incidents that have not healed", labels=["feature_service", "group", "cause"]
    )
    watermark = GaugeMetricFamily(
        "skew_watch_watermark_timestamp_seconds",
        "Serving time up to which all was audited",
        labels=["feature_service"],
    )
    untold = GaugeMetricFamily(
        "skew_incidents_untold",
        "Open incidents that no address and no hook has taken, though it was tried",
        labels=["feature_service"],
    )
    refused = GaugeMetricFamily(
        "skew_alerts_refused",
        "Messages of open incidents that an address (by its place), or the hook, has not taken",
        labels=["feature_service", "channel"],
    )
    for name, service in view.services.items():
        watermark.add_metric([label_text(name)], service.state.watermark.timestamp())
        untold.add_metric([label_text(name)], sum(map(told_to_nobody, service.incidents)))
        waiting = Counter(each.partition(":")[2] for one in service.incidents for each in one.refusals)
        for channel, messages in sorted(waiting.items()):
            refused.add_metric([label_text(name), channel], messages)
        for incident in service.incidents:
            opened.add_metric([label_text(name), label_text(incident.group), incident.cause], 1)
    rounds = CounterMetricFamily("skew_watch_rounds", "Rounds of the watch, by service", labels=["outcome"])
    for outcome, count in view.rounds.items():
        rounds.add_metric([outcome], count)
    yield from (opened, untold, refused, watermark, rounds)
    if view.last_round is not None:
        seconds = view.last_round.timestamp()
        yield GaugeMetricFamily("skew_watch_last_round_timestamp_seconds", "When the last round ended", seconds)


def metrics_text(view: WatchView, spool: Path) -> str:
    """Give the metrics in Prometheus' text format."""
    return generate_latest(_registry(lambda: view, spool)).decode()


def serve_metrics(
    view: Callable[[], WatchView], spool: Path, port: int, address: str = "127.0.0.1"
) -> Callable[[], None]:
    """Serve the metrics; give what ends it. SettingsError if the port cannot be had."""
    return serve(_registry(view, spool), port, address)


def _registry(view: Callable[[], WatchView], spool: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(WatchCollector(view))
    try:
        log_stats(spool)
    except SpoolError:
        return registry  # The spools are on other machines: `skew ship --metrics-port` serves theirs there.
    except OSError:
        pass  # It is there and cannot be read now: the metrics say how old the counts are.
    registry.register(StatsCollector(lambda: log_stats(spool)))
    return registry
