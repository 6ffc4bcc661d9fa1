"""The views of a synthetic repo: their entities, the kinds of their features, and how source rows come about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from feast.types import Array, Bool, FeastType, Float32, Float64, Int64, String

Key = tuple[Any, ...]
"""An entity key: one value for each of the view's join keys."""
Draw = Callable[[np.random.Generator], Any]
"""Draws one feature value."""
TIMES = pa.timestamp("us", tz="UTC")
EVENT, CREATED = "event_timestamp", "created"


@dataclass(frozen=True)
class SyntheticFeature:
    """A feature: its Feast type, the Arrow type of its column in the source, and how values are drawn."""

    feast_type: FeastType
    arrow_type: pa.DataType
    draw: Draw


@dataclass(frozen=True)
class SyntheticView:
    """A feature view to synthesize.

    `keys` gives for each join key its Arrow type (int64 or string) and how the value of the n-th entity is made. `ttl`
    of zero is none, as Feast has it. Without `has_created` the source has no created timestamp column, and faults that
    need one do not happen in it.
    """

    name: str
    keys: Mapping[str, tuple[pa.DataType, Callable[[int], Any]]]
    features: Mapping[str, SyntheticFeature]
    ttl: timedelta = timedelta(hours=6)
    has_created: bool = True

    def key(self, number: int) -> Key:
        """Give the key of the n-th entity."""
        return tuple(make(number) for _, make in self.keys.values())

    def schema(self) -> pa.Schema:
        """Give the columns of the view's source."""
        columns = {name: kind for name, (kind, _) in self.keys.items()}
        columns.update({name: feature.arrow_type for name, feature in self.features.items()})
        columns[EVENT] = TIMES
        if self.has_created:
            columns[CREATED] = TIMES
        return pa.schema(columns)


@dataclass(frozen=True)
class Row:
    """A source row, or what a job made of it on its way to the online store; times in UTC."""

    event: datetime
    created: datetime
    values: dict[str, Any] = field(default_factory=dict)


def _nullable(share: float, draw: Draw) -> Draw:
    return lambda random: None if random.random() < share else draw(random)


def _float(low: float, high: float) -> Draw:
    return lambda random: float(random.uniform(low, high))


def _whole(low: int, high: int) -> Draw:
    return lambda random: int(random.integers(low, high))


def _one_of(*values: Any) -> Draw:
    return lambda random: values[int(random.integers(len(values)))]


def _vector(length: int) -> Draw:
    return lambda random: [float(np.float32(each)) for each in random.normal(size=length)]


def _words(random: np.random.Generator) -> list[str]:
    return [f"tag{number}" for number in random.integers(0, 30, size=int(random.integers(0, 4)))]


FLOAT64 = (Float64, pa.float64())
INT64 = (Int64, pa.int64())
STRING = (String, pa.string())

PAYMENTS = SyntheticView(
    name="payments",
    keys={"user": (pa.int64(), lambda number: 1000 + number)},
    features={
        "amount": SyntheticFeature(*FLOAT64, _float(1, 5000)),
        "balance": SyntheticFeature(*FLOAT64, _float(-900, 900)),
        "score": SyntheticFeature(*FLOAT64, _nullable(0.4, _float(0, 1))),
        "visits": SyntheticFeature(*INT64, _whole(300, 100_000)),
        "level": SyntheticFeature(*INT64, _whole(0, 4)),
        "rank": SyntheticFeature(*INT64, _whole(0, 4)),
        "serial": SyntheticFeature(*INT64, _whole(2**60, 2**61)),
        "active": SyntheticFeature(Bool, pa.bool_(), lambda random: bool(random.integers(2))),
        "code": SyntheticFeature(*STRING, lambda random: f"{random.integers(100_000):05d}"),
        "plan": SyntheticFeature(*STRING, _one_of("none", "none", "basic", "pro", "max")),
        "embedding": SyntheticFeature(Array(Float32), pa.list_(pa.float32()), _vector(4)),
        "tags": SyntheticFeature(Array(String), pa.list_(pa.string()), _words),
        "constant": SyntheticFeature(*INT64, lambda _: 1),
    },
)
"""Payments by user: one whole-number key, a TTL of six hours, features of many types, some of them traps."""

DEVICES = SyntheticView(
    name="devices",
    keys={
        "device": (pa.string(), lambda number: f"dévice-{number % 17}"),
        "region": (pa.string(), lambda number: f"r{number // 17}"),
    },
    features={
        "load": SyntheticFeature(*FLOAT64, _float(0, 100)),
        "temperature": SyntheticFeature(*FLOAT64, _float(-30, 60)),
        "errors": SyntheticFeature(*INT64, _whole(10, 5000)),
        "status": SyntheticFeature(*STRING, _nullable(0.4, _one_of("ok", "warm", "hot", "dead"))),
    },
    ttl=timedelta(0),
)
"""Devices: a composite key of two strings, and no TTL."""
