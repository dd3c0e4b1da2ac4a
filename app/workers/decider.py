"""What may happen to workers: registration at the first check-in, changed capabilities, maintenance. Pure.

Look next: `app.workers.lease_decider` for the work they take, `app.workers.uptime`, `app.workers.conduct`.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from app.ledger.modes import refuse_worker
from app.ledger.standing import customizes, moderates, worker_limit
from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import MaintenanceMessage, WorkerName
from app.workers import conduct, uptime
from events.base import ANONYMOUS, Event
from events.jobs import JobKind
from events.workers import (
    ImageCapabilitiesDeclared,
    InterrogationCapabilitiesDeclared,
    MaintenanceEnded,
    MaintenanceStarted,
    TextCapabilitiesDeclared,
    WorkerRegistered,
)
from projections.accounts import Account
from projections.workers import Declaration, Worker, declared

#: what a paused worker is told
PAUSED = Rejection(
    code="WORKER_PAUSED",
    message="a moderator, or a rule, paused the worker: it is given no work",
    path=("input", "workerName"),
)


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker of any kind says it serves."""

    kind: ClassVar[JobKind]

    #: requirements that it allows, by their names
    allows: tuple[str, ...]
    threads: int
    agent: str
    extra_slow: bool = False

    @property
    def serves(self) -> tuple[str, ...]:
        """Its models, or the forms that it tells."""
        raise NotImplementedError

    def declaration(self, worker: UUID, owner: UUID) -> Declaration:
        """The event that says so."""
        raise NotImplementedError

    def declared_by(self, worker: Worker) -> bool:
        """Whether the log knows this already."""
        known = declared(worker, self.declaration(worker.id, worker.owner))
        return known == worker


class ImageCapabilities(Capabilities, frozen=True, kw_only=True):
    """What an image worker says it serves."""

    kind: ClassVar[JobKind] = JobKind.IMAGE

    models: tuple[str, ...]
    max_pixels: int

    @property
    def serves(self) -> tuple[str, ...]:
        """Its models."""
        return self.models

    def declaration(self, worker: UUID, owner: UUID) -> ImageCapabilitiesDeclared:
        """The event that says so."""
        return ImageCapabilitiesDeclared(
            worker=worker,
            owner=owner,
            nsfw="nsfw" in self.allows,
            post_processing="post_processing" in self.allows,
            **msgspec.structs.asdict(self),
        )


class TextCapabilities(Capabilities, frozen=True, kw_only=True):
    """What a text worker says it serves; lengths are tokens."""

    kind: ClassVar[JobKind] = JobKind.TEXT

    models: tuple[str, ...]
    max_length: int
    max_context_length: int
    soft_prompts: tuple[str, ...] = ()

    @property
    def serves(self) -> tuple[str, ...]:
        """Its models."""
        return self.models

    def declaration(self, worker: UUID, owner: UUID) -> TextCapabilitiesDeclared:
        """The event that says so."""
        return TextCapabilitiesDeclared(worker=worker, owner=owner, **msgspec.structs.asdict(self))


class InterrogationCapabilities(Capabilities, frozen=True, kw_only=True):
    """What an interrogation worker says it serves; tiles are squares of 512 x 512 pixels."""

    kind: ClassVar[JobKind] = JobKind.INTERROGATION

    forms: tuple[str, ...]
    max_tiles: int

    @property
    def serves(self) -> tuple[str, ...]:
        """The forms that it tells."""
        return self.forms

    def declaration(self, worker: UUID, owner: UUID) -> InterrogationCapabilitiesDeclared:
        """The event that says so."""
        return InterrogationCapabilitiesDeclared(worker=worker, owner=owner, **msgspec.structs.asdict(self))


class CheckIn(Command, frozen=True, kw_only=True):
    """A worker shows up for the first time, or with other capabilities than before."""

    worker: UUID
    owner: UUID
    name: str
    capabilities: Capabilities
    #: models among them that only customizers may host
    custom: tuple[str, ...] = ()


class SetMaintenance(Command, frozen=True, kw_only=True):
    """Start or end a worker's maintenance."""

    worker: UUID
    owner: UUID
    #: the moderator who asks, in place of the owner
    by: UUID | None = None
    maintenance: bool
    message: str


