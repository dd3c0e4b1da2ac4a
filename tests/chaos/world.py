"""A small horde on servers that a test may kill, with a database whose clock the test may set.

Its processes are real (`hoard serve`, `relay`, `actors run`, `worker`); what is killed is started again by whoever
killed it. The clock is the database's: `clock_timestamp()` and `now()` of the application's role are functions of the
test's own, found before those of PostgreSQL because of the role's search path. Look next: `tests/chaos/storm.py`.
"""

import contextlib
import itertools
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import msgspec
import psycopg
import redis
from minio import Minio

from app.accounts.console import console
from app.accounts.seeding import parse_keys, seed
from app.embedded.stack import EmbeddedStack, seed_keys_json
from app.operations.migrate import make_buckets, migrate
from app.platform.settings import Settings
from tests.acceptance.horde import Horde, User
from tests.acceptance.processes import ApiProcess, Process
from tests.acceptance.wires import Api
from tests.stranger import OUTSIDE

SERVERS = ("postgres", "valkey", "seaweedfs")

_numbers = itertools.count(1)
_CLOCK = """
CREATE SCHEMA skew;
CREATE TABLE skew.clock (ahead interval NOT NULL);
INSERT INTO skew.clock VALUES ('0');
CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM skew.clock';
CREATE FUNCTION skew.now() RETURNS timestamptz LANGUAGE sql STABLE
  AS 'SELECT pg_catalog.now() + ahead FROM skew.clock';
GRANT USAGE ON SCHEMA skew TO hoard_app;
GRANT SELECT ON skew.clock TO hoard_app;
"""


