"""The numbers of the rules, and the things that the model knows: people, workers, teams, jobs, leases.

Amounts are hundredths of kudos. Look next: `tests/stateful/model.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.stateful.rules.wishes import Wish

NOBODY = UUID(int=0)  # the anonymous user
JOB_LIVES = timedelta(minutes=20)
LEASE_LIVES = timedelta(hours=1)
LATE_A_DAY = 10_000
#: escrow above which work earns trust, what must have been earned by it, and how old the account must be
TRUST_OVER, TRUST_EARNED, TRUST_AGE = 100_000, 100_000, timedelta(days=7)
TRUSTED = {"trusted", "moderator", "operator"}
#: suspicions that pause a worker, and that keep an owner from earning trust; how often one is raised
SUSPICIOUS, SUSPECTED_EVERY = 5, timedelta(minutes=10)
#: work a second that nobody does, and below which a worker is slow; how many deliveries say how fast it is
TOO_FAST = {"IMAGE": 20_000_000, "TEXT": 150_000}
FAST, MEASURED = {"IMAGE": 500_000, "TEXT": 5_000, "INTERROGATION": 100}, 20
#: a worker with more failures in an hour rests; those of leases that nobody ended for so long do not count
MAX_FAULTS, HOUR, UNSWEPT = 20, timedelta(hours=1), timedelta(minutes=1)
#: seconds that are rewarded, and hundredths: for them, for each model of at most so many, for LoRAs
PRESENT, PRESENT_KUDOS, PRESENT_MODEL, PRESENT_MODELS, PRESENT_LORA = 600, 5_000, 200, 20, 3_000
#: generations that may wait at once: of the anonymous user, of any other; and the most that may be allowed
MAY_WAIT, MAY_WAIT_ANONYMOUS, MOST_MAY_WAIT = 30, 500, 1_000_000
#: forms that may wait for each generation that may; generations of the anonymous user in a raid
FORMS_FOR_ONE, MAY_WAIT_IN_RAID = 10, 50
#: what forms tell of the picture at a URL is told again for so long
TOLD_AGAIN = timedelta(days=5)
#: webhooks that a user may have; how long the house tries one in vain; what is older is not told any more
MOST_WEBHOOKS, GIVES_UP, NEWS_LIVES = 10, timedelta(days=3), timedelta(days=1)
#: workers that somebody may have: a newcomer, who is trusted; and the most that may be allowed
WORKERS, WORKERS_TRUSTED, MOST_WORKERS = 3, 20, 100_000
MODERATORS = {"moderator", "operator"}
#: candidates that one look at the queue is promised to see
LOOKED_AT = 16
OPEN = ("WAITING", "PROCESSING")
#: leases of workers that say that they are slow last so many times as long
EXTRA_SLOW = 3


@dataclass(frozen=True)
class Refused:
    """The command is refused with this code and changes nothing."""

    code: str


@dataclass(frozen=True)
class Done:
    """The command is accepted: whether anything happened, and what its answer must say, by fields."""

    changed: bool
    says: dict[str, Any] = field(default_factory=dict)


Answer = Refused | Done


@dataclass
class User:
    balance: int = 0
    escrow: int = 0
    #: what of the escrow ratings earned, and all that they earned less what went back
    of_ratings: int = 0
    rated: int = 0
    opened: datetime | None = None
    #: trust was taken away: work does not earn it back
    distrusted: bool = False
    #: suspicions raised about this user's workers
    suspicions: int = 0
    earned: int = 0
    uptime: int = 0
    consumed: int = 0
    roles: set[str] = field(default_factory=set)
    #: (day, paid for redundant deliveries on it)
    late: tuple[int, int] = (0, 0)
    #: generations that may wait, and workers, if somebody said how many
    limit: int | None = None
    worker_limit: int | None = None
    public_workers: bool = False


@dataclass
class Worker:
    owner: UUID
    #: models in short, or forms
    models: frozenset[str]
    #: the longest side of a picture, or the most tokens of a text
    side: int
    #: what a job may need of it, by the names of requirements
    allows: frozenset[str]
    extra_slow: bool = False
    kind: str = "IMAGE"
    maintenance: bool = False
    paused: bool = False
    deleted: bool = False
    team: UUID | None = None
    #: it failed so much that it rests; when it failed; when it was seen first, or rewarded for being there last
    rests: bool = False
    faults: list[datetime] = field(default_factory=list)
    rewarded: datetime | None = None
    suspicions: int = 0
    suspected: datetime | None = None
    #: (work, milliseconds) of its last deliveries, and what follows from them
    measured: list[tuple[int, int]] = field(default_factory=list)
    speed: int = 0
    fulfilled: int = 0
    failed: int = 0
    earned: int = 0
    #: seconds that were rewarded
    uptime: int = 0

    def able(self) -> tuple[Any, ...]:
        """What it says of itself."""
        return self.models, self.side, self.allows, self.extra_slow


@dataclass
class Team:
    creator: UUID
    deleted: bool = False
    #: of its workers while they were in it: pixelsteps, tokens, forms, generations, hundredths, seconds
    pixelsteps: int = 0
    tokens: int = 0
    forms: int = 0
    fulfilled: int = 0
    earned: int = 0
    uptime: int = 0


@dataclass
class Generation:
    id: UUID
    state: str = "WAITING"
    lease: UUID | None = None
    #: (worker, owner) of each lease that came to nothing
    failures: list[tuple[UUID, UUID]] = field(default_factory=list)
    barred: list[UUID] = field(default_factory=list)
    #: who was paid how much for it, by lease; the first is the one that settled it
    paid: dict[UUID, int] = field(default_factory=dict)
    #: what is asked of a picture
    form: str | None = None
    #: the generation whose answer was given again
    reused: UUID | None = None
    #: what was delivered, as speeds are measured
    work: int = 0
    #: of the upload that counts
    version: str | None = None
    #: hash of the published file, and why there is none (any more)
    sha256: str | None = None
    withheld: str | None = None
    #: a worker reported it: OPEN, UPHELD or DISMISSED
    report: str | None = None


@dataclass
class Job:
    id: UUID
    requester: UUID
    wish: Wish
    #: what a worker must allow
    needs: frozenset[str]
    #: smaller is served first
    place: tuple[int, int, int]
    generations: list[Generation]
    touched: datetime
    held: int = 0
    charged: int = 0
    #: its source is not there yet
    fetching: bool = False
    #: why its source could not be had
    refused: str | None = None
    #: CANCELLED, EXPIRED or FAULTED: nothing of it is offered any more
    closed: str | None = None
    ended: bool = False
    #: why nothing more of it is shared, and whether something of it has yet to be taken back
    unshared: str | None = None
    withdrawing: bool = False

    @property
    def state(self) -> str:
        states = {generation.state for generation in self.generations}
        if self.closed:
            return self.closed
        if self.ended:
            return "DONE" if states & {"DONE", "CENSORED"} else "FAULTED"
        return "PROCESSING" if states & {"PROCESSING", "DONE", "CENSORED"} else "WAITING"

    @property
    def owed(self) -> int:
        """What it may still cost at most."""
        return sum(self.wish.cost(g.form) for g in self.generations if g.state in OPEN)

    def count(self, *states: str) -> int:
        return sum(generation.state in states for generation in self.generations)


@dataclass
class Lease:
    id: UUID
    job: Job
    worker: UUID
    owner: UUID
    #: what draws or writes; nothing where forms are told
    model: str
    generations: tuple[Generation, ...]
    pending: list[Generation]
    taken: datetime
    until: datetime
    #: it was taken then, or the last that came of it came
    since: datetime
    state: str = "LIVE"

    @property
    def price(self) -> int | None:
        """What each generation earns; of forms each has a price of its own."""
        return None if self.job.wish.kind == "INTERROGATION" else self.job.wish.worth(self.model)

    @property
    def surcharge(self) -> int:
        return 0 if self.price is None else self.job.wish.surcharge_with(self.model)

    def terms(self, generation: Generation) -> tuple[int, int]:
        """What a whole generation earns, and what its client pays besides."""
        model = generation.form or self.model
        return self.job.wish.worth(model), self.job.wish.surcharge_with(model)


@dataclass
class Hook:
    """A webhook of a user."""

    owner: UUID
    events: frozenset[str]
    #: it hears of what happened after so much had happened; when it was created, or last began or moved
    since: int
    begun: datetime
    active: bool = True
    suspended: str | None = None
    rotations: int = 0


@dataclass(frozen=True)
class News:
    """What webhooks may be told of."""

    at: datetime
    owner: UUID
    job: UUID
    generation: UUID | None
    event: str
    #: what the job's own webhook is told of
    hooked: tuple[str, ...]


@dataclass(frozen=True)
class Retold:
    """What a form told of the picture at a URL."""

    job: Job
    lease: UUID
    about: UUID
    form: str
    nsfw: bool
    until: datetime


def version_of(lease: UUID, kind: str, form: str | None) -> str:
    """What storage calls the uploads of a lease; of words there are none."""
    return f"v{lease.int}" if kind == "IMAGE" or form == "GFPGAN" else ""
