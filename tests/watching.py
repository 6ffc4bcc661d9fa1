"""What tests of the watch share: a clock that is set, a repo that is served minute by minute, and a webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from skew_ext import request_context
from skew_ext.repo import settings_of
from skew_ext.shipping.shipper import Shipper
from skew_ext.watch.alerts import Notifier
from skew_ext.watch.hooks import Hook
from skew_ext.watch.options import WatchOptions
from skew_ext.watch.store import WatchStore, open_watch_store
from skew_ext.watch.summary import EQUAL
from skew_ext.watch.telling import Teller
from skew_ext.watch.watcher import Watcher
from tests.kit import HOUR, MINUTE, NOON, Repo, row

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

DRIVERS = range(1, 11)
MILES = 1.609344


def hourly(factor: float = 1.0, hours: int = 12) -> list[dict[str, Any]]:
    """Make a row per driver and hour, from five hours before noon; `factor` is the unit that the rating is in."""
    return [
        row(driver, NOON + (hour - 5) * HOUR, (driver + hour / 7) * factor, 100 * driver + hour, f"city {driver}")
        for driver in DRIVERS
        for hour in range(hours)
    ]


class Watched:
    """A repo that is served and watched on a clock of its own, which starts at noon."""

    def __init__(self, path: Path, **config: Any) -> None:
        self.repo = Repo(path, **config)
        self.now = NOON
        self.mend()

    def clock(self) -> datetime:
        """Give the present."""
        return self.now

    def mend(self) -> None:
        """Put right values online."""
        self.repo.write(hourly())
        self.repo.materialize(NOON)

    def spoil(self) -> None:
        """Put ratings in another unit online; the source is right."""
        self.repo.write(hourly(MILES))
        self.repo.materialize(NOON)
        self.repo.write(hourly())

    def serve(self, at: datetime | None = None, drivers: Sequence[int] = DRIVERS) -> None:
        """Serve one lookup of some drivers."""
        with request_context(served_at=at or self.now):
            service = self.repo.store.get_feature_service("scoring")
            self.repo.store.get_online_features(service, [{"driver": driver} for driver in drivers])

    def ship(self) -> None:
        """Ship what was served."""
        Shipper(settings_of(self.repo.store).spool).drain()

    def minute(self, lookups: int = 4) -> None:
        """Let a minute pass in which lookups are served and shipped."""
        for number in range(lookups):
            self.serve(self.now + number * MINUTE / lookups)
        self.now += MINUTE
        self.ship()

    def watcher(
        self,
        *notify: str,
        hook: str = "",
        services: Sequence[str] = (),
        training_set: pa.Table | None = None,
        **options: Any,
    ) -> Watcher:
        """Give a watch that starts afresh, as a new process does; without a margin, unless it is said."""
        chosen = WatchOptions(**{"margin": timedelta(0), "burn_in": 0, "min_rows": 10, **options})
        teller = Teller(Notifier(notify), Hook(hook), self.clock)
        return Watcher(self.repo.store, services, chosen, teller, training_set=training_set, clock=self.clock)

    @property
    def kept(self) -> WatchStore:
        """What the watch has kept."""
        return open_watch_store(settings_of(self.repo.store), self.repo.store.project)

    def cells(self) -> dict[str, dict[str, int]]:
        """Give the counters, by feature and cause, as the watch has kept them."""
        state = self.kept.state("scoring")
        assert state is not None
        return {name: {cause: n for cause, n in causes.items() if n} for name, causes in state.totals.items()}

    def window_cells(self) -> dict[str, dict[str, int]]:
        """Give the same from the windows."""
        state = self.kept.state("scoring")
        assert state is not None
        found: dict[str, dict[str, int]] = {}
        for one in self.kept.windows(state):
            for name, feature in one.window.features.items():
                causes = found.setdefault(name, {})
                for cause, cells in feature.cells.items():
                    if cells:
                        causes[cause] = causes.get(cause, 0) + cells
        return found


def right_cells(equal: int, rescaled: int = 0) -> dict[str, dict[str, int]]:
    """Give what the counters should say of lookups that were right, and of those with a spoilt rating."""
    spoilt = {"rescaled": rescaled} if rescaled else {}
    good = {EQUAL: equal} if equal else {}
    return {
        "stats__rating": {**good, **spoilt},
        "stats__trips": {EQUAL: equal + rescaled},
        "stats__city": {EQUAL: equal + rescaled},
    }


class Webhook:
    """A real web server that keeps what is posted to it; `status` is what it answers, and 413 to more than `limit`."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.posts: list[dict[str, Any]] = []
        self.status = 200
        self.answer = b""
        self.limit = 1 << 30
        self.tries = 0

    def titles(self) -> list[str]:
        """Give the titles of the alerts that came."""
        return [post["title"] for post in self.posts]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run a webhook on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            content = json.loads(self.rfile.read(size))
            hook.tries += 1
            status = 413 if size > hook.limit else hook.status
            if status < 300:
                hook.posts.append(content)
            self.send_response(status)
            self.send_header("Content-Length", str(len(hook.answer)))
            self.end_headers()
            self.wfile.write(hook.answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()
