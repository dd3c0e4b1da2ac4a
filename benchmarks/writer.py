"""The writer alone: commands of 64 concurrent callers in one process, no HTTP.

Answers whether one hot account costs more than many cold ones (it must not), what commands of each kind cost, and
how long the lock is held. Look next: `app.platform.writer`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median

import psycopg
import uvloop

from app.operations.migrate import owner_url
from app.platform.commands import Command, Done
from app.platform.settings import Settings
from app.platform.writer import Writer
from benchmarks import commands
from benchmarks.figures import Table, ms, spread
from benchmarks.lab import Lab
from benchmarks.scale import Scale
from benchmarks.workload import Workload

CALLERS = 64
#: the first of them are the callers, the others are given kudos
PEOPLE = 256
SEED = 1

Execute = Callable[[Command], Awaitable[Done]]
Step = Callable[[int, int, Execute], Awaitable[None]]


@dataclass
class Runs:
    """The figures of one kind of commands over all of its runs."""

    #: commands a second of each run
    rates: list[float] = field(default_factory=list)
    #: seconds from handing a command over to its answer
    latencies: list[float] = field(default_factory=list)
    #: seconds that the lock was held by each batch
    held: list[float] = field(default_factory=list)


class Callers:
    """What callers do, by kind; each step is one or a few commands after one another."""

    def __init__(self, workload: Workload, taken: commands.Taken) -> None:
        self._mine = workload.people[:CALLERS]
        self._others = workload.people[CALLERS:]
        self._taken = taken
        self.workers = [workload.worker(person) for person in self._mine]
        self._jobs = [workload.jobs(f"caller {caller}") for caller in range(CALLERS)]

    async def transfer_spread(self, caller: int, step: int, execute: Execute) -> None:
        """From the caller to one of many."""
        target = self._others[(caller + step) % len(self._others)]
        await execute(commands.transfer(self._mine[caller], target))

    async def transfer_hot(self, caller: int, step: int, execute: Execute) -> None:
        """From one and the same to one of many."""
        target = self._others[(caller + step) % len(self._others)]
        await execute(commands.transfer(self._mine[0], target))

    async def submit(self, caller: int, _: int, execute: Execute) -> None:
        """A job of the caller's."""
        await execute(commands.submit(self._mine[caller], self._jobs[caller].draw()))

    async def cycle(self, caller: int, step: int, execute: Execute) -> None:
        """A job, a pop, a delivery: there are as many pops as jobs, so a pop always finds one."""
        await self.submit(caller, step, execute)
        worker = self.workers[caller]
        lease = (await execute(commands.pop(worker))).result.lease
        if lease is None:
            message = "a pop found nothing, though something waits"
            raise commands.RefusedError(message)
        await execute(commands.deliver(worker, lease, self._taken.pop(lease)))


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The writer's table."""
    settings = lab.database()
    workload = Workload(SEED, PEOPLE)
    taken: commands.Taken = {}
    callers = Callers(workload, taken)
    kinds: dict[str, Step] = {
        "submit, pop, result": callers.cycle,
        "transfers, spread over 64 users": callers.transfer_spread,
        "transfers of one hot user": callers.transfer_hot,
        "submissions": callers.submit,
    }
    runs = {kind: Runs() for kind in kinds}
    with commands.writer_of(settings, taken) as writer:
        commands.populate(writer, settings.pepper, workload.people)
        for worker in callers.workers:
            commands.must(writer.execute_sync(commands.request(commands.check_in(worker))))
        before = _deadlocks(settings)
        for turn in range(scale.runs + 1):
            for kind, step in kinds.items():
                run = Runs() if turn == 0 else runs[kind]  # the first turn warms up
                uvloop.run(_run(writer, step, scale.writer_seconds, run))
    return [_table(runs, _deadlocks(settings) - before)]


async def _run(writer: Writer, step: Step, seconds: float, runs: Runs) -> None:
    """One run of one kind."""
    latencies: list[float] = []
    writer.held_seconds.clear()

    async def execute(command: Command) -> Done:
        started = time.perf_counter()
        done = commands.must(await writer.execute(commands.request(command)))
        latencies.append(time.perf_counter() - started)
        return done

    async def call(caller: int) -> None:
        number = 0
        while time.perf_counter() < until:
            await step(caller, number, execute)
            number += 1

    started = time.perf_counter()
    until = started + seconds
    await asyncio.gather(*(call(caller) for caller in range(CALLERS)))
    runs.rates.append(len(latencies) / (time.perf_counter() - started))
    runs.latencies += latencies
    runs.held += writer.held_seconds


def _table(runs: dict[str, Runs], deadlocks: int) -> Table:
    spread_rate, hot_rate = (
        median(runs[kind].rates) for kind in ("transfers, spread over 64 users", "transfers of one hot user")
    )
    return Table(
        title="Writer alone, 64 concurrent callers in one process",
        header=("", "commands/s", "p50 ms", "p99 ms", "lock held p50 ms", "p99 ms", "commands a batch"),
        rows=[
            (
                kind,
                spread(run.rates),
                ms(run.latencies, 0.5),
                ms(run.latencies, 0.99),
                ms(run.held, 0.5),
                ms(run.held, 0.99),
                f"{len(run.latencies) / len(run.held):.0f}",
            )
            for kind, run in runs.items()
        ],
        notes=(
            f"One hot user against spread: {hot_rate / spread_rate:.2f} of the rate.",
            f"Deadlocks counted by PostgreSQL: {deadlocks}.",
        ),
    )


def _deadlocks(settings: Settings) -> int:
    with psycopg.connect(owner_url(settings)) as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0
