"""`make soak`: forty workers and two hundred clients for half an hour, everything killed at random, then all of it checked.

    python -m tests.soak [--seconds 1800] [--seed 7] [--write]

Starts servers of its own in a temporary folder, ends by itself and takes along what it started; status 1 if anything
was lost. What the processes wrote, and the data, stay where it says if it fails. `--write` puts the table into
benchmarks/README.md. Look next: `tests/soak/town.py`, `tests/soak/checks.py`, docs/testing.md.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack
from pathlib import Path

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.wires import CONNECTIONS
from tests.chaos.storm import outside
from tests.soak import checks, report
from tests.soak.town import Soak, Town, seeded
from tests.stranger import RECEIVER_PEM, Says, Stranger, answer

#: more kills than there is time for: the seconds end it
ENDLESS = 10**9
#: how often a webhook's receiver says that it cannot now
REFUSES = 0.1


def say(text: str) -> None:
    """One text for the terminal, at once."""
    print(text, flush=True)  # noqa: T201 - the terminal is this module's output


def main() -> int:
    """One soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="The long soak.")
    usual = float(os.environ.get("HOARD_SOAK_SECONDS") or 1800)
    parser.add_argument(
        "--seconds", type=float, default=usual, help="how long it storms (HOARD_SOAK_SECONDS)"
    )
    parser.add_argument("--seed", type=int, default=seeded(), help="to repeat one (HOARD_SOAK_SEED)")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = parser.parse_args()
    say(f"soak: {given.seconds:g} seconds and some minutes for the checks, --seed {given.seed}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then, too
    folder = Path(tempfile.mkdtemp(prefix="hoard-soak-"))
    stack = EmbeddedStack(folder / "data")
    try:
        good = _soak(folder, stack, given)
    finally:
        CONNECTIONS.close()
        stack.stop()
    if not good:
        say(f"FAILED with --seed {given.seed}; what every process wrote, and the data: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _soak(folder: Path, stack: EmbeddedStack, given: argparse.Namespace) -> bool:
    chance = random.Random(given.seed)

    def hook() -> Says:
        return (answer(status=503) if chance.random() < REFUSES else answer(b"thanks"),)

    with ExitStack() as open_:
        settings = Settings.from_env(stack.start())
        source = open_.enter_context(outside())
        receiver = open_.enter_context(Stranger(tls=True, pem=RECEIVER_PEM, hook=hook))
        town = open_.enter_context(Town(folder, stack, settings))
        soak = Soak(town, given.seed, source, receiver)
        said, verdict = [], "FAILED"
        try:
            soak.rage(ENDLESS, given.seconds)
            say(f"{soak.struck} kills; everybody finishes")
            began = time.monotonic()
            soak.calm()
            say(f"calm after {time.monotonic() - began:.0f} s; now the checks")
            said = checks.check(soak)
            verdict = "Nothing lost, nothing doubled, nothing stuck"
        except Exception:  # noqa: BLE001 - whatever ended it is a finding
            say(traceback.format_exc())
        text = report.table(soak, said, verdict)
        say(text)
        if given.write and said:
            report.write(text)
        return bool(said)


if __name__ == "__main__":
    sys.exit(main())
