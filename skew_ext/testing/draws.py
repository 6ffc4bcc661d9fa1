"""How synthetic feature values are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], Any]
"""Draws one feature value."""


def nullable(share: float, draw: Draw) -> Draw:
    """Draw no value for a share."""
    return lambda random: None if random.random() < share else draw(random)


def uniform(low: float, high: float) -> Draw:
    """Draw a float of [low, high)."""
    return lambda random: float(random.uniform(low, high))


def single(low: float, high: float) -> Draw:
    """Draw a float of [low, high) that float32 holds."""
    return lambda random: float(np.float32(random.uniform(low, high)))


def whole(low: int, high: int) -> Draw:
    """Draw a whole number of [low, high)."""
    return lambda random: int(random.integers(low, high))


def one_of(*values: Any) -> Draw:
    """Draw one of some values."""
    return lambda random: values[int(random.integers(len(values)))]


def vector(length: int) -> Draw:
    """Draw a vector of numbers that float32 holds."""
    return lambda random: [float(np.float32(each)) for each in random.normal(size=length)]


def words(random: np.random.Generator) -> list[str]:
    """Draw up to three words."""
    return [f"tag{number}" for number in random.integers(0, 30, size=int(random.integers(0, 4)))]
