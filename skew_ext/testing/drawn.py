"""Worlds drawn from a seed: of every fault, of mixtures, of every shape of view, large and small, and clean ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from skew_ext.testing.catalogue import FAULTS, LOOKUPS, PAIRS
from skew_ext.testing.row_faults import ROW_FAULTS
from skew_ext.testing.shapes import PROFILES, RICH, SHAPES
from skew_ext.testing.timeline import Timeline
from skew_ext.testing.views import PAYMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skew_ext.testing.views import SyntheticView

KEYS: Final = 120
"""The entity keys of each view: so many that one in twenty is enough to learn a constant from."""
FEW_KEYS: Final = 0.005
"""The smallest share of keys that a fault befalls, where there are `MANY` of them."""
MANY: Final = 1600
_ALL_OF_THEM: Final = 0.9


@dataclass(frozen=True)
class World:
    """A kind of world: its faults, and the further arguments of `FaultyRepo` but for the stores."""

    kind: str
    faults: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def drawn_worlds(seed: int, *, keys: int = KEYS, redis: bool = False, postgres: bool = False) -> Iterator[World]:
    """Give the worlds of a seed.

    Parameters
    ----------
    seed
        What they are drawn from.
    keys
        The entity keys of each view, where the kind of world does not say otherwise.
    redis
        Whether Redis serves, which loses all views of an entity at once.
    postgres
        Whether the sources are tables of PostgreSQL, which have no maps.
    """
    random = np.random.default_rng(seed)
    usual: dict[str, Any] = {"keys": keys, "batch": int(random.integers(1, 9)), "strangers": int(random.integers(4))}
    faults, pairs = list(FAULTS), list(PAIRS)
    everything = dict.fromkeys(faults, _ALL_OF_THEM / len(faults)) | dict.fromkeys(LOOKUPS, 0.1)
    times = Timeline(regular=bool(seed % 2))
    yield World(
        "everything, hourly" if times.regular else "everything", everything, {**usual, "keys": 2 * keys, "times": times}
    )
    shapes = _shapes(random, rich=not postgres)
    if redis and PROFILES in shapes:
        everything = {name: share for name, share in everything.items() if name != "evicted_online"}
    shaped = {**usual, "keys": 2 * keys, "views": shapes, "full_feature_names": True}
    if random.integers(2):
        # The second service has a quarter of the entities: too few for every fault.
        everything = dict.fromkeys(random.choice(list(everything), size=4, replace=False).tolist(), 0.2)
        shaped["two_services"] = True
    yield World("every shape", everything, shaped)
    yield World("clean shapes", {}, shaped) if seed % 2 else World("clean", {}, usual)
    one, other, third = random.choice(faults, size=3, replace=False).tolist()
    yield World("two in one cell", {pairs[seed % len(pairs)]: 0.3, str(random.choice(pairs)): 0.2, third: 0.2}, usual)
    alone = faults[seed // 2 % len(faults)]
    if seed % 2:
        yield World("two at odds", {one: 0.3, other: 0.2}, usual)
    else:
        yield World("one cause", {alone: float(random.uniform(0.05, 0.9))}, usual)
    yield from _sizes(seed, alone, usual)


def _shapes(random: np.random.Generator, *, rich: bool) -> list[SyntheticView]:
    """Draw three shapes, of which no entity row is empty, beside the payments."""
    able = [view for view in SHAPES.values() if rich or view is not RICH]
    return [PAYMENTS, *(able[place] for place in random.choice(len(able), size=3, replace=False))]


def _sizes(seed: int, alone: str, usual: dict[str, Any]) -> Iterator[World]:
    """Give, now and then, worlds of one row, of a fault in all keys, and of a fault in very few of many."""
    of_rows = [fault.cause for fault in ROW_FAULTS if fault.cause not in ("timestamp_shift", "evicted_online")]
    if seed % 3 == 0:
        fault = {of_rows[seed // 6 % len(of_rows)]: 1.0} if seed % 2 else {}
        yield World("one row", fault, {"keys": 1, "times": Timeline(rounds=1)})
    if seed % 4 == 0:
        yield World("all keys", {alone: 1.0}, {**usual, "keys": usual["keys"] // 3})
    if seed % 20 == 0:
        few = list(FAULTS)[seed // 20 % len(FAULTS)]
        yield World("half a percent", {few: FEW_KEYS}, {**usual, "keys": MANY, "batch": 8})
