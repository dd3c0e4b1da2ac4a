"""A step of `make test-slow`: long storms of kills on servers of their own; prints a table, ends with 1 if anything was lost.

What the processes wrote, and the data, stay in a folder that is named when a storm fails; otherwise they are removed.
Settings: HOARD_STORM_KILLS (how many), HOARD_STORM_MINUTES (at most), HOARD_STORM_SEED (to repeat one). Look next:
`tests/chaos/storm.py`, `tests/chaos/aftermath.py`.
"""

import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.wires import CONNECTIONS
from tests.chaos import aftermath
from tests.chaos.storm import Storm, outside
from tests.chaos.world import World

#: kills of one storm; after each everything is checked, and the next begins with an empty database
KILLS_IN_A_STORM = 70


def say(text: str) -> None:
    """One text for the terminal, at once."""
    print(text, flush=True)  # noqa: T201 - the terminal is this module's output


def main() -> int:
    """Storm after storm until enough were killed or the time is over."""
    kills = int(os.environ.get("HOARD_STORM_KILLS") or 200)
    minutes = float(os.environ.get("HOARD_STORM_MINUTES") or 20)
    seed = int(os.environ.get("HOARD_STORM_SEED") or random.randrange(10**9))
    end = time.monotonic() + 60 * minutes
    say(f"soak: {kills} kills in at most {minutes:g} minutes, HOARD_STORM_SEED={seed}")
    folder = Path(tempfile.mkdtemp(prefix="hoard-soak-"))
    stack = EmbeddedStack(folder / "data")
    struck = 0
    try:
        settings = Settings.from_env(stack.start())
        while struck < kills and time.monotonic() < end:
            wanted = min(KILLS_IN_A_STORM, kills - struck)
            struck += _storm(folder, stack, settings, seed, wanted, end - time.monotonic())
            seed += 1
    except Exception:  # noqa: BLE001 - whatever ended a storm is a finding
        say(traceback.format_exc())
        say(f"FAILED with HOARD_STORM_SEED={seed}; what every process wrote, and the data: {folder}")
        return 1
    finally:
        CONNECTIONS.close()
        stack.stop()
    shutil.rmtree(folder)
    say(f"soak: {struck} kills, nothing lost, nothing doubled, nothing half done")
    return 0


def _storm(
    folder: Path, stack: EmbeddedStack, settings: Settings, seed: int, kills: int, seconds: float
) -> int:
    """One storm with everything checked after it; how many were killed."""
    logs = folder / f"storm-{seed}"
    logs.mkdir()
    with outside() as source, World(logs, stack, settings, apis=2, relays=2) as world:
        storm = Storm(world, seed, source)
        try:
            storm.rage(kills, seconds)
            storm.calm()
            aftermath.check(storm)
        finally:
            say(storm.table())
    return storm.struck


if __name__ == "__main__":
    sys.exit(main())
