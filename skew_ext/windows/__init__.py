"""Windowed aggregates: one definition on history for training, and on a stream of events for serving."""

from skew_ext.windows.aggregator import Aggregator
from skew_ext.windows.definition import WindowedAggregate
from skew_ext.windows.errors import WindowError
from skew_ext.windows.windows import Windows

__all__ = ["Aggregator", "WindowError", "WindowedAggregate", "Windows"]
