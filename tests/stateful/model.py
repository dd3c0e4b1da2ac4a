"""What must be true after each command, in the plainest words: dictionaries, loops over everything, no events.

Written from the rules (`docs/architecture.md`, `docs/decisions/`), not from the program: it imports nothing of it, so that
both would have to be wrong in the same way. Each method is one command; it says how the command must be answered and
moves the world on. Amounts are hundredths of kudos. Look next: `machine.py`, which plays commands against it and the
real server.
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
#: a worker with more failures in an hour rests; those of leases that nobody ended for so long do not count
MAX_FAULTS, HOUR, UNSWEPT = 20, timedelta(hours=1), timedelta(minutes=1)
#: seconds that are rewarded, and hundredths: for them, and for each model of at most so many
PRESENT, PRESENT_KUDOS, PRESENT_MODEL, PRESENT_MODELS = 600, 5_000, 200, 20
#: generations that may wait at once: of the anonymous user, of any other; and the most that may be allowed
MAY_WAIT, MAY_WAIT_ANONYMOUS, MOST_MAY_WAIT = 30, 500, 1_000_000
MODERATORS = {"moderator", "operator"}
#: candidates that one look at the queue is promised to see
LOOKED_AT = 16
OPEN = ("WAITING", "PROCESSING")


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
    earned: int = 0
    consumed: int = 0
    roles: set[str] = field(default_factory=set)
    #: (day, paid for redundant deliveries on it)
    late: tuple[int, int] = (0, 0)
    #: generations that may wait, if somebody said how many
    limit: int | None = None


@dataclass
class Worker:
    owner: UUID
    models: frozenset[str]
    side: int
    nsfw: bool
    faces: bool
    maintenance: bool = False
    #: it failed so much that it rests; when it failed; when it was seen first, or rewarded for being there last
    rests: bool = field(default=False, compare=False)
    faults: list[datetime] = field(default_factory=list, compare=False)
    rewarded: datetime | None = field(default=None, compare=False)


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

    @property
    def price(self) -> int:
        size = SIZES[self.size]
        return size.price_faces if self.faces else size.price

    @property
    def tax(self) -> int:
        return TAX_SHARED if self.shared else TAX

    @property
    def quote(self) -> int:
        return self.n * (self.price + self.tax)


@dataclass
class Job:
    id: UUID
    requester: UUID
    wish: Wish
    #: smaller is served first
    place: tuple[int, int, int]
    generations: list[Generation]
    touched: datetime
    held: int = 0
    charged: int = 0
    #: CANCELLED or EXPIRED: nothing of it is offered any more
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
    generations: tuple[Generation, ...]
    pending: list[Generation]
    taken: datetime
    until: datetime
    state: str = "LIVE"


class Model:
    """One realm."""

    def __init__(self, now: datetime) -> None:
        #: the instant at which the next command is decided
        self.now = now
        self.users: dict[UUID, User] = {NOBODY: User(balance=-5000)}
        self.workers: dict[UUID, Worker] = {}
        self.jobs: dict[UUID, Job] = {}
        self.generations: dict[UUID, tuple[Job, Generation]] = {}
        self.leases: dict[UUID, Lease] = {}

    # --- people and kudos

    def held(self, user: UUID) -> int:
        return sum(job.held for job in self.jobs.values() if job.requester == user)

    def available(self, user: UUID) -> int:
        return self.users[user].balance - self.held(user)

    def register(self, user: UUID) -> Answer:
        self.users[user] = User(opened=self.now)
        return Done(changed=True, says={"user": user})

    def grant(self, user: UUID, amount: int) -> Answer:
        if user == NOBODY or user not in self.users:
            return Refused("NOT_FOUND")
        if amount <= 0:
            return Refused("INVALID_INPUT")
        self.users[user].balance += amount
        return Done(changed=True)

    def promote(self, user: UUID, role: str) -> Answer:
        if user == NOBODY or user not in self.users:
            return Refused("NOT_FOUND")
        changed = role not in self.users[user].roles
        if changed:
            self._trust(user, role)
        return Done(changed)

    def _trust(self, user: UUID, role: str) -> int:
        """Give a role; who is trusted by it may spend what waited in escrow."""
        account = self.users[user]
        account.roles.add(role)
        account.distrusted = account.distrusted and role != "trusted"
        released, account.escrow = account.escrow, 0
        account.balance += released
        return released

    def set_trust(self, user: UUID, by: UUID | None, *, trusted: bool) -> Answer:
        if by is not None and not self.moderates(by):
            return Refused("FORBIDDEN")
        if user == NOBODY:
            return Refused("NOT_FOUND")
        account = self.users[user]
        has, released = "trusted" in account.roles, 0
        if trusted and not has:
            released = self._trust(user, "trusted")
        changed = not has if trusted else has or not account.distrusted
        if not trusted:
            account.roles.discard("trusted")
            account.distrusted = True
        return Done(changed, says={"trusted": bool(account.roles & TRUSTED), "released": released})

    def waits(self, user: UUID) -> int:
        return sum(job.count("WAITING") for job in self.jobs.values() if job.requester == user)

    def may_wait(self, user: UUID) -> int:
        limit = self.users[user].limit
        return limit if limit is not None else MAY_WAIT_ANONYMOUS if user == NOBODY else MAY_WAIT

    def moderates(self, user: UUID) -> bool:
        return bool(self.users[user].roles & MODERATORS)

    def set_limit(self, user: UUID, limit: int | None, by: UUID | None) -> Answer:
        if by is not None and not self.moderates(by):
            return Refused("FORBIDDEN")
        if limit is not None and not 0 <= limit <= MOST_MAY_WAIT:
            return Refused("INVALID_INPUT")
        changed, self.users[user].limit = self.users[user].limit != limit, limit
        return Done(changed, says={"limit": self.may_wait(user)})

    def transfer(self, source: UUID, target: UUID, amount: int) -> Answer:
        if source == NOBODY:
            return Refused("FORBIDDEN")
        if target not in self.users:
            return Refused("NOT_FOUND")
        if target in (NOBODY, source) or amount <= 0:
            return Refused("INVALID_INPUT")
        if amount > self.available(source):
            return Refused("INSUFFICIENT_KUDOS")
        self.users[source].balance -= amount
        self.users[target].balance += amount
        return Done(changed=True, says={"amount": amount})

    # --- jobs, from their client's side

    def submit(self, job: UUID, requester: UUID, generations: tuple[UUID, ...], wish: Wish) -> Answer:
        available = self.available(requester)
        if wish.most is not None and wish.quote > wish.most:
            return Refused("INVALID_INPUT")
        if self.waits(requester) + wish.n > self.may_wait(requester):
            return Refused("TOO_MANY_JOBS")
        user = self.users[requester]
        known = requester != NOBODY and (user.balance > 0 or bool(user.roles))
        if not SIZES[wish.size].free[known] and available < wish.quote:
            return Refused("INSUFFICIENT_KUDOS")
        milliseconds = int(self.now.timestamp() * 1000)
        place = (int(requester == NOBODY), 500 * milliseconds - 1000 * available, len(self.jobs))
        made = Job(job, requester, wish, place, [Generation(key) for key in generations], self.now)
        made.held = max(0, min(available, wish.quote))
        self.jobs[job] = made
        self.generations.update({generation.id: (made, generation) for generation in made.generations})
        return Done(changed=True, says={"job": job})

    def cancel(self, job: UUID) -> Answer:
        return self._close(self.jobs[job], "CANCELLED")

    def expire(self, key: UUID) -> Answer:
        job = self.jobs[key]
        if job.count("PROCESSING") or self.now - job.touched < JOB_LIVES:
            return Done(changed=False)
        return self._close(job, "EXPIRED")

    def _close(self, job: Job, state: str) -> Answer:
        if job.closed or job.ended:
            return Done(changed=False)
        job.closed, job.touched = state, self.now
        for generation in job.generations:
            if generation.state == "WAITING":
                self._give_up(job, generation, "CANCELLED")
        self._end(job)
        return Done(changed=True)

    def _give_up(self, job: Job, generation: Generation, state: str) -> None:
        """A generation that will never be charged: of the hold only what the others may cost is kept."""
        generation.state, generation.lease = state, None
        job.held = min(job.held, job.count(*OPEN) * (job.wish.price + job.wish.tax))

    def _end(self, job: Job) -> None:
        if not job.count(*OPEN) and not job.ended:
            job.ended, job.held = True, 0

    # --- workers

    def check_in(self, key: UUID, worker: Worker) -> Answer:
        known = self.workers.get(key)
        if worker.owner == NOBODY or (known and known.owner != worker.owner):
            return Refused("FORBIDDEN")
        owned = sum(each.owner == worker.owner for each in self.workers.values())
        if known is None and owned >= (20 if self.users[worker.owner].roles else 3):
            return Refused("TOO_MANY_WORKERS")
        if known:
            worker.maintenance, worker.rests = known.maintenance, known.rests
            worker.faults, worker.rewarded = known.faults, known.rewarded
        else:
            worker.rewarded = self.now
        self.workers[key] = worker
        return Done(changed=worker != known)

    def maintenance(self, key: UUID, owner: UUID, *, on: bool) -> Answer:
        worker = self.workers.get(key)
        if worker is None or worker.owner != owner:
            return Refused("NOT_FOUND")
        changed = worker.maintenance != on or (on and worker.rests)
        worker.maintenance, worker.rests = on, False
        return Done(changed)

    def claim_uptime(self, key: UUID, owner: UUID, seconds: int) -> Answer:
        worker = self.workers[key]
        assert worker.rewarded is not None
        if worker.owner != owner:
            return Refused("NOT_FOUND")
        seen = min(seconds, int((self.now - worker.rewarded).total_seconds()))
        if worker.maintenance or seen < PRESENT:
            return Done(changed=False, says={"amount": 0})
        amount = PRESENT_KUDOS + PRESENT_MODEL * min(len(worker.models), PRESENT_MODELS)
        worker.rewarded = self.now
        self._earn(owner, amount, self._trusted(owner), by_work=False)
        return Done(changed=True, says={"amount": amount})

    def offers(self, key: UUID, shunned: str = "") -> list[tuple[Job, list[Generation]]]:
        """What a worker could take, best first, with the generations that it is not barred from."""
        worker, made = self.workers[key], []
        for job in self.jobs.values():
            wish, own = job.wish, job.requester == worker.owner
            fits = (not wish.models or wish.models & worker.models) and SIZES[wish.size].side <= worker.side
            allowed = (worker.nsfw or not wish.nsfw) and (worker.faces or not wish.faces)
            barred = (worker.maintenance and not own) or (shunned and shunned in wish.about)
            free = [g for g in job.generations if g.state == "WAITING" and key not in g.barred]
            if free and fits and allowed and not barred and not job.closed:
                made.append(((not own, job.place), job, free))
        return [(job, free) for _, job, free in sorted(made, key=lambda offer: offer[0])]

    def crowded(self) -> bool:
        """Whether more waits than one look at the queue is promised to see."""
        return sum(max(1, len(j.wish.models)) for j in self.jobs.values() if j.count("WAITING")) >= LOOKED_AT

    def pop(self, lease: UUID, key: UUID, amount: int, shunned: str = "") -> Answer:
        if key not in self.workers:
            return Refused("NOT_FOUND")
        offers = self.offers(key, shunned)
        if not offers:
            return Done(changed=False, says={"lease": None})
        job, free = offers[0]
        taken = free[:amount]
        for generation in taken:
            generation.state, generation.lease = "PROCESSING", lease
        until = self.now + timedelta(seconds=SIZES[job.wish.size].lease * len(taken))
        owner = self.workers[key].owner
        self.leases[lease] = Lease(lease, job, key, owner, tuple(taken), list(taken), self.now, until)
        job.touched = self.now
        return Done(changed=True, says={"lease": lease})

    def extend(self, key: UUID, owner: UUID) -> Answer:
        lease = self.leases.get(key)
        if lease is None or lease.owner != owner:
            return Refused("NOT_FOUND")
        if lease.state != "LIVE":
            return Refused("LEASE_ENDED")
        length = timedelta(seconds=SIZES[lease.job.wish.size].lease * len(lease.generations))
        until = max(lease.until, min(self.now + length, lease.taken + max(LEASE_LIVES, length)))
        changed, lease.until = until != lease.until, until
        if changed:
            lease.job.touched = self.now
        return Done(changed, says={"expires_at": until})

    def release(self, key: UUID, owner: UUID) -> Answer:
        lease = self.leases.get(key)
        if lease is None or lease.owner != owner:
            return Refused("NOT_FOUND")
        if lease.state != "LIVE":
            return Done(changed=False)
        for generation in self._running(lease):
            generation.state, generation.lease = "WAITING", None
            if lease.job.closed:
                self._give_up(lease.job, generation, "CANCELLED")
        lease.state, lease.pending, lease.job.touched = "RELEASED", [], self.now
        self._end(lease.job)
        return Done(changed=True)

    def lapse(self, key: UUID) -> Answer:
        """The time of a lease is over, if it is."""
        lease = self.leases[key]
        if lease.state != "LIVE" or lease.until > self.now:
            return Done(changed=False)
        away = self.now - lease.until > UNSWEPT
        for generation in self._running(lease):
            self._fail(lease, generation, told=False, away=away)
        self._watch(lease.worker)
        lease.state, lease.pending, lease.job.touched = "EXPIRED", [], self.now
        self._end(lease.job)
        return Done(changed=True)

    def _running(self, lease: Lease) -> list[Generation]:
        return [g for g in lease.pending if g.state == "PROCESSING" and g.lease == lease.id]

    def _watch(self, key: UUID) -> None:
        worker = self.workers[key]
        if len(worker.faults) > MAX_FAULTS and not worker.maintenance:
            worker.maintenance, worker.rests, worker.faults = True, True, []

    def _fail(self, lease: Lease, generation: Generation, *, told: bool, away: bool = False) -> None:
        job, worker = lease.job, self.workers[lease.worker]
        if not away:
            worker.faults = [at for at in worker.faults if self.now - at < HOUR] + [self.now]
        again = lease.worker in [worker for worker, _ in generation.failures]
        generation.failures.append((lease.worker, lease.owner))
        generation.state, generation.lease, job.touched = "WAITING", None, self.now
        if (told or again) and lease.worker not in generation.barred:
            generation.barred.append(lease.worker)
        if job.closed:
            self._give_up(job, generation, "CANCELLED")
        elif len(generation.failures) >= 3 and len({owner for _, owner in generation.failures}) >= 2:
            self._give_up(job, generation, "FAULTED")
        self._drop(lease, generation)

    def _drop(self, lease: Lease, generation: Generation) -> None:
        lease.pending = [g for g in lease.pending if g is not generation]
        if not lease.pending and lease.state == "LIVE":
            lease.state = "SETTLED"

    # --- results

    def deliver(self, key: UUID, owner: UUID, results: list[tuple[UUID, str]]) -> Answer:
        lease = self.leases.get(key)
        if lease is None or lease.owner != owner:
            return Refused("NOT_FOUND")
        mine = {generation.id: generation for generation in lease.generations}
        if any(generation not in mine for generation, _ in results):
            return Refused("INVALID_INPUT")
        before = self._shape(lease)
        outcomes = [self._result(lease, mine[generation], state) for generation, state in results]
        if all(reward is None for _, reward in outcomes):
            return Refused("LEASE_ENDED")
        self._end(lease.job)
        self._watch(lease.worker)
        told = [
            (g, s, reward or 0, reward is None) for (g, _), (s, reward) in zip(results, outcomes, strict=True)
        ]
        return Done(changed=self._shape(lease) != before, says={"outcomes": told})

    def _shape(self, lease: Lease) -> list[Any]:
        return [(g.state, len(g.failures), len(g.paid), g.report) for g in lease.generations]

    def _result(self, lease: Lease, generation: Generation, state: str) -> tuple[str, int | None]:
        """Where a generation stands then, and the reward; None if it is refused."""
        job, mine = lease.job, generation.state == "PROCESSING" and generation.lease == lease.id
        if lease.id in generation.paid:
            return generation.state, generation.paid[lease.id]
        if mine and state == "FAULTED":
            self._fail(lease, generation, told=True)
            return generation.state, 0
        if mine:
            return self._told(lease, generation, state, self._pay(lease, generation, state))
        if state == "FAULTED" and lease.worker in [worker for worker, _ in generation.failures]:
            return generation.state, 0
        if lease.state == "LIVE" and generation in lease.pending and state != "FAULTED":
            return self._told(lease, generation, state, self._pay_redundant(lease, generation))
        if job.closed or generation.state not in OPEN or lease.state != "EXPIRED" or state != "OK":
            return generation.state, None
        return self._pay(lease, generation, state)

    def _told(
        self, lease: Lease, generation: Generation, state: str, told: tuple[str, int]
    ) -> tuple[str, int]:
        """A report opens a case, also about what another delivered; its picture is not shared any more."""
        if state == "CSAM" and generation.report is None:
            generation.report, lease.job.withdrawing = "OPEN", lease.job.wish.shared
        return told

    def _pay(self, lease: Lease, generation: Generation, state: str) -> tuple[str, int]:
        job, own = lease.job, lease.owner == lease.job.requester
        price = 0 if own else job.wish.price
        charge = job.wish.tax + (price if state == "OK" else 0)
        requester = self.users[job.requester]
        if job.requester != NOBODY:
            reserved = min(job.held, charge)
            rest = min(self.available(job.requester), charge - reserved)
            job.held -= reserved
            requester.balance -= reserved + rest
        requester.consumed += charge
        job.charged += charge
        self._earn(lease.owner, price, self._trusted(lease.owner))
        generation.state, generation.lease = ("DONE" if state == "OK" else "CENSORED"), lease.id
        generation.paid[lease.id] = price
        generation.version = version_of(lease.id) if state == "OK" else None
        job.touched = self.now
        self._drop(lease, generation)
        return generation.state, price

    def _pay_redundant(self, lease: Lease, generation: Generation) -> tuple[str, int]:
        """A late delivery was first: a subsidy pays, so much a day, and nobody for outrunning their own worker."""
        today = int(self.now.timestamp()) // 86_400
        owner = self.users[lease.owner]
        day, paid = owner.late
        left = LATE_A_DAY - (paid if day == today else 0)
        first = self.leases[next(iter(generation.paid))].owner
        price = 0 if lease.owner in (lease.job.requester, first) else min(left, lease.job.wish.price)
        owner.late = (today, LATE_A_DAY - left + price)
        self._earn(lease.owner, price, self._trusted(lease.owner))
        generation.paid[lease.id] = price
        self._drop(lease, generation)
        return generation.state, price

    def _trusted(self, user: UUID) -> bool:
        return bool(self.users[user].roles & TRUSTED)

    def _earn(self, owner: UUID, amount: int, trusted: bool, *, by_work: bool = True) -> None:
        """Half of what is earned by work, or all of another reward, waits until its owner is trusted."""
        user = self.users[owner]
        kept = 0 if trusted else amount // 2 if by_work else amount
        user.balance += amount - kept
        user.escrow += kept
        user.earned += amount if by_work else 0
        worthy = user.escrow > TRUST_OVER and user.earned >= TRUST_EARNED and not user.distrusted
        if worthy and user.opened and self.now - user.opened >= TRUST_AGE:
            self._trust(owner, "trusted")

    # --- sharing

    def to_be_shared(self) -> set[UUID]:
        """Exactly these pictures get a verdict: they are shared, or withheld."""
        return {
            g.id
            for job in self.jobs.values()
            if job.wish.shared
            for g in job.generations
            if g.state == "DONE"
        }

    def verdict(self, generation: UUID, verdict: str) -> Answer:
        job, picture = self.generations[generation]
        if not job.wish.shared or picture.state != "DONE":
            return Refused("FORBIDDEN")
        changed = picture.sha256 is None and picture.withheld is None
        if changed and verdict == "MISSING":
            picture.withheld = verdict
        elif changed and self.unshared(job, picture):
            return Refused("FORBIDDEN")
        elif changed:
            picture.sha256 = verdict
        return Done(changed, says={"sha256": picture.sha256, "withheld": picture.withheld})

    def unshared(self, job: Job, picture: Generation) -> str | None:
        """Why a picture is not shared any more."""
        return job.unshared or ("REPORTED" if picture.report else None)

    def withdraw_consent(self, key: UUID) -> Answer:
        job = self.jobs[key]
        if job.requester == NOBODY:
            return Refused("FORBIDDEN")
        if not job.wish.shared or job.unshared:
            return Done(changed=False)
        job.unshared, job.withdrawing = "CONSENT_WITHDRAWN", True
        return Done(changed=True)

    def withdraw_pictures(self, key: UUID) -> Answer:
        """What is not shared any more was removed."""
        job = self.jobs[key]
        changed, job.withdrawing = job.withdrawing, False
        for picture in job.generations if changed else ():
            if picture.sha256 and self.unshared(job, picture):
                picture.sha256, picture.withheld = None, job.unshared or "REPORTED"
        return Done(changed)

    def decide_case(self, generation: UUID, verdict: str, by: UUID) -> Answer:
        job, picture = self.generations[generation]
        if not self.moderates(by):
            return Refused("FORBIDDEN")
        if picture.report is None:
            return Refused("NOT_FOUND")
        if picture.report != "OPEN":
            return Done(changed=False) if picture.report == verdict else Refused("INVALID_INPUT")
        picture.report = verdict
        if verdict == "UPHELD":
            job.unshared, job.withdrawing = job.unshared or "REPORTED", job.wish.shared
        return Done(changed=True, says={"verdict": verdict})


def version_of(lease: UUID) -> str:
    """What storage calls the uploads of a lease."""
    return f"v{lease.int}"
