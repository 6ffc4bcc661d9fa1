"""What became of messages that were not taken: how often, why, and when they are tried again. Kept with an incident."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skew_ext.watch.incident import Incident

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
MANY_TRIES = 10
"""So often a message is tried in each round where nothing says that trying is of no use; from then on, others hear."""


def refused(before: Mapping[str, Any] | None, reason: str, now: datetime, *, lasting: bool) -> dict[str, Any]:
    """Return the record of a message that was not taken once more; each pause is twice as long as the last one."""
    known = before or {"since": now.isoformat(), "tries": 0, "told": False}
    tries = int(known["tries"]) + 1
    doublings = tries - (1 if lasting else MANY_TRIES)
    pause = min(FIRST_PAUSE * 2 ** min(doublings, 10), LONGEST_PAUSE) if doublings >= 0 else timedelta(0)
    return {**known, "tries": tries, "reason": reason, "lasting": lasting, "again": (now + pause).isoformat()}


def pausing(refusal: Mapping[str, Any] | None, now: datetime) -> bool:
    """Whether it is too early to try a message again."""
    return refusal is not None and now < datetime.fromisoformat(refusal["again"])


def worth_telling(refusal: Mapping[str, Any]) -> bool:
    """Whether somebody else should hear of it: it will not pass by itself, or has not for long."""
    return bool(refusal["lasting"]) or int(refusal["tries"]) >= MANY_TRIES


def told_to_nobody(incident: Incident) -> bool:
    """Whether an incident was tried to be told, and nobody has taken it."""
    return bool(incident.refusals) and not any(name.startswith("opened:") for name in incident.deliveries)


def refusal_lines(incident: Incident) -> list[str]:
    """Say which messages of an incident were not taken, how often, and why."""
    found = [
        f"{name.replace(':', ' by ', 1)}: {one['reason']}, {one['tries']} times since {_time(one['since'])}; "
        f"tried again from {_time(one['again'])}"
        for name, one in sorted(incident.refusals.items())
    ]
    if not found:
        return []
    return [("told to nobody: " if told_to_nobody(incident) else "not taken: ") + "; ".join(found)]


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
