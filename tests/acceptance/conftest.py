"""One real server for each pytest process: PostgreSQL, Valkey, S3, then `hoard migrate`, `seed`, `serve`, `relay`, `actors`.

Tests share it, so they use models, users and prompts of their own. Look next: `tests/acceptance/horde.py`.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from app.embedded.stack import EmbeddedStack, seed_keys_json
from app.jobs.decider import CancelJob
from app.platform.commands import Command, Request
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.workers.lease_decider import ReleaseLease
from tests.acceptance.horde import GRANT_REASON, Horde, User, unique
from tests.acceptance.processes import ApiProcess, free_port, run_cli
from tests.acceptance.wires import CONNECTIONS, Api
from tests.factories import RULES
from tests.stranger import OUTSIDE, RECEIVER_PEM


class _Looking:
    """A kept connection for each database: one is looked into before each test, and connecting takes longer than looking."""

    def __init__(self) -> None:
        self._kept: dict[str, psycopg.Connection[Any]] = {}

    def rows(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        with contextlib.suppress(psycopg.OperationalError):  # a test has killed the database
            if url in self._kept:
                return self._kept[url].execute(statement).fetchall()
        self.close(url)
        self._kept[url] = psycopg.connect(url, autocommit=True)
        return self._kept[url].execute(statement).fetchall()

    def close(self, url: str) -> None:
        if url in self._kept:
            self._kept.pop(url).close()


_LOOKING = _Looking()


@pytest.fixture(scope="package")
def variables(stack_settings: tuple[EmbeddedStack, Settings]) -> dict[str, str]:
    """The `HOARD_*` variables of a migrated and seeded database of its own."""
    stack, settings = stack_settings
    assert settings.migrate_url is not None
    with psycopg.connect(settings.migrate_url, autocommit=True) as owner:
        # Nothing here outlives the operating system: do not wait for the disk.
        owner.execute("ALTER SYSTEM SET fsync = off")
        owner.execute("SELECT pg_reload_conf()")
    # Messages of other tests' actors lie in another numbered database.
    apart = msgspec.structs.replace(settings, redis_url=f"{settings.redis_url.rpartition('/')[0]}/3")
    made = {
        **apart.to_env(),
        "HOARD_RATE_LIMITS": "false",
        # it would move the log in the midst of tests that look whether it moves
        "HOARD_ASSESS_EVERY_HOURS": "0",
        "HOARD_SOURCE_NETWORKS": f"{OUTSIDE}/32",
        "HOARD_METRICS_PORT": str(free_port(3)),
    }
    # Webhooks are told over https only: the certificate of the tests' receiver is believed, and no other.
    made |= {"HOARD_WEBHOOK_NETWORKS": f"{OUTSIDE}/32", "SSL_CERT_FILE": str(RECEIVER_PEM)}
    run_cli("migrate", variables=made)
    run_cli("seed", variables={**made, "HOARD_SEED_KEYS": seed_keys_json(stack.seed_keys)})
    return made


@pytest.fixture(scope="package")
def horde(
    stack_settings: tuple[EmbeddedStack, Settings],
    variables: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Horde]:
    """The running server."""
    stack, _ = stack_settings
    logs = tmp_path_factory.mktemp("logs")
    with contextlib.ExitStack() as running:
        api = ApiProcess(logs / "api.log", variables)
        running.callback(api.stop)
        running.callback(CONNECTIONS.close)
        made = Horde(api, variables, Path(stack._data_dir), logs)
        for name in ("relay", "actors"):
            made.restart(name)
            running.callback(lambda name=name: made.processes[name].stop())
        api.wait()
        key = stack.seed_keys.client
        bank = User("", "", key, Api(api.url, key))
        me = bank.me()
        bank.id, bank.alias = me["id"], me["username"]
        run_cli("grant", bank.alias, "10000000", "--reason", GRANT_REASON, variables=variables)
        made.bank = bank
        running.callback(_LOOKING.close, variables["HOARD_DATABASE_URL"])
        yield made


@pytest.fixture(scope="module", autouse=True)
def no_lease_of_before(request: pytest.FixtureRequest) -> None:
    """Leases that an earlier module left are given back: each would lapse, and the log move, in the midst of a test."""
    if "horde" in request.fixturenames:
        tidy(
            request,
            "SELECT id, owner FROM projections.leases WHERE state = 'LIVE'",
            lambda lease, owner: ReleaseLease(lease=lease, owner=owner),
        )


@pytest.fixture(autouse=True)
def nothing_waits_for_any_model(request: pytest.FixtureRequest) -> None:
    """Jobs for any model that an earlier test left waiting are cancelled: every worker would be given them first."""
    if "horde" in request.fixturenames:
        tidy(
            request,
            "SELECT id FROM projections.jobs WHERE waiting > 0 AND coalesce(models ->> 0, '*') LIKE '*%' AND ended_at IS NULL",
            lambda job: CancelJob(job=job),
        )


def tidy(request: pytest.FixtureRequest, left_over: str, ended_by: Callable[..., Command]) -> None:
    """Run the command that ends it for every row that the statement finds."""
    settings = Settings.from_env(request.getfixturevalue("variables"))
    left = _LOOKING.rows(settings.database_url, left_over)
    if not left:
        return
    writer = Writer(settings.database_url, settings.realm, RULES, on_fatal=print)
    writer.start()
    for row in left:
        writer.execute_sync(Request(ended_by(*row), uuid4()))
    writer.stop()


@pytest.fixture
def alice(horde: Horde) -> User:
    """A user with 1000 kudos."""
    return horde.register("alice", "1000")


@pytest.fixture
def bob(horde: Horde) -> User:
    """A user with nothing, who owns workers."""
    return horde.register("bob")


@pytest.fixture
def model() -> str:
    """A model that nobody else serves or asks for."""
    return unique("model")
