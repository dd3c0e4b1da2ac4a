"""Jobs: where each stands, what it reserves and costs, and what the queue needs to know of it.

Amounts are hundredths of kudos, sizes pixels, lease lengths seconds. Look next: `projections.generations` for its
units of work, `projections.queue` for what of a job waits where.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Fact
from events.jobs import (
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationFaulted,
    GenerationsLeased,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    ImageJobSubmitted,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobKind,
    JobState,
    LeaseExpired,
    LeaseExtended,
    LeaseReleased,
    SourceFault,
    SourcesFetched,
    SourcesRefused,
)
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.sharing import PicturesWithdrawn, ShareConsentWithdrawn, WithheldReason
from projections.base import FoldError, Projection, known
from projections.queue import plain_requirements, requirement_mask

FINAL = frozenset({JobState.DONE, JobState.FAULTED, JobState.CANCELLED, JobState.EXPIRED})

#: the facts that touch it
FACTS = (
    ImageJobSubmitted,
    SourcesFetched,
    SourcesRefused,
    HoldPlaced,
    HoldCaptured,
    HoldReleased,
    GenerationsLeased,
    LeaseExtended,
    LeaseReleased,
    LeaseExpired,
    GenerationDelivered,
    GenerationCensored,
    GenerationFailed,
    GenerationFaulted,
    JobCancelled,
    JobExpired,
    JobEnded,
    ShareConsentWithdrawn,
    CaseOpened,
    CaseDecided,
    PicturesWithdrawn,
)


class Job(msgspec.Struct, frozen=True, gc=False):
    """One job. Counts are of its generations and add up to `n`."""

    id: UUID
    requester: UUID
    kind: JobKind
    state: JobState
    n: int
    waiting: int
    processing: int
    done: int
    censored: int
    faulted: int
    cancelled: int
    #: models, and sets of models, that may serve it; none means any model at all
    models: tuple[str, ...]
    pixels: int
    #: pixels x accurate steps of one generation
    pixelsteps: int
    #: requirement bits (see `projections.queue`)
    mask: int
    nsfw: bool
    shared: bool
    price_book: int
    price: int
    tax: int
    quote: tuple[tuple[str, int], ...]
    #: what is still reserved for this job
    held: int
    #: what it has cost so far, whether or not the balance could cover it
    charged: int
    tier: int
    rank: int
    lease_seconds: int
    #: position of its submission: of equal ranks the lower is served first
    position: int
    submitted_at: datetime
    #: last submission, lease, delivery or failure: jobs nobody touches expire
    active_at: datetime
    ended_at: datetime | None
    #: why nothing (more) of it is shared, though it was to be
    unshared: WithheldReason | None = None
    #: whether something of it that is not to be shared any more may still be in the shared bucket
    withdrawing: bool = False
    #: what the requester pays for a generation on top of price and tax, at most
    surcharge: int = 0
    #: (model or set of models, reward, surcharge) for each that may serve; empty: every model at `price`
    offers: tuple[tuple[str, int, int], ...] = ()
    #: only these workers may serve it, or all but those
    allowed_workers: tuple[UUID, ...] = ()
    denied_workers: tuple[UUID, ...] = ()
    batching: bool = True
    #: its sources are still to be fetched: nothing of it is queued yet
    fetching: bool = False
    #: why it was given up, if that was for a source
    source_fault: SourceFault | None = None

    @property
    def cost(self) -> int:
        """What one generation costs at most."""
        return self.price + self.surcharge + self.tax

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.ended_at is not None

    @property
    def closed(self) -> bool:
        """Whether nothing of it will ever be offered again."""
        return self.state in FINAL

    @property
    def open(self) -> int:
        """How many of its generations are not settled."""
        return self.waiting + self.processing


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The job that an event touches."""
    event = fact.event
    assert isinstance(event, FACTS)
    return (event.job,)


def evolve(key: UUID, row: Job | None, fact: Fact) -> Job | None:
    """The job after a fact."""
    event = fact.event
    if isinstance(event, ImageJobSubmitted):
        return _submitted(event, fact)
    job = known(row, fact)
    match event:
        case HoldPlaced():
            moved = replace(job, held=job.held + event.amount)
        case HoldCaptured() | HoldReleased():
            moved = replace(job, held=job.held - event.amount)
        case LeaseExpired() | LeaseExtended():
            return replace(job, active_at=fact.occurred_at)
        case SourcesFetched():
            return replace(job, fetching=False, active_at=fact.occurred_at)
        case JobEnded():
            return replace(job, state=event.state, ended_at=fact.occurred_at)
        case ShareConsentWithdrawn() | CaseOpened() | CaseDecided() | PicturesWithdrawn():
            return _unshared(job, event)
        case _:
            moved = _moved(job, fact)
    if min(moved.waiting, moved.processing, moved.held) < 0 or moved.n != _total(moved):
        message = f"job {key} does not add up after {fact.position}"
        raise FoldError(message)
    return moved


