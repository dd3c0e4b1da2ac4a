"""Long queues, each in a database of its own: made in bulk, and filled up again by the writer where jobs were taken.

Look next: `benchmarks.bulk`, `benchmarks.pop`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import psycopg
import uvloop

from app.platform.commands import Command
from app.platform.settings import Settings
from benchmarks import bulk, commands
from benchmarks.workload import (
    EVERY_RULE,
    EVERYTHING,
    LARGEST_MIXED,
    LONG_QUEUE,
    TOO_SMALL,
    Jobs,
    Mix,
    Person,
    Worker,
    Workload,
)

WORKERS = 8
#: workers of which no two are alike
CROWD = 280
#: people who submit; the workers' owners do not, for an owner's own jobs come first
REQUESTERS = 32
CALLERS = 64
SEED = 3

_WAITING = "SELECT count(*) FROM projections.jobs WHERE realm = %s AND waiting > 0 AND ended_at IS NULL"


@dataclass
class Queue:
    """Waiting jobs of one mix, and the workers that poll for them."""

    settings: Settings
    workload: Workload
    depth: int
    mix: Mix
    #: they may serve (nearly) everything; they may serve nothing; and of all sorts
    able: tuple[Worker, ...]
    unable: tuple[Worker, ...]
    crowd: tuple[Worker, ...] = ()
    drawn: bulk.Drawn = field(default_factory=bulk.Drawn)

    def make(self) -> str:
        """Make it; how long that took, in words."""
        started = time.perf_counter()
        position = bulk.write(self.settings, self._stories(), self.depth, self.drawn.rules())
        written = time.perf_counter()
        bulk.rebuild(self.settings)
        rebuilt = time.perf_counter()
        return (
            f"A queue of {self.depth:,} jobs was made in {written - started:.0f} s ({position:,} events) "
            f"and {rebuilt - written:.0f} s (rebuild of all projections)."
        )

    def _stories(self) -> Iterator[bulk.Story]:
        yield tuple(commands.population(self.settings.pepper, self.workload.people))
        yield tuple(commands.check_in(worker) for worker in (*self.able, *self.unable, *self.crowd))
        jobs = self.workload.jobs("queue", self.mix)
        for number in range(self.depth):
            yield (self._submission(jobs, number),)

    def _submission(self, jobs: Jobs, number: int) -> Command:
        job = jobs.draw()
        return self.drawn.submit(commands.submit(self.workload.people[number % REQUESTERS], job), job)

    def fill_up(self) -> None:
        """Have the writer queue as many jobs as were taken."""
        missing = self.depth - self._waiting()
        if missing > 0:
            uvloop.run(self._fill_up(missing))

    async def _fill_up(self, count: int) -> None:
        left = iter(range(count))

        async def call(jobs: Jobs) -> None:
            for number in left:
                commands.must(await writer.execute(commands.request(self._submission(jobs, number))))

        with commands.writer_of(self.settings, rules=self.drawn.rules()) as writer:
            streams = (self.workload.jobs(f"more {caller}", self.mix) for caller in range(CALLERS))
            await asyncio.gather(*(call(jobs) for jobs in streams))

    def _waiting(self) -> int:
        with psycopg.connect(self.settings.database_url) as connection:
            row = connection.execute(_WAITING, (self.settings.realm,)).fetchone()
        return int(row[0]) if row else 0


def plain(settings: Settings, depth: int) -> Queue:
    """Jobs of mixed sizes, one in five perhaps not safe for work."""
    workload = Workload(SEED, REQUESTERS + 2 * WORKERS)
    able, unable = _fleets(workload)
    return Queue(settings, workload, depth, LONG_QUEUE, able, unable)


def every_rule(settings: Settings, depth: int) -> Queue:
    """Jobs with sources, LoRAs, ControlNet, lists of workers that may or may not serve, and a crowd of workers."""
    workload = Workload(SEED, REQUESTERS + 2 * WORKERS + CROWD)
    able, unable = _fleets(workload)
    crowd = workload.crowd(workload.people[REQUESTERS + 2 * WORKERS :])
    named = tuple(worker.id for worker in crowd)
    mix = replace(LONG_QUEUE, requirements=EVERY_RULE, allowing=0.05, denying=0.05, workers=named)
    return Queue(settings, workload, depth, mix, able, unable, crowd)


def denying_one(settings: Settings, depth: int) -> Queue:
    """Jobs that all deny one and the same worker, which could serve them."""
    workload = Workload(SEED, REQUESTERS + 2 * WORKERS)
    able, _ = _fleets(workload)
    owner = workload.people[-1]
    denied = workload.worker(owner, max_pixels=LARGEST_MIXED, allows=EVERYTHING)
    return Queue(settings, workload, depth, replace(LONG_QUEUE, denied=(denied.id,)), able, (denied,))


def _fleets(workload: Workload) -> tuple[tuple[Worker, ...], tuple[Worker, ...]]:
    owners = workload.people[REQUESTERS : REQUESTERS + 2 * WORKERS]
    return _fleet(workload, owners[:WORKERS], LARGEST_MIXED), _fleet(workload, owners[WORKERS:], TOO_SMALL)


def _fleet(workload: Workload, owners: tuple[Person, ...], max_pixels: int) -> tuple[Worker, ...]:
    return tuple(workload.worker(owner, max_pixels=max_pixels, allows=EVERYTHING) for owner in owners)
