"""The stores and API processes that benchmarks run against: real ones, in a temporary folder, gone at the end.

One stack for all benchmarks of a run, a fresh migrated database for each. Only what was started here is ended.
Look next: `app.embedded.stack`, `benchmarks.commands` for what a database is filled with.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec
import psycopg
from psycopg import sql

from app.embedded.process import Child, ProcessSpec, log_tail, own_environment
from app.embedded.stack import EmbeddedStack
from app.operations.migrate import migrate, owner_url
from app.platform.settings import Settings
from benchmarks.machine import cpu_seconds

_CHECKOUT = Path(__file__).resolve().parents[1]
#: seconds an API process may take to get ready
_PATIENCE = 30.0


class LabError(Exception):
    """A process of the server did not start."""


@dataclass(frozen=True)
class Api:
    """Running API processes at one address."""

    pids: tuple[int, ...]
    url: str

    @property
    def graphql(self) -> str:
        """The endpoint."""
        return f"{self.url}/graphql"


class Lab:
    """PostgreSQL, Valkey and S3 for the length of a run; use as a context manager in the main thread."""

    def __init__(self) -> None:
        self._exit = contextlib.ExitStack()
        self._databases = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            folder = Path(starting.enter_context(tempfile.TemporaryDirectory(prefix="hoard-bench-")))
            folder.chmod(0o711)  # PostgreSQL may run as another account and must get through
            #: where benchmarks may leave files until the end
            self.folder = folder
            self._stack = EmbeddedStack(folder / "data")
            starting.callback(self._stack.stop)
            self._settings = Settings.from_env(self._stack.start())
            self._exit = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def database(self) -> Settings:
        """Settings for a fresh, migrated database."""
        self._databases += 1
        name = f"bench{self._databases}"
        with psycopg.connect(owner_url(self._settings), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        settings = msgspec.structs.replace(
            self._settings,
            database_url=_renamed(self._settings.database_url, name),
            migrate_url=_renamed(owner_url(self._settings), name),
            rate_limits=False,
        )
        migrate(settings)
        return settings

    def drop(self, settings: Settings) -> None:
        """Give back the disk space of a database that was made here."""
        name = urlsplit(settings.database_url).path.strip("/")
        with psycopg.connect(owner_url(self._settings), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def api(self, settings: Settings, processes: int = 1) -> Iterator[Api]:
        """API processes that share a port, ready to serve. Raises `LabError`."""
        settings = msgspec.structs.replace(settings, port=free_port())
        url = f"http://{settings.host}:{settings.port}"
        with contextlib.ExitStack() as children:
            pids = []
            for number in range(processes):
                spec = ProcessSpec(
                    name=f"api{number}",
                    argv=(sys.executable, "-m", "app.cli", "serve", "--share-port"),
                    cwd=_CHECKOUT,
                    log=self.folder / f"api{number}.log",
                    env=own_environment(**settings.to_env()),
                )
                child = Child(spec)
                children.callback(child.stop)
                wait_until_ready(lambda: child.poll() is None, url, spec.log)  # noqa: B023 - called at once
                _wait_until(lambda: _listeners(settings.port) > number, spec.log)  # noqa: B023 - called at once
                pids.append(child.pid)
            yield Api(tuple(pids), url)

    def cpu(self, api: Api) -> dict[str, float]:
        """CPU seconds used so far by the API's processes, PostgreSQL and S3."""
        return {
            "api": sum(map(cpu_seconds, api.pids)),
            "postgres": cpu_seconds(self._stack.pid("postgres")),
            "s3": cpu_seconds(self._stack.pid("seaweedfs")),
        }

    def postgres_version(self) -> str:
        """As PostgreSQL tells it."""
        with psycopg.connect(owner_url(self._settings)) as connection:
            return (
                str(connection.info.server_version // 10_000) + f".{connection.info.server_version % 10_000}"
            )


def _renamed(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listeners(port: int) -> int:
    """How many sockets listen on a port of this machine: one of each process that shares it."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return sum(address.endswith(f":{port:04X}") and state == "0A" for _, address, _, state, *_ in fields)


def _wait_until(there: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if there():
            return
        time.sleep(0.1)
    message = f"an API process did not get ready{log_tail(log)}"
    raise LabError(message)


def wait_until_ready(lives: Callable[[], bool], url: str, log: Path | None = None) -> None:
    """Wait until an API process serves. Raises `LabError` if it does not, or ended."""
    deadline = time.monotonic() + _PATIENCE
    while lives() and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2.0):
            return
        time.sleep(0.1)
    message = f"the API process did not get ready{log_tail(log) if log else ''}"
    raise LabError(message)
