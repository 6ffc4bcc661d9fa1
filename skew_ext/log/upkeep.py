"""What looking after a stored log has done."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Upkeep:
    """How many files were merged away, and the rows of deleted days by reason, `age` or `size`."""

    merged: int = 0
    pruned: dict[str, int] = field(default_factory=dict)
