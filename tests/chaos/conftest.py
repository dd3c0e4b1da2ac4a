"""Servers of their own for tests that kill them: nobody else's tests may suffer.

Look next: `tests/own_servers.py`.
"""

from collections.abc import Iterator

import pytest

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
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
