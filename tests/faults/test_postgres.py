"""A PostgreSQL that is down, dies mid-batch, answers too late or not at all. Each test ends with every row once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg.conninfo import make_conninfo

from skew_ext import read_log
from skew_ext.errors import LogError
from skew_ext.log.postgres import PostgresDestination
from skew_ext.log.postgres_migrations import upgrade
from skew_ext.log.postgres_session import PostgresError
from skew_ext.log.query import LogQuery
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import Repo
from tests.servers import HOST, PostgresServer, await_answer, free_port, ping_postgres

REFERENCES = ["stats:rating", "stats:trips", "stats:city"]
Hook = Callable[[bytes], str]
"""What a proxy does with what a client sends: "pass" it on, "cut" at once, "cut after" the answer, or be "deaf"."""


class Proxy:
    """A TCP proxy between the log and its server that can cut, or go deaf, at a chosen message."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.hook: Hook = lambda _: "pass"
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def dsn(self) -> str:
        return make_conninfo(self._server.dsn, port=self.port, sslmode="disable", gssencmode="disable")

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._server.port))
                threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                wish = self.hook(data)
                if wish == "cut after":
                    client.shutdown(socket.SHUT_WR)
                if wish in ("pass", "cut after"):
                    server.sendall(data)
                if wish == "cut after":
                    time.sleep(0.3)
                if wish.startswith("cut"):
                    break
        for end in (client, server):
            # A close alone would leave the other thread's wait, and with it the connection, open.
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    @staticmethod
    def _answers(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(server: PostgresServer) -> Iterator[Proxy]:
    made = Proxy(server)
    try:
        yield made
    finally:
        made.close()


def at_first(word: bytes, wish: str) -> Hook:
    """Make a hook that has its wish at the first message with this word in it, and passes all others."""
    waiting = [True]

    def hook(data: bytes) -> str:
        if waiting and word in data:
            waiting.clear()
            return wish
        return "pass"

    return hook


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    destination = {"type": "postgres", "dsn_env": "LOG_DSN"}
    return Repo(tmp_path / "repo", skew={"start_shipper": False, "destination": destination})


def spool(repo: Repo) -> Path:
    return repo.path / "data/skew/spool"


def serve(repo: Repo, lookups: int = 40) -> None:
    for _ in range(lookups):
        repo.store.get_online_features(REFERENCES, [{"driver": 1}, {"driver": 2}])


def settled(repo: Repo, rows: int) -> None:
    """Drain, and check that the law holds and that the log has each row once."""
    Shipper(spool(repo)).drain()
    counts = log_stats(spool(repo))
    assert (counts.stored, counts.in_spool, counts.unaccounted) == (rows, 0, 0)
    log = read_log(repo.path)
    identities = list(zip(*(log[name].to_pylist() for name in ("__writer", "__seq", "__row")), strict=True))
    assert len(set(identities)) == len(identities) == rows


def test_a_database_that_is_down_at_the_start_keeps_the_rows_waiting(
    repo: Repo, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", own_postgres.dsn)
    upgrade("LOG_DSN")
    assert own_postgres.process is not None
    own_postgres.process.stop()
    serve(repo)
    with pytest.raises(OSError, match="LOG_DSN"):
        Shipper(spool(repo)).drain()
    with pytest.raises(LogError, match="the log cannot be read"):
        read_log(repo.path)
    counts = log_stats(spool(repo))
    assert (counts.in_spool, counts.unaccounted) == (80, 0)
    own_postgres.process.start()
    await_answer(lambda: ping_postgres(own_postgres), own_postgres.process)
    settled(repo, 80)


@pytest.mark.parametrize(
    ("word", "wish"),
    [
        (b"ensure_log_table", "cut"),
        (b"ensure_log_table", "cut after"),
        (b"INSERT INTO", "cut after"),
        (b"PGCOPY", "cut"),
        (b"PGCOPY", "cut after"),
        (b"COMMIT", "cut"),
        (b"COMMIT", "cut after"),
    ],
)
def test_a_connection_cut_at_any_moment_neither_loses_nor_doubles(
    word: bytes, wish: str, repo: Repo, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(postgres_database) as between:
        monkeypatch.setenv("LOG_DSN", between.dsn)
        upgrade("LOG_DSN")
        serve(repo)
        between.hook = at_first(word, wish)
        with pytest.raises(OSError, match="LOG_DSN"):
            Shipper(spool(repo)).drain()
        settled(repo, 80)


def test_a_commit_whose_answer_was_lost_is_there_and_is_not_doubled(
    repo: Repo, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(postgres_database) as between:
        monkeypatch.setenv("LOG_DSN", between.dsn)
        upgrade("LOG_DSN")
        serve(repo)
        between.hook = at_first(b"COMMIT", "cut after")
        with pytest.raises(OSError, match="LOG_DSN"):
            Shipper(spool(repo)).drain()
        # The shipper does not know it, and the law counts the rows as waiting; the database has them.
        assert log_stats(spool(repo)).in_spool == 80
        assert read_log(repo.path).num_rows == 80
        settled(repo, 80)


def test_a_server_killed_while_batches_arrive(
    repo: Repo, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = own_postgres.process
    assert process is not None
    with proxy(own_postgres) as between:
        monkeypatch.setenv("LOG_DSN", between.dsn)
        upgrade("LOG_DSN")
        for round_, word in enumerate((b"PGCOPY", b"COMMIT"), start=1):
            serve(repo)
            killed = threading.Event()

            def kill(data: bytes, word: bytes = word, killed: threading.Event = killed) -> str:
                if word in data and not killed.is_set():
                    killed.set()
                    process.kill()
                    return "cut"
                return "pass"

            between.hook = kill
            with pytest.raises(OSError, match="LOG_DSN"):
                Shipper(spool(repo)).drain()
            assert killed.is_set()
            process.start()
            await_answer(lambda: ping_postgres(own_postgres), process)
            settled(repo, 80 * round_)


def test_a_peer_that_goes_silent_is_given_up(
    repo: Repo, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(postgres_database) as between:
        monkeypatch.setenv("LOG_DSN", between.dsn)
        upgrade("LOG_DSN")
        monkeypatch.setattr("skew_ext.log.postgres_session.PATIENCE_SECONDS", 1.0)
        serve(repo)
        silent = threading.Event()

        def fall_silent(data: bytes) -> str:
            if b"PGCOPY" in data:
                silent.set()
            return "deaf" if silent.is_set() else "pass"

        between.hook = fall_silent
        began = time.monotonic()
        with pytest.raises(OSError, match="LOG_DSN"):
            Shipper(spool(repo)).drain()
        assert silent.is_set()
        assert 1 <= time.monotonic() - began < 10
        between.hook = lambda _: "pass"
        settled(repo, 80)


def test_a_partition_that_retention_dropped_is_made_again(
    repo: Repo, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    shipper = Shipper
    serve(repo)
    shipper(spool(repo)).drain()
    kept: list[tuple[pa.Table, Any]] = []
    log = PostgresDestination("LOG_DSN")
    write = PostgresDestination.write

    def remember(self: PostgresDestination, table: pa.Table, schema: Any, batch: str) -> None:
        kept.append((table, schema))
        write(self, table, schema, batch)

    monkeypatch.setattr(PostgresDestination, "write", remember)
    serve(repo)
    shipper(spool(repo)).drain()
    ((table, schema),) = kept
    write(log, table, schema, "warm")
    day = table["__log_date"][0].as_py()
    ((name,),) = _rows(postgres_database, "SELECT name FROM skew.log_tables")
    _rows(postgres_database, f"DROP TABLE skew.{name}_{day:%Y%m%d}; SELECT 1")
    with pytest.raises(PostgresError, match="no partition"):
        write(log, table, schema, "again")
    write(log, table, schema, "again")
    assert log.read(LogQuery()).num_rows == table.num_rows


def test_nothing_listens_where_the_dsn_points(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_DSN", f"postgresql://skew:s3cr3t@{HOST}:{free_port()}/x")
    serve(repo, 1)
    with pytest.raises(OSError, match="refused") as caught:
        Shipper(spool(repo)).drain()
    assert "s3cr3t" not in str(caught.value)
    assert log_stats(spool(repo)).in_spool == 2


def _rows(database: PostgresServer, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.dsn) as connection:
        cursor = connection.execute(query.encode())
        while cursor.nextset():
            pass
        return cursor.fetchall()
