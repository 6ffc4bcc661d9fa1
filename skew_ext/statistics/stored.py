"""Doubles as JSON can hold them: what JSON has no number for becomes text."""

from __future__ import annotations

import math

_TEXT = {math.inf: "Infinity", -math.inf: "-Infinity"}


def stored(value: float) -> float | str:
    """Give a double for JSON, which has no NaN and no infinity; Python's JSON keeps all others to the bit."""
    return value if math.isfinite(value) else _TEXT.get(value, "NaN")


def from_stored(value: float | str) -> float:
    """Give back what `stored` gave."""
    return float(value)
