"""Telling people, through Apprise: Slack, PagerDuty, mail, webhooks and what else it knows, by an address each."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from skew_ext.errors import SettingsError
from skew_ext.watch.wording import body, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skew_ext.watch.incident import Incident

logger = logging.getLogger("skew_ext")
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]{1,19})://", re.IGNORECASE)
_KINDS = {"opened": "failure", "closed": "success", "proposed": "info"}


class Notifier:
    """Tells several addresses. They hold tokens and passwords: no message, log or repr of ours shows one.

    Raises
    ------
    SettingsError
        Apprise is not installed, or does not know one of the addresses; said by its place, and never shown.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._servers = [_server(address, place) for place, address in enumerate(addresses, start=1)]

    def __repr__(self) -> str:
        """Say how many there are."""
        return f"Notifier({len(self._servers)} addresses)"

    def __len__(self) -> int:
        """Say how many there are to tell."""
        return len(self._servers)

    def tell(self, incident: Incident, event: str, place: int) -> bool:
        """Tell the address at a place, from 1, of an incident; say whether it was reached.

        `event` is "opened", "closed" or "proposed".
        """
        text = {"title": title(incident, event), "body": body(incident, event)}
        return _sent(self._servers[place - 1], place, text, _KINDS[event], "; tried again")

    def test(self) -> dict[str, bool]:
        """Tell every address that it works; give whether each was reached, by its place and its service's name."""
        text = {"title": "[TEST] skew watch", "body": "Alerts of skew watch arrive here. Nothing is wrong."}
        places = enumerate(self._servers, start=1)
        return {f"{place} ({one.service_name})": _sent(one, place, text, "info", "") for place, one in places}


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


def _sent(server: Any, place: int, text: dict[str, str], kind: str, then: str) -> bool:
    try:
        reached = bool(server.notify(**text, notify_type=kind, body_format="text"))
        reason = "it refused, or cannot be reached"
    except Exception as error:  # noqa: BLE001 - of any of a hundred services; one must not stop the others
        reached, reason = False, type(error).__name__
    if not reached:
        logger.warning("alert address %d (%s) was not told: %s%s", place, server.service_name, reason, then)
    return reached
