"""The database of the machine: one for all examples, with a clock that stands still until it is moved."""

from collections.abc import Iterator

import psycopg
import pytest

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.conftest import TEMPLATE, in_database
from tests.stateful.world import Clockwork

NAME = "stateful"


@pytest.fixture(scope="package")
def clockwork(stack_settings: tuple[EmbeddedStack, Settings], template: Settings) -> Iterator[Clockwork]:
    """A migrated database whose clock tests move."""
    _, settings = stack_settings
    assert settings.migrate_url is not None
    with psycopg.connect(settings.migrate_url, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {NAME} TEMPLATE {TEMPLATE} STRATEGY wal_log")
        made = Clockwork(in_database(settings, NAME))
        yield made
        made.close()
        owner.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
