"""Jobs: where each stands, what it reserves and costs, and what the queue needs to know of it.

Amounts are hundredths of kudos, sizes pixels, lease lengths seconds. Look next: `projections.generations` for its
units of work, `projections.queue` for what of a job waits where.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Event, Fact
from events.jobs import (
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationFaulted,
    GenerationsLeased,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    ImageJobSubmitted,
    InterrogationJobSubmitted,
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
    TextJobSubmitted,
    generations_of,
)
from events.moderation import CaseDecided, CaseOpened, Verdict
from events.sharing import PicturesWithdrawn, ShareConsentWithdrawn, WithheldReason
from projections.base import FoldError, Projection, known
from projections.queue import WORK, form_model, plain_requirements, requirement_mask, text_size

FINAL = frozenset({JobState.DONE, JobState.FAULTED, JobState.CANCELLED, JobState.EXPIRED})

#: the facts that touch it
FACTS = (
    ImageJobSubmitted,
    TextJobSubmitted,
    InterrogationJobSubmitted,
    FormReused,
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
    #: what a worker must be able to hold at a time (`projections.queue.size`)
    size: int
    #: what one generation makes to do at most, in the unit of its kind (`projections.queue.WORK`)
    work: int
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
    #: of an interrogation what is not settled: (generation, what of the queue's models serves it, whether it waits)
    forms: tuple[tuple[UUID, str, bool], ...] = ()
    #: what a text worker must have; none: nothing
    soft_prompt: str | None = None

    @property
    def cost(self) -> int:
        """What one generation costs at most."""
        return self.price + self.surcharge + self.tax

    def owed_without(self, dropped: Collection[UUID]) -> int:
        """What its generations that are not settled may still cost at most, but for some of them."""
        if self.kind is not JobKind.INTERROGATION:
            return (self.open - len(dropped)) * self.cost
        prices = {model: price + surcharge + self.tax for model, price, surcharge in self.offers}
        return sum(prices[model] for generation, model, _ in self.forms if generation not in dropped)

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
    if isinstance(event, ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted):
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
            return replace(job, fetching=False, size=event.tiles or job.size, active_at=fact.occurred_at)
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


def _submitted(event: ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted, fact: Fact) -> Job:
    n = len(event.generations)
    shape = _shape(event)
    return Job(
        id=event.job,
        requester=event.requester,
        kind=event.kind,
        state=JobState.WAITING,
        n=n,
        waiting=n,
        processing=0,
        done=0,
        censored=0,
        faulted=0,
        cancelled=0,
        models=shape.models,
        size=shape.size,
        work=shape.work,
        mask=requirement_mask(requirements_of(event)),
        nsfw=event.nsfw,
        shared=isinstance(event, ImageJobSubmitted) and event.shared,
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
        batching=isinstance(event, InterrogationJobSubmitted) or event.batching,
        fetching=not isinstance(event, TextJobSubmitted) and event.fetching,
        forms=shape.forms,
        soft_prompt=event.soft_prompt if isinstance(event, TextJobSubmitted) else None,
    )


class _Shape(msgspec.Struct, frozen=True):
    """What of a job depends on its kind."""

    models: tuple[str, ...]
    size: int
    work: int
    forms: tuple[tuple[UUID, str, bool], ...] = ()


def _shape(event: ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted) -> _Shape:
    offered = tuple(model for model, _, _ in event.offers)
    match event:
        case ImageJobSubmitted():
            pixels = event.width * event.height
            return _Shape(offered or event.models, pixels, pixels * event.accurate_steps)
        case TextJobSubmitted():
            size = text_size(event.max_context_length, event.max_length)
            return _Shape(offered, size, event.max_length * WORK)
        case InterrogationJobSubmitted():
            forms = zip(event.generations, map(form_model, event.forms), strict=True)
            waiting = tuple((generation, model, True) for generation, model in forms)
            return _Shape(_waiting_models(waiting), event.tiles, WORK, waiting)


def _waiting_models(forms: tuple[tuple[UUID, str, bool], ...]) -> tuple[str, ...]:
    return tuple(sorted({model for _, model, waits in forms if waits}))


def requirements_of(
    event: ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted,
) -> tuple[str, ...]:
    """The names of what a job requires of a worker."""
    if not isinstance(event, ImageJobSubmitted):
        return event.requirements
    if event.requirements is not None:
        return event.requirements
    return plain_requirements(nsfw=event.nsfw, post_processing=bool(event.post_processing))


def _moved(job: Job, fact: Fact) -> Job:
    """The counts after generations changed their state."""
    match event := fact.event:
        case GenerationsLeased():
            taken = len(event.generations)
            job = replace(job, waiting=job.waiting - taken, processing=job.processing + taken)
        case LeaseReleased() | GenerationFailed():
            back = len(generations_of(event))
            job = replace(job, waiting=job.waiting + back, processing=job.processing - back)
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
        case FormReused():
            job = replace(job, waiting=job.waiting - 1, done=job.done + 1)
        case GenerationCensored():
            job = replace(job, processing=job.processing - 1)
            job = replace(job, censored=job.censored + 1, charged=job.charged + event.charged)
        case JobCancelled() | JobExpired():
            gone = len(event.generations)
            state = JobState.CANCELLED if isinstance(event, JobCancelled) else JobState.EXPIRED
            job = replace(job, waiting=job.waiting - gone, cancelled=job.cancelled + gone, state=state)
        case _:
            message = f"{event.TYPE} is no fact about a job"
            raise FoldError(message)
    if job.forms:
        job = _with_forms(job, fact.event)
    return replace(job, active_at=fact.occurred_at, state=_state(job))


def _with_forms(job: Job, event: Event) -> Job:
    """Which forms are open, and which of them wait: what serves the job in the queue are the latter."""
    moved = generations_of(event)
    waiting: bool | None = None
    if isinstance(event, GenerationsLeased):
        waiting = False
    elif isinstance(event, LeaseReleased | GenerationFailed):
        waiting = True
    forms = tuple(
        (generation, model, waits if generation not in moved else bool(waiting))
        for generation, model, waits in job.forms
        if waiting is not None or generation not in moved
    )
    return replace(job, forms=forms, models=_waiting_models(forms))


def _state(job: Job) -> JobState:
    if job.state in FINAL:
        return job.state
    return JobState.PROCESSING if job.processing or job.done or job.censored else JobState.WAITING


def _total(job: Job) -> int:
    return job.waiting + job.processing + job.done + job.censored + job.faulted + job.cancelled


PROJECTION = Projection(
    "jobs",
    6,
    Job,
    FACTS,
    keys,
    evolve,
    indexes=(
        "(realm, requester, position DESC)",
        "(realm, requester, rank DESC, position) WHERE waiting > 0 AND state IN ('WAITING', 'PROCESSING')",
        # its last condition keeps it from searches by requester, for which it would read the whole queue
        "(realm, kind, rank DESC, position) WHERE waiting > 0 AND state IN ('WAITING', 'PROCESSING') AND rank IS NOT NULL",
        "(realm, active_at) WHERE ended_at IS NULL",
    ),
)
