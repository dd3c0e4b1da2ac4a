"""What waits where: requirement classes, and whether a worker may serve a job. Pure.

A job's constraints fold into a small class for each model, or set of models, that may serve it: (model, audience, mask,
size). The queue keeps each class's best rank, so that a pop looks at the heads of the classes it can serve and never
at the jobs behind them. The audience is everybody, one worker of a job's allow-list, or everybody but those on its
deny-list. A model that begins with `*` stands for any model of a family, or for what other kinds of workers serve (a
text model, any text model of a class, a form of interrogation), and "" for any image model at all. Two more
summaries of the waiting jobs are kept the same way: *demand* (how much waits for which set of models) and a *histogram*
of ranks. All are derived from job rows, not folded, and audited. What does not fold into a class (words of a blacklist,
a failure here before) is looked at for a bounded number of candidates. Look next: `projections.store.derived` for their
tables, `app.ledger.priority` for the rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import msgspec

from events.jobs import GenerationDelivered, JobKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from projections.jobs import Job

#: What a job may require of a worker, by its name in the log, as bits of a mask: a worker serves a job only if it
#: allows each of them. A name keeps its bit for ever. The first of those that a worker lacks is what its owner is told.
REQUIREMENTS: Final[dict[str, int]] = {
    name: 1 << bit
    for bit, name in enumerate(
        (
            "nsfw",
            "post_processing",
            # a source image; a mask or new margins; several sources
            "img2img",
            "painting",
            "extra_sources",
            "lora",
            "textual_inversion",
            "controlnet",
            # ControlNet, workflows and transparency with SDXL models
            "sdxl_controlnet",
            # a supplied control map, or one that is to be returned
            "control_map",
            "qr_code",
            "transparent",
            "hires_fix",
            # a second pass with Stable Cascade
            "cascade_2pass",
            "tiling",
            "clip_skip",
            "lcm",
            # post-processors that came late
            "modern_post_processing",
            # more steps than the models' usual ones
            "many_steps",
            # the client's address is one that the operator's list calls unsafe; and nobody trusts the client
            "unsafe_address",
            "untrusted_unsafe_address",
            # the requester is not trusted; had not the whole quote in hand
            "untrusted_requester",
            "not_covered",
            # the client wants trusted workers, no slow ones, no extra slow ones
            "trusted_worker",
            "not_slow",
            "not_extra_slow",
            # a soft prompt; which one is looked at job by job
            "soft_prompt",
            # a program that is known to measure its texts rightly
            "validated_backend",
        )
    )
}
#: what a worker's owner and standing allow, whatever it declares
STANDING_REQUIREMENTS: Final = frozenset(
    {"trusted_worker", "untrusted_unsafe_address", "not_slow", "validated_backend"}
)
NSFW: Final = REQUIREMENTS["nsfw"]
POST_PROCESSING: Final = REQUIREMENTS["post_processing"]
#: what a worker that was declared before requirements had names allows besides
ALLOWED_BEFORE: Final = (
    "untrusted_requester",
    "not_covered",
    "unsafe_address",
    "not_extra_slow",
    "hires_fix",
    "tiling",
    "clip_skip",
)

#: width of a histogram bucket in units of rank: about one second of age (`app.ledger.priority`)
BUCKET = 500_000

#: any image model at all, in jobs from before families had names
ANY_MODEL = ""
#: what one token or form is in a job's `work` and a worker's `speed`, so that slow workers' are not nought; of images
#: these are width x height x accurate steps
WORK: Final = 1_000
#: sizes have two parts, neither of which may be larger than what a worker holds: the upper is a text's context
_PART: Final = 32
_LOWER: Final = (1 << _PART) - 1


#: what the requester has not is no matter to its own workers, or to those who call it a friend
WAIVED: Final = REQUIREMENTS["untrusted_requester"] | REQUIREMENTS["not_covered"]

#: for whom a job waits: everybody, `+worker` for one of its allow-list, or all but those on its deny-list
EVERYBODY = ""
ALL_BUT = "-"
#: in the counts of denials: all jobs of a class that deny somebody
ANYBODY: Final = UUID(int=0)


class Server(Protocol):
    """What matching needs to know of a worker that asks for work."""

    @property
    def kind(self) -> JobKind:
        """What it serves."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models it serves, and the families they are of."""

    @property
    def max_size(self) -> int:
        """The largest job that it holds."""

    @property
    def allowed(self) -> int:
        """The requirement bits it allows."""


