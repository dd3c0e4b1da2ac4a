"""Servers of their own for tests that kill them: nobody else's tests may suffer.

Importing a fixture makes another one of it, so that nothing here is shared with `tests/acceptance`.
"""

from collections.abc import Iterator

import pytest

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.conftest import (
    alice,
    bob,
    horde,
    model,
    no_lease_of_before,
    nothing_waits_for_any_model,
    variables,
)
from tests.chaos.world import World
from tests.conftest import stack, stack_settings

__all__ = [
    "alice",
    "bob",
    "horde",
    "model",
    "no_lease_of_before",
    "nothing_waits_for_any_model",
    "stack",
    "stack_settings",
    "variables",
]


@pytest.fixture(scope="session")
def world(
    stack_settings: tuple[EmbeddedStack, Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A horde with two API processes and a clock that can be set, shared by the tests of a process: leave it whole."""
    embedded, settings = stack_settings
    with World(tmp_path_factory.mktemp("world"), embedded, settings, apis=2) as made:
        yield made
