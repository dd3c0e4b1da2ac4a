"""Fixtures that every test may use: the real servers, a fresh migrated database a test, a running writer.

`stack` is started once per pytest process, at the first test that asks for it. A database is a clone of a template
that was migrated once, so that a fresh one costs tens of milliseconds. Look next: `tests/factories.py`, `tests/given.py`.
"""

import gc
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from app.embedded.stack import EmbeddedStack
from app.operations.migrate import migrate
from app.platform.settings import Settings
from app.platform.writer import Writer
from tests.factories import RULES

TEMPLATE = "hoard_template"

# The machine that runs the tests may be slow and shared: no deadline, and the same examples in every run.
hypothesis_settings.register_profile(
    "hoard", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
hypothesis_settings.load_profile("hoard")

_numbers = itertools.count()

#: folders of tests with servers of their own, which take long to start: one process runs all of such a folder
TOGETHER = ("chaos", "hostile")
#: what comes first: the longest that one process runs as a whole, so that none is left with it at the end
FIRST = ("upgrade", *TOGETHER)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what one of several pytest processes runs as a whole (`--dist loadgroup`): a file, or one of those folders."""
    for item in items:
        where = item.path.relative_to(Path(__file__).parent)
        group = where.parts[0] if where.parts[0] in TOGETHER else where.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.relative_to(Path(__file__).parent).parts[0] not in FIRST)


def pytest_collection_finish() -> None:
    """What was collected stays until the end: it need not be looked through whenever rubbish is."""
    gc.collect()
    gc.freeze()


def _with_database(url: str | None, name: str) -> str:
    """The same URL with another database."""
    assert url is not None
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def in_database(settings: Settings, name: str) -> Settings:
    return msgspec.structs.replace(
        settings,
        database_url=_with_database(settings.database_url, name),
        migrate_url=_with_database(settings.migrate_url, name),
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests (marked `anyio`) run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="package")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedStack, Settings]]:
    """The running servers of this pytest process, with the settings that reach them."""
    folder: Path = tmp_path_factory.mktemp("stack")
    stack = EmbeddedStack(folder)
    environment = stack.start()
    try:
        # processes of several tests at once would want the same ports for their metrics
        yield stack, Settings.from_env({**environment, "HOARD_METRICS_PORT": "0"})
    finally:
        stack.stop()


@pytest.fixture(scope="package")
def stack(stack_settings: tuple[EmbeddedStack, Settings]) -> EmbeddedStack:
    """PostgreSQL, Valkey and S3, shared by all tests of a process: leave them running and whole."""
    return stack_settings[0]


@pytest.fixture(scope="package")
def template(stack_settings: tuple[EmbeddedStack, Settings]) -> Settings:
    """Settings of a migrated database without a single event. Never connect to it: it is only cloned."""
    _, settings = stack_settings
    assert settings.migrate_url is not None
    with psycopg.connect(settings.migrate_url, autocommit=True) as owner:
        # Nothing here outlives the operating system, and databases come and go: do not wait for the disk.
        for setting in ("fsync", "full_page_writes"):
            owner.execute(f"ALTER SYSTEM SET {setting} = off")
        owner.execute("SELECT pg_reload_conf()")
        owner.execute(f"CREATE DATABASE {TEMPLATE}")
    made = in_database(settings, TEMPLATE)
    migrate(made)
    return made


@pytest.fixture
def new_database(
    stack_settings: tuple[EmbeddedStack, Settings], template: Settings
) -> Iterator[Callable[[], Settings]]:
    """Makes fresh migrated databases; all are dropped after the test."""
    _, settings = stack_settings
    assert settings.migrate_url is not None
    with psycopg.connect(settings.migrate_url, autocommit=True) as owner:
        made: list[str] = []

        def make() -> Settings:
            name = f"t_{next(_numbers)}"
            owner.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
            made.append(name)
            return in_database(settings, name)

        yield make
        for name in made:
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(new_database: Callable[[], Settings]) -> Settings:
    """Settings whose two database URLs lead to a fresh migrated database: no events, the realm not opened yet."""
    return new_database()


@pytest.fixture
def settings(database: Settings) -> Settings:
    """Settings of the running servers with a fresh database (the same as `database`)."""
    return database


@pytest.fixture
def owner(database: Settings) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection to the test's database with the owner's role."""
    assert database.migrate_url is not None
    with psycopg.connect(database.migrate_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def application(database: Settings) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection to the test's database with the application's role."""
    with psycopg.connect(database.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def start_writer(database: Settings) -> Iterator[Callable[..., Writer]]:
    """Makes writers on the test's database and starts them; all are stopped after the test.

    `rules=` for others than all, `start=False` for one that is to be started later: what is submitted until then
    becomes one batch.
    """
    writers: list[Writer] = []
    fatal: list[BaseException] = []

    def start(**changes: Any) -> Writer:
        rules = changes.pop("rules", RULES)
        writer = Writer(database.database_url, database.realm, rules, on_fatal=fatal.append)
        if changes.pop("start", True):
            writer.start()
        assert not changes, "no such option"
        writers.append(writer)
        return writer

    yield start
    for writer in writers:
        writer.stop()
    assert not fatal, "a writer found live projections it does not know"


@pytest.fixture
def writer(start_writer: Callable[..., Writer]) -> Writer:
    """A running writer with the rules of all slices on the test's database; stopped after the test."""
    return start_writer()
