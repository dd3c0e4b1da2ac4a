"""A log as long as one likes, in minutes: what the writer would have written, without its round trips.

The real deciders decide on rows kept in memory, and the real codec, chain and folds do the rest; what comes of it goes
into log and vault in large pieces, in one transaction under the realm's lock. The projections are not written: `rebuild`
makes them from the log afterwards, as `hoard projections rebuild` does. Only for a fresh database that nobody uses
yet. Look next: `benchmarks.pop` and `benchmarks.replay`, which say what is in such a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from app.jobs.decider import SubmitImageJob
from app.main import API_RULES
from app.operations.migrate import owner_url
from app.platform import vault
from app.platform.commands import Command, Decision, Rejection, Rule, Rules
from app.platform.rows import Rows
from app.platform.settings import Settings
from app.platform.writer.apply import Writes
from app.platform.writer.batch import Batch
from app.platform.writer.gather import Gathered
from benchmarks import commands
from benchmarks.workload import Job
from events.jobs import ImageJobSubmitted
from events.operations import HOUSE
from events.store import log
from projections.queue import Found
from projections.store import build

#: commands that belong together: they see the jobs and leases of one another
Story = tuple[Command, ...]

#: stories decided on the same rows, at the same instant; jobs that an earlier piece left waiting are out of sight
PIECE = 1_000
#: how long ago the log begins: its clock must not run ahead of the database's
AGE = timedelta(minutes=15)
#: rows that stay in memory from piece to piece
_KEPT = ("accounts", "workers", "modes")

_TIDY = (
    "VACUUM (ANALYZE) log.event, log.posting, vault.job, vault.generation, vault.result",
    "VACUUM (ANALYZE) projections.jobs, projections.generations, projections.queue_entry",
    "VACUUM (ANALYZE) projections.queue_head, projections.queue_denial, projections.queue_demand",
    "CHECKPOINT",
)


class Drawn:
    """The rule of submissions, which adds to each fact what the drawn job says of workers."""

    def __init__(self) -> None:
        self._jobs: dict[UUID, Job] = {}

    def rules(self) -> Rules:
        """All rules, with this one."""
        rule = API_RULES[SubmitImageJob]
        return {
            **API_RULES,
            SubmitImageJob: Rule(rule.command, rule.result, rule.needs, self._decide),
        }

    def submit(self, command: SubmitImageJob, job: Job) -> SubmitImageJob:
        """The command of a drawn job, which is remembered until it is decided."""
        self._jobs[command.job] = job
        return command

    def _decide(self, command: SubmitImageJob, rows: Rows) -> Decision | Rejection:
        decision = API_RULES[SubmitImageJob].decide(command, rows)
        job = self._jobs.pop(command.job)
        if isinstance(decision, Rejection):
            return decision
        events = [_constrained(e, job) if isinstance(e, ImageJobSubmitted) else e for e in decision.events]
        return Decision(events, decision.result, decision.vault)


def _constrained(event: ImageJobSubmitted, job: Job) -> ImageJobSubmitted:
    nsfw = ("nsfw",) if event.nsfw else ()
    return msgspec.structs.replace(
        event,
        requirements=tuple(dict.fromkeys((*nsfw, *(event.requirements or ()), *job.requirements))),
        allowed_workers=job.allowed_workers,
        denied_workers=job.denied_workers,
    )


def write(
    settings: Settings,
    stories: Iterable[Story],
    count: int,
    rules: Rules = API_RULES,
    events: int | None = None,
) -> int:
    """Decide the commands of about `count` stories and append what they come to. Returns the last position.

    It ends with the stories, or soon after so many events.

    Raises:
        commands.RefusedError: one was rejected, or the log is not empty.
        UngatheredRowError: one reached for what another story made, other than accounts and workers.
    """
    source = iter(stories)
    with psycopg.connect(owner_url(settings)) as connection:
        connection.execute(log.LOCK, (settings.realm,))
        head = log.head_of(settings.realm, connection.execute(log.HEAD, (settings.realm,)).fetchone() or ())
        if head.position:
            message = "the log is not empty"
            raise commands.RefusedError(message)
        began, done, rows = head.now - AGE, 0, Rows(head.now)
        while piece := list(islice(source, PIECE)):
            rows = _kept(rows, began + AGE * min(1.0, done / count))
            batch = _decided(settings.realm, rules, piece, msgspec.structs.replace(head, now=rows.now), rows)
            _append(connection, settings.realm, batch.writes)
            head = msgspec.structs.replace(head, position=batch.position, hash=batch.hash)
            done += len(piece)
            if events is not None and head.position >= events:
                break
    return head.position


def _kept(rows: Rows, now: datetime) -> Rows:
    """The next piece's rows: those that stay in memory."""
    kept = Rows(now)
    kept.name("modes", (HOUSE,))
    for name in _KEPT:
        kept.put(name, (row for row in rows.tables[name].values() if row is not None))
    return kept


def _decided(realm: int, rules: Rules, piece: Sequence[Story], head: log.Head, rows: Rows) -> Batch:
    batch = Batch(realm, rules, Gathered(head, rows, {}))
    for command in chain.from_iterable(piece):
        needs = rules[type(command)].needs(command)
        for name in ("accounts", "jobs", "leases", "workers"):
            rows.name(name, getattr(needs, name))
        rows.made.update(needs.made)
        if needs.search is not None:
            rows.put_found(needs.search, Found((), None))  # what waits in this piece is at hand
        outcome = batch.decide(commands.request(command))
        if isinstance(outcome, Exception):
            raise outcome
        commands.must(outcome)
    return batch


def _append(connection: psycopg.Connection[Any], realm: int, writes: Writes) -> None:
    """The writer's own statements, but for projections."""
    connection.execute(log.INSERT_EVENTS, log.event_parameters(realm, writes.events))
    if writes.postings:
        connection.execute(log.INSERT_POSTINGS, log.posting_parameters(realm, writes.postings))
    for kind, table in vault.TABLES.items():
        if words := [row for row in writes.words if isinstance(row, kind)]:
            connection.execute(vault.UPSERTS[kind], table.parameters(realm, words))


def rebuild(settings: Settings) -> int:
    """Make the projections from the log, and leave the tables as a server of some age has them. Its position."""
    with psycopg.connect(owner_url(settings), autocommit=True) as connection:
        position = build.rebuild(connection, settings.realm)
        for statement in _TIDY:
            connection.execute(statement)
    return position
