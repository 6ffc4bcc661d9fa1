"""What looking after a stored log has done."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Upkeep:
    """How many files were merged away, and the rows of deleted days by reason, `age` or `size`.

    `refused` says in words why days were not deleted that a clock calls old; empty where there are none. `pruned_ever`
    is what was ever pruned of the rows of whose upkeep it is: the destination counts each row once, whatever was killed
    when, so it may be set in the place of a sum of `pruned`. None where the destination does not count it.
    """

    merged: int = 0
    pruned: dict[str, int] = field(default_factory=dict)
    refused: str = ""
    pruned_ever: dict[str, int] | None = None
