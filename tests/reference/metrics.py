"""The Prometheus metrics, from the calls that make them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tests.reference.markdown import page, table
from tests.reference.source import Site, argument, calls, texts

_MAKERS: Final = re.compile(r"(Counter|Gauge|Histogram|Summary)(MetricFamily)?")


def metrics() -> str:
    """Give docs/reference/metrics.md."""
    rows = sorted({row for site in calls() if _MAKERS.fullmatch(site.name) for row in _metric(site)})
    return page(
        "Metrics",
        "What skew_ext gives Prometheus.",
        table(("metric", "type", "labels", "is", "made in"), rows),
    )


def _metric(site: Site) -> Iterator[tuple[str, str, str, str, str]]:
    kind = site.name.removesuffix("MetricFamily").lower()
    labels = argument(site.call, 3 if site.name.endswith("Family") else 2, "labels")
    if labels is None:
        labels = argument(site.call, 2, "labelnames")
    said = " ".join(texts(argument(site.call, 1, "documentation")))
    for name in texts(argument(site.call, 0, "name")):
        full = f"{name.removesuffix('_total')}_total" if kind == "counter" else name
        yield f"`{full}`", kind, ", ".join(f"`{label}`" for label in _list(labels)), said, f"`{site.module}`"


def _list(node: ast.expr | None) -> list[str]:
    elements = node.elts if isinstance(node, (ast.List, ast.Tuple)) else []
    return [text for element in elements for text in texts(element)]
