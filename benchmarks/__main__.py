"""`python -m benchmarks [NAME…]`: run all benchmarks and write the table, or run some and print theirs.

Ends by itself: every part is bounded in time, and the whole by `LIMIT_SECONDS`. Look next: `benchmarks.scale`.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click

from benchmarks import cycle, figures, lock, pop, rating, release, replay, startup, subscriptions, writer
from benchmarks.figures import Table
from benchmarks.lab import Lab
from benchmarks.machine import describe
from benchmarks.scale import LARGE, SMALL, Scale

BENCHMARKS: dict[str, Callable[[Lab, Scale], list[Table]]] = {
    "writer": writer.measure,
    "cycle": cycle.measure,
    "lock": lock.measure,
    "pop": pop.measure,
    "rating": rating.measure,
    "replay": replay.measure,
    "release": release.measure,
    "subscriptions": subscriptions.measure,
    "startup": lambda _, scale: startup.measure(scale),
}
#: a run that takes longer has gone wrong
LIMIT_SECONDS = {False: 600, True: 7_200}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--large", is_flag=True, help="Measure longer and deeper: about an hour.")
def main(names: tuple[str, ...], *, large: bool) -> None:
    """Measure NAMES, or everything; only the latter writes benchmarks/README.md."""
    load = os.getloadavg()[0]
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(signum, _stop)
    signal.alarm(LIMIT_SECONDS[large])
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as `hoard serve` has it
    started = time.monotonic()
    with Lab() as lab:
        parts = ["\n".join(f"- {line}" for line in describe(load, lab.postgres_version()))]
        for name in names or BENCHMARKS:
            click.echo(f"measuring {name}", err=True)
            parts += [table.markdown() for table in BENCHMARKS[name](lab, LARGE if large else SMALL)]
    parts[0] += f"\n- `make bench` took {time.monotonic() - started:.0f} s" if not names and not large else ""
    text = "\n\n".join(parts)
    click.echo(text)
    if not names:
        figures.write(text)


def _stop(signum: int, _: FrameType | None) -> NoReturn:
    """End in order: every block closes what it started."""
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
