"""What owners and moderators may do with a worker: rename, describe, move to a team, pause, delete, tell it something. Pure.

Words are rows of the vault; the facts say only that there are others now. Look next: `app.workers.decider` for
maintenance, `app.workers.steering`, which checks the words.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from app.ledger.standing import moderates
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import Erase, MaintenanceMessage, WorkerDescription, WorkerMessage, WorkerName
from app.workers.decider import CheckedIn, steered
from events.base import Event
from events.workers import (
    WorkerDeleted,
    WorkerDescribed,
    WorkerMessageDeleted,
    WorkerMessageSent,
    WorkerPaused,
    WorkerRenamed,
    WorkerResumed,
    WorkerTeamChanged,
)
from projections.leases import LeaseState
from projections.workers import Worker


class ChangeWorker(Command, frozen=True, kw_only=True):
    """Give a worker another name, another description, another team; None leaves what there is."""

    worker: UUID
    by: UUID
    name: str | None = None
    #: empty: none any more
    description: str | None = None
    #: whether it goes from the team it was seen in to another one, or to none
    moves: bool = False
    team: UUID | None = None
    before: UUID | None = None


class PauseWorker(Command, frozen=True, kw_only=True):
    """Let a worker take no work, or take it again."""

    worker: UUID
    by: UUID
    paused: bool


class DeleteWorker(Command, frozen=True, kw_only=True):
    """Take a worker away. What was seen of it is named, so that it is read again under the lock."""

    worker: UUID
    by: UUID
    owner: UUID
    team: UUID | None
    leases: tuple[UUID, ...]
    #: messages to it
    messages: tuple[UUID, ...]


class SendMessage(Command, frozen=True, kw_only=True):
    """Tell a worker, or all of them, something for so many hours."""

    message: UUID
    sender: UUID
    worker: UUID | None
    words: str
    origin: str
    hours: int
    #: why nothing more may be told, as it was a moment before; whoever may not tell anything is told that first
    full: str = ""


class DeleteMessage(Command, frozen=True, kw_only=True):
    """Tell it no more."""

    message: UUID
    sender: UUID
    by: UUID


class MessageTold(Result, frozen=True, kw_only=True):
    """The message."""

    message: UUID


def change_worker(command: ChangeWorker, rows: Rows) -> Decision | Rejection:
    """By its owner or a moderator; what it delivered stays with the team it was in then."""
    worker = steered(rows, command.worker, command.by)
    if isinstance(worker, Rejection):
        return worker
    events: list[Event] = []
    words: list[WorkerName | WorkerDescription | Erase] = []
    if command.name is not None:
        events.append(WorkerRenamed(worker=worker.id, owner=worker.owner))
        words.append(WorkerName(worker.id, command.name))
    if command.description is not None:
        events.append(WorkerDescribed(worker=worker.id, owner=worker.owner))
        words.append(
            WorkerDescription(worker.id, command.description)
            if command.description
            else Erase(WorkerDescription, worker.id)
        )
    if command.moves:
        moved = _move(command, worker, rows)
        if isinstance(moved, Rejection):
            return moved
        events += moved
    return Decision(events, CheckedIn(worker=worker.id), words)


def _move(command: ChangeWorker, worker: Worker, rows: Rows) -> list[Event] | Rejection:
    if command.team is not None:
        team = rows.team(command.team)
        if team is None or team.deleted:
            return Rejection(code="NOT_FOUND", message="no such team", path=("input", "team"))
    if worker.team == command.team:
        return []
    if worker.team != command.before:
        return _meanwhile()
    return [WorkerTeamChanged(worker=worker.id, owner=worker.owner, team=command.team, before=command.before)]


def pause_worker(command: PauseWorker, rows: Rows) -> Decision | Rejection:
    """By moderators. What the worker has leased it may still deliver."""
    if not moderates(rows.account(command.by)):
        return Rejection(code="FORBIDDEN", message="only moderators and operators pause workers")
    worker = steered(rows, command.worker, command.by)
    if isinstance(worker, Rejection):
        return worker
    made = WorkerPaused if command.paused else WorkerResumed
    events = () if worker.paused == command.paused else (made(worker=worker.id, owner=worker.owner),)
    return Decision(events, CheckedIn(worker=worker.id))


def delete_worker(command: DeleteWorker, rows: Rows) -> Decision | Rejection:
    """Not before its leases have ended. A lease that it took in the very moment stays good and is paid."""
    worker = steered(rows, command.worker, command.by)
    if isinstance(worker, Rejection):
        return worker
    if (worker.owner, worker.team) != (command.owner, command.team):
        return _meanwhile()
    found = (rows.lease(lease) for lease in command.leases)
    live = [lease for lease in found if lease is not None and lease.state is LeaseState.LIVE]
    if live:
        until = max(lease.expires_at for lease in live)
        return Rejection(
            code="WORKER_BUSY",
            message=f"the worker is at work until {until:%Y-%m-%d %H:%M:%S} UTC at the latest: let it deliver or give back",
            path=("input", "worker"),
            detail={"leases": len(live), "until": until},
        )
    events: list[Event] = []
    if worker.team is not None:
        events.append(WorkerTeamChanged(worker=worker.id, owner=worker.owner, team=None, before=worker.team))
    events.append(WorkerDeleted(worker=worker.id, owner=worker.owner))
    erased = [Erase(kind, worker.id) for kind in (WorkerName, WorkerDescription, MaintenanceMessage)]
    erased += [Erase(WorkerMessage, message) for message in command.messages]
    return Decision(events, CheckedIn(worker=worker.id), erased)


def send_message(command: SendMessage, rows: Rows) -> Decision | Rejection:
    """To a worker by its owner or a moderator; to all of them by moderators."""
    if command.worker is None:
        if not moderates(rows.account(command.sender)):
            return Rejection(
                code="FORBIDDEN",
                message="only moderators and operators tell something to all workers: name one of yours",
                path=("input", "worker"),
            )
    elif isinstance(worker := steered(rows, command.worker, command.sender), Rejection):
        return worker
    if command.full:
        return Rejection(code="INVALID_INPUT", message=command.full, path=("input", "worker"))
    expires_at = rows.now + timedelta(hours=command.hours)
    event = WorkerMessageSent(
        message=command.message, sender=command.sender, worker=command.worker, expires_at=expires_at
    )
    words = WorkerMessage(
        command.message,
        command.worker,
        command.sender,
        command.words,
        command.origin,
        rows.now,
        expires_at,
    )
    return Decision((event,), MessageTold(message=command.message), (words,))


def delete_message(command: DeleteMessage, rows: Rows) -> Decision | Rejection:
    """By who wrote it or a moderator."""
    if command.by != command.sender and not moderates(rows.account(command.by)):
        return Rejection(code="NOT_FOUND", message="no such message of yours", path=("input", "message"))
    event = WorkerMessageDeleted(message=command.message, sender=command.sender)
    return Decision((event,), MessageTold(message=command.message), (Erase(WorkerMessage, command.message),))


def _meanwhile() -> Rejection:
    """It was changed between the look at it and the lock."""
    message = "the worker was changed just now: try again"
    return Rejection(code="TRY_AGAIN", message=message, detail={"retry_after_seconds": 0.1})


def _teams(*teams: UUID | None) -> tuple[UUID, ...]:
    return tuple(team for team in teams if team is not None)


RULES = (
    Rule(
        ChangeWorker,
        CheckedIn,
        lambda c: Needs(workers=(c.worker,), accounts=(c.by,), teams=_teams(c.team, c.before)),
        change_worker,
    ),
    Rule(PauseWorker, CheckedIn, lambda c: Needs(workers=(c.worker,), accounts=(c.by,)), pause_worker),
    Rule(
        DeleteWorker,
        CheckedIn,
        lambda c: Needs(workers=(c.worker,), accounts=(c.by, c.owner), teams=_teams(c.team), leases=c.leases),
        delete_worker,
    ),
    Rule(
        SendMessage,
        MessageTold,
        lambda c: Needs(workers=() if c.worker is None else (c.worker,), accounts=(c.sender,)),
        send_message,
    ),
    Rule(DeleteMessage, MessageTold, lambda c: Needs(accounts=(c.by,)), delete_message),
)
