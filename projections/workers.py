"""Workers: what each can do, how it is steered (maintenance, pause, team), and what it has done.

Presence (online or not) is no fact; it lives in Valkey. Look next: `projections.queue` for matching.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import (
    FailureCause,
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    JobKind,
    RedundantDeliveryPaid,
)
from events.workers import (
    ImageCapabilitiesDeclared,
    MaintenanceEnded,
    MaintenanceStarted,
    WorkerDeleted,
    WorkerPaused,
    WorkerRegistered,
    WorkerResumed,
    WorkerTeamChanged,
)
from projections.base import FoldError, Projection, known
from projections.queue import ALLOWED_BEFORE, plain_requirements, requirement_mask

#: the facts that touch it
FACTS = (
    WorkerRegistered,
    ImageCapabilitiesDeclared,
    MaintenanceStarted,
    MaintenanceEnded,
    WorkerPaused,
    WorkerResumed,
    WorkerTeamChanged,
    WorkerDeleted,
    GenerationDelivered,
    GenerationCensored,
    RedundantDeliveryPaid,
    GenerationFailed,
)


class Worker(msgspec.Struct, frozen=True, gc=False):
    """One worker."""

    id: UUID
    owner: UUID
    kind: JobKind
    models: tuple[str, ...]
    #: largest picture in pixels
    max_pixels: int
    #: requirement bits it allows (see `projections.queue`)
    allowed: int
    threads: int
    agent: str
    maintenance: bool
    registered_at: datetime
    #: generations delivered or censored, leases on a generation failed
    fulfilled: int
    failed: int
    #: hundredths of kudos its work was worth
    earned: int
    #: its leases last longer, and it serves only jobs that accept that
    extra_slow: bool = False
    #: a moderator lets it take no work
    paused: bool = False
    #: its owner or a moderator took it away: it takes no work and has no name
    deleted: bool = False
    #: the team it is in
    team: UUID | None = None
    #: leases on a generation that failed, by why
    failures: tuple[tuple[FailureCause, int], ...] = ()


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The worker that an event touches."""
    event = fact.event
    assert isinstance(event, FACTS)
    return (event.worker,)


def evolve(key: UUID, row: Worker | None, fact: Fact) -> Worker | None:
    """The worker after a fact."""
    event = fact.event
    if isinstance(event, WorkerRegistered):
        return Worker(key, event.owner, event.kind, (), 0, 0, 0, "", False, fact.occurred_at, 0, 0, 0)  # noqa: FBT003
    worker = known(row, fact)
    match event:
        case ImageCapabilitiesDeclared():
            return replace(
                worker,
                models=event.models,
                max_pixels=event.max_pixels,
                allowed=requirement_mask(_allowed(event)),
                threads=event.threads,
                agent=event.agent,
                extra_slow=event.extra_slow,
            )
        case MaintenanceStarted():
            return replace(worker, maintenance=True)
        case MaintenanceEnded():
            return replace(worker, maintenance=False)
        case WorkerPaused() | WorkerResumed():
            return replace(worker, paused=isinstance(event, WorkerPaused))
        case WorkerTeamChanged():
            return replace(worker, team=event.team)
        case WorkerDeleted():
            return replace(worker, deleted=True)
        case GenerationDelivered() | GenerationCensored() | RedundantDeliveryPaid():
            earned = 0 if event.owner == event.requester else event.price
            return replace(worker, fulfilled=worker.fulfilled + 1, earned=worker.earned + earned)
        case GenerationFailed():
            causes = Counter(dict(worker.failures))
            causes[event.cause] += 1
            return replace(worker, failed=worker.failed + 1, failures=tuple(sorted(causes.items())))
        case _:
            message = f"{event.TYPE} is no fact about a worker"
            raise FoldError(message)


def _allowed(event: ImageCapabilitiesDeclared) -> tuple[str, ...]:
    if event.allows is not None:
        return event.allows
    return (*plain_requirements(nsfw=event.nsfw, post_processing=event.post_processing), *ALLOWED_BEFORE)


PROJECTION = Projection(
    "workers",
    3,
    Worker,
    FACTS,
    keys,
    evolve,
    indexes=("(realm, owner)", "(realm, team) WHERE team IS NOT NULL"),
)