def _unshared(job: Job, event: ShareConsentWithdrawn | CaseOpened | CaseDecided | PicturesWithdrawn) -> Job:
    """A report is about one picture; upheld, it ends the sharing of all. The first reason stays, for good."""
    match event:
        case PicturesWithdrawn():
            return replace(job, withdrawing=False)
        case CaseOpened():
            return replace(job, withdrawing=job.shared)
        case CaseDecided():
            if event.verdict is Verdict.DISMISSED:
                return job
            reason = WithheldReason.REPORTED
        case _:
            reason = WithheldReason.CONSENT_WITHDRAWN
    return replace(job, unshared=job.unshared or reason, withdrawing=job.shared)


def _submitted(event: ImageJobSubmitted, fact: Fact) -> Job:
    n = len(event.generations)
    pixels = event.width * event.height
    return Job(
        id=event.job,
        requester=event.requester,
        kind=JobKind.IMAGE,
        state=JobState.WAITING,
        n=n,
        waiting=n,
        processing=0,
        done=0,
        censored=0,
        faulted=0,
        cancelled=0,
        models=tuple(model for model, _, _ in event.offers) or event.models,
        pixels=pixels,
        pixelsteps=pixels * event.accurate_steps,
        mask=requirement_mask(requirements_of(event)),
        nsfw=event.nsfw,
        shared=event.shared,
        price_book=event.price_book,
        price=event.price,
        tax=event.tax,
        quote=event.quote,
        held=0,
        charged=0,
        tier=event.tier,
        rank=event.rank,
        lease_seconds=event.lease_seconds,
        position=fact.position,
        submitted_at=fact.occurred_at,
        active_at=fact.occurred_at,
        ended_at=None,
        surcharge=event.surcharge,
        offers=event.offers,
        allowed_workers=event.allowed_workers,
        denied_workers=event.denied_workers,
        batching=event.batching,
        fetching=event.fetching,
    )


def requirements_of(event: ImageJobSubmitted) -> tuple[str, ...]:
    """The names of what a job requires of a worker."""
    if event.requirements is not None:
        return event.requirements
    return plain_requirements(nsfw=event.nsfw, post_processing=bool(event.post_processing))


def _moved(job: Job, fact: Fact) -> Job:
    """The counts after generations changed their state."""
    match event := fact.event:
        case GenerationsLeased():
            taken = len(event.generations)
            job = replace(job, waiting=job.waiting - taken, processing=job.processing + taken)
        case LeaseReleased():
            back = len(event.generations)
            job = replace(job, waiting=job.waiting + back, processing=job.processing - back)
        case GenerationFailed():
            job = replace(job, waiting=job.waiting + 1, processing=job.processing - 1)
        case GenerationFaulted():
            job = replace(job, waiting=job.waiting - 1, faulted=job.faulted + 1)
        case SourcesRefused():
            gone = len(event.generations)
            job = replace(
                job,
                waiting=job.waiting - gone,
                faulted=job.faulted + gone,
                fetching=False,
                source_fault=event.cause,
                state=JobState.FAULTED,
            )
        case GenerationDelivered():
            back = int(event.waited)
            job = replace(job, waiting=job.waiting - back, processing=job.processing - 1 + back)
            job = replace(job, done=job.done + 1, charged=job.charged + event.charged)
        case GenerationCensored():
            job = replace(job, processing=job.processing - 1)
            job = replace(job, censored=job.censored + 1, charged=job.charged + event.charged)
        case JobCancelled():
            gone = len(event.generations)
            job = replace(
                job, waiting=job.waiting - gone, cancelled=job.cancelled + gone, state=JobState.CANCELLED
            )
        case JobExpired():
            gone = len(event.generations)
            job = replace(
                job, waiting=job.waiting - gone, cancelled=job.cancelled + gone, state=JobState.EXPIRED
            )
        case _:
            message = f"{event.TYPE} is no fact about a job"
            raise FoldError(message)
    return replace(job, active_at=fact.occurred_at, state=_state(job))


def _state(job: Job) -> JobState:
    if job.state in FINAL:
        return job.state
    return JobState.PROCESSING if job.processing or job.done or job.censored else JobState.WAITING


def _total(job: Job) -> int:
    return job.waiting + job.processing + job.done + job.censored + job.faulted + job.cancelled


PROJECTION = Projection(
    "jobs",
    4,
    Job,
    FACTS,
    keys,
    evolve,
    indexes=(
        "(realm, requester, position DESC)",
        "(realm, requester, rank DESC, position) WHERE waiting > 0 AND state IN ('WAITING', 'PROCESSING')",
        # its last condition keeps it from searches by requester, for which it would read the whole queue
        "(realm, rank DESC, position) WHERE waiting > 0 AND state IN ('WAITING', 'PROCESSING') AND rank IS NOT NULL",
        "(realm, active_at) WHERE ended_at IS NULL",
    ),
)
