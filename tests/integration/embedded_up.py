"""Runs `up` with stand-ins for the application's processes: `embedded_up.py PORT DATA READY_FILE`.

Run as a script by `test_embedded_stack`; it is no test module itself.
"""

import os
import sys
from pathlib import Path

from app.embedded.folder import SeedKeys
from app.embedded.up import Program, Programs, up

STAND_IN = str(Path(__file__).with_name("embedded_stand_in.py"))


def stand_in(role: str) -> Program:
    return Program(name=role, argv=(sys.executable, STAND_IN, role), grace=1.0)


def programs_for(port: int, keys: SeedKeys, worker: bool) -> Programs:
    step = os.environ.get("STAND_IN_STEP", "step")
    return Programs(steps=(stand_in(step),), children=tuple(map(stand_in, ("api", "idle", "stubborn"))))


if __name__ == "__main__":
    port, data, ready_file = sys.argv[1:]
    sys.exit(up(int(port), Path(data), False, Path(ready_file), programs_for=programs_for))
