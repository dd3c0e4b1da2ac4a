"""Steering: what owners and moderators say of workers and to them is checked here, then the writer decides.

Look next: `app.workers.steering_decider`, `app.workers.steering_graphql`.
"""

from __future__ import annotations

from uuid import UUID

import psycopg

from app.ledger.standing import moderates
from app.platform.commands import Command, Done, Rejection
from app.platform.handling import parse_id, run
from app.platform.ids import new_id
from app.platform.services import Services
from app.workers.capabilities import fault_of_name
from app.workers.handlers import find_worker
from app.workers.queries import BY_ID, Named
from app.workers.steering_decider import (
    ChangeWorker,
    DeleteMessage,
    DeleteWorker,
    PauseWorker,
    SendMessage,
)
from app.workers.steering_queries import ACCOUNT, COUNTS, LIVE_LEASES, MESSAGES, MESSAGES_TO
from events.base import ANONYMOUS
from projections.leases import Lease

MAX_DESCRIPTION = 1_000
MAX_WORDS = 10_240
MAX_ORIGIN = 255
#: hours for which a message may be told
HOURS = (1, 720)
#: messages to one worker, or to all, that may be told at a time
MAX_MESSAGES = 20
#: messages of one sender that may be told at a time
MAX_SENT = 100
#: leases that are looked at before a worker is deleted: it has 50 threads at most, and 20 generations in each lease
MAX_LEASES = 1_000

Steered = tuple[Done, Named]


async def moderator(services: Services, actor: UUID) -> bool:
    """Whether a caller may steer everybody's workers."""
    if actor == ANONYMOUS:
        return False
    return moderates(await ACCOUNT.one(services.pool, realm=services.realm, id=actor))


async def update_worker(
    services: Services,
    actor: UUID,
    worker_text: str,
    *,
    name: str | None,
    description: str | None,
    team: str | None,
) -> Steered | Rejection:
    """Change what is given; an empty description or team takes away what there is."""
    fault = _fault_of(name, description)
    if fault is not None:
        return fault
    if name is None and description is None and team is None:
        message = "nothing to change: give a name, a description or a team"
        return Rejection(code="INVALID_INPUT", message=message, path=("input",))
    joined = parse_id(team) if team else None
    if team and joined is None:
        return Rejection(code="NOT_FOUND", message="no such team", path=("input", "team"))
    worker = await find_worker(services, worker_text)
    if worker is None:
        return _no_worker()
    command = ChangeWorker(
        worker=worker.worker.id,
        by=actor,
        name=None if name == worker.name else name,
        description=None if description is None else description.strip(),
        moves=team is not None,
        team=joined,
        before=worker.worker.team,
    )
    try:
        return await _steer(services, actor, worker, command)
    except psycopg.errors.UniqueViolation:
        message = "another worker has this name, with or without capitals"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "name"))


def _fault_of(name: str | None, description: str | None) -> Rejection | None:
    if name is not None and (fault := fault_of_name(name)) is not None:
        return Rejection(code="INVALID_INPUT", message=fault, path=("input", "name"))
    if description is not None and (len(description) > MAX_DESCRIPTION or "\0" in description):
        message = f"a description has at most {MAX_DESCRIPTION} characters"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "description"))
    return None


async def set_paused(
    services: Services, actor: UUID, worker_text: str, *, paused: bool
) -> Steered | Rejection:
    """Pause a worker, or let it go on."""
    if not await moderator(services, actor):
        return Rejection(code="FORBIDDEN", message="only moderators and operators pause workers")
    worker = await find_worker(services, worker_text)
    if worker is None:
        return _no_worker()
    command = PauseWorker(worker=worker.worker.id, by=actor, paused=paused)
    return await _steer(services, actor, worker, command)


async def delete_worker(services: Services, actor: UUID, worker_text: str) -> tuple[Done, UUID] | Rejection:
    """Take a worker away, with all that was said of it and to it."""
    worker = await find_worker(services, worker_text)
    if worker is None:
        return _no_worker()
    row = worker.worker
    live: list[Lease] = await LIVE_LEASES.all(
        services.pool, realm=services.realm, worker=row.id, limit=MAX_LEASES
    )
    messages = await MESSAGES_TO.all(services.pool, realm=services.realm, worker=row.id)
    command = DeleteWorker(
        worker=row.id,
        by=actor,
        owner=row.owner,
        team=row.team,
        leases=tuple(lease.id for lease in live),
        messages=tuple(message for message, _ in messages),
    )
    outcome = await run(services, command, actor=actor)
    return outcome if isinstance(outcome, Rejection) else (outcome, row.id)


async def send_message(
    services: Services,
    actor: UUID,
    worker_text: str | None,
    *,
    words: str,
    origin: str,
    hours: int,
) -> tuple[Done, UUID] | Rejection:
    """Tell one worker, or all of them, something."""
    for text, least, most, name in ((words, 1, MAX_WORDS, "message"), (origin, 0, MAX_ORIGIN, "origin")):
        if not least <= len(text.strip()) <= len(text) <= most or "\0" in text:
            message = f"from {least} to {most} characters"
            return Rejection(code="INVALID_INPUT", message=message, path=("input", name))
    if not HOURS[0] <= hours <= HOURS[1]:
        message = f"a message is told for {HOURS[0]} to {HOURS[1]} hours"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "hours"))
    if actor == ANONYMOUS:
        return Rejection(code="FORBIDDEN", message="anonymous users own no workers: register first")
    key: UUID | None = None
    if worker_text is not None:
        worker = await find_worker(services, worker_text)
        if worker is None:
            return _no_worker()
        key = worker.worker.id
    command = SendMessage(
        message=new_id(),
        sender=actor,
        worker=key,
        words=words,
        origin=origin,
        hours=hours,
        full=await _too_much_told(services, actor, key),
    )
    outcome = await run(services, command, actor=actor)
    return outcome if isinstance(outcome, Rejection) else (outcome, command.message)


async def _too_much_told(services: Services, sender: UUID, worker: UUID | None) -> str:
    """Every message is read with every poll, so that nobody may fill the worker's, or the server's, attention."""
    counts = await COUNTS.one(services.pool, realm=services.realm, worker=worker, sender=sender)
    to_worker, by_sender = counts or (0, 0)
    if to_worker >= MAX_MESSAGES:
        return f"{MAX_MESSAGES} messages are told already: delete one"
    if by_sender >= MAX_SENT:
        return f"{MAX_SENT} messages of yours are told already: delete one"
    return ""


async def delete_message(services: Services, actor: UUID, text: str) -> Done | Rejection:
    """Tell it no more."""
    key = parse_id(text)
    found = None if key is None else await MESSAGES.one(services.pool, realm=services.realm, ids=[key])
    if found is None:
        return Rejection(code="NOT_FOUND", message="no such message of yours", path=("input", "message"))
    command = DeleteMessage(message=found.message, sender=found.sender, by=actor)
    return await run(services, command, actor=actor)


async def _steer(services: Services, actor: UUID, worker: Named, command: Command) -> Steered | Rejection:
    """Run a command and read the worker again."""
    outcome = await run(services, command, actor=actor)
    if isinstance(outcome, Rejection):
        return outcome
    return outcome, await BY_ID.one(services.pool, realm=services.realm, id=worker.worker.id) or worker


def _no_worker() -> Rejection:
    return Rejection(code="NOT_FOUND", message="you have no such worker", path=("input", "worker"))
