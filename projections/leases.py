"""Leases: which generations a worker holds, and until when.

A lease is live until an event ends it; its time running out is such an event, so that no process's clock decides.
Look next: `projections.generations`, whose `lease` says which lease a generation is under.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationsLeased,
    JobKind,
    LeaseExpired,
    LeaseExtended,
    LeaseReleased,
    RedundantDeliveryPaid,
)
from projections.base import FoldError, Projection, known
from projections.queue import work_of

#: the facts that touch it
FACTS = (
    GenerationsLeased,
    LeaseExtended,
    LeaseReleased,
    LeaseExpired,
    GenerationDelivered,
    GenerationCensored,
    GenerationFailed,
    RedundantDeliveryPaid,
)


class LeaseState(StrEnum):
    """LIVE while the worker may deliver; then how it ended."""

    LIVE = "LIVE"
    SETTLED = "SETTLED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class Lease(msgspec.Struct, frozen=True, gc=False):
    """One worker's claim on generations of one job."""

    id: UUID
    job: UUID
    requester: UUID
    worker: UUID
    owner: UUID
    #: empty for interrogations
    model: str
    generations: tuple[UUID, ...]
    #: those not yet settled, failed or given back under this lease
    pending: tuple[UUID, ...]
    state: LeaseState
    taken_at: datetime
    expires_at: datetime
    #: what a generation under it earns, and the surcharge on it, in hundredths; none: the job's own price
    price: int | None = None
    surcharge: int = 0
    #: from when the next picture under it can have been drawn: it was taken then, or the one before came
    since: datetime | None = None
    kind: JobKind = JobKind.IMAGE
    #: what was delivered under it (`projections.queue.work_of`)
    done: int = 0


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The lease that an event touches."""
    event = fact.event
    assert isinstance(event, FACTS)
    return (event.lease,)


def evolve(key: UUID, row: Lease | None, fact: Fact) -> Lease | None:
    """The lease after a fact."""
    event = fact.event
    if isinstance(event, GenerationsLeased):
        return Lease(
            id=key,
            job=event.job,
            requester=event.requester,
            worker=event.worker,
            owner=event.owner,
            model=event.model,
            generations=event.generations,
            pending=event.generations,
            state=LeaseState.LIVE,
            taken_at=fact.occurred_at,
            expires_at=event.expires_at,
            price=event.price,
            surcharge=event.surcharge,
            since=fact.occurred_at,
            kind=event.kind,
        )
    lease = known(row, fact)
    match event:
        case LeaseExtended():
            return replace(lease, expires_at=event.expires_at)
        case LeaseReleased():
            return replace(lease, pending=(), state=LeaseState.RELEASED)
        case LeaseExpired():
            return replace(lease, pending=(), state=LeaseState.EXPIRED)
        case GenerationDelivered() | GenerationCensored() | GenerationFailed() | RedundantDeliveryPaid():
            left = tuple(g for g in lease.pending if g != event.generation)
            settled = not left and lease.state is LeaseState.LIVE
            state = LeaseState.SETTLED if settled else lease.state
            done = lease.done + (work_of(event) if isinstance(event, GenerationDelivered) else 0)
            return replace(lease, pending=left, state=state, since=fact.occurred_at, done=done)
        case _:
            message = f"{event.TYPE} is no fact about a lease"
            raise FoldError(message)


PROJECTION = Projection(
    "leases",
    4,
    Lease,
    FACTS,
    keys,
    evolve,
    indexes=(
        "(realm, job)",
        "(realm, expires_at) WHERE state = 'LIVE'",
        "(realm, worker) WHERE state = 'LIVE'",
    ),
)
