"""What each SQL statement of relay, sweeper and actors means, found by the statement itself; and the writer's two trips.

A statement that is not named here raises `KeyError`: whoever adds one to a program says here what it does. Look next:
`database.py` for the view that these functions work on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import errors, sql

from app.platform import alone, takedowns, vault
from app.platform.commands import Idempotency, Needs
from app.platform.rows import Rows
from app.platform.writer import thread
from app.platform.writer.apply import Writes, channel
from app.platform.writer.gather import Gathered
from app.platform.writer.recent import Recent
from app.relay import leader, outage, reactions, sweeper, tailing, webhooks
from app.sharing import story
from app.sources import fetching
from events.base import Fact, Recorded
from events.codec import EVENT_TYPES
from events.store import log
from events.store.log import Head
from projections.base import Projection
from projections.registry import TAILING
from tests.model import MemoryLog
from tests.simulation.database import View
from tests.simulation.scheduler import Failure

REALM = 0
LOCK = "the realm's lock row"
LEADER = "the leader row"

Handler = Callable[[View, Any], list[tuple[Any, ...]]]


class Reaction(msgspec.Struct, frozen=True):
    """A row of relay.reaction."""

    subject: UUID
    sent_at: Any
    attempts: int
    completed_by: int | None = None


def gathered(view: View, needs: Sequence[Needs], keys: Sequence[Idempotency]) -> Gathered:
    """The writer's first trip: lock, then read what was committed before the lock was had."""
    view.lock(LOCK)
    return read_for_batch(view, needs, keys)


def read_for_batch(view: View, needs: Sequence[Needs], keys: Sequence[Idempotency]) -> Gathered:
    """What a batch reads, as it is committed now."""
    model = view.server.log
    last = model.events[-1] if model.events else None
    position, at, digest = (last.position, last.occurred_at, last.hash) if last else (None, None, None)
    head: Head = log.head_of(REALM, (view.now, position, at, digest))
    model.now = head.now
    rows: Rows = model._gather(needs)
    asked = {(key.scope, key.key) for key in keys}
    return Gathered(head, rows, {key: kept for key, kept in model.known.items() if key in asked})


def catch_up(log_: MemoryLog, recent: Recent, gathered: Gathered) -> None:
    """Move a process's rows at hand on as the real trip does, and compare them with those that were read."""
    rows, head = gathered.rows, gathered.head
    if recent.position is not None:
        recent.catch_up(log_.events[recent.position - 1 : head.position])
    for name, table in rows.tables.items():
        for key, row in table.items():
            at_hand = recent.get(name, key)
            if at_hand is not None and at_hand != row:
                raise Failure(f"{name} {key} is at hand as {at_hand}, and in the database as {row}")
    read = {name: [row for row in table.values() if row is not None] for name, table in rows.tables.items()}
    recent.put(read, head.position, head.hash)


def applied(view: View, writes: Writes, before: Mapping[str, Mapping[Any, Any]], rows: Rows) -> None:
    """The writer's second trip: all that was decided, committed as one."""
    model = view.server.log
    if writes.events and writes.events[0].position != len(model.events) + 1:
        raise errors.UniqueViolation("duplicate key value violates unique constraint event_pkey")
    taken = [c for c in writes.outcomes if (c.scope, c.key) in model.known]
    if taken:
        raise errors.UniqueViolation("duplicate key value violates unique constraint command_pkey")
    model.events.extend(writes.events)
    model.postings.extend(writes.postings)
    model.known.update({(kept.scope, kept.key): kept for kept in writes.outcomes})
    for row in writes.words:
        if isinstance(row, vault.JobWords):
            model.prompts[row.job] = row.prompt
        view.server.words[type(row), getattr(row, vault.TABLES[type(row)].key[0])] = row
    for name, table in rows.tables.items():
        changed = {k: r for k, r in table.items() if r is not None and before[name].get(k) is not r}
        model.state[name].update(changed)
    view.commit()
    if writes.events:
        view.server.notify()
        for call in view.server.on_commit:
            call()


