"""What a person gives an audit in files: thresholds, and how important each feature is to the model."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skew_ext.errors import AuditError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = "pyproject.toml"
_COLUMNS = ("feature", "importance")


def read_thresholds(path: Path) -> dict[str, Any]:
    """Read thresholds by name, and tables of them by the names of features and views, from TOML or JSON.

    Of a pyproject.toml the table `[tool.skew.thresholds]` is read.

    Raises
    ------
    AuditError
        There is no such file, or none that can be read so. What the names and numbers mean is checked later, against
        the service.
    """
    content = _mapping(path, "thresholds")
    if path.name != PROJECT:
        return content
    found = content.get("tool", {}).get("skew", {}).get("thresholds")
    if not isinstance(found, dict):
        raise AuditError(f"{path} has no table [tool.skew.thresholds]: add it, or give another file")
    return found


def read_importance(path: Path) -> dict[str, float]:
    """Read the importance of features by `view__feature`, from JSON, TOML, or a CSV file with a column of each.

    Raises
    ------
    AuditError
        There is no such file, or none that can be read so; an importance that is no finite number; a feature twice.
    """
    content = _rows(path) if path.suffix == ".csv" else _mapping(path, "importances")
    return {name: _number(path, name, value) for name, value in content.items()}


def _number(path: Path, name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise AuditError(f"{path}: the importance of {name!r} must be a finite number, not {value!r}")
    return number


def _mapping(path: Path, what: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise AuditError(f"the {what} {path} cannot be read ({said}): give a TOML or JSON file") from None
    if not isinstance(content, Mapping):
        raise AuditError(f"the {what} {path} must be an object of names and numbers, not a {type(content).__name__}")
    return dict(content)


def _rows(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise AuditError(f"the importances {path} cannot be read ({said}): give a CSV file") from None
    if not rows or not set(_COLUMNS) <= rows[0].keys():
        raise AuditError(f"{path} must have rows, and the columns {' and '.join(_COLUMNS)}")
    found: dict[str, str] = {}
    for row in rows:
        if row["feature"] in found:
            raise AuditError(f"{path} has the feature {row['feature']!r} twice: leave one of them")
        found[row["feature"]] = row["importance"]
    return found
