"""Generations: the units of work of a job, who does them and what came of them.

Look next: `projections.jobs`, `projections.leases`.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.base import Event, Fact
from events.images import PicturesTakenDown
from events.jobs import (
    FailureCause,
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationFailed,
    GenerationFaulted,
    GenerationsLeased,
    ImageJobSubmitted,
    InterrogationJobSubmitted,
    JobCancelled,
    JobExpired,
    LeaseReleased,
    RedundantDeliveryPaid,
    SourcesRefused,
    TextJobSubmitted,
)
from events.moderation import CaseDecided, CaseOpened
from events.sharing import PicturePublished, PicturesWithdrawn, PictureWithheld, WithheldReason
from projections.base import FoldError, Projection, known

#: facts about several generations at once, and about one
_SUBMISSIONS = (ImageJobSubmitted, TextJobSubmitted, InterrogationJobSubmitted)
_MANY = (
    *_SUBMISSIONS,
    GenerationsLeased,
    LeaseReleased,
    JobCancelled,
    JobExpired,
    SourcesRefused,
    PicturesWithdrawn,
)
_ONE = (
    FormReused,
    GenerationDelivered,
    RedundantDeliveryPaid,
    GenerationCensored,
    GenerationFailed,
    GenerationFaulted,
    PicturePublished,
    PictureWithheld,
    CaseOpened,
    CaseDecided,
)


class GenerationState(StrEnum):
    """Where a generation stands: the last four are final."""

    WAITING = "WAITING"
    PROCESSING = "PROCESSING"
    DONE = "DONE"
    CENSORED = "CENSORED"
    FAULTED = "FAULTED"
    CANCELLED = "CANCELLED"


class CaseState(StrEnum):
    """Where a moderator's case about a generation stands."""

    OPEN = "OPEN"
    UPHELD = "UPHELD"
    DISMISSED = "DISMISSED"


#: states of a report in which nobody may be shown the picture
HIDING = frozenset({CaseState.OPEN, CaseState.UPHELD})


class Generation(msgspec.Struct, frozen=True, gc=False):
    """One generation of a job. `lease`, `worker` and `model` are those of its last lease, or of its delivery."""

    id: UUID
    job: UUID
    #: place among the job's generations, from 0
    ordinal: int
    state: GenerationState
    lease: UUID | None
    worker: UUID | None
    model: str | None
    #: what the deliverer was paid, in hundredths; null while nothing was delivered
    reward: int | None
    #: position of the event that settled it
    settled: int | None
    etag: str | None
    #: version of the delivered object: its links lead there; empty where storage keeps none
    version: str | None
    #: (worker, owner) of each failed lease
    failures: tuple[tuple[UUID, UUID], ...]
    #: workers that it is not offered to again: they said they failed it, or twice let a lease run out
    barred: tuple[UUID, ...]
    #: leases whose redundant delivery was paid: (lease, reward)
    redundant: tuple[tuple[UUID, int], ...]
    sha256: str | None
    withheld: WithheldReason | None
    #: where the report about it stands, if there is one
    report: CaseState | None = None
    #: what is asked of a picture; none where that is no interrogation
    form: str | None = None
    #: the generation whose result was given again
    reused: UUID | None = None


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The generations that a fact touches."""
    event = fact.event
    if isinstance(event, PicturesTakenDown):
        return tuple(gone.picture for gone in event.pictures if gone.job is not None)
    if isinstance(event, _MANY):
        return event.generations
    assert isinstance(event, _ONE)
    return (event.generation,)


def evolve(key: UUID, row: Generation | None, fact: Fact) -> Generation | None:
    """The generation after a fact."""
    event = fact.event
    if isinstance(event, _SUBMISSIONS):
        return _submitted(key, event)
    generation = known(row, fact)
    match event:
        case GenerationsLeased():
            return replace(
                generation,
                state=GenerationState.PROCESSING,
                lease=event.lease,
                worker=event.worker,
                model=event.model,
            )
        case LeaseReleased():
            return _waiting_again(generation)
        case GenerationFailed():
            return _failed(_waiting_again(generation), event)
        case GenerationFaulted() | SourcesRefused():
            return replace(generation, state=GenerationState.FAULTED, settled=fact.position)
        case JobCancelled() | JobExpired():
            return replace(generation, state=GenerationState.CANCELLED, settled=fact.position)
        case GenerationDelivered() | GenerationCensored():
            return _settled(generation, event, fact)
        case FormReused():
            return replace(
                generation,
                state=GenerationState.DONE,
                reward=0,
                settled=fact.position,
                reused=event.reused,
            )
        case RedundantDeliveryPaid():
            return replace(generation, redundant=(*generation.redundant, (event.lease, event.price)))
        case _:
            return _shown(generation, event)


def _shown(generation: Generation, event: Event) -> Generation:
    """What became of the picture, and who may see it."""
    match event:
        case PicturePublished():
            return replace(generation, sha256=event.sha256)
        case PictureWithheld():
            return replace(generation, withheld=event.reason)
        case PicturesWithdrawn():
            return replace(generation, sha256=None, withheld=event.reason)
        case PicturesTakenDown():
            return replace(generation, sha256=None, withheld=WithheldReason.TAKEN_DOWN)
        case CaseOpened():
            return replace(generation, report=CaseState.OPEN)
        case CaseDecided():
            return replace(generation, report=CaseState(event.verdict.value))
        case _:
            message = f"{event.TYPE} is no fact about a generation"
            raise FoldError(message)


def _submitted(
    key: UUID, event: ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted
) -> Generation:
    ordinal = event.generations.index(key)
    return Generation(
        id=key,
        job=event.job,
        ordinal=ordinal,
        state=GenerationState.WAITING,
        lease=None,
        worker=None,
        model=None,
        reward=None,
        settled=None,
        etag=None,
        version=None,
        failures=(),
        barred=(),
        redundant=(),
        sha256=None,
        withheld=None,
        form=event.forms[ordinal] if isinstance(event, InterrogationJobSubmitted) else None,
    )


def _failed(generation: Generation, event: GenerationFailed) -> Generation:
    before = sum(worker == event.worker for worker, _ in generation.failures)
    barred = generation.barred
    if event.worker not in barred and (before or event.cause is FailureCause.REPORTED_BY_WORKER):
        barred = (*barred, event.worker)
    return replace(generation, failures=(*generation.failures, (event.worker, event.owner)), barred=barred)


def _waiting_again(generation: Generation) -> Generation:
    return replace(generation, state=GenerationState.WAITING, lease=None, worker=None, model=None)


def _settled(
    generation: Generation, event: GenerationDelivered | GenerationCensored, fact: Fact
) -> Generation:
    delivered = isinstance(event, GenerationDelivered)
    return replace(
        generation,
        state=GenerationState.DONE if delivered else GenerationState.CENSORED,
        lease=event.lease,
        worker=event.worker,
        model=event.model,
        reward=0 if event.owner == event.requester else event.price,
        etag=event.etag if isinstance(event, GenerationDelivered) else None,
        version=event.version if isinstance(event, GenerationDelivered) else None,
        settled=fact.position,
    )


PROJECTION = Projection(
    "generations",
    4,
    Generation,
    (*_MANY, *_ONE, PicturesTakenDown),
    keys,
    evolve,
    indexes=("(realm, job)",),
)