class Work(Protocol):
    """What matching needs to know of a job."""

    @property
    def kind(self) -> JobKind:
        """What it asks for."""

    @property
    def requester(self) -> UUID:
        """Whose it is."""

    @property
    def models(self) -> tuple[str, ...]:
        """Models and families that may serve it; none means any."""

    @property
    def mask(self) -> int:
        """The requirement bits of it."""

    @property
    def size(self) -> int:
        """What a worker must be able to hold at a time: pixels, tokens (`text_size`) or tiles."""

    @property
    def soft_prompt(self) -> str | None:
        """What a text worker must have."""

    @property
    def allowed_workers(self) -> tuple[UUID, ...]:
        """Only these may serve it, unless there are none."""

    @property
    def denied_workers(self) -> tuple[UUID, ...]:
        """None of these may."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A waiting job's place in one class."""

    model: str
    #: EVERYBODY, ALL_BUT or "+worker"
    audience: str
    #: the workers on its deny-list, in ascending order, divided by commas
    denied: str
    mask: int
    size: int
    rank: int
    position: int
    job: UUID


class Demand(msgspec.Struct, frozen=True, gc=False):
    """How much waits for one set of models with the same requirements."""

    kind: JobKind
    models: tuple[str, ...]
    mask: int
    size: int
    #: whether it is only for some workers, whichever they are
    chosen: bool


def work_of(event: GenerationDelivered) -> int:
    """What a delivery was to do: pixels x accurate steps, or thousandths of tokens, or of forms."""
    match event.kind:
        case JobKind.IMAGE:
            return event.pixelsteps
        case JobKind.TEXT:
            return event.tokens * WORK
        case JobKind.INTERROGATION:
            return WORK


def amount_of(event: GenerationDelivered) -> int:
    """What a delivery holds, as people count it: pixelsteps, tokens, or one form."""
    match event.kind:
        case JobKind.IMAGE:
            return event.pixelsteps
        case JobKind.TEXT:
            return event.tokens
        case JobKind.INTERROGATION:
            return 1


def requirement_mask(names: Iterable[str]) -> int:
    """The bits of named requirements: of a job, or of what a worker allows.

    Raises:
        KeyError: a name that is none.
    """
    mask = 0
    for name in names:
        mask |= REQUIREMENTS[name]
    return mask


def plain_requirements(*, nsfw: bool, post_processing: bool) -> tuple[str, ...]:
    """The names for what was known of a job or a worker before requirements had names."""
    return ("nsfw",) * nsfw + ("post_processing",) * post_processing


def waits(job: Job | None) -> bool:
    """Whether something of a job may be handed out."""
    return job is not None and job.waiting > 0 and not job.closed and not job.fetching


def entries(job: Job) -> tuple[Entry, ...]:
    """A waiting job's places: one for each model that may serve it and each audience."""
    return tuple(
        Entry(model, audience, denied, job.mask, job.size, job.rank, job.position, job.id)
        for model in job.models or (ANY_MODEL,)
        for audience, denied in audiences(job)
    )


def audiences(work: Work) -> tuple[tuple[str, str], ...]:
    """For whom a job waits, and whom it denies, as its entries say it."""
    if work.allowed_workers:
        allowed = (worker for worker in work.allowed_workers if worker not in work.denied_workers)
        return tuple((f"+{worker}", "") for worker in allowed)
    if work.denied_workers:
        return ((ALL_BUT, ",".join(sorted(map(str, work.denied_workers)))),)
    return ((EVERYBODY, ""),)


def demand_of(job: Job) -> Demand:
    """Where a job is counted."""
    return Demand(job.kind, job.models, job.mask, job.size, bool(job.allowed_workers or job.denied_workers))


def bucket(rank: int) -> int:
    """The histogram bucket of a rank."""
    return rank // BUCKET


def text_size(context: int, length: int) -> int:
    """The size of a text job, and what a text worker holds: tokens that are read and written, at most."""
    return context << _PART | length


def text_bounds(size: int) -> tuple[int, int]:
    """The tokens that are read and written at most, of a size of texts."""
    return size >> _PART, size & _LOWER


def text_model(name: str) -> str:
    """What stands for a text model in the queue."""
    return f"*text:{name}"


def form_model(form: str) -> str:
    """What stands for a form of interrogation in the queue."""
    return f"*form:{form}"


