"""`make test-slow`: what `make test` leaves out or does only for seconds, step by step; ends with 1 if any step failed.

Settings: HOARD_EXAMPLES and HOARD_STEPS (of the machine), HOARD_SEEDS and HOARD_MINUTES (of the simulation), and those
of `tests/chaos/soak.py`. What a step finds it prints, with how to see it again. The long soak is `make soak`. Look
next: `docs/testing.md`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[1]
PYTEST = (sys.executable, "-m", "pytest", "-q")


class Step(NamedTuple):
    """A command, and settings that it gets unless they are set already."""

    name: str
    command: tuple[str, ...]
    settings: dict[str, str]


STEPS = (
    Step("slow tests", (*PYTEST, "-n", "2", "--dist", "loadgroup", "-m", "slow"), {}),
    Step(
        "random commands against a model",
        (*PYTEST, "tests/stateful/test_machine.py"),
        {"HOARD_EXAMPLES": "500", "HOARD_STEPS": "80", "HOARD_RANDOM": "1"},
    ),
    Step(
        "simulated clusters",
        (sys.executable, "-m", "tests.simulation", "--first", "100000"),
        {"HOARD_SEEDS": "200000", "HOARD_MINUTES": "10"},
    ),
    Step("storms of kills", (sys.executable, "-m", "tests.chaos.soak"), {}),
)


def main() -> int:
    """All steps, whatever became of those before."""
    results = [_taken(number, step) for number, step in enumerate(STEPS, 1)]
    say("\nslow:\n" + "\n".join(results))
    return int(any("FAILED" in result for result in results))


def _taken(number: int, step: Step) -> str:
    """Take a step; a line about it."""
    say(f"\n--- {number} of {len(STEPS)}: {step.name}")
    began = time.monotonic()
    status = subprocess.run(
        step.command, cwd=CHECKOUT, env={**step.settings, **os.environ}, check=False
    ).returncode
    minutes = (time.monotonic() - began) / 60
    return f"  {step.name:32} {minutes:6.1f} min  {'FAILED' if status else 'good'}"


def say(text: str) -> None:
    """One text for the terminal, at once."""
    print(text, flush=True)  # noqa: T201 - the terminal is this module's output


if __name__ == "__main__":
    sys.exit(main())
