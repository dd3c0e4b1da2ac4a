"""`python -m tests.simulation --seed N` replays one seed and prints its history; `--seeds N --minutes M` tries many."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback

from tests.simulation.run import Seen, simulate


def main() -> int:
    """Run the command; the exit status is 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this seed and print its history")
    seeds = int(os.environ.get("HOARD_SEEDS", "1000"))
    parser.add_argument("--seeds", type=int, default=seeds, help="how many seeds to try (HOARD_SEEDS)")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    minutes = float(os.environ["HOARD_MINUTES"]) if "HOARD_MINUTES" in os.environ else None
    parser.add_argument("--minutes", type=float, default=minutes, help="stop then (HOARD_MINUTES)")
    asked = parser.parse_args()
    if asked.seed is not None:
        return _replay(asked.seed)
    return _try(asked.first, asked.seeds, asked.minutes)


def _replay(seed: int) -> int:
    seen = simulate(seed)
    for at, who, what in seen.lines:
        print(f"{at:10.4f}  {who:24}  {what}")
    print(f"seed {seed}: {seen.operations} requests, {seen.events} events, trace {seen.trace[:16]}")
    if seen.failure is not None:
        traceback.print_exception(seen.failure)
    return _verdict(seen)


def _try(first: int, count: int, minutes: float | None) -> int:
    end = time.monotonic() + minutes * 60 if minutes is not None else None
    events = tried = 0
    status = 0
    began = time.monotonic()
    for seed in range(first, first + count):
        if end is not None and time.monotonic() > end:
            break
        seen = simulate(seed)
        events += seen.events
        tried += 1
        if _verdict(seen):
            status = 1
            break
    seconds = time.monotonic() - began
    print(f"{tried} seeds, {events} events, {seconds:.1f} s")
    return status


def _verdict(seen: Seen) -> int:
    if seen.failure is None:
        return 0
    print(f"seed {seen.seed}: {type(seen.failure).__name__}: {seen.failure}", file=sys.stderr)
    print(f"replay it with: python -m tests.simulation --seed {seen.seed}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
