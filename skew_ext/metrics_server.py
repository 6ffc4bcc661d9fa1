"""A server of Prometheus metrics that no client and no count can hold up, as `skew ship` and `skew watch` run it."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from skew_ext.errors import SettingsError
from skew_ext.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    Clock = Callable[[], float]

logger = logging.getLogger("skew_ext")
CLIENT_SECONDS = 10.0
"""How long a client may take for its request and for its answer together."""
COUNT_SECONDS = 5.0
"""How long a scrape waits for new counts; then it gets the last ones. Prometheus itself waits 10 s by default."""
MOST_CLIENTS = 32
Counts = TypeVar("Counts")


class LastCounts(Generic[Counts]):
    """Counts anew when it is asked, and gives the last counts where that fails or takes long.

    One count runs at a time, however many ask; what it gives late is there for who asks next.
    """

    def __init__(
        self, count: Callable[[], Counts], patience: float = COUNT_SECONDS, clock: Clock = time.monotonic
    ) -> None:
        self._count = count
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._running: threading.Thread | None = None
        self._last: Counts | None = None
        self._at = -math.inf
        self._failing = False

    def get(self) -> tuple[Counts | None, float]:
        """Return the counts, None where none was ever made, and how many seconds ago they were begun."""
        begun = self._clock()
        with self._lock:
            if self._running is None or not self._running.is_alive():
                # A thread of its own: a folder on a server that is away cannot be waited for with a limit otherwise.
                self._running = threading.Thread(target=self._run, args=[begun], daemon=True)
                self._running.start()
            running = self._running
        running.join(self._patience)
        with self._lock:
            return self._last, max(begun - self._at, 0.0)

    def _run(self, begun: float) -> None:
        try:
            counts = self._count()
        except Exception as error:  # noqa: BLE001 - whatever it is, the metrics go on, and the next scrape tries again
            if not self._failing:
                self._failing = True
                said = visible(" ".join(str(error).split()))
                logger.warning("rows cannot be counted for the metrics, which go on with the last counts: %s", said)
            return
        if self._failing:
            self._failing = False
            logger.info("rows are counted for the metrics again")
        with self._lock:
            self._last, self._at = counts, begun


def serve(
    registry: CollectorRegistry, port: int, address: str, client_seconds: float | None = None
) -> Callable[[], None]:
    """Serve metrics on threads of their own; return what ends it.

    Raises
    ------
    SettingsError
        The port cannot be had.
    """
    try:
        server = make_server(address, port, make_wsgi_app(registry), _server_class(address, port), _Handler)
    except OSError as error:
        msg = f"metrics cannot be served on {address}:{port} ({error}): choose another --metrics-port"
        raise SettingsError(msg) from None
    server.client_seconds = CLIENT_SECONDS if client_seconds is None else client_seconds
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a scrape every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    """Each client has a thread; one that takes too long is cut off, and so is the oldest of too many."""

    daemon_threads = True
    block_on_close = False
    client_seconds = CLIENT_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clients: dict[int, tuple[float, socket.socket]] = {}
        self._guard = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            while len(self._clients) >= MOST_CLIENTS:
                self._cut(next(iter(self._clients)))
            self._clients[id(request)] = time.monotonic(), request
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._clients.pop(id(request), None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off whoever has taken too long; the server calls this twice a second."""
        super().service_actions()
        since = time.monotonic() - self.client_seconds
        with self._guard:
            for client in [client for client, (begun, _) in self._clients.items() if begun < since]:
                self._cut(client)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone, or was cut off."""

    def _cut(self, client: int) -> None:
        _, request = self._clients.pop(client)
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # It has gone by itself.


def _server_class(address: str, port: int) -> type[_Server]:
    family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    return type("_FamilyServer", (_Server,), {"address_family": family})
