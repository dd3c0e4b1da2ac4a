"""Folding a whole log again: into new tables, in memory, and for the audit that compares both.

The log is made in bulk out of whole cycles and transfers, and of jobs that go on waiting. Each measurement has a process
of its own, whose peak memory is told. Look next: `benchmarks.bulk`, `projections.store.build`,
`projections.store.audit`, `projections.memory`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg

from app.operations.balances import balances_of_copy
from app.operations.export import FolderTarget, export
from app.operations.migrate import owner_url
from app.operations.segments import read_manifest
from app.platform.settings import Settings
from benchmarks import bulk, children, commands
from benchmarks.children import Ready
from benchmarks.figures import Table
from benchmarks.lab import Lab
from benchmarks.scale import Scale
from benchmarks.workload import Workload
from events.codec import fact_of
from events.store import log
from projections import memory
from projections.store import audit, build

SEED = 4
#: the first of them own workers
PEOPLE, WORKERS = 256, 64
#: how many events a story comes to, about
EVENTS_OF_ONE = 7

#: folds a log on the owner's connection; how many events it folded
Fold = Callable[["psycopg.Connection[tuple[object, ...]]", int], int]


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The replay's table."""
    settings = lab.database()
    bulk.write(
        settings,
        _stories(settings, Workload(SEED, PEOPLE)),
        scale.events // EVENTS_OF_ONE,
        events=scale.events,
    )
    bulk.rebuild(settings)
    copy = lab.folder / "copy"
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        export(connection, settings.realm, FolderTarget(copy))
    folds: dict[str, Fold] = {
        "balances alone, from a copy in Parquet": partial(_balances, copy),
        "fold in memory": _in_memory,
        "rebuild all tables": build.rebuild,
        "audit: fold, compare every row, recompute indexes": _audit,
    }
    rows = []
    for name, fold in folds.items():
        answer = children.run(_timed, settings, fold)
        events, seconds = answer.value
        rows.append(
            (
                name,
                f"{events:,}",
                f"{seconds:.1f}",
                f"{events / seconds:,.0f}",
                f"{answer.memory / 2**20:,.0f}",
            )
        )
    return [
        Table(
            title="Replay of a whole log",
            header=("", "events", "seconds", "events/s", "peak memory MiB"),
            rows=rows,
            notes=(
                "Read from PostgreSQL page by page, where nothing else is said. The audit found no difference.",
            ),
        )
    ]


def _stories(settings: Settings, workload: Workload) -> Iterator[bulk.Story]:
    """Whole cycles and transfers without end; one job in ten is for a model that nobody has, and goes on waiting."""
    people = workload.people
    workers = [workload.worker(person) for person in people[:WORKERS]]
    yield tuple(commands.population(settings.pepper, people))
    yield tuple(commands.check_in(worker) for worker in workers)
    jobs = workload.jobs("history")
    for number in itertools.count():
        person, other = people[number % len(people)], people[(number + 1) % len(people)]
        job, worker = jobs.draw(), workers[number // len(people) % WORKERS]
        if number % 10 == 0:
            yield (commands.submit(person, replace(job, models=(f"rare model {number % 200}",))),)
            continue
        submission, pop = commands.submit(person, job), commands.pop(worker)
        delivery = commands.deliver(worker, pop.lease, submission.generations)
        yield submission, pop, delivery, commands.transfer(person, other)


def _timed(_: Ready, settings: Settings, fold: Fold) -> tuple[int, float]:
    with psycopg.connect(owner_url(settings), autocommit=True) as connection:
        started = time.perf_counter()
        events = fold(connection, settings.realm)
        return events, time.perf_counter() - started


def _in_memory(connection: psycopg.Connection[tuple[object, ...]], realm: int) -> int:
    state = memory.empty()
    count = 0
    for event in log.read_all(connection, realm):
        memory.apply(state, fact_of(event))
        count += 1
    return count


def _balances(copy: Path, _: psycopg.Connection[tuple[object, ...]], __: int) -> int:
    manifest = read_manifest(copy)
    if sum(balances_of_copy(copy, manifest).values()) != 0:
        message = "the accounts do not sum to zero"
        raise commands.RefusedError(message)
    return manifest.exported_at


def _audit(connection: psycopg.Connection[tuple[object, ...]], realm: int) -> int:
    report = audit.verify(connection, realm)
    if not report.clean:
        message = f"the audit found differences: {report}"
        raise commands.RefusedError(message)
    return report.position