def fold_chunk(view: View, projection: Projection[Any], chunk: Sequence[Fact]) -> None:
    """What `projections.store.build.fold_chunk` does, on the rows of one table."""
    for fact in chunk:
        if type(fact.event) in projection.facts:
            for key in projection.keys(fact):
                row = projection.evolve(key, view.get(projection.name, key), fact)
                view.put(projection.name, key, row)


def _lock(view: View, _: Any) -> list[tuple[Any, ...]]:
    view.lock(LOCK)
    return [(1,)]


def _in_log(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    _, position, event_id = parameters
    events = view.server.log.events
    return [(1,)] if position <= len(events) and events[position - 1].event_id == event_id else []


def _last_position(view: View, _: Any) -> list[tuple[Any, ...]]:
    return [(len(view.server.log.events),)]


def _stored(event: Recorded) -> tuple[Any, ...]:
    return (
        event.position,
        event.event_id,
        event.stream,
        event.type,
        event.schema_version,
        event.subject,
        event.occurred_at,
        event.data.decode(),
        event.metadata.decode(),
        event.hash,
    )


def _read(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    _, after, limit = parameters
    return [_stored(event) for event in view.server.log.events[after : after + limit]]


def _read_types(view: View, asked: Any) -> list[tuple[Any, ...]]:
    behind = view.server.log.events[asked["after"] :]
    named = set(asked["names"])
    assert named <= set(EVENT_TYPES)
    return [_stored(event) for event in behind if event.type in named][: asked["limit"]]


def _try_lead(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    name = ("advisory", parameters)
    got = view.server.locks.attempt(view.session, name)
    if got:
        view.session.session_locks.add(name)
    return [(got,)]


def _begin_term(view: View, _: Any) -> list[tuple[Any, ...]]:
    view.lock(LEADER)
    epoch = view.get("leader", REALM) + 1
    view.put("leader", REALM, epoch)
    view.session.epoch = epoch
    return [(epoch,)]


def _confirm(view: View, _: Any) -> list[tuple[Any, ...]]:
    view.lock(LEADER, shared=True)
    return [(view.get("leader", REALM),)]


def _checkpoint(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    follower = parameters[1]
    view.lock(("checkpoint", follower))
    position = view.get("checkpoint", follower)
    if position is None and follower.startswith("projection:"):
        position = 0  # written by the migration
    return [] if position is None else [(position,)]


def _advance(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    _, follower, position = parameters
    view.put("checkpoint", follower, position)
    return []


def _advance_tailing(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    position, _, follower = parameters
    view.put("checkpoint", follower, position)
    return []


def _open(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    for position, actor, subject in zip(*parameters[1:], strict=True):
        if view.get("reaction", (position, actor)) is None:
            view.put("reaction", (position, actor), Reaction(subject, view.now, 0))
    return []


def _complete(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    *columns, _ = parameters
    for by, actor, subject in zip(*columns, strict=True):
        for key, row in view.items("reaction"):
            if key[1] == actor and row.subject == subject and key[0] < by and row.completed_by is None:
                view.put("reaction", key, msgspec.structs.replace(row, completed_by=by))
    return []


def _due(view: View, asked: Any) -> list[tuple[Any, ...]]:
    def due(row: Reaction) -> bool:
        pause: timedelta = min(asked["overdue"] * 2 ** (min(row.attempts, 16) - 1), asked["most"])
        return row.completed_by is None and (
            row.attempts == 0 or row.sent_at <= view.now - pause or row.sent_at > view.now
        )

    return [key for key, row in view.items("reaction") if due(row)][: asked["limit"]]


def _sent(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    for key in zip(*parameters[:2], strict=True):
        row = view.get("reaction", key)
        if row is not None:
            view.put(
                "reaction", key, msgspec.structs.replace(row, attempts=row.attempts + 1, sent_at=view.now)
            )
    return []


def _due_leases(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    _, passed_over, limit = parameters
    rows: Any = view.server.log.state["leases"].values()
    due = [r for r in rows if r.state.value == "LIVE" and r.expires_at < view.now and r.id not in passed_over]
    return [(row.id, row.owner) for row in sorted(due, key=lambda row: row.expires_at)[:limit]]


def _delivered(view: View, asked: Any) -> list[tuple[Any, ...]]:
    since = view.now - timedelta(seconds=asked["within"])
    latest = [e for e in view.server.log.events[-asked["latest"] :] if e.occurred_at > since]
    return [(len(latest) >= asked["latest"] or any(e.type == asked["delivered"] for e in latest),)]


def _due_jobs(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    _, expiry, passed_over, limit = parameters
    due = [
        job
        for job in view.server.log.jobs().values()
        if job.ended_at is None and not job.processing and job.active_at < view.now - expiry
        if job.id not in passed_over
    ]
    return [(job.id,) for job in sorted(due, key=lambda job: job.active_at)[:limit]]


def _due_allowances(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    _, passed_over, limit = parameters
    due = [
        (account.allowance_due, account.id)
        for account in view.server.log.accounts().values()
        if account.allowance and account.allowance_due is not None and account.allowance_due <= view.now
        if account.id not in passed_over
    ]
    return [(key,) for _, key in sorted(due)[:limit]]


def _forget(view: View, asked: Any) -> list[tuple[Any, ...]]:
    view.session.sweeping = True
    behind = (view.get("checkpoint", asked["follower"]) or 0) - asked["kept"]
    for key, row in view.items("reaction"):
        if row.completed_by is not None and key[0] < behind:
            view.put("reaction", key, None)
    return []


def _shared_jobs(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    jobs = view.server.log.jobs()
    return [(key,) for key in parameters[1] if key in jobs and jobs[key].shared]


def _stream(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    _, stream, names = parameters
    return [
        (e.position, e.occurred_at, e.type, e.schema_version, e.data.decode())
        for e in view.server.log.events
        if e.stream == stream and e.type in names
    ]


def _generation(view: View, asked: Any) -> list[tuple[Any, ...]]:
    row = view.server.log.state["generations"].get(asked["id"])
    return [] if row is None else [msgspec.structs.astuple(row)]


def _words(kind: type[msgspec.Struct]) -> Handler:
    def read(view: View, asked: Any) -> list[tuple[Any, ...]]:
        row = view.server.words.get((kind, asked["id"]))
        return [] if row is None else [msgspec.structs.astuple(row)]

    return read


def _wanted(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    job = view.server.log.jobs().get(parameters[1])
    return [] if job is None else [(job.fetching and job.state.value == "WAITING",)]


def _unfetched(view: View, asked: Any) -> list[tuple[Any, ...]]:
    row: Any = view.server.words.get((vault.JobSource, asked["job"]))
    return [msgspec.structs.astuple(row)] if row is not None and row.url else []


def _against(view: View, _: Any) -> list[tuple[Any, ...]]:
    """Nobody orders takedowns here."""
    return [(None, len(view.server.log.state["takedowns"]))]


def _advisory(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    name = ("advisory", parameters)
    view.session.session_locks.add(name)
    view.server.locks.take(view.session, name)
    return [("",)]


def _advisory_free(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    name = ("advisory", parameters)
    view.session.session_locks.discard(name)
    view.server.locks.release(view.session, [name])
    return [(True,)]


def _listen(view: View, _: Any) -> list[tuple[Any, ...]]:
    view.session.listening = True
    return []


def _unshared(view: View, parameters: Any) -> list[tuple[Any, ...]]:
    job = view.server.log.jobs().get(parameters[1])
    return [] if job is None else [(None if job.unshared is None else job.unshared.value,)]


def _published(view: View, asked: Any) -> list[tuple[Any, ...]]:
    rows = view.server.log.generations_of(asked["job"])
    return [msgspec.structs.astuple(row) for row in rows if row.sha256 is not None]


def _version(_: View, parameters: Any) -> list[tuple[Any, ...]]:
    return [(projection.version,) for projection in TAILING if projection.name == parameters[1]]


def _nothing(_: View, __: Any) -> list[tuple[Any, ...]]:
    return []


def _kept(kind: type[msgspec.Struct], key: str) -> str:
    return vault.TABLES[kind].select(vault.SCHEMA, f"{key} = %(id)s")


STATEMENTS: dict[str, tuple[str, Handler]] = {
    statement: (name, handler)
    for name, statement, handler in (
        ("lock", log.LOCK, _lock),
        ("in log?", thread._IN_LOG, _in_log),
        ("last position", log.LAST_POSITION, _last_position),
        ("read", log.READ, _read),
        ("read types", log.READ_TYPES, _read_types),
        ("try to lead", leader._TRY, _try_lead),
        ("begin term", leader._BEGIN, _begin_term),
        ("confirm", leader._CONFIRM, _confirm),
        ("listen", f"LISTEN {channel(REALM)}", _listen),
        ("checkpoint", reactions._CHECKPOINT, _checkpoint),
        ("advance", reactions._ADVANCE, _advance),
        ("open", reactions._OPEN, _open),
        ("complete", reactions._COMPLETE, _complete),
        ("due", reactions._DUE, _due),
        ("sent", reactions._SENT, _sent),
        ("version", tailing._VERSION, _version),
        ("checkpoint", tailing._CHECKPOINT, _checkpoint),
        ("advance", tailing._ADVANCE, _advance_tailing),
        # nobody here has a webhook: the relay follows for them, and finds none
        ("webhooks", webhooks._OWNED, _nothing),
        ("webhooks of jobs", webhooks._OF_JOBS, _nothing),
        ("recent", webhooks._RECENT, lambda view, parameters: [(view.now - parameters[0],)]),
        ("due webhooks", webhooks._DUE, _nothing),
        ("forget deliveries", webhooks._FORGET, _nothing),
        ("forget webhooks of jobs", webhooks._FORGET_PLACES, _nothing),
        ("due leases", sweeper._LEASES, _due_leases),
        ("delivered?", outage._DELIVERED, _delivered),
        ("due jobs", sweeper._JOBS, _due_jobs),
        ("due allowances", sweeper._ALLOWANCES, _due_allowances),
        ("set", "SET LOCAL lock_timeout = '100ms'", _nothing),
        ("partitions", sweeper._PARTITIONS, _nothing),
        ("forget", sweeper._FORGET, _forget),
        ("shared jobs", story._SHARED_JOBS, _shared_jobs),
        ("stream", story._STREAM, _stream),
        ("generation", story._GENERATION, _generation),
        ("unshared", story._UNSHARED, _unshared),
        ("published", story._PUBLISHED, _published),
        ("job words", _kept(vault.JobWords, "job"), _words(vault.JobWords)),
        ("seed", _kept(vault.GenerationSeed, "generation"), _words(vault.GenerationSeed)),
        ("result words", _kept(vault.ResultWords, "generation"), _words(vault.ResultWords)),
        ("wanted sources", fetching._WANTED, _wanted),
        ("unfetched sources", fetching._UNFETCHED, _unfetched),
        ("takedowns", takedowns._AGAINST, _against),
        ("lock picture", alone._LOCK, _advisory),
        ("unlock picture", alone._UNLOCK, _advisory_free),
    )
}


def handler_of(statement: Any) -> tuple[str, Handler]:
    """What a statement is called and does. Raises `KeyError`."""
    if isinstance(
        statement, sql.Composable
    ):  # the table locks of tailing projections: nothing is rebuilt here
        return "lock table", _nothing
    return STATEMENTS[statement]
