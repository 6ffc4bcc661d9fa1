"""What the spool's marker asks of the shipper: where to, how often, how much; followed when a server changes it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skew_ext.errors import SettingsError, SpoolError
from skew_ext.log.destination import destination_from
from skew_ext.serving.files import identity_at
from skew_ext.serving.surroundings import fingerprint_of
from skew_ext.shipping.storing import Storing

if TYPE_CHECKING:
    from skew_ext.log.destination import Destination
    from skew_ext.serving.spool import SpoolDirectory

logger = logging.getLogger("skew_ext.shipping")


@dataclass(frozen=True)
class Asked:
    """The marker's content. `surroundings`: of the server that wrote it last, as `fingerprint_of`; empty is unknown."""

    spool_id: str
    destination: dict[str, Any]
    flush_seconds: float
    sample_rate: float
    max_hours: float | None
    surroundings: str

    @classmethod
    def by(cls, spool: SpoolDirectory) -> Asked:
        """Read a spool's marker; SpoolError if it is none, or not what a server writes."""
        marker = spool.check()
        try:
            shipping = marker["shipping"]
            hours = shipping["spool_max_hours"]
            return cls(
                str(marker["id"]),
                {"type": str(shipping["destination"]["type"]), **shipping["destination"]},
                float(shipping["flush_seconds"]),
                float(shipping["sample_rate"]),
                None if hours is None else float(hours),
                str(shipping.get("surroundings", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{spool.marker} does not say where to ship ({error!r}): start a server, which writes it anew"
            raise SpoolError(msg) from None


class Following:
    """The shipper's settings and destination, as the marker says now.

    Raises
    ------
    SpoolError
        The marker is not there, or damaged.
    SettingsError
        The destination cannot be made here.
    """

    def __init__(self, spool: SpoolDirectory) -> None:
        self._spool = spool
        self._seen: Any = self._signature()
        self.asked = Asked.by(spool)
        self.destination: Destination = destination_from(self.asked.destination)
        self.storing = Storing(spool, self.destination, self.asked.sample_rate)
        self._own = fingerprint_of(self.asked.destination)
        self.gives_way = False
        """Whether a server started this process, and another one can start its own."""

    def refresh(self) -> None:
        """Go by the marker if it has changed; one that cannot be used now is said, and what was known stays."""
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            asked = Asked.by(self._spool)
            if asked.destination != self.asked.destination:
                self.destination = destination_from(asked.destination)
                logger.info("the log goes to another destination from now on, as %s says", self._spool.marker)
            self.storing = Storing(self._spool, self.destination, asked.sample_rate)
            self.asked, self._own = asked, fingerprint_of(asked.destination)
        except (SpoolError, SettingsError) as error:
            logger.warning("shipping goes on as before: %s", error)

    def storing_to(self, destination: dict[str, Any]) -> Storing:
        """Return what stores at a destination that was asked for before; SettingsError if it cannot be made here."""
        if not destination or destination == self.asked.destination:
            return self.storing
        return Storing(self._spool, destination_from(destination), self.asked.sample_rate)

    @property
    def is_outdated(self) -> bool:
        """Whether this process, which a server started, should leave the spool to a server that came later.

        That has another environment: another DSN or password, which a running process cannot take over.
        """
        return self.gives_way and bool(self.asked.surroundings) and self.asked.surroundings != self._own

    def _signature(self) -> Any:
        try:
            status = self._spool.marker.lstat()
        except OSError:
            return None
        return identity_at(self._spool.marker), status.st_mtime_ns, status.st_size
