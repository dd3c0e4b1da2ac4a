"""Polls for work against short and long queues: what a poll costs must not grow with what waits.

Eight workers poll at 10 a second each in an open loop, so a slow answer delays no other poll and is counted from
when its poll was due. *Hit*: the worker may serve everything. *Miss*: it has all models, but draws smaller pictures
than any job asks for. Look next: `projections.store.search`.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request

import msgspec
import psycopg
import uvloop

from app.platform import database
from app.platform.settings import Settings
from app.platform.writer import Writer
from benchmarks import children, commands, load
from benchmarks.figures import Table, ms
from benchmarks.lab import Api, Lab
from benchmarks.machine import resident_memory
from benchmarks.scale import Scale
from benchmarks.workload import LARGEST, TOO_SMALL, Jobs, Worker, Workload
from projections.store import search

WORKERS = 8
PACE = 10.0
#: people who submit; the workers' owners do not, for an owner's own jobs come first
REQUESTERS = 32
CALLERS = 64
SEED = 3

_WAITING = "SELECT count(*) FROM projections.jobs WHERE realm = %s AND waiting > 0 AND state IN ('WAITING', 'PROCESSING')"


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The polls' table."""
    settings = lab.database()
    workload = Workload(SEED, REQUESTERS + 2 * WORKERS)
    owners = workload.people[REQUESTERS:]
    fleets = {
        "hit": tuple(workload.worker(owner, max_pixels=LARGEST) for owner in owners[:WORKERS]),
        "miss": tuple(workload.worker(owner, max_pixels=TOO_SMALL) for owner in owners[WORKERS:]),
    }
    rows: list[tuple[str, ...]] = []
    with commands.writer_of(settings) as writer, lab.api(settings) as api:
        commands.populate(writer, settings.pepper, workload.people)
        for depth in scale.waiting:
            for kind, workers in fleets.items():
                uvloop.run(_fill(writer, workload, depth - _waiting(settings)))
                rows.append(_row(settings, api, scale, depth, kind, workers))
    return [
        Table(
            title=f"Polls, {WORKERS} workers at {PACE:.0f} polls a second each, open loop",
            header=("waiting jobs", "", "polls", "p50 ms", "p99 ms", "statement p50 ms", "p99 ms", "API MB"),
            rows=rows,
            notes=(
                "All polls name 50 models. `statement` is the lock-free probe's SQL alone, on one connection.",
                "A hit takes its job; the queue was filled up again before each row.",
            ),
        )
    ]


def _row(
    settings: Settings, api: Api, scale: Scale, depth: int, kind: str, workers: tuple[Worker, ...]
) -> tuple[str, ...]:
    _followed(api)  # the filling was another process's, and following it is not what is measured
    plan = load.Polls(url=api.graphql, workers=workers, pace=PACE, seconds=scale.poll_seconds)
    hits, misses = children.run(load.polls, plan).value
    measured, others = (hits, misses) if kind == "hit" else (misses, hits)
    if others:
        message = f"{len(others)} of the polls that should {kind} did not"
        raise load.AnswerError(message)
    probes = _probe(settings, workers[0], scale.probes)
    return (
        f"{depth:,}",
        kind,
        str(len(measured)),
        ms(measured, 0.5),
        ms(measured, 0.99),
        ms(probes, 0.5),
        ms(probes, 0.99),
        f"{sum(map(resident_memory, api.pids)) / 1e6:.0f}",
    )


def _followed(api: Api) -> None:
    """Wait until the API process has followed the log to its end."""
    while True:
        with urllib.request.urlopen(f"{api.url}/readyz", timeout=5.0) as answer:
            if msgspec.json.decode(answer.read())["lag"] == 0:
                return
        time.sleep(0.1)


def _probe(settings: Settings, worker: Worker, count: int) -> list[float]:
    """The seconds of the probe's statement, executed and fetched."""
    parameters = search.Questions(settings.realm, [commands.search(worker)]).parameters()
    taken = []
    with psycopg.connect(
        settings.database_url, autocommit=True, prepare_threshold=0, options=database.SETTINGS
    ) as connection:
        for _ in range(count):
            started = time.perf_counter()
            connection.execute(search.FIND, parameters, binary=True).fetchone()
            taken.append(time.perf_counter() - started)
    return taken


async def _fill(writer: Writer, workload: Workload, count: int) -> None:
    """Submit so many jobs more."""
    left = iter(range(count))

    async def call(jobs: Jobs) -> None:
        for number in left:
            person = workload.people[number % REQUESTERS]
            commands.must(await writer.execute(commands.request(commands.submit(person, jobs.draw()))))

    await asyncio.gather(*(call(workload.jobs(f"filler {caller}")) for caller in range(CALLERS)))


def _waiting(settings: Settings) -> int:
    with psycopg.connect(settings.database_url) as connection:
        row = connection.execute(_WAITING, (settings.realm,)).fetchone()
    return int(row[0]) if row else 0
