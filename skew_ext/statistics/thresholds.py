"""When a difference is large enough, and sure enough, to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["pass", "watch", "act"]


@dataclass(frozen=True)
class Thresholds:
    """When a difference is large enough, and sure enough, to be told.

    A verdict needs both: an effect (`psi_watch`, `psi_act`; a mean that moved `mean_shift` standard deviations of
    the reference and `mean_z` standard errors; for embeddings a cosine distance of the centroids of `embedding`, or
    norms that changed by the share `norm_change`) and a p-value below `alpha`, corrected over features. Without the
    first everything differs at a million rows; without the second everything differs at a hundred.

    Raises
    ------
    ValueError
        A threshold that can mean nothing; the message names it.
    """

    bins: int = 10
    top_categories: int = 50
    minimum_rows: int = 100
    psi_watch: float = 0.1
    psi_act: float = 0.2
    mean_z: float = 3.0
    mean_shift: float = 0.2
    embedding: float = 0.15
    norm_change: float = 0.1
    alpha: float = 0.001
    identifier_share: float = 0.9
    """Of identifiers at least this share of the reference's values is distinct: see `identifiers`."""

    def __post_init__(self) -> None:
        for name, low in (("bins", 2), ("top_categories", 1), ("minimum_rows", 2)):
            value = getattr(self, name)
            if value != int(value) or value < low:
                msg = f"{name} must be a whole number of {low} or more, not {value}"
                raise ValueError(msg)
        for name in ("psi_watch", "psi_act", "mean_z", "mean_shift", "embedding", "norm_change", "alpha"):
            if not getattr(self, name) > 0:
                msg = f"{name} must be over 0, not {getattr(self, name)}"
                raise ValueError(msg)
        if self.psi_act < self.psi_watch:
            msg = f"psi_act ({self.psi_act}) must not be below psi_watch ({self.psi_watch})"
            raise ValueError(msg)

    def level(self, value: float | None) -> Level:
        """Say what a PSI asks for."""
        return level_of(value, self.psi_watch, self.psi_act)


def level_of(value: float | None, watch: float, act: float) -> Level:
    """Say what an effect asks for; nothing, where there is none."""
    if value is None or not value >= watch:
        return "pass"
    return "act" if value >= act else "watch"
