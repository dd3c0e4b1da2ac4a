"""Facts about jobs: submission, holds, leases, deliveries and the ways a generation or job ends.

No prompt, seed or other words of a client are here; those are rows of the vault. Amounts are hundredths of
kudos. Look next: `projections.jobs`, `projections.generations`, `projections.leases`, `app.jobs.decider`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from events.base import Event, Postings


class JobKind(StrEnum):
    """What a job asks for."""

    IMAGE = "IMAGE"
    TEXT = "TEXT"
    INTERROGATION = "INTERROGATION"


class JobState(StrEnum):
    """Where a job stands: the last four are final."""

    WAITING = "WAITING"
    PROCESSING = "PROCESSING"
    DONE = "DONE"
    FAULTED = "FAULTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class InterrogationForm(StrEnum):
    """What can be told of a picture; besides these, every post-processor is a form."""

    CAPTION = "caption"
    NSFW = "nsfw"
    INTERROGATION = "interrogation"
    VECTORIZE = "vectorize"
    PALETTE = "palette"
    DESCRIBE = "describe"
    AESTHETIC = "aesthetic"


class SourceProcessing(StrEnum):
    """What a worker does with a source image."""

    IMG2IMG = "img2img"
    INPAINTING = "inpainting"
    OUTPAINTING = "outpainting"
    REMIX = "remix"


class SourceFault(StrEnum):
    """Why a source could not be had, so that its job was given up."""

    UNREACHABLE = "UNREACHABLE"
    FORBIDDEN_ADDRESS = "FORBIDDEN_ADDRESS"
    TOO_SLOW = "TOO_SLOW"
    TOO_LARGE = "TOO_LARGE"
    NO_IMAGE = "NO_IMAGE"
    NO_MASK = "NO_MASK"


class CensorCause(StrEnum):
    """Why a worker delivered no picture although it did the work."""

    CENSORED = "CENSORED"
    CSAM = "CSAM"


class FailureCause(StrEnum):
    """How a lease on a generation failed."""

    LEASE_EXPIRED = "LEASE_EXPIRED"
    REPORTED_BY_WORKER = "REPORTED_BY_WORKER"
    #: the worker could not have delivered: the server was away when its time ran out, or storage was when it gave up
    SERVER_AWAY = "SERVER_AWAY"
    STORAGE_AWAY = "STORAGE_AWAY"


class JobEvent(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact on the stream of one job, about its requester."""

    job: UUID
    requester: UUID

    def stream(self) -> str:
        """The stream it is appended to."""
        return f"job-{self.job}"

    def subject(self) -> UUID | None:
        """Whom it is about."""
        return self.requester


