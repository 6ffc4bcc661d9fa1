"""Views of every shape that a repo may have: keys, names, times, types, and what their sources say and do not say."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from feast.types import Array, Bytes, Float32, Int32, Map, Set, String, UnixTimestamp

from skew_ext.testing.draws import nullable, one_of, single, uniform, whole, words
from skew_ext.testing.views import FLOAT64, INT64, PAYMENTS, STRING, SyntheticFeature, SyntheticView

if TYPE_CHECKING:
    import numpy as np

SINGLE = (Float32, pa.float32())

BARE = SyntheticView(
    name="bare",
    keys={"shop": (pa.int64(), lambda number: -number)},
    features={
        "stock": SyntheticFeature(*INT64, whole(2, 100_000)),
        "margin": SyntheticFeature(*FLOAT64, nullable(0.2, uniform(-1, 1))),
        "label": SyntheticFeature(*STRING, lambda random: f"Größe {random.integers(500)}"),
    },
    has_created=False,
)
"""No created timestamp column, and keys that are negative, or zero."""

CORRECTED = SyntheticView(
    name="corrected",
    keys={"meter": (pa.string(), lambda number: f"{number:04d}")},
    features={
        "reading": SyntheticFeature(*FLOAT64, uniform(0, 900)),
        "pulses": SyntheticFeature(*INT64, whole(3, 10_000)),
        "tariff": SyntheticFeature(*STRING, one_of("day", "night", "none"), stays=0.9),
    },
    tied=0.4,
    keyless=20,
)
"""Events that are corrected within minutes, so two rows have one event time; and source rows without a key."""

COLLIDING = SyntheticView(
    name="colliding",
    keys={
        "zone": (pa.int64(), lambda number: int("1" * (1 + number % 4))),
        "cell": (pa.string(), lambda number: "1" * (1 + number // 4 % 4) + "x" * (number // 16)),
    },
    features={
        "signal": SyntheticFeature(*FLOAT64, uniform(-120, -40)),
        "noise": SyntheticFeature(*FLOAT64, uniform(1, 90), stays=0.7),
        "users": SyntheticFeature(*INT64, whole(0, 3), stays=0.5),
    },
    ttl=timedelta(hours=9),
)
"""A key of a number and a text that are the same when put together: (1, "11") and (11, "1")."""

STREAMED = SyntheticView(
    name="streamed",
    keys={"session": (pa.string(), lambda number: f"s'{number}\"; --")},
    features={
        "clicks": SyntheticFeature(*INT64, whole(2, 5000)),
        "dwell": SyntheticFeature(*SINGLE, single(1, 600)),
        "page": SyntheticFeature(*STRING, one_of("/", "/cart", "/pay", "none")),
    },
    ttl=timedelta(hours=7),
    streamed=True,
)
"""A stream feature view with a push source, and keys of hostile text."""

PEOPLE = SyntheticView(
    name="people",
    keys={"person": (pa.int64(), lambda number: 2**40 + number)},
    features={
        "trust": SyntheticFeature(*FLOAT64, uniform(0, 100)),
        "orders": SyntheticFeature(*INT64, whole(2, 900)),
        "city": SyntheticFeature(*STRING, nullable(0.3, one_of("Köln", "Łódź", "São Paulo")), stays=0.5),
    },
    names={"buyer": {"person": "buyer"}, "seller": {"person": "seller"}},
)
"""One view that a service has twice, under two names and for two keys."""

PROFILES = SyntheticView(
    name="profiles",
    keys=PAYMENTS.keys,
    features={
        "age": SyntheticFeature(*INT64, whole(18, 90), stays=0.8),
        "income": SyntheticFeature(*FLOAT64, uniform(100, 9000), stays=0.8),
        "segment": SyntheticFeature(*STRING, one_of("a", "b", "none"), stays=0.9),
    },
    tied=0.1,
)
"""A further view of the same entity as `PAYMENTS`, whose features seldom change."""

WORLD = SyntheticView(
    name="world",
    keys={},
    features={"rate": SyntheticFeature(*FLOAT64, uniform(1, 2)), "phase": SyntheticFeature(*INT64, whole(0, 9))},
)
"""A view without entities."""


def _moment(random: np.random.Generator) -> datetime:
    return datetime.fromtimestamp(int(random.integers(1_500_000_000, 1_700_000_000)), tz=timezone.utc)


def _entries(random: np.random.Generator) -> dict[str, Any]:
    return {"a": f"v{random.integers(50)}", "b": f"w{random.integers(50)}"}


RICH = SyntheticView(
    name="rich",
    keys={"thing": (pa.string(), lambda number: f"thing/{number}")},
    features={
        "about": SyntheticFeature(Map, pa.struct({"a": pa.string(), "b": pa.string()}), _entries),
        "marks": SyntheticFeature(Set(String), pa.list_(pa.string()), lambda random: sorted({*words(random), "x"})),
        "digest": SyntheticFeature(Bytes, pa.binary(), lambda random: random.bytes(6)),
        "seen": SyntheticFeature(UnixTimestamp, pa.timestamp("us", tz="UTC"), _moment),
        "share": SyntheticFeature(*SINGLE, single(1, 9)),
        "count": SyntheticFeature(Int32, pa.int32(), whole(2, 90_000)),
        "codes": SyntheticFeature(
            Array(String), pa.list_(pa.string()), lambda random: [f"{n}" for n in random.integers(9, size=2)]
        ),
    },
    ttl=timedelta(hours=8),
)
"""Features that are maps, sets, bytes, timestamps, lists, and numbers of 32 bits."""

SHAPES: Final = {view.name: view for view in (BARE, CORRECTED, COLLIDING, STREAMED, PEOPLE, PROFILES, WORLD, RICH)}
"""Each by its name. A service that has `PEOPLE` needs full feature names."""
