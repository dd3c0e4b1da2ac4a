"""What may happen to workers: registration at the first check-in, changed capabilities, maintenance. Pure.

Look next: `app.workers.lease_decider` for the work they take.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from app.platform.commands import Command, Decision, Needs, Rejection, Result, Rule
from app.platform.rows import Rows
from app.platform.vault import MaintenanceMessage, WorkerName
from events.base import ANONYMOUS, Event
from events.jobs import JobKind
from events.workers import ImageCapabilitiesDeclared, MaintenanceEnded, MaintenanceStarted, WorkerRegistered
from projections.queue import requirement_mask
from projections.workers import Worker


#: what a paused worker is told
PAUSED = Rejection(
    code="WORKER_PAUSED",
    message="a moderator paused the worker: it is given no work",
    path=("input", "workerName"),
)


class ImageCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an image worker says it serves."""

    models: tuple[str, ...]
    max_pixels: int
    #: requirements that it allows, by their names
    allows: tuple[str, ...]
    threads: int
    agent: str
    extra_slow: bool = False

    @property
    def allowed(self) -> int:
        """The requirement bits that it allows."""
        return requirement_mask(self.allows)

    def declared_by(self, worker: Worker) -> bool:
        """Whether the log knows this already."""
        mine = (self.models, self.max_pixels, self.allowed, self.threads, self.agent, self.extra_slow)
        known = (worker.models, worker.max_pixels, worker.allowed, worker.threads, worker.agent)
        return mine == (*known, worker.extra_slow)


class CheckIn(Command, frozen=True, kw_only=True):
    """An image worker shows up for the first time, or with other capabilities than before."""

    worker: UUID
    owner: UUID
    name: str
    capabilities: ImageCapabilities


class SetMaintenance(Command, frozen=True, kw_only=True):
    """Start or end a worker's maintenance."""

    worker: UUID
    owner: UUID
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
    events: list[Event] = []
    vault: tuple[WorkerName, ...] = ()
    if worker is None:
        events.append(WorkerRegistered(worker=command.worker, owner=command.owner, kind=JobKind.IMAGE))
        vault = (WorkerName(command.worker, command.name),)
    if worker is None or not command.capabilities.declared_by(worker):
        able = command.capabilities
        events.append(
            ImageCapabilitiesDeclared(
                worker=command.worker,
                owner=command.owner,
                nsfw="nsfw" in able.allows,
                post_processing="post_processing" in able.allows,
                **msgspec.structs.asdict(able),
            )
        )
    return Decision(events, CheckedIn(worker=command.worker), vault)


def set_maintenance(command: SetMaintenance, rows: Rows) -> Decision | Rejection:
    """Only the owner; the message is kept in the vault."""
    worker = rows.worker(command.worker)
    if worker is None or worker.owner != command.owner:
        return Rejection(code="NOT_FOUND", message="you have no such worker", path=("input", "worker"))
    events: tuple[Event, ...] = ()
    if worker.maintenance != command.maintenance:
        made = MaintenanceStarted if command.maintenance else MaintenanceEnded
        events = (made(worker=worker.id, owner=worker.owner),)
    return Decision(events, CheckedIn(worker=worker.id), (MaintenanceMessage(worker.id, command.message),))


RULES = (
    Rule(CheckIn, CheckedIn, lambda c: Needs(workers=(c.worker,), accounts=(c.owner,)), check_in),
    Rule(SetMaintenance, CheckedIn, lambda c: Needs(workers=(c.worker,)), set_maintenance),
)