class ImageJobSubmitted(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client asked for pictures, and the server promised what they will cost at most."""

    TYPE: ClassVar[str] = "jobs.ImageJobSubmitted"
    kind: ClassVar[JobKind] = JobKind.IMAGE

    generations: tuple[UUID, ...]
    #: any of these will do; none means any model at all
    models: tuple[str, ...]
    width: int
    height: int
    steps: int
    accurate_steps: int
    sampler: str
    cfg_scale: float
    karras: bool
    tiling: bool
    hires_fix: bool
    clip_skip: int
    post_processing: tuple[str, ...]
    nsfw: bool
    shared: bool
    #: the version of the price book that the quote was made with
    price_book: int
    #: the worker's reward for each generation by the dearest offer, and the flat tax on it, in hundredths
    price: int
    tax: int
    #: the itemised quote, (label, hundredths), in sum (price + surcharge + tax) x generations
    quote: tuple[tuple[str, int], ...]
    #: what the requester had available before this job's hold, in hundredths
    priority: int
    #: 0 registered, 1 anonymous: a lower tier is always served first
    tier: int
    #: the constant key of the queue: higher is served first (see `app.ledger.priority`)
    rank: int
    #: seconds that a lease on one generation lasts
    lease_seconds: int
    #: what is done with the source image; none: the pictures are made from words alone
    source_processing: SourceProcessing | None = None
    #: a picture came with it that says what of the source may change
    source_mask: bool = False
    #: further source images, for remixes
    extra_sources: int = 0
    #: how much of the source a worker may change, from 0 to 1
    denoising_strength: float | None = None
    #: what of the source a ControlNet holds fast
    control_type: str | None = None
    #: how many LoRAs; which ones are words of the client
    loras: int = 0
    #: how many textual inversions
    textual_inversions: int = 0
    #: a named chain of steps that workers know
    workflow: str | None = None
    #: drawn with a transparent background
    transparent: bool = False
    #: what a worker must allow to serve it, by the names in `projections.queue`; none in jobs from before they had names
    requirements: tuple[str, ...] | None = None
    #: (model or set of models, the worker's reward, surcharge) for each that may serve, a generation, in hundredths;
    #: empty where every model costs `price`
    offers: tuple[tuple[str, int, int], ...] = ()
    #: what the requester pays for a generation on top of `price` and `tax`, burnt: the most of any offer
    surcharge: int = 0
    #: only these workers may serve it; empty: all
    allowed_workers: tuple[UUID, ...] = ()
    #: none of these may
    denied_workers: tuple[UUID, ...] = ()
    #: whether a worker may draw several of its generations as one batch
    batching: bool = True
    #: its sources are still to be fetched: it is queued when they are there
    fetching: bool = False
    #: made smaller than was asked for, as the client allowed, because the kudos were short
    downgraded: bool = False


class _WorkSubmitted(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is recorded of every job that asks for words, whatever their kind."""

    generations: tuple[UUID, ...]
    nsfw: bool
    #: the version of the price book that the quote was made with
    price_book: int
    #: the worker's reward for a generation by the dearest offer, at most, and the flat tax on it, in hundredths
    price: int
    tax: int
    #: the itemised quote, (label, hundredths): what all generations cost at most
    quote: tuple[tuple[str, int], ...]
    #: (what of the queue's models may serve it, the worker's reward, surcharge) for each, a generation, in hundredths
    offers: tuple[tuple[str, int, int], ...]
    #: what the requester pays for a generation on top of `price` and `tax`, burnt: the most of any offer
    surcharge: int
    #: what the requester had available before this job's hold, in hundredths
    priority: int
    #: 0 registered, 1 anonymous: a lower tier is always served first
    tier: int
    #: the constant key of the queue: higher is served first (see `app.ledger.priority`)
    rank: int
    #: seconds that a lease on one generation lasts
    lease_seconds: int
    #: what a worker must allow to serve it, by the names in `projections.queue`
    requirements: tuple[str, ...]
    #: only these workers may serve it; empty: all
    allowed_workers: tuple[UUID, ...] = ()
    #: none of these may
    denied_workers: tuple[UUID, ...] = ()


class TextJobSubmitted(_WorkSubmitted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client asked for texts, and the server promised what they will cost at most."""

    TYPE: ClassVar[str] = "jobs.TextJobSubmitted"
    kind: ClassVar[JobKind] = JobKind.TEXT

    #: any of these will do; none means any model at all
    models: tuple[str, ...]
    #: tokens that are written at most
    max_length: int
    #: tokens that are read at most, those of the prompt and of what is written
    max_context_length: int
    #: tokens of the prompt as they are estimated for the price
    prompt_tokens: int
    #: by name, as workers declare them; none: plain
    soft_prompt: str | None = None
    #: whether a worker may write several of its generations at once
    batching: bool = True
    #: made smaller than was asked for, as the client allowed, because the kudos were short
    downgraded: bool = False


class InterrogationJobSubmitted(_WorkSubmitted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client asked what a picture shows, or for what becomes of it: one generation a form."""

    TYPE: ClassVar[str] = "jobs.InterrogationJobSubmitted"
    kind: ClassVar[JobKind] = JobKind.INTERROGATION

    #: the form of each generation: one of `InterrogationForm`, or a post-processor
    forms: tuple[str, ...]
    #: squares of 512 x 512 pixels that the source takes up, each begun one counting; 0 until it is fetched
    tiles: int
    #: its source is still to be fetched: it is queued when it is there
    fetching: bool = False


class FormReused(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked of a picture was told before: the result is given again, free."""

    TYPE: ClassVar[str] = "jobs.FormReused"
    kind: ClassVar[JobKind] = JobKind.INTERROGATION

    generation: UUID
    #: the generation whose result it is
    reused: UUID


class SourcesFetched(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sources of a job are there and are pictures: it is queued."""

    TYPE: ClassVar[str] = "jobs.SourcesFetched"

    #: of an interrogation, the squares of 512 x 512 pixels that its source takes up; 0 of other kinds
    tiles: int = 0


class SourcesRefused(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source could not be had: its job is given up, and its generations are faulted."""

    TYPE: ClassVar[str] = "jobs.SourcesRefused"

    generations: tuple[UUID, ...]
    cause: SourceFault
    kind: JobKind = JobKind.IMAGE


class HoldPlaced(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of the requester's balance was reserved for a job."""

    TYPE: ClassVar[str] = "jobs.HoldPlaced"

    amount: int


class HoldCaptured(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a job's hold was spent on a delivery."""

    TYPE: ClassVar[str] = "jobs.HoldCaptured"

    generation: UUID
    amount: int


class HoldReleased(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a job's hold is no longer needed and available again."""

    TYPE: ClassVar[str] = "jobs.HoldReleased"

    amount: int


class GenerationsLeased(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker took generations of a job and has until `expires_at` to deliver them."""

    TYPE: ClassVar[str] = "jobs.GenerationsLeased"

    lease: UUID
    worker: UUID
    owner: UUID
    generations: tuple[UUID, ...]
    model: str
    expires_at: datetime
    #: what a generation drawn with this model earns, and the surcharge on it; none: the job's own
    price: int | None = None
    #: what the requester pays on top, at most, burnt
    surcharge: int = 0
    kind: JobKind = JobKind.IMAGE


class LeaseExtended(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker that is still at work was given more time."""

    TYPE: ClassVar[str] = "jobs.LeaseExtended"

    lease: UUID
    expires_at: datetime


class LeaseReleased(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker gave back generations that it will not do. This is no failure."""

    TYPE: ClassVar[str] = "jobs.LeaseReleased"

    lease: UUID
    worker: UUID
    generations: tuple[UUID, ...]
    kind: JobKind = JobKind.IMAGE


class LeaseExpired(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lease ran out before all of its generations were delivered."""

    TYPE: ClassVar[str] = "jobs.LeaseExpired"

    lease: UUID
    worker: UUID


class GenerationDelivered(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker delivered a picture that is there and looks like one, or words; it was paid."""

    TYPE: ClassVar[str] = "jobs.GenerationDelivered"

    generation: UUID
    lease: UUID
    worker: UUID
    owner: UUID
    model: str
    #: entity tag of the stored object: later copies are conditional on it; empty of words
    etag: str
    #: version of the stored object, which later uploads do not replace; empty where storage keeps none
    version: str = ""
    #: width x height x accurate steps; 0 of what is no picture
    pixelsteps: int
    #: the lease had ended and nobody else had taken the generation: it went from waiting straight to done
    waited: bool
    #: the worker's reward, the tax, what the requester was charged and how much of that the floor covered
    price: int
    tax: int
    charged: int
    covered: int
    postings: Postings
    #: burnt on top of price and tax
    surcharge: int = 0
    #: how much of the reward waits in the owner's escrow
    escrowed: int = 0
    #: from when its drawing can have begun, under this lease, to its delivery; none where nobody knows
    took_milliseconds: int | None = None
    #: the team that the worker was in when it delivered
    team: UUID | None = None
    kind: JobKind = JobKind.IMAGE
    #: tokens of a text, as they are estimated from its length
    tokens: int = 0
    #: what an interrogation was about; none of other kinds
    form: str | None = None


class RedundantDeliveryPaid(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker delivered under its live lease what a late delivery had settled; the late subsidy paid it."""

    TYPE: ClassVar[str] = "jobs.RedundantDeliveryPaid"

    generation: UUID
    lease: UUID
    worker: UUID
    owner: UUID
    price: int
    postings: Postings
    #: how much of the reward waits in the owner's escrow
    escrowed: int = 0
    kind: JobKind = JobKind.IMAGE


class GenerationCensored(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker did the work and withheld the picture; the subsidy paid it and the requester paid the tax."""

    TYPE: ClassVar[str] = "jobs.GenerationCensored"

    generation: UUID
    lease: UUID
    worker: UUID
    owner: UUID
    model: str
    cause: CensorCause
    price: int
    tax: int
    charged: int
    covered: int
    postings: Postings
    #: how much of the reward waits in the owner's escrow
    escrowed: int = 0
    #: the team that the worker was in when it delivered
    team: UUID | None = None
    kind: JobKind = JobKind.IMAGE


class GenerationFailed(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lease on a generation came to nothing; the generation waits again, or is faulted by the next event."""

    TYPE: ClassVar[str] = "jobs.GenerationFailed"

    generation: UUID
    lease: UUID
    worker: UUID
    owner: UUID
    cause: FailureCause
    kind: JobKind = JobKind.IMAGE


class GenerationFaulted(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generation failed three times with at least two owners, and was given up."""

    TYPE: ClassVar[str] = "jobs.GenerationFaulted"

    generation: UUID
    kind: JobKind = JobKind.IMAGE


class JobCancelled(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client wants no more of a job: its waiting generations are cancelled, running ones may still deliver."""

    TYPE: ClassVar[str] = "jobs.JobCancelled"

    generations: tuple[UUID, ...]
    kind: JobKind = JobKind.IMAGE


class JobExpired(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nobody served a job for too long: its waiting generations are given up."""

    TYPE: ClassVar[str] = "jobs.JobExpired"

    generations: tuple[UUID, ...]
    kind: JobKind = JobKind.IMAGE


class JobEnded(JobEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing of a job waits or runs any more."""

    TYPE: ClassVar[str] = "jobs.JobEnded"

    state: JobState


def kind_of(event: Event) -> JobKind:
    """The kind of the job that an event of generations is about."""
    kind: JobKind = getattr(event, "kind", JobKind.IMAGE)
    return kind


def generations_of(event: Event) -> tuple[UUID, ...]:
    """The generations that an event of a job is about; none for events about the job alone."""
    many: tuple[UUID, ...] | None = getattr(event, "generations", None)
    one: UUID | None = getattr(event, "generation", None)
    return many if many is not None else () if one is None else (one,)


EVENTS: tuple[type[Event], ...] = (
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
    RedundantDeliveryPaid,
    GenerationCensored,
    GenerationFailed,
    GenerationFaulted,
    JobCancelled,
    JobExpired,
    JobEnded,
)
