"""The test servers themselves: real ones, one database for each test, and none left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests import servers
from tests.servers import PostgresServer, RedisServer, ServerError, await_answer, ping_postgres, ping_redis, server_user

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from tests.servers import redis_server
with redis_server() as server:
    print(server.process.pid, server.process.directory, flush=True)
    time.sleep(60)
"""


def test_redis_keeps_a_value(redis_db: RedisServer) -> None:
    with redis_db.client() as client:
        client.set("key", b"\x00value")
        assert client.get("key") == b"\x00value"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_redis_database_is_empty_for_every_test(redis_db: RedisServer, turn: str) -> None:
    with redis_db.client() as client:
        assert client.dbsize() == 0
        client.set("turn", turn)


def test_redis_addresses_name_the_database() -> None:
    server = RedisServer("localhost", 6379, 3, "p@ss")
    assert server.url == "redis://:p%40ss@localhost:6379/3"
    assert server.connection_string == "localhost:6379,db=3,password=p@ss"
    assert RedisServer("localhost", 6379).connection_string == "localhost:6379"
    assert "p@ss" not in repr(server)


def test_postgres_round_trip(postgres_database: PostgresServer) -> None:
    with psycopg.connect(postgres_database.dsn) as connection:
        connection.execute("CREATE TABLE t (id bigint, x double precision, b bytea)")
        connection.execute("INSERT INTO t VALUES (%s, %s, %s)", (2**63 - 1, float("inf"), b"\x00\xff"))
        assert connection.execute("SELECT id, x, b FROM t").fetchone() == (2**63 - 1, float("inf"), b"\x00\xff")


@pytest.mark.parametrize("turn", [1, 2])
def test_postgres_database_is_empty_for_every_test(postgres_database: PostgresServer, turn: int) -> None:
    with psycopg.connect(postgres_database.dsn) as connection:
        connection.execute("CREATE TABLE only_mine (turn int)")
        connection.execute("INSERT INTO only_mine VALUES (%s)", (turn,))


def test_postgres_wants_the_password(postgres_server: PostgresServer) -> None:
    if postgres_server.process is None:
        pytest.skip("a PostgreSQL that we were given may trust us")
    wrong = postgres_server.dsn.replace(postgres_server.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert postgres_server.password not in repr(postgres_server)


def test_a_redis_of_its_own_can_be_killed_and_started(own_redis: RedisServer) -> None:
    process = own_redis.process
    assert process is not None
    process.kill()
    assert not process.running
    process.start()
    await_answer(lambda: ping_redis(own_redis), process)


def test_a_postgres_of_its_own_keeps_its_commits_through_a_kill(own_postgres: PostgresServer) -> None:
    process = own_postgres.process
    assert process is not None
    with psycopg.connect(own_postgres.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
    process.kill()
    process.start()
    await_answer(lambda: ping_postgres(own_postgres), process)
    with psycopg.connect(own_postgres.dsn) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (1,)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_the_tests(signal_number: int) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with holder as process:
        assert process.stdout is not None
        pid, directory = process.stdout.readline().decode().split()
        process.send_signal(signal_number)
    deadline = time.monotonic() + 30
    while (alive(int(pid)) or Path(directory).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(pid))
    assert not Path(directory).exists()


def test_a_server_that_cannot_be_had_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerError, match="set SKEW_TEST_REDIS_URL"), servers.redis_server():
        pass
    with pytest.raises(ServerError, match="set SKEW_TEST_POSTGRES_DSN"), servers.postgres_server():
        pass


def test_a_program_that_ends_at_once_is_an_error_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((servers.HOST, 0))
        monkeypatch.setattr(servers, "free_port", lambda: taken.getsockname()[1])
        with pytest.raises(ServerError, match="Address already in use"), servers.redis_server():
            pass


def test_a_given_server_is_used(own_redis: RedisServer, own_postgres: PostgresServer) -> None:
    with servers.redis_server(f"redis://{own_redis.host}:{own_redis.port}/2") as given:
        assert (given.port, given.db, given.process) == (own_redis.port, 2, None)
    with servers.postgres_server(own_postgres.dsn) as given_too:
        assert (given_too.dsn, given_too.process) == (own_postgres.dsn, None)


def test_postgres_is_never_run_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert server_user() == "nobody"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_user() == ""


def alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
