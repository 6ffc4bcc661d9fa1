"""How far two distribution functions are apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gaps:
    """The largest gap between two distribution functions in units of 1 / (n m), and the area between them.

    Over all values the area is larger by at most `error`.
    """

    largest: int
    area: float
    error: float
