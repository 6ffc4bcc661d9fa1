"""Who is told of an incident, and how often: each channel once for each event, tried until it is reached.

What was told is kept after the telling. So a watch that is killed in between tells once more, and never not at all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from skew_ext.text import brief
from skew_ext.watch.alerts import Answer
from skew_ext.watch.fitting import Line
from skew_ext.watch.hooks import HookError
from skew_ext.watch.refusals import pausing, refusal_lines, refused, told_to_nobody, worth_telling
from skew_ext.watch.wording import title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skew_ext.clock import Clock
    from skew_ext.watch.alerts import Notifier
    from skew_ext.watch.hooks import Hook
    from skew_ext.watch.incident import Incident
    from skew_ext.watch.round import ServiceWatch

logger = logging.getLogger("skew_ext")
HOOK, NOTIFY = "hook", "notify"
LONGEST_REASON = 200
TELL_WITHIN = timedelta(days=1)
"""For how long after an incident has closed its messages are still tried."""


@dataclass(frozen=True)
class Teller:
    """The channels: the hook first, so that an alert has its answer.

    One that starts anew tries everything once, since an address may have been corrected meanwhile. With `keeps_pauses`
    it does not: where each round is a process of its own, as for cron.
    """

    notifier: Notifier
    hook: Hook
    clock: Clock
    keeps_pauses: bool = False
    _tried: set[tuple[str, str]] = field(default_factory=set, repr=False)
    _refusing: set[int] = field(default_factory=set, repr=False)
    """Places of the channels of which the others have heard that they refuse, until they take something."""

    def tell(self, watch: ServiceWatch) -> None:
        """Tell everything of a service's incidents that is still to be told."""
        kept = (item for one in watch.untold.values() for item in one.refusals.items())
        self._refusing.update(_place(name.partition(":")[2]) for name, refusal in kept if refusal["told"])
        for incident in list(watch.untold.values()):
            told, given_up = self._without_former(incident), set[str]()
            for event, channel in self._due(incident):
                # A message goes only behind those before it: nobody hears of an end before the beginning.
                if channel in given_up or self._pausing(told, f"{event}:{channel}"):
                    given_up.add(channel)
                    continue
                told = self._told(told, event, channel)
                if f"{event}:{channel}" in told.refusals:
                    given_up.add(channel)
            if told != incident:
                if told.refusals != incident.refusals:
                    told = self._told_by_others(told)
                watch.told(told)
            if not told.open and (not list(self._due(told)) or self._too_late(told)):
                del watch.untold[told.id]

    def _pausing(self, incident: Incident, name: str) -> bool:
        known = self.keeps_pauses or (incident.id, name) in self._tried
        return known and pausing(incident.refusals.get(name), self.clock())

    def _without_former(self, incident: Incident) -> Incident:
        """Forget what was refused by channels that there are no more."""
        channels = set(self._channels())
        kept = {name: one for name, one in incident.refusals.items() if name.partition(":")[2] in channels}
        return incident if len(kept) == len(incident.refusals) else replace(incident, refusals=kept)

    def _channels(self) -> list[str]:
        # Each address by itself: one that cannot be reached must not have the others told again.
        addresses = [f"{NOTIFY}{place}" for place in range(1, len(self.notifier) + 1)]
        return [*([HOOK] if self.hook else []), *addresses]

    def _too_late(self, incident: Incident) -> bool:
        if incident.closed_at is None or self.clock() - incident.closed_at < TELL_WITHIN:
            return False
        logger.error("%s is told no more, a day after it healed: %s", incident.id, *refusal_lines(incident) or [""])
        return True

    def _due(self, incident: Incident) -> Iterator[tuple[str, str]]:
        for channel in self._channels():
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
        name, now = f"{event}:{channel}", self.clock()
        answer, said = self._answered(incident, event, channel)
        if not answer:
            self._tried.add((incident.id, name))
            record = refused(incident.refusals.get(name), answer.reason, now, lasting=answer.lasting)
            return replace(incident, refusals={**incident.refusals, name: record})
        logger.info("told %s that %s %s", channel, incident.id, event)
        self._refusing.discard(_place(channel))
        return replace(
            incident,
            answer=said or incident.answer,
            deliveries={**incident.deliveries, name: now.isoformat()},
            refusals={other: one for other, one in incident.refusals.items() if other != name},
        )

    def _answered(self, incident: Incident, event: str, channel: str) -> tuple[Answer, str]:
        if channel != HOOK:
            return self.notifier.tell(incident, event, _place(channel)), ""
        try:
            return Answer(reached=True), self.hook.call(incident, event)
        except HookError as error:
            logger.warning("the hook failed for %s (%s): %s; tried again", incident.id, event, error)
            return Answer(reached=False, reason=brief(str(error), LONGEST_REASON)), ""

    def _told_by_others(self, incident: Incident) -> Incident:
        """Have the other addresses tell, once, that one does not take its messages; say it loudly where none does."""
        refusals = dict(incident.refusals)
        for name, one in incident.refusals.items():
            event, _, channel = name.partition(":")
            if one["told"] or not worth_telling(one):
                continue
            place = _place(channel)
            if place in self._refusing or self._others_told(incident, event, place, one["reason"]):
                self._refusing.add(place)
                refusals[name] = {**one, "told": True}
        if told_to_nobody(incident):
            logger.error("%s is %s", incident.id, *refusal_lines(incident))
        return replace(incident, refusals=refusals)

    def _others_told(self, incident: Incident, event: str, place: int, reason: str) -> bool:
        who = self.notifier.name(place) if place else "the hook"
        said = [
            Line(f"{who} does not take what skew watch tells it: {reason}."),
            Line(f"Not told there: {title(incident, event)}", 1),
            Line("It is tried again, at least every hour; `skew watch --test-alert` tries an address by hand.", 2),
            Line(f"Incident {incident.id}"),
        ]
        others = [
            other
            for other in range(1, len(self.notifier) + 1)
            if other != place and not any(key.endswith(f":{NOTIFY}{other}") for key in incident.refusals)
        ]
        heading = f"[NOT TOLD] skew watch: {who} does not take alerts"
        reached = [
            self.notifier.say(heading, said, other, "warning") for other in others
        ]  # each of them, not the first
        return any(reached)


def _place(channel: str) -> int:
    """Return the place of an address, from 1; 0 is the hook's."""
    return 0 if channel == HOOK else int(channel.removeprefix(NOTIFY))
