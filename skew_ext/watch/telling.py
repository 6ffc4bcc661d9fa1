"""Who is told of an incident, and how often: each channel once for each event, tried until it is reached.

What was told is kept after the telling. So a watch that is killed in between tells once more, and never not at all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skew_ext.watch.hooks import HookError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skew_ext.clock import Clock
    from skew_ext.watch.alerts import Notifier
    from skew_ext.watch.hooks import Hook
    from skew_ext.watch.incident import Incident
    from skew_ext.watch.round import ServiceWatch

logger = logging.getLogger("skew_ext")
HOOK, NOTIFY = "hook", "notify"


@dataclass(frozen=True)
class Teller:
    """The channels: the hook first, so that an alert has its answer."""

    notifier: Notifier
    hook: Hook
    clock: Clock

    def tell(self, watch: ServiceWatch) -> None:
        """Tell everything of a service's incidents that is still to be told."""
        for incident in list(watch.untold.values()):
            told = incident
            for event, channel in self._due(incident):
                told = self._told(told, event, channel)
            if told != incident:
                watch.told(told)
            if not told.open and not list(self._due(told)):
                del watch.untold[told.id]

    def _due(self, incident: Incident) -> Iterator[tuple[str, str]]:
        # Each address by itself: one that cannot be reached must not have the others told again.
        addresses = [f"{NOTIFY}{place}" for place in range(1, len(self.notifier) + 1)]
        for channel in [*([HOOK] if self.hook else []), *addresses]:
            opened = f"opened:{channel}" in incident.deliveries
            if incident.open and not opened:
                yield "opened", channel
            if incident.proposal and incident.open and f"proposed:{channel}" not in incident.deliveries:
                yield "proposed", channel
            if not incident.open and f"closed:{channel}" not in incident.deliveries:
                # One that opened and healed while the channel was away is told in one go.
                yield from [("opened", channel)] if not opened else []
                yield "closed", channel

    def _told(self, incident: Incident, event: str, channel: str) -> Incident:
        if channel == HOOK:
            try:
                answer = self.hook.call(incident, event)
            except HookError as error:
                logger.warning("the hook failed for %s (%s): %s; tried again", incident.id, event, error)
                return incident
            incident = replace(incident, answer=answer or incident.answer)
        elif not self.notifier.tell(incident, event, int(channel.removeprefix(NOTIFY))):
            return incident
        logger.info("told %s that %s %s", channel, incident.id, event)
        return replace(incident, deliveries={**incident.deliveries, f"{event}:{channel}": self.clock().isoformat()})
