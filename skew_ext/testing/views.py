"""The views of a synthetic repo: their entities, the kinds of their features, and how source rows come about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from feast.types import Array, Bool, FeastType, Float32, Float64, Int64, String

from skew_ext.testing.draws import Draw, nullable, one_of, uniform, vector, whole, words

Key = tuple[Any, ...]
"""An entity key: one value for each of the view's join keys."""
TIMES = pa.timestamp("us", tz="UTC")
EVENT, CREATED = "event_timestamp", "created"


@dataclass(frozen=True)
class SyntheticFeature:
    """A feature: its Feast type, the Arrow type of its column in the source, and how values are drawn.

    With a probability of `stays` an event leaves the feature as it was; so a row may be old and its value right.
    """

    feast_type: FeastType
    arrow_type: pa.DataType
    draw: Draw
    stays: float = 0.0

    def history(self, count: int, random: np.random.Generator) -> list[Any]:
        """Draw the values of a key's events, in order."""
        drawn: list[Any] = []
        for _ in range(count):
            drawn.append(drawn[-1] if drawn and self.stays and random.random() < self.stays else self.draw(random))
        return drawn


@dataclass(frozen=True)
class SyntheticView:
    """A feature view to synthesize.

    Parameters
    ----------
    name
        Its name.
    keys
        For each join key its Arrow type (int64 or string) and how the value of the n-th entity is made. Without one it
        is a view without entities.
    features
        Its features, by name.
    ttl
        Zero is none, as Feast has it.
    has_created
        Whether the source has a created timestamp column. Faults that need one do not happen without it.
    tied
        The share of events that the source has two rows of, the later created one being right.
    streamed
        Whether it is a stream feature view with a push source.
    names
        Under which names the service has it, with a map of join keys for each: `{"buyer": {"person": "buyer"}}`. Under
        the first it is asked for the n-th entity, under the next for the n-th from the end. Empty for its own name.
    keyless
        How many rows of the source have no key at all.
    """

    name: str
    keys: Mapping[str, tuple[pa.DataType, Callable[[int], Any]]]
    features: Mapping[str, SyntheticFeature]
    ttl: timedelta = timedelta(hours=6)
    has_created: bool = True
    tied: float = 0.0
    streamed: bool = False
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    keyless: int = 0

    @property
    def served_as(self) -> Mapping[str, Mapping[str, str]]:
        """The names under which the service has it, with each one's map of join keys."""
        return self.names or {self.name: {}}

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
    """A source row, or what a job made of it on its way to the online store; times in UTC.

    `changed` has the features whose values the job changed.
    """

    event: datetime
    created: datetime
    values: dict[str, Any] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()


FLOAT64 = (Float64, pa.float64())
INT64 = (Int64, pa.int64())
STRING = (String, pa.string())

PAYMENTS = SyntheticView(
    name="payments",
    keys={"user": (pa.int64(), lambda number: 1000 + number)},
    features={
        "amount": SyntheticFeature(*FLOAT64, uniform(1, 5000)),
        "balance": SyntheticFeature(*FLOAT64, uniform(-900, 900)),
        "score": SyntheticFeature(*FLOAT64, nullable(0.4, uniform(0, 1))),
        "visits": SyntheticFeature(*INT64, whole(300, 100_000)),
        "level": SyntheticFeature(*INT64, whole(0, 4)),
        "rank": SyntheticFeature(*INT64, whole(0, 4)),
        "serial": SyntheticFeature(*INT64, whole(2**60, 2**61)),
        "active": SyntheticFeature(Bool, pa.bool_(), lambda random: bool(random.integers(2))),
        "code": SyntheticFeature(*STRING, lambda random: f"{random.integers(100_000):05d}"),
        "plan": SyntheticFeature(*STRING, one_of("none", "none", "basic", "pro", "max")),
        "embedding": SyntheticFeature(Array(Float32), pa.list_(pa.float32()), vector(4)),
        "tags": SyntheticFeature(Array(String), pa.list_(pa.string()), words),
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
        "load": SyntheticFeature(*FLOAT64, uniform(0, 100)),
        "temperature": SyntheticFeature(*FLOAT64, uniform(-30, 60)),
        "errors": SyntheticFeature(*INT64, whole(10, 5000)),
        "status": SyntheticFeature(*STRING, nullable(0.4, one_of("ok", "warm", "hot", "dead"))),
    },
    ttl=timedelta(0),
)
"""Devices: a composite key of two strings, and no TTL."""
