"""Findings in lines, for the terminal and for pytest. Values are written as Python writes them, to be pasted back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skew_ext.text import visible
from skew_ext.transform.checking.findings import Finding


def finding_lines(finding: Finding) -> Iterator[str]:
    """Give a finding in lines: the message, and below it the smallest input that shows it."""
    yield visible(f"{finding.code}: {finding.message}")
    if finding.example:
        yield "  the smallest input that shows it:"
        for row in finding.example:
            yield f"    {visible(_written(row))}"


def _written(row: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {_value(value)}" for name, value in row.items()) + "}"


def _value(value: Any) -> str:
    # NaN and the infinities have no literal of their own.
    if isinstance(value, float) and repr(value).lstrip("-") in ("nan", "inf"):
        return f"float({repr(value)!r})"
    return repr(value)
