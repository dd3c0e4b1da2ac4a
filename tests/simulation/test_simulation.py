"""Many seeds, each a cluster with faults of its own: nothing that must hold is ever broken."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.simulation.run import simulate

CHECKOUT = Path(__file__).parents[2]
#: seeds at most and at least, and seconds: a slow machine tries fewer
MOST = 4_000
LEAST = 100
SECONDS = 12.0


def test_no_seed_breaks_anything():
    end = time.monotonic() + SECONDS
    for seed in range(MOST):
        seen = simulate(seed)
        if seen.failure is not None:
            pytest.fail(f"{seen.failure!r}: replay it with `python -m tests.simulation --seed {seed}`")
        if seed >= LEAST and time.monotonic() > end:
            break


def test_the_seeds_reach_what_they_are_for():
    """Every kind of fault and of fact comes up in a few seeds, so that passing means something."""
    said: set[str] = set()
    for seed in range(60):
        said.update(line for _, _, line in simulate(seed).lines)
    for word in (
        "lost",
        "unanswered",
        "late",
        "killed",
        "restarts",
        "stands still",
        "held the lock",
        "loses everything",
        "clock moves by -",
        "lost its session lock",
        "busy, certain: True",
        "no answer",
        "repeated=True",
        "said nothing for too long",
        "in log?",
        "lock timeout",
        "asks WithdrawConsent",
        "unfetched sources",
        "asks SubmitTextJob",
        "asks SubmitInterrogationJob",
        "asks RateImage",
        "asks SkipImage",
    ):
        assert any(word in line for line in said), word


def test_a_seed_is_the_same_history_every_time():
    first, again = simulate(7), simulate(7)
    assert first.lines == again.lines
    assert first.trace == again.trace
    assert simulate(8).trace != first.trace


def test_the_history_does_not_depend_on_the_process():
    """Neither the hashes of strings nor what ran before may decide anything."""
    printed = {_replayed(7, hashes) for hashes in ("1", "2")}
    assert len(printed) == 1
    assert simulate(7).trace[:16] in printed.pop()


def _replayed(seed: int, hashes: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hashes}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout
