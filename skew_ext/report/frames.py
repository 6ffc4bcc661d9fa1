"""The report as pandas data frames, for whoever wants to go on from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

import pandas as pd

from skew_ext.model import (
    AuditReport,
    DistributionRow,
    Example,
    FeatureParity,
    Finding,
    Histogram,
    Impact,
    Lag,
    ScoreChange,
    ViewTtl,
)

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
    *(field.name for field in fields(DistributionRow) if field.name not in ("null_rate", "constant", "histogram")),
    *("null_rate_reference", "null_rate_served", "constant_reference", "constant_served"),
]
TTL = [
    *("view", "ttl_seconds", "rows", "served_past_ttl", "share_past_ttl"),
    *(f"staleness_{name}" for name in LAGS),
    *("recommended_ttl", "recommended_materialize_every"),
]
OVER_TIME = ["feature", "start", "compared", "mismatched", "rate"]
HISTOGRAMS = ["question", "feature", "cell", "reference", "served", "low", "high"]
IMPACT = ["of", *(field.name for field in fields(ScoreChange))]


def frames(report: AuditReport) -> dict[str, pd.DataFrame]:
    """Give the report's tables by name; every column is there however little was found.

    `causes.share` is of the cells compared. `distribution.question` is "skew" or "drift". `ttl` has, beside its own
    columns, one for each cell of the matrix and for each quantile of the staleness. `impact.of` is "all", "cause" or
    "feature". `over_time` has a row for each stretch of the window in which cells of a feature were compared, with a
    column for the differing cells of each cause. `histograms` has a row for each cell of a feature's histogram,
    "other", "NaN" and "null" among them: both sides' shares, and of numbers the cell's edges, the outer ones open.
    Lag, staleness and TTLs are in seconds; times are datetimes in UTC.
    """
    features = report.parity.features
    return {
        "parity": _frame(map(_parity, features), PARITY),
        "causes": _frame((row for one in features for row in _causes(one)), CAUSES),
        "examples": _frame((row for one in features for row in _examples(one)), EXAMPLES),
        "findings": _frame(map(asdict, report.findings), FINDINGS),
        "distribution": _frame(_distribution(report), DISTRIBUTION),
        "ttl": _frame(map(_ttl, report.ttl), TTL + _ttl_more(report.ttl)),
        "over_time": _over_time(features),
        "histograms": _frame(_histograms(report), HISTOGRAMS),
        "impact": _frame(_impact(report.impact), IMPACT),
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


def _rows(report: AuditReport) -> Iterable[tuple[str, DistributionRow]]:
    for question, rows in (("skew", report.distribution.skew), ("drift", report.distribution.drift)):
        yield from ((question, row) for row in rows)


def _distribution(report: AuditReport) -> Iterable[dict[str, Any]]:
    for question, row in _rows(report):
        pairs = {
            f"{name}_{side}": value
            for name in ("null_rate", "constant")
            for side, value in zip(("reference", "served"), getattr(row, name), strict=True)
        }
        yield {"question": question, **vars(row), **pairs}


def _histograms(report: AuditReport) -> Iterable[dict[str, Any]]:
    for question, row in _rows(report):
        for cell in () if row.histogram is None else _cells(row.histogram):
            yield {"question": question, "feature": row.feature, **dict(zip(HISTOGRAMS[2:], cell, strict=True))}


def _cells(one: Histogram) -> Iterable[tuple[Any, ...]]:
    lows = (-math.inf, *one.edges) if one.edges else (None,) * len(one.labels)
    highs = (*one.edges, math.inf) if one.edges else (None,) * len(one.labels)
    yield from zip(one.labels, one.reference, one.served, lows, highs, strict=True)
    more = {"other": one.other, "NaN": one.nans, "null": one.nulls}
    yield from ((name, *shares, None, None) for name, shares in more.items() if any(shares))


def _over_time(features: list[FeatureParity]) -> pd.DataFrame:
    causes = sorted({cause for one in features for cause in one.causes})
    rows = (row for one in features for row in _stretches(one))
    frame = _frame(rows, [*OVER_TIME, *causes])
    return frame.fillna(dict.fromkeys(causes, 0)).astype(dict.fromkeys(causes, "int64"))


def _stretches(one: FeatureParity) -> Iterable[dict[str, Any]]:
    if one.over_time is None:
        return
    counted, step = one.over_time, timedelta(seconds=one.over_time.step_seconds)
    for place, (compared, mismatched) in enumerate(zip(counted.compared, counted.mismatched, strict=True)):
        if compared:
            row = (one.feature, counted.start + place * step, compared, mismatched, mismatched / compared)
            of_causes = {cause: cells[place] for cause, cells in counted.causes.items()}
            yield {**dict(zip(OVER_TIME, row, strict=True)), **of_causes}


def _ttl(one: ViewTtl) -> dict[str, Any]:
    advice = one.recommended
    return {
        **vars(one),
        **one.matrix,
        **{f"staleness_{name}": seconds for name, seconds in one.staleness_quantiles.items()},
        **_lag("staleness", one.staleness_seconds),
        "recommended_ttl": getattr(advice, "ttl", None),
        "recommended_materialize_every": getattr(advice, "materialize_every", None),
    }


def _ttl_more(views: list[ViewTtl]) -> list[str]:
    """Give the columns that only the views at hand have, the cells of the matrix first."""
    names = dict.fromkeys(f"staleness_{name}" for one in views for name in one.staleness_quantiles)
    return [*sorted({cell for one in views for cell in one.matrix}), *(name for name in names if name not in TTL)]


def _impact(impact: Impact | None) -> Iterable[dict[str, Any]]:
    """Give a row for everything together, for each cause and for each feature; none where nothing was scored."""
    if impact is None or impact.error is not None:
        return []
    told = [("all", [impact.overall]), ("cause", impact.by_cause), ("feature", impact.by_feature)]
    return ({"of": of, **vars(one)} for of, changes in told for one in changes)


def _lag(prefix: str, lag: Lag | None) -> dict[str, float | None]:
    return {f"{prefix}_{name}": getattr(lag, name, None) for name in LAGS}
