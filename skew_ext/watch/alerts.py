"""Telling people, through Apprise: Slack, PagerDuty, mail, webhooks and what else it knows, by an address each."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skew_ext.errors import SettingsError
from skew_ext.watch.fitting import Line, Room, fitted
from skew_ext.watch.wording import lines, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skew_ext.watch.incident import Incident

logger = logging.getLogger("skew_ext")
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]{1,19})://", re.IGNORECASE)
_KINDS = {"opened": "failure", "closed": "success", "proposed": "info"}
_STATUS = re.compile(r"error=(\d{3})\b")
_PASSING = (408, 409, 423, 425, 429)
"""Of the statuses that lay the blame on what was sent, those that another try may well not meet."""
_UNKNOWN_ROOM = 32_768
_SMALLEST_BODY = 200
_SPARE_BYTES = 32
"""What a service may put between a title and a body that it sends as one."""


@dataclass(frozen=True)
class Answer:
    """Whether an address took a message; if not, why, and whether it would be the same again (`lasting`)."""

    reached: bool
    reason: str = ""
    lasting: bool = False

    def __bool__(self) -> bool:
        """Whether it was taken."""
        return self.reached


class Notifier:
    """Tells several addresses. They hold tokens and passwords: no message, log or repr of ours shows one.

    Raises
    ------
    SettingsError
        Apprise is not installed, or does not know one of the addresses; said by its place, and never shown.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._servers = [_server(address, place) for place, address in enumerate(addresses, start=1)]
        self._learned: dict[int, int] = {}

    def __repr__(self) -> str:
        """Say how many there are."""
        return f"Notifier({len(self._servers)} addresses)"

    def __len__(self) -> int:
        """Say how many there are to tell."""
        return len(self._servers)

    def name(self, place: int) -> str:
        """Return how an address is called: by its place, from 1, and its service."""
        return f"address {place} ({self._servers[place - 1].service_name})"

    def tell(self, incident: Incident, event: str, place: int) -> Answer:
        """Tell the address at a place, from 1, of an incident; say whether it was reached.

        `event` is "opened", "closed" or "proposed".
        """
        return self.say(title(incident, event), lines(incident, event), place, _KINDS[event])

    def say(self, heading: str, said: Sequence[Line], place: int, kind: str = "info") -> Answer:
        """Send a message to the address at a place, from 1, as long as the address takes it.

        Apprise knows what most services take. Of others, as a webhook of one's own, it is learned: what is refused for
        good is sent again at half its length, and what was taken then is the bound from there on.
        """
        server = self._servers[place - 1]
        room = _room(server)
        text = fitted(heading, said, room._replace(body=min(room.body, self._learned.get(place, room.body))))
        answer = _sent(server, text, kind)
        while not answer and answer.lasting and len(text["body"].encode()) > _SMALLEST_BODY:
            most = len(text["body"].encode()) // 2
            text = fitted(heading, said, room._replace(body=most, together=False, title=min(room.title, most)))
            again = _sent(server, text, kind)
            if again:
                self._learned[place] = most
            answer = again or answer
        if not answer:
            logger.warning("alert %s was not told: %s; tried again", self.name(place), answer.reason)
        return answer

    def test(self) -> dict[str, bool]:
        """Tell every address that it works; give whether each was reached, by its place and its service's name."""
        said = [Line("Alerts of skew watch arrive here. Nothing is wrong.")]
        return {
            f"{place} ({one.service_name})": bool(self.say("[TEST] skew watch", said, place))
            for place, one in enumerate(self._servers, start=1)
        }


def told_that_it_works(notifier: Notifier) -> dict[str, bool]:
    """Send a test message to each address; give whether each was reached, by its place and its service's name.

    Raises
    ------
    SettingsError
        There is no address.
    """
    if not len(notifier):
        msg = "there is nobody to tell: set SKEW_WATCH_NOTIFY to an Apprise address, or to several with a blank between"
        raise SettingsError(msg)
    return notifier.test()


def _server(address: str, place: int) -> Any:
    try:
        import apprise  # noqa: PLC0415 - it comes with an extra, and takes long to import
    except ImportError as error:
        msg = f"alerts need Apprise ({error}): pip install 'skew-ext[watch]'"
        raise SettingsError(msg) from None
    # It logs addresses, with their tokens where one cannot be used.
    apprise.logger.setLevel(logging.CRITICAL + 1)
    server = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if server is None:
        scheme = _SCHEME.match(address)
        said = f" of scheme {scheme[1]}://" if scheme else ""
        msg = (
            f"address {place}{said} is none that Apprise can use (it is not shown, for its tokens): "
            "see https://appriseit.com for how they are written"
        )
        raise SettingsError(msg)
    return server


def _room(server: Any) -> Room:
    """Return what a service takes as Apprise knows it."""
    heading, content = (_number(server, name) for name in ("title_maxlen", "body_maxlen"))
    together = heading <= 0 or bool(getattr(server, "overflow_amalgamate_title", False))
    content = content if content > 0 else _UNKNOWN_ROOM
    return Room(heading if heading > 0 else content, max(content - _SPARE_BYTES * together, 1), together)


def _number(server: Any, name: str) -> int:
    try:
        return int(getattr(server, name))
    except Exception:  # noqa: BLE001 - of any of a hundred services, whose property it may be
        return 0


def _sent(server: Any, text: dict[str, str], kind: str) -> Answer:
    with _heard() as statuses:
        try:
            if server.notify(**text, notify_type=kind, body_format="text"):
                return Answer(reached=True)
            reason = "it refused, or cannot be reached"
        except Exception as error:  # noqa: BLE001 - of any of a hundred services; one must not stop the others
            reason = type(error).__name__
    if not statuses:
        return Answer(reached=False, reason=reason)
    # Of several parts or targets that were refused, one that may pass is worth another try.
    lasting = all(400 <= one < 500 and one not in _PASSING for one in statuses)  # noqa: PLR2004 - HTTP's
    said = f"it refused with status {' and '.join(map(str, sorted(set(statuses))))}"
    return Answer(reached=False, reason=said, lasting=lasting)


class _Statuses(logging.Handler):
    """Keeps the HTTP statuses that Apprise logs, and of its messages, which may hold tokens, nothing else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found += [int(status) for status in _STATUS.findall(record.getMessage())]


@contextmanager
def _heard() -> Iterator[list[int]]:
    """Give the list of the statuses that Apprise logs meanwhile; nobody else hears its log."""
    log, handler = logging.getLogger("apprise"), _Statuses()
    others, propagates, level = log.handlers, log.propagate, log.level
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.WARNING)
    try:
        yield handler.found
    finally:
        log.handlers, log.propagate = others, propagates
        log.setLevel(level)
