"""How long the realm's lock is held by an API process that serves clients, and whether readers make it longer.

The writer has a thread of its own in a process whose event loop is busy with whatever else the API does: what is read
there must not keep the lock from everybody. The process is `hoard serve`, but for the list in which its writer notes
how long it had the lock. Look next: `app.platform.writer.thread`, `benchmarks.cycle`.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from app import main
from app.platform.services import Services
from app.platform.settings import Settings
from benchmarks import children, commands, cycle, load
from benchmarks.children import Ready
from benchmarks.figures import Table, ms, percentile, spread
from benchmarks.lab import Api, Lab, free_port, wait_until_ready
from benchmarks.scale import Scale
from benchmarks.workload import Workload

#: clients that read, each one query after the other
READERS = 32

#: when the lock was given back, by the machine's clock since it started, and for how long it had been held, in seconds
Held = list[tuple[float, float]]


@dataclass
class Runs:
    """The figures of one variant: rates of its runs, and when these began and ended."""

    cycles: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    windows: list[tuple[float, float]] = field(default_factory=list)

    def held(self, noted: Held) -> list[float]:
        """What was noted meanwhile."""
        return [held for at, held in noted if any(began <= at <= ended for began, ended in self.windows)]


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The lock's table."""
    settings = msgspec.structs.replace(lab.database(), port=free_port())
    with commands.writer_of(settings) as writer:
        commands.populate(writer, settings.pepper, Workload(cycle.SEED, 2 * cycle.CLIENTS).people)
    figures = {False: Runs(), True: Runs()}
    with children.Child(serve, settings) as server:
        api = Api((), f"http://{settings.host}:{settings.port}")
        wait_until_ready(server.alive, api.url)
        busy = cycle.Variant("beside readers", picture=None)
        children.run(load.cycles, busy.plan(api, scale.warm_up_seconds, "warm-up"))
        for turn in range(scale.lock_runs):
            for readers, runs in figures.items():
                _run(api, runs, busy.plan(api, scale.cycle_seconds, f"{turn} {readers}"), readers=readers)
        noted = server.end().value
    return [_table(figures, noted)]


def serve(_: Ready, settings: Settings) -> Held:
    """An API process, until it gets SIGTERM."""
    noted = Noted()
    made = main.make_services

    def noting(settings: Settings, give_up: Callable[[BaseException], None]) -> Services:
        services = made(settings, give_up)
        services.writer.held_seconds = noted
        return services

    main.make_services = noting
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what ended the server is raised again after it
    main.serve(settings)
    return noted.all


class Noted(deque[float]):
    """Keeps every figure with its time."""

    def __init__(self) -> None:
        super().__init__(maxlen=1)
        self.all: Held = []

    def append(self, held: float, /) -> None:
        """Note one."""
        self.all.append((time.monotonic(), held))


def _run(api: Api, runs: Runs, plan: load.Cycles, *, readers: bool) -> None:
    with contextlib.ExitStack() as beside:
        reading = None
        if readers:
            # they begin before the cycles and end after them
            reads = load.Reads(api.graphql, cycle.SEED, READERS, plan.seconds + 2.0)
            reading = beside.enter_context(children.Child(load.reads, reads))
            reading.ready()
        with children.Child(load.cycles, plan) as cycling:
            cycling.ready()
            began = time.monotonic()
            latencies, seconds = cycling.answer().value
            runs.windows.append((began, began + plan.seconds))
        runs.cycles.append(len(latencies) / seconds)
        if reading is not None:
            runs.reads.append(reading.answer().value)


def _table(figures: dict[bool, Runs], noted: Held) -> Table:
    alone, beside = (runs.held(noted) for runs in figures.values())
    return Table(
        title=f"Lock held by an API process that serves {cycle.CLIENTS} clients in whole cycles",
        header=("", "cycles/s", "reads/s", "batches", "lock held p50 ms", "p99 ms", "longest ms"),
        rows=[
            (
                f"beside {READERS} clients that read" if readers else "alone",
                spread(runs.cycles),
                spread(runs.reads) if runs.reads else "",
                f"{len(held):,}",
                ms(held, 0.5),
                ms(held, 0.99),
                ms(held, 1.0),
            )
            for (readers, runs), held in zip(figures.items(), (alone, beside), strict=True)
        ],
        notes=(
            "Pictures are withheld (CENSORED). A read is a job of the reader's own with its place in the queue.",
            f"Beside readers against alone: p99 x {percentile(beside, 0.99) / percentile(alone, 0.99):.2f}.",
        ),
    )
