"""The report as strict JSON, schema 1: its keys are a contract, to which keys are only ever added."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

import numpy as np

from skew_ext.clock import as_utc
from skew_ext.model import AuditReport, FeatureParity, OverTime, ViewTtl

SCHEMA = 1


def dumps(report: AuditReport) -> str:
    """Give the report as one JSON document, ASCII only, so that any text in it survives any terminal or pipe."""
    return json.dumps(encoded(document(report)), allow_nan=False, indent=2)


def document(report: AuditReport) -> dict[str, Any]:
    """Give the report under the keys of schema 1, its values not yet encoded."""
    return {
        "schema": SCHEMA,
        "project": report.project,
        "feature_service": report.feature_service,
        "created_at": report.created_at,
        "window": {"start": report.start, "end": report.end},
        "rows": report.rows,
        "verdict": report.verdict,
        "parity": {
            "cells": report.parity.cells,
            "mismatched": report.parity.mismatched,
            "features": [_feature(one) for one in report.parity.features],
        },
        "ttl": {one.view: _ttl(one) for one in report.ttl},
        "distribution": report.distribution,
        "impact": report.impact,
        "findings": report.findings,
        "notes": report.notes,
    }


def _feature(one: FeatureParity) -> dict[str, Any]:
    return {
        "feature": one.feature,
        "compared": one.compared,
        "mismatched": one.mismatched,
        "rate": one.rate,
        "ci95": one.ci95,
        "causes": one.causes,
        "within_rounding": one.within_rounding,
        "errors": {"largest": one.largest_error, "median": one.median_error},
        "lag": one.lag,
        "over_time": None if one.over_time is None else _over_time(one.over_time),
        "examples": one.examples,
    }


def _over_time(one: OverTime) -> dict[str, Any]:
    return {**vars(one), "mismatched": one.mismatched}


def _ttl(one: ViewTtl) -> dict[str, Any]:
    return {field.name: getattr(one, field.name) for field in fields(one) if field.name != "view"}


def encoded(value: Any) -> Any:
    """Give a value as JSON can hold it: what JSON has no type for becomes text, and bytes `{"base64": "..."}`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")
    if isinstance(value, np.generic):
        return encoded(value.item())
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        return as_utc(value).isoformat(timespec="microseconds")
    return _encoded_many(value)


def _encoded_many(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: encoded(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [encoded(item) for item in value]
    if isinstance(value, set | frozenset):  # sorted, so that the same report is the same document
        return sorted((encoded(item) for item in value), key=json.dumps)
    return value.isoformat() if isinstance(value, date) else str(value)


_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
