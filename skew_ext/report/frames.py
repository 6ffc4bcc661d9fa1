"""The report as pandas data frames, for whoever wants to go on from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from skew_ext.model import AuditReport, DistributionRow, Example, FeatureParity, Finding, Lag, ViewTtl

LAGS = ("p50", "p95", "max")
PARITY = [
    *("feature", "compared", "mismatched", "rate", "ci95_low", "ci95_high", "within_rounding"),
    *("largest_error", "median_error", *(f"lag_{name}" for name in LAGS)),
]
CAUSES = ["feature", "cause", "cells", "share"]
EXAMPLES = ["feature", *(field.name for field in fields(Example))]
FINDINGS = [field.name for field in fields(Finding)]
DISTRIBUTION = [
    "question",
    *(field.name for field in fields(DistributionRow) if field.name not in ("null_rate", "constant")),
    *("null_rate_reference", "null_rate_served", "constant_reference", "constant_served"),
]
TTL = ["view", "ttl_seconds", "rows", "served_past_ttl", *(f"staleness_{name}" for name in LAGS)]


def frames(report: AuditReport) -> dict[str, pd.DataFrame]:
    """Give the report's tables by name; every column is there however little was found.

    `causes.share` is of the cells compared. `distribution.question` is "skew" or "drift". `ttl` has, beside its own
    columns, one for each cell of the matrix. Lag and staleness are in seconds; times are datetimes in UTC.
    """
    features = report.parity.features
    return {
        "parity": _frame(map(_parity, features), PARITY),
        "causes": _frame((row for one in features for row in _causes(one)), CAUSES),
        "examples": _frame((row for one in features for row in _examples(one)), EXAMPLES),
        "findings": _frame(map(asdict, report.findings), FINDINGS),
        "distribution": _frame(_distribution(report), DISTRIBUTION),
        "ttl": _frame(map(_ttl, report.ttl), TTL + sorted({cell for one in report.ttl for cell in one.matrix})),
    }


def _frame(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=pd.Index(columns))


def _parity(one: FeatureParity) -> dict[str, Any]:
    low, high = one.ci95
    return {**vars(one), "ci95_low": low, "ci95_high": high, **_lag("lag", one.lag)}


def _causes(one: FeatureParity) -> Iterable[dict[str, Any]]:
    for cause, cells in one.causes.items():
        yield {"feature": one.feature, "cause": cause, "cells": cells, "share": cells / one.compared}


def _examples(one: FeatureParity) -> Iterable[dict[str, Any]]:
    return ({"feature": one.feature, **vars(example)} for example in one.examples)


def _distribution(report: AuditReport) -> Iterable[dict[str, Any]]:
    for question, rows in (("skew", report.distribution.skew), ("drift", report.distribution.drift)):
        for row in rows:
            pairs = {
                f"{name}_{side}": value
                for name in ("null_rate", "constant")
                for side, value in zip(("reference", "served"), getattr(row, name), strict=True)
            }
            yield {"question": question, **vars(row), **pairs}


def _ttl(one: ViewTtl) -> dict[str, Any]:
    return {**vars(one), **one.matrix, **_lag("staleness", one.staleness_seconds)}


def _lag(prefix: str, lag: Lag | None) -> dict[str, float | None]:
    return {f"{prefix}_{name}": getattr(lag, name, None) for name in LAGS}
