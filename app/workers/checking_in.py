"""A worker shows up: registered at its first poll, declared anew where it can do something else than the log knows.

May not look for work. Look next: `app.workers.decider` for the rules, `app.workers.polling` for what follows.
"""

from __future__ import annotations

from uuid import UUID

import psycopg
from msgspec.structs import replace

from app.platform.commands import Rejection
from app.platform.handling import run
from app.platform.ids import new_id
from app.platform.services import Services
from app.platform.sql import Query
from app.workers.capabilities import Polled
from app.workers.conduct import EndRest
from app.workers.decider import Capabilities, CheckIn
from app.workers.queries import BY_NAME, Named
from events.base import ANONYMOUS
from events.jobs import JobKind

#: what divides the name of a model of somebody's own from its owner's
OWN_MODEL = "::"

_ALIAS: Query[str] = Query(
    "SELECT username || '#' || number FROM vault.person WHERE realm = %(realm)s AND subject = %(subject)s",
    lambda row: str(row[0]),
)


async def check_in(services: Services, actor: UUID, poll: Polled) -> Named | Rejection:
    """The worker of a poll, registered or updated where the log does not know it so."""
    if actor == ANONYMOUS:
        return Rejection(code="FORBIDDEN", message="anonymous users cannot run workers: register first")
    known = await BY_NAME.one(services.pool, realm=services.realm, name=poll.name)
    if known is not None and (known.worker.owner != actor or known.worker.kind is not poll.capabilities.kind):
        message = "this name belongs to a worker of another owner or kind"
        return Rejection(code="FORBIDDEN", message=message, path=("input", "workerName"))
    if known is not None and poll.capabilities.declared_by(known.worker):
        return await _rested(services, actor, known)
    custom = await _custom(services, actor, poll.capabilities)
    if isinstance(custom, Rejection):
        return custom
    command = CheckIn(
        worker=known.worker.id if known else new_id(),
        owner=actor,
        name=poll.name,
        capabilities=poll.capabilities,
        custom=custom,
    )
    try:
        outcome = await run(services, command, actor=actor)
    except psycopg.errors.UniqueViolation:
        return await check_in(services, actor, poll)  # somebody was first with this name
    if isinstance(outcome, Rejection):
        return outcome
    return await check_in(services, actor, poll)


async def _rested(services: Services, actor: UUID, known: Named) -> Named | Rejection:
    """The worker, at work again if it rested by rule and the time of that is over: only the log's clock can tell."""
    if known.worker.maintenance_until is None:
        return known
    outcome = await run(services, EndRest(worker=known.worker.id), actor=actor)
    if isinstance(outcome, Rejection) or not outcome.result.ended:
        return outcome if isinstance(outcome, Rejection) else known
    awake = replace(known.worker, maintenance=False, maintenance_until=None)
    return replace(known, worker=awake)


def in_maintenance(worker: Named) -> Rejection:
    """What a worker in maintenance is told that finds nothing of its owner's."""
    until = worker.worker.maintenance_until
    words = worker.message or ""
    if until is not None:
        words = (
            "too many generations failed within an hour under this worker's leases: it rests until "
            f"{until.isoformat(timespec='seconds')}, and goes on by itself with its next poll"
        )
    return Rejection(
        code="WORKER_IN_MAINTENANCE",
        message="the worker is in maintenance and serves only its owner",
        detail={"maintenance_message": words, "maintenance_until": until},
    )


async def _custom(services: Services, actor: UUID, capabilities: Capabilities) -> tuple[str, ...] | Rejection:
    """Those of the models that only customizers may host: their own, and where the operator says so unknown ones."""
    models, kind = capabilities.serves, capabilities.kind
    own = [model for model in models if OWN_MODEL in model]
    if own:
        alias = await _ALIAS.one(services.pool, realm=services.realm, subject=actor)
        for model in own:
            if model.partition(OWN_MODEL)[2] != alias:
                message = (
                    f"a model of somebody's own is named model{OWN_MODEL}{alias}: with the name of its owner"
                )
                return Rejection(
                    code="INVALID_INPUT", message=message, path=("input", kind.lower(), "models")
                )
    if kind is not JobKind.IMAGE or not services.settings.known_models_only:
        return tuple(own)
    return (
        *own,
        *(model for model in models if OWN_MODEL not in model and services.models.get(model) is None),
    )
