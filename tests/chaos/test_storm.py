"""A storm of kills over a crowd at work loses no acknowledged command and leaves nothing half done."""

import os
import random
from pathlib import Path

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.chaos import aftermath
from tests.chaos.storm import Storm, outside
from tests.chaos.world import World

#: a round: everything that can be killed once, and some of it in pairs
KILLS, SECONDS = 20, 150.0


def say(text: str) -> None:
    """Shown if the test fails, or with `-s`."""
    print(text)  # noqa: T201 - the seed of a storm must be known


def test_a_storm_of_kills_loses_nothing(
    stack_settings: tuple[EmbeddedStack, Settings], tmp_path: Path
) -> None:
    seed = int(os.environ.get("STORM_SEED") or random.randrange(10**9))
    say(f"STORM_SEED={seed}")
    stack, settings = stack_settings
    with outside() as source, World(tmp_path, stack, settings, apis=2, relays=2) as world:
        storm = Storm(world, seed, source)
        storm.rage(KILLS, SECONDS)
        storm.calm()
        say(storm.table())
        assert storm.struck >= KILLS, "the storm was too weak"
        aftermath.check(storm)