class CheckedIn(Result, frozen=True, kw_only=True):
    """The worker that the log knows now."""

    worker: UUID


def check_in(command: CheckIn, rows: Rows) -> Decision | Rejection:
    """A worker belongs to whoever registered it, for ever; anonymous users own none."""
    if command.owner == ANONYMOUS:
        return Rejection(code="FORBIDDEN", message="anonymous users cannot run workers: register first")
    worker = rows.worker(command.worker)
    if worker is not None and worker.deleted:
        return Rejection(code="NOT_FOUND", message="this worker was deleted", path=("input", "workerName"))
    if worker is not None and worker.owner != command.owner:
        return Rejection(
            code="FORBIDDEN", message="this worker belongs to somebody else", path=("input", "workerName")
        )
    if worker is not None and worker.kind is not command.capabilities.kind:
        return Rejection(
            code="FORBIDDEN", message="this worker is of another kind", path=("input", "workerName")
        )
    if worker is None and (refused := _no_further(rows, command.owner)) is not None:
        return refused
    if command.custom and not customizes(rows.account(command.owner)):
        return Rejection(
            code="FORBIDDEN",
            message=f"{len(command.custom)} of these models may be hosted by customizers only, the first is {command.custom[0]}",
            path=("input", command.capabilities.kind.lower(), "models"),
        )
    events: list[Event] = []
    vault: tuple[WorkerName, ...] = ()
    if worker is None:
        events.append(
            WorkerRegistered(worker=command.worker, owner=command.owner, kind=command.capabilities.kind)
        )
        vault = (WorkerName(command.worker, command.name),)
    if worker is None or not command.capabilities.declared_by(worker):
        events.append(command.capabilities.declaration(command.worker, command.owner))
    return Decision(events, CheckedIn(worker=command.worker), vault)


def _no_further(rows: Rows, key: UUID) -> Rejection | None:
    """Whoever has as many workers as allowed, or is not invited where only those are, registers no more."""
    owner = rows.account(key)
    assert owner is not None, "whoever polls with a key has an account"
    return refuse_worker(rows.modes(), owner) or _too_many(owner)


def _too_many(owner: Account) -> Rejection | None:
    limit = worker_limit(owner)
    if owner.workers < limit:
        return None
    return Rejection(
        code="TOO_MANY_WORKERS",
        message=f"you have {owner.workers} workers, and may have {limit}: delete one, or ask a moderator for more",
        path=("input", "workerName"),
        detail={"workers": owner.workers, "limit": limit},
    )


def set_maintenance(command: SetMaintenance, rows: Rows) -> Decision | Rejection:
    """The owner or a moderator; the message is kept in the vault."""
    worker = steered(rows, command.worker, command.by or command.owner)
    if isinstance(worker, Rejection):
        return worker
    events: tuple[Event, ...] = ()
    # an owner's word makes a rest by rule last
    lasting = command.maintenance and worker.maintenance_until is not None
    if worker.maintenance != command.maintenance or lasting:
        made = MaintenanceStarted if command.maintenance else MaintenanceEnded
        events = (made(worker=worker.id, owner=worker.owner),)
    return Decision(events, CheckedIn(worker=worker.id), (MaintenanceMessage(worker.id, command.message),))


def steered(rows: Rows, key: UUID, by: UUID) -> Worker | Rejection:
    """A worker that somebody may steer: its owner or a moderator. To others it looks as if there were none."""
    worker = rows.worker(key)
    if worker is None or worker.deleted or (worker.owner != by and not moderates(rows.account(by))):
        return Rejection(code="NOT_FOUND", message="you have no such worker", path=("input", "worker"))
    return worker


RULES = (
    Rule(CheckIn, CheckedIn, lambda c: Needs(workers=(c.worker,), accounts=(c.owner,)), check_in),
    Rule(
        SetMaintenance,
        CheckedIn,
        lambda c: Needs(workers=(c.worker,), accounts=(c.by or c.owner,)),
        set_maintenance,
    ),
    *uptime.RULES,
    *conduct.RULES,
)