class World:
    """The processes of one horde on running servers. Use as a context manager."""

    def __init__(
        self,
        folder: Path,
        stack: EmbeddedStack,
        settings: Settings,
        *,
        apis: int = 1,
        relays: int = 1,
        s3_url: str | None = None,
    ) -> None:
        """Name the servers; `s3_url` is another way to the same storage. Nothing is started yet."""
        self.folder, self.stack, self.number = folder, stack, next(_numbers)
        named = f"world_{os.getpid()}_{self.number}"
        assert settings.migrate_url is not None
        self._server_url = settings.migrate_url
        self.settings = msgspec.structs.replace(
            settings,
            database_url=_at(settings.database_url, named),
            migrate_url=_at(settings.migrate_url, named),
            redis_url=_at(settings.redis_url, str(4 + 2 * (self.number % 6))),
            s3_url=s3_url or settings.s3_url,
            rate_limits=False,
            source_networks=f"{OUTSIDE}/32",
            bucket_shared=f"shared-{os.getpid()}-{self.number}",
            bucket_sources=f"sources-{os.getpid()}-{self.number}",
            bucket_results=f"results-{os.getpid()}-{self.number}",
        )
        self.straight = settings.s3_url
        self.variables = self.settings.to_env()
        self.apis: list[ApiProcess] = []
        self.processes: dict[str, Process] = {}
        self._counts = (apis, relays)
        self._bank: User | None = None

    def __enter__(self) -> Self:
        with psycopg.connect(self._server_url, autocommit=True) as owner:
            # Nothing here outlives the operating system: do not wait for the disk.
            owner.execute("ALTER SYSTEM SET fsync = off")
            owner.execute("SELECT pg_reload_conf()")
            name = urlsplit(self.settings.database_url).path.strip("/")
            owner.execute(f"CREATE DATABASE {name}")
            owner.execute(f"ALTER ROLE hoard_app IN DATABASE {name} SET search_path = skew, pg_catalog")
        with self.owner() as owner:
            owner.execute(_CLOCK)
        migrate(self.settings)
        make_buckets(self.settings)
        with console(self.settings) as opened:
            seed(opened, self.settings.pepper, parse_keys(seed_keys_json(self.stack.seed_keys)))
        try:
            apis, relays = self._counts
            for index in range(apis):
                self.start(f"api{index}")
            for index in range(relays):
                self.start(f"relay{index}")
            self.start("actors")
            for api in self.apis:
                api.wait(90)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes.values()):
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.popen.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            with contextlib.suppress(Exception):
                process.stop()

    def start(self, name: str) -> None:
        """Start a process by name: `api0`, `relay1`, `actors` (or `actors1`), `worker0`; an API process keeps its port."""
        log, variables = self.folder / f"{name}.log", self.variables
        if name.startswith("api"):
            index = int(name[3:])
            port = self.apis[index].port if index < len(self.apis) else None
            made = ApiProcess(log, variables, port)
            self.apis[index : index + 1] = [made]
            self.processes[name] = made
        elif name.startswith("relay"):
            self.processes[name] = Process(log, "relay", variables=variables)
        elif name.startswith("actors"):
            self.processes[name] = Process(log, "actors", "run", variables=variables)
        else:
            url = self.apis[int(name[6:]) % len(self.apis)].url
            arguments = ("--url", url, "--name", f"{name} of {self.number}", "--backend", "procedural")
            owner = {"HOARD_API_KEY": self.stack.seed_keys.worker_owner}
            self.processes[name] = Process(log, "worker", *arguments, variables={**variables, **owner})

    def kill(self, name: str) -> None:
        """`kill -9` of a process or a server."""
        if name in SERVERS:
            os.kill(self.stack.pid(name), signal.SIGKILL)
        else:
            self.processes[name].popen.kill()
            self.processes[name].popen.wait()

    def lives(self, name: str) -> bool:
        """Whether a process or server runs."""
        if name in SERVERS:
            return self.stack.lives(name)
        return self.processes[name].popen.poll() is None

    def revive(self, name: str) -> None:
        """Start again what was killed; a server is waited for."""
        if name in SERVERS:
            self.stack.restart(name)
        else:
            self.start(name)

    @property
    def horde(self) -> Horde:
        """The first API process as the acceptance tests know it, with a bank."""
        return Horde(self.apis[0], self.variables, self.folder, self.folder, self._banker())

    def _banker(self) -> User:
        if self._bank is None:
            key = self.stack.seed_keys.client
            bank = User("", "", key, Api(self.apis[0].url, key))
            me = bank.me()
            bank.id, bank.alias = me["id"], me["username"]
            with console(self.settings) as opened:
                opened.grant(UUID(bank.id), 100_000_000, "for tests")
            self._bank = bank
        return self._bank

    @contextlib.contextmanager
    def owner(self) -> Iterator[psycopg.Connection[Any]]:
        """An autocommitting connection to the database with the owner's role, by the true clock."""
        assert self.settings.migrate_url is not None
        with psycopg.connect(self.settings.migrate_url, autocommit=True) as connection:
            yield connection

    def rows(self, statement: str, given: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """What a statement finds in the database."""
        with self.owner() as owner:
            return owner.execute(statement, given).fetchall()

    def set_clock(self, ahead: str) -> None:
        """From now on the database's clock is so far ahead of the true one (an interval; negative: behind)."""
        with self.owner() as owner:
            owner.execute("UPDATE skew.clock SET ahead = %s::interval", (ahead,))

    def flush_valkey(self) -> None:
        """Valkey forgets everything: messages, presence, counts. Raises `redis.RedisError`."""
        with redis.Redis.from_url(self.settings.redis_url) as valkey:
            valkey.flushall()

    def shared(self) -> dict[str, bytes]:
        """Everything in the shared bucket, by name."""
        settings = self.settings
        store = Minio(
            urlsplit(self.straight).netloc,
            settings.s3_access_key,
            settings.s3_secret_key,
            region=settings.s3_region,
            secure=False,
        )
        found = {}
        try:
            for item in store.list_objects(settings.bucket_shared, recursive=True):
                name = str(item.object_name)
                with contextlib.closing(store.get_object(settings.bucket_shared, name)) as answer:
                    found[name] = answer.read()
                    answer.release_conn()
        finally:
            store._http.clear()  # type: ignore[attr-defined]
        return found

    def said(self) -> dict[str, str]:
        """What each process wrote."""
        return {name: process.said() for name, process in self.processes.items()}


def _at(url: str | None, path: str) -> str:
    assert url is not None
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))