#: what a worker's owner is told where a job asks for what it does not serve
SERVED: Final = {JobKind.IMAGE: "models", JobKind.TEXT: "models", JobKind.INTERROGATION: "forms"}
#: what a worker's owner is told where a job is too large, by the parts of its size, the lower first
SIZES: Final = {
    JobKind.IMAGE: ("max_pixels",),
    JobKind.TEXT: ("max_length", "max_context_length"),
    JobKind.INTERROGATION: ("max_tiles",),
}


def oversized(kind: JobKind, size: int, most: int) -> tuple[str, ...]:
    """What of a size is too large for a worker, by the names clients see; empty if it fits."""
    parts = ((size & _LOWER, most & _LOWER), (size >> _PART, most >> _PART))
    return tuple(name for name, (part, bound) in zip(SIZES[kind], parts, strict=False) if part > bound)


def unmet(server: Server, models: Iterable[str], mask: int, size: int, *, waived: int = 0) -> str | None:
    """The first requirement of a class that a worker does not meet, by the name clients see; None if it may serve."""
    wanted = set(models)
    anything = server.kind is JobKind.IMAGE and (not wanted or ANY_MODEL in wanted)
    if not anything and wanted.isdisjoint(server.models):
        return SERVED[server.kind]
    if too_large := oversized(server.kind, size, server.max_size):
        return too_large[0]
    missing = mask & ~(server.allowed | waived)
    if not missing:
        return None
    return next(name for name, bit in REQUIREMENTS.items() if missing & bit)


def unmet_by(search: Search, work: Work) -> str | None:
    """The first thing that keeps a job from the worker that asks; None if it may serve it."""
    waived = waived_by(search, work.requester)
    reason = unmet(search, work.models, work.mask, work.size, waived=waived)
    if reason is not None:
        return reason
    if work.soft_prompt is not None and work.soft_prompt not in search.soft_prompts:
        return "soft_prompt"
    return None if admits(work, search.worker) else "worker_id"


def waived_by(search: Search, requester: UUID) -> int:
    """The requirement bits that do not matter between a worker and a requester."""
    return WAIVED if nearness(search, requester) else 0


def admits(work: Work, worker: UUID) -> bool:
    """Whether a job's lists of workers let one serve it."""
    return worker not in work.denied_workers and (not work.allowed_workers or worker in work.allowed_workers)


#: how many places in the queue a search looks at; a job that names several models has several
CANDIDATES = 16
#: how many of the owner's own jobs a search brings besides, not counting those whose generations are all barred to
#: the worker; with a blacklist, which may turn down any of them, it brings more
OWN_CANDIDATES = 4
OWN_CANDIDATES_BLACKLISTED = 64


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker asks of the queue: its capabilities, and where it stopped when it asked before."""

    worker: UUID
    owner: UUID
    kind: JobKind = JobKind.IMAGE
    #: the models it serves, and the families they are of
    models: tuple[str, ...]
    max_size: int
    allowed: int
    #: that a text worker has
    soft_prompts: tuple[str, ...] = ()
    #: whose jobs come next after the owner's own
    friends: tuple[UUID, ...] = ()
    #: lower-case words whose presence in a prompt keeps a job from this worker; never stored
    blacklist: tuple[str, ...] = ()
    #: in maintenance, or trying itself out, a worker serves only its owner
    own_only: bool = False
    #: (rank, position) of the last candidate that was turned down: only lower ones are looked at
    after: tuple[int, int] | None = None


#: what comes first: the owner's jobs, then those of friends, then all others by rank
OWN, FRIENDS, OTHERS = 2, 1, 0


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """A waiting job that a search found, best first."""

    job: UUID
    #: OWN, FRIENDS or OTHERS
    near: int
    rank: int
    position: int
    #: a word of the worker's blacklist is in its prompt
    blacklisted: bool


def nearness(search: Search, requester: UUID) -> int:
    """OWN, FRIENDS or OTHERS."""
    if requester == search.owner:
        return OWN
    return FRIENDS if requester in search.friends else OTHERS


class Found(msgspec.Struct, frozen=True, array_like=True):
    """The candidates of one search, and the place of the last one if more may wait behind it."""

    candidates: tuple[Candidate, ...]
    after: tuple[int, int] | None


def order(candidate: Candidate) -> tuple[int, int, int]:
    """Sort key: own jobs first, then friends', then the higher rank, then the lower position."""
    return (-candidate.near, -candidate.rank, candidate.position)
