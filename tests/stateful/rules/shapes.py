"""The numbers of the rules, and the things that the model knows: people, workers, teams, jobs, leases.

Amounts are hundredths of kudos. Look next: `tests/stateful/model.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

NOBODY = UUID(int=0)  # the anonymous user
TAX, TAX_SHARED = 300, 100
JOB_LIVES = timedelta(minutes=20)
LEASE_LIVES = timedelta(hours=1)
LATE_A_DAY = 10_000
#: escrow above which work earns trust, what must have been earned by it, and how old the account must be
TRUST_OVER, TRUST_EARNED, TRUST_AGE = 100_000, 100_000, timedelta(days=7)
TRUSTED = {"trusted", "moderator", "operator"}
#: suspicions that pause a worker, and that keep an owner from earning trust; how fast nobody is; how often one is raised
SUSPICIOUS, TOO_FAST, SUSPECTED_EVERY = 5, 20_000_000, timedelta(minutes=10)
#: pixelsteps a second below which a worker is slow, and how many deliveries say how fast it is
FAST, MEASURED = 500_000, 20
#: a worker with more failures in an hour rests; those of leases that nobody ended for so long do not count
MAX_FAULTS, HOUR, UNSWEPT = 20, timedelta(hours=1), timedelta(minutes=1)
#: seconds that are rewarded, and hundredths: for them, for each model of at most so many, for LoRAs
PRESENT, PRESENT_KUDOS, PRESENT_MODEL, PRESENT_MODELS, PRESENT_LORA = 600, 5_000, 200, 20, 3_000
#: generations that may wait at once: of the anonymous user, of any other; and the most that may be allowed
MAY_WAIT, MAY_WAIT_ANONYMOUS, MOST_MAY_WAIT = 30, 500, 1_000_000
#: workers that somebody may have: a newcomer, who is trusted; and the most that may be allowed
WORKERS, WORKERS_TRUSTED, MOST_WORKERS = 3, 20, 100_000
MODERATORS = {"moderator", "operator"}
#: candidates that one look at the queue is promised to see
LOOKED_AT = 16
OPEN = ("WAITING", "PROCESSING")
STEPS = 30
#: models in short, with their names; work with those in the second costs more: this many times
MODELS = {"a": "a", "b": "b", "c": "SDXL 1.0"}
FACTOR = {"c": 2}
#: a LoRA costs so much; what a client pays besides in per cent: for a source, for no slow workers, for a list of denied
LORA, SOURCE_PERCENT, PATIENCE_PERCENT, DENIED_PERCENT = 300, 30, 20, 10
#: leases of workers that say that they are slow last so many times as long
EXTRA_SLOW = 3


class Size(NamedTuple):
    """A kind of picture, with what the price list says of it."""

    side: int
    #: kudos of 30 steps, without and with one post-processor
    price: int
    price_faces: int
    #: seconds that a lease on one lasts
    lease: int
    #: without the kudos in hand: may the anonymous user or a newcomer ask for it, may who holds kudos or a role
    free: tuple[bool, bool]


SIZES = {
    "small": Size(512, 650, 780, 150, (True, True)),
    "middle": Size(640, 987, 1184, 150, (False, True)),
    "large": Size(1024, 3604, 4325, 270, (False, False)),
}


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
    models: frozenset[str]
    side: int
    #: what a job may need of it, by the names of requirements
    allows: frozenset[str]
    extra_slow: bool = False
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
    #: (pixelsteps, milliseconds) of its last deliveries, and what follows from them
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
    #: of its workers while they were in it: pixelsteps, generations, hundredths, seconds
    pixelsteps: int = 0
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
    #: of the upload that counts
    version: str | None = None
    #: hash of the published file, and why there is none (any more)
    sha256: str | None = None
    withheld: str | None = None
    #: a worker reported it: OPEN, UPHELD or DISMISSED
    report: str | None = None


@dataclass(frozen=True)
class Wish:
    """What a client asks for."""

    size: str = "small"
    n: int = 1
    #: any of these; none: any model at all
    models: frozenset[str] = frozenset()
    shared: bool = False
    nsfw: bool = False
    faces: bool = False
    about: str = "cat"
    #: hundredths that it must not cost more than
    most: int | None = None
    lora: bool = False
    #: drawn from a picture: "uploaded" before, or one that "is fetched" first
    source: str = ""
    #: only these workers, or none of those
    only: tuple[UUID, ...] = ()
    denied: tuple[UUID, ...] = ()
    #: only workers of trusted owners; no slow ones; those too that say that they are slow
    trusted_workers: bool = False
    hasty: bool = False
    patient: bool = False

    def price_with(self, model: str) -> int:
        """What a generation drawn with a model earns."""
        size = SIZES[self.size]
        work = (size.price_faces if self.faces else size.price) + (LORA if self.lora else 0)
        return work * FACTOR.get(model, 1)

    def surcharge_with(self, model: str) -> int:
        """What its client pays besides: a part of the price, then a part of the sum, and so on."""
        price = total = self.price_with(model)
        parts = (
            (bool(self.source), SOURCE_PERCENT),
            (self.hasty, PATIENCE_PERCENT),
            (bool(self.denied), DENIED_PERCENT),
        )
        for asked, percent in parts:
            total += (total * percent + 50) // 100 if asked else 0
        return total - price

    @property
    def dearest(self) -> str:
        """The model that it costs most with."""
        return max(self.models, key=lambda model: FACTOR.get(model, 1), default="a")

    @property
    def price(self) -> int:
        return self.price_with(self.dearest)

    @property
    def surcharge(self) -> int:
        return self.surcharge_with(self.dearest)

    @property
    def tax(self) -> int:
        return TAX_SHARED if self.shared else TAX

    @property
    def cost(self) -> int:
        """Of one generation, at most."""
        return self.price + self.surcharge + self.tax

    @property
    def quote(self) -> int:
        return self.n * self.cost

    @property
    def pixelsteps(self) -> int:
        return SIZES[self.size].side ** 2 * STEPS

    def free(self, *, known: bool) -> bool:
        """Whether it needs no kudos in hand."""
        native = bool(self.models) and all(model in FACTOR for model in self.models)
        return not self.hasty and (native or SIZES[self.size].free[known])


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

    def count(self, *states: str) -> int:
        return sum(generation.state in states for generation in self.generations)


@dataclass
class Lease:
    id: UUID
    job: Job
    worker: UUID
    owner: UUID
    #: what draws
    model: str
    generations: tuple[Generation, ...]
    pending: list[Generation]
    taken: datetime
    until: datetime
    #: it was taken then, or the last that came of it came
    since: datetime
    state: str = "LIVE"

    @property
    def price(self) -> int:
        return self.job.wish.price_with(self.model)

    @property
    def surcharge(self) -> int:
        return self.job.wish.surcharge_with(self.model)


def version_of(lease: UUID) -> str:
    """What storage calls the uploads of a lease."""
    return f"v{lease.int}"
