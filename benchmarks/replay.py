"""Folding a whole log again: into new tables, in memory, and for the audit that compares both.

The log is made by the writer out of whole cycles and transfers. Each measurement has a process of its own, whose
peak memory is told. Look next: `projections.store.build`, `projections.store.audit`, `projections.memory`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg
import uvloop

from app.operations.balances import balances_of_copy
from app.operations.export import FolderTarget, export
from app.operations.migrate import owner_url
from app.operations.segments import read_manifest
from app.platform.commands import Command, Done
from app.platform.settings import Settings
from app.platform.writer import Writer
from benchmarks import children, commands
from benchmarks.children import Ready
from benchmarks.figures import Table
from benchmarks.lab import Lab
from benchmarks.scale import Scale
from benchmarks.workload import Workload
from benchmarks.writer import CALLERS, PEOPLE, Callers
from events.codec import fact_of
from events.store import log
from projections import memory
from projections.store import audit, build

SEED = 4

#: folds a log on the owner's connection; how many events it folded
Fold = Callable[["psycopg.Connection[tuple[object, ...]]", int], int]


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The replay's table."""
    settings = lab.database()
    workload = Workload(SEED, PEOPLE)
    taken: commands.Taken = {}
    callers = Callers(workload, taken)
    with commands.writer_of(settings, taken) as writer:
        commands.populate(writer, settings.pepper, workload.people)
        for worker in callers.workers:
            commands.must(writer.execute_sync(commands.request(commands.check_in(worker))))
        uvloop.run(_generate(writer, callers, scale.events))
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


async def _generate(writer: Writer, callers: Callers, events: int) -> None:
    """Cycles and transfers in turn until the log is long enough."""
    position = 0

    async def execute(command: Command) -> Done:
        nonlocal position
        done = commands.must(await writer.execute(commands.request(command)))
        position = max(position, done.position)
        return done

    async def call(caller: int) -> None:
        step = 0
        while position < events:
            await callers.cycle(caller, step, execute)
            await callers.transfer_spread(caller, step, execute)
            step += 1

    await asyncio.gather(*(call(caller) for caller in range(CALLERS)))


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
