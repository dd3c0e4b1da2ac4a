"""Servers of their own for tests that kill them: nobody else's tests may suffer.

Look next: `tests/own_servers.py`.
"""

import time
from collections.abc import Iterator

import pytest

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.horde import Horde, User
from tests.chaos.world import World
from tests.own_servers import *  # noqa: F403 - fixtures


@pytest.fixture(scope="package")
def world(
    stack_settings: tuple[EmbeddedStack, Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A horde with two API processes and a clock that can be set, shared by the tests of a process: leave it whole."""
    embedded, settings = stack_settings
    with World(tmp_path_factory.mktemp("world"), embedded, settings, apis=2) as made:
        yield made


@pytest.fixture
def alice(horde: Horde) -> User:
    """A user with 1000 kudos."""
    return _registered(horde, "alice", "1000")


@pytest.fixture
def bob(horde: Horde) -> User:
    """A user with nothing, who owns workers."""
    return _registered(horde, "bob", None)


def _registered(horde: Horde, name: str, kudos: str | None) -> User:
    """What an earlier test killed may be away for a moment yet, and the API says so."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return horde.register(name, kudos)
        except AssertionError as error:
            if "TRY_AGAIN" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
