"""Fixtures that any test may ask for: real servers, each test with a database of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TypeVar

import pytest

from tests.servers import PostgresServer, RedisServer, ServerError, fresh_database
from tests.servers import postgres_server as running_postgres
from tests.servers import redis_server as running_redis

REDIS_DATABASES = 16
Server = TypeVar("Server")


@contextmanager
def needed(server: AbstractContextManager[Server]) -> Iterator[Server]:
    """Enter a server; one that cannot be had is a failure, for a skipped test would look like a passed one."""
    try:
        entered = server.__enter__()
    except ServerError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield entered
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Give the session's Redis: the one at SKEW_TEST_REDIS_URL, or our own (one for each xdist worker)."""
    with needed(running_redis(os.environ.get("SKEW_TEST_REDIS_URL"))) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give the session's PostgreSQL: the one at SKEW_TEST_POSTGRES_DSN, or our own (one for each xdist worker)."""
    with needed(running_postgres(os.environ.get("SKEW_TEST_POSTGRES_DSN"))) as server:
        yield server


@pytest.fixture
def redis_db(redis_server: RedisServer) -> RedisServer:
    """Give an empty Redis database. On a Redis that xdist workers share, each has a database of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    database = redis_server.db + worker
    if database >= REDIS_DATABASES:
        pytest.fail(f"Redis has {REDIS_DATABASES} databases, too few for xdist worker {worker}", pytrace=False)
    server = replace(redis_server, db=database)
    with server.client() as client:
        client.flushdb()
    return server


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """Give a new, empty PostgreSQL database, dropped afterwards."""
    with fresh_database(postgres_server) as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Give a Redis for this test alone, which it may stop, kill and start through `process`."""
    with needed(running_redis()) as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """Give a PostgreSQL for this test alone, which it may stop, kill and start through `process`."""
    with needed(running_postgres()) as server:
        yield server
