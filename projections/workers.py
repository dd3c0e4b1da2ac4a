"""Workers: what each can do, how it is steered (maintenance, pause, team), what it has done, how fast and how well.

Presence (online or not) is no fact; it lives in Valkey. Look next: `projections.queue` for matching.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Final
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
    AutoMaintenanceStarted,
    ImageCapabilitiesDeclared,
    InterrogationCapabilitiesDeclared,
    MaintenanceEnded,
    MaintenanceStarted,
    SuspicionRaised,
    TextCapabilitiesDeclared,
    UptimeRewarded,
    WorkerDeleted,
    WorkerPaused,
    WorkerRegistered,
    WorkerResumed,
    WorkerTeamChanged,
)
from projections.base import FoldError, Projection, known
from projections.queue import ALLOWED_BEFORE, plain_requirements, requirement_mask, text_size, work_of

#: the facts that touch it
FACTS = (
    WorkerRegistered,
    ImageCapabilitiesDeclared,
    TextCapabilitiesDeclared,
    InterrogationCapabilitiesDeclared,
    MaintenanceStarted,
    MaintenanceEnded,
    AutoMaintenanceStarted,
    UptimeRewarded,
    SuspicionRaised,
    WorkerPaused,
    WorkerResumed,
    WorkerTeamChanged,
    WorkerDeleted,
    GenerationDelivered,
    GenerationCensored,
    RedundantDeliveryPaid,
    GenerationFailed,
)

#: what workers of each kind say they serve
Declaration = ImageCapabilitiesDeclared | TextCapabilitiesDeclared | InterrogationCapabilitiesDeclared
#: deliveries that the speed is the average of
MEASURED: Final = 20
#: failures by the worker's own fault are counted for so long, and no more of them than can matter
FAULTS_KEPT: Final = timedelta(hours=1)
MOST_FAULTS: Final = 50
#: of these failures the worker itself is the cause
OWN_FAULTS: Final = frozenset({FailureCause.LEASE_EXPIRED, FailureCause.REPORTED_BY_WORKER})


class Worker(msgspec.Struct, frozen=True, gc=False):
    """One worker."""

    id: UUID
    owner: UUID
    kind: JobKind
    #: the models it has; of an interrogation worker, the forms it tells
    models: tuple[str, ...]
    #: the largest job that it holds (`projections.queue`): pixels, tokens or tiles
    max_size: int
    #: requirement bits it allows (see `projections.queue`)
    allowed: int
    threads: int
    agent: str
    maintenance: bool
    registered_at: datetime
    #: generations delivered or censored, leases on a generation failed
    fulfilled: int
    failed: int
    #: hundredths of kudos its work was worth, in its owner's escrow or not; rewards for uptime do not count
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
    #: work a second of one thread (`work_of`), from taking a lease to delivering, over the last deliveries; 0: not known
    speed: int = 0
    #: (work, milliseconds) of the last deliveries, oldest first
    measured: tuple[tuple[int, int], ...] = ()
    #: seconds for which it was rewarded for being there, hundredths of kudos that earned, and when it last was
    uptime: int = 0
    uptime_earned: int = 0
    rewarded_at: datetime | None = None
    #: suspicions since it last was resumed, and when the last was raised
    suspicions: int = 0
    suspected_at: datetime | None = None
    #: when leases on a generation lately failed by its own fault, in seconds since 1970, oldest first
    faults: tuple[int, ...] = ()
    #: when its maintenance ends by rule; none: only by its owner
    maintenance_until: datetime | None = None
    #: of a text worker
    soft_prompts: tuple[str, ...] = ()


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
        case ImageCapabilitiesDeclared() | TextCapabilitiesDeclared() | InterrogationCapabilitiesDeclared():
            return declared(worker, event)
        case MaintenanceStarted():
            return replace(worker, maintenance=True, maintenance_until=None)
        case MaintenanceEnded():
            return replace(worker, maintenance=False, maintenance_until=None)
        case AutoMaintenanceStarted():
            return replace(worker, maintenance=True, maintenance_until=event.until, faults=())
        case WorkerPaused():
            return replace(worker, paused=True)
        case WorkerResumed():
            return replace(worker, paused=False, suspicions=0)
        case WorkerTeamChanged():
            return replace(worker, team=event.team)
        case WorkerDeleted():
            return replace(worker, deleted=True)
        case _:
            return _worked(worker, fact)


def declared(worker: Worker, event: Declaration) -> Worker:
    """The worker after it said what it serves."""
    worker = replace(
        worker, threads=event.threads, agent=event.agent, extra_slow=event.extra_slow, allowed=_allowed(event)
    )
    match event:
        case ImageCapabilitiesDeclared():
            return replace(worker, models=event.models, max_size=event.max_pixels)
        case TextCapabilitiesDeclared():
            size = text_size(event.max_context_length, event.max_length)
            return replace(worker, models=event.models, max_size=size, soft_prompts=event.soft_prompts)
        case InterrogationCapabilitiesDeclared():
            return replace(worker, models=event.forms, max_size=event.max_tiles)


def _worked(worker: Worker, fact: Fact) -> Worker:
    """The worker after it did something, or did not."""
    match event := fact.event:
        case GenerationDelivered() | GenerationCensored() | RedundantDeliveryPaid():
            earned = 0 if event.owner == event.requester else event.price
            worker = replace(worker, fulfilled=worker.fulfilled + 1, earned=worker.earned + earned)
            return _measured(worker, event) if isinstance(event, GenerationDelivered) else worker
        case GenerationFailed():
            causes = Counter(dict(worker.failures))
            causes[event.cause] += 1
            failed = replace(worker, failed=worker.failed + 1, failures=tuple(sorted(causes.items())))
            return _at_fault(failed, fact.occurred_at) if event.cause in OWN_FAULTS else failed
        case UptimeRewarded():
            return replace(
                worker,
                uptime=worker.uptime + event.seconds,
                uptime_earned=worker.uptime_earned + event.amount,
                rewarded_at=fact.occurred_at,
            )
        case SuspicionRaised():
            return replace(worker, suspicions=worker.suspicions + 1, suspected_at=fact.occurred_at)
        case _:
            message = f"{event.TYPE} is no fact about a worker"
            raise FoldError(message)


def _measured(worker: Worker, event: GenerationDelivered) -> Worker:
    """All of the last deliveries' work by all of their time: pictures drawn as a batch come one after the other."""
    if event.took_milliseconds is None:
        return worker
    measured = (*worker.measured, (work_of(event), event.took_milliseconds))[-MEASURED:]
    took = sum(milliseconds for _, milliseconds in measured)
    speed = sum(work for work, _ in measured) * 1000 // took if took else worker.speed
    return replace(worker, measured=measured, speed=speed)


def _at_fault(worker: Worker, moment: datetime) -> Worker:
    now = int(moment.timestamp())
    kept = tuple(at for at in worker.faults if at > now - FAULTS_KEPT.total_seconds())
    return replace(worker, faults=(*kept, now)[-MOST_FAULTS:])


def _allowed(event: Declaration) -> int:
    if event.allows is not None:
        return requirement_mask(event.allows)
    plain = plain_requirements(nsfw=event.nsfw, post_processing=event.post_processing)
    return requirement_mask((*plain, *ALLOWED_BEFORE))


PROJECTION = Projection(
    "workers",
    5,
    Worker,
    FACTS,
    keys,
    evolve,
    indexes=("(realm, owner)", "(realm, team) WHERE team IS NOT NULL"),
)
