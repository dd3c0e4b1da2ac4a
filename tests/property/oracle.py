"""An accountant who never reads a posting: balances follow from what was granted, charged, earned and held.

The floor is its own arithmetic here: a charge takes what the job holds, then what is available, and no more. Look
next: `test_histories`, which compares the accountant's books with the log's.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from app.ledger import trust
from app.workers.payment import LATE_CAP_PER_DAY
from events.accounts import AnonymousOpened, Role, RoleGranted, RoleRevoked, TrustEarned, UserRegistered
from events.base import ANONYMOUS, Fact
from events.jobs import (
    FormReused,
    GenerationCensored,
    GenerationDelivered,
    GenerationsLeased,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    ImageJobSubmitted,
    InterrogationJobSubmitted,
    JobEnded,
    JobKind,
    RedundantDeliveryPaid,
    TextJobSubmitted,
    kind_of,
)
from events.kudos import AllowancePaid, EscrowReleased, KudosAdjusted, KudosGranted, KudosTransferred
from events.ratings import (
    BestNamed,
    ImageRated,
    PicturesCompared,
    RaterAssessed,
    RatingEscrowReleased,
    RatingRewardsRestored,
    RatingRewardsReversed,
    RatingsMarked,
    Standing,
)
from events.workers import UptimeRewarded
from tests.model import day_of

Submitted = ImageJobSubmitted | TextJobSubmitted | InterrogationJobSubmitted
#: of any text, however short
LEAST_TOKENS = 20


class Books:
    """What everybody must have."""

    def __init__(self) -> None:
        self.balance: dict[UUID, int] = defaultdict(int)
        self.consumed: dict[UUID, int] = defaultdict(int)
        self.earned: dict[UUID, int] = defaultdict(int)
        self.escrow: dict[UUID, int] = defaultdict(int)
        #: what of the escrow ratings earned
        self.of_ratings: dict[UUID, int] = defaultdict(int)
        self.roles: dict[UUID, set[Role]] = defaultdict(set)
        self.opened: dict[UUID, datetime] = {}
        #: when a worker was last rewarded for being there
        self.rewarded: dict[UUID, datetime] = {}
        self.hold: dict[UUID, int] = {}
        self.jobs: dict[UUID, Submitted] = {}
        #: (reward, surcharge) of a generation under each lease, of texts for all tokens; of forms each has its own
        self.leased: dict[UUID, tuple[int, int]] = {}
        #: the form that each delivered generation told, and what was told before when it was asked for
        self.told: dict[UUID, str] = {}
        self.reused: set[UUID] = set()
        self.charged: dict[UUID, int] = defaultdict(int)
        self.settled: set[UUID] = set()
        #: who was paid for a generation
        self.paid_to: dict[UUID, UUID] = {}
        self.late: dict[tuple[UUID, int], int] = defaultdict(int)
        self._captured: dict[UUID, int] = defaultdict(int)
        #: raters: how they stand, who earned trust, what ratings earned, what of it went back, which are marked
        self.standing: dict[UUID, Standing] = defaultdict(lambda: Standing.NEW)
        self.trusted_raters: set[UUID] = set()
        self.rated: dict[UUID, int] = defaultdict(int)
        self.reversed: dict[UUID, int] = defaultdict(int)
        self.marked: set[UUID] = set()

    def held(self, user: UUID) -> int:
        """What of a user's balance is reserved."""
        return sum(amount for job, amount in self.hold.items() if self.jobs[job].requester == user)

    def work_escrow(self, user: UUID) -> int:
        """What of the escrow workers earned."""
        return self.escrow[user] - self.of_ratings[user]

    def available(self, user: UUID) -> int:
        return self.balance[user] - self.held(user)

    def trusted(self, user: UUID) -> bool:
        """Whether a user's workers earn all at once: by three of the roles."""
        return bool(self.roles[user] & {Role.TRUSTED, Role.MODERATOR, Role.OPERATOR})

    def believed(self, rater: UUID) -> bool:
        """Whether what a rater earns is paid at once."""
        watched = self.standing[rater] in (Standing.WATCHED, Standing.SUSPECT)
        return not watched and (self.trusted(rater) or rater in self.trusted_raters)

    def read(self, facts: Iterable[Fact]) -> "Books":
        """Keep the books of a whole history."""
        for fact in facts:
            self._enter(fact)
            for user, amount in self.balance.items():
                assert amount == -5000 if user == ANONYMOUS else amount >= 0, (user, fact)
                assert user == ANONYMOUS or self.available(user) >= 0, (user, fact)
        return self

    def _enter(self, fact: Fact) -> None:  # noqa: C901 - one case for each kind of fact that counts
        match event := fact.event:
            case AnonymousOpened():
                self.balance[event.user] = -5000
            case UserRegistered():
                self.opened[event.user] = fact.occurred_at
            case RoleGranted():
                self.roles[event.user].add(event.role)
            case RoleRevoked():
                self.roles[event.user].discard(event.role)
            case TrustEarned():
                assert not self.trusted(event.user), "nobody earns what they have"
                assert self.work_escrow(event.user) > trust.THRESHOLD
                assert self.earned[event.user] >= trust.MIN_EARNED
                assert fact.occurred_at - self.opened[event.user] >= trust.MIN_AGE
                self.roles[event.user].add(Role.TRUSTED)
            case EscrowReleased():
                assert self.trusted(event.user)
                assert event.amount == self.work_escrow(event.user) > 0, "all that workers earned"
                self.escrow[event.user] -= event.amount
                self.balance[event.user] += event.amount
            case UptimeRewarded():
                last = self.rewarded.get(event.worker)
                assert last is None or (fact.occurred_at - last).total_seconds() >= event.seconds >= 600
                self.rewarded[event.worker] = fact.occurred_at
                self._earn(event.owner, event.amount, 0 if self.trusted(event.owner) else event.amount)
            case ImageRated() | PicturesCompared() | BestNamed():
                waits = 0 if self.believed(event.rater) else event.reward
                assert event.escrowed == waits, "all or nothing"
                self.rated[event.rater] += event.reward
                self.of_ratings[event.rater] += event.escrowed
                self._earn(event.rater, event.reward, event.escrowed)
            case RaterAssessed():
                self.standing[event.rater] = event.standing
            case RatingsMarked():
                self._mark(event)
            case RatingRewardsReversed():
                self._reverse(event)
            case RatingRewardsRestored():
                self.reversed[event.rater] -= event.amount
                assert self.reversed[event.rater] >= 0, "more is paid again than went back"
                assert event.escrowed == (0 if self.believed(event.rater) else event.amount)
                self.of_ratings[event.rater] += event.escrowed
                self._earn(event.rater, event.amount, event.escrowed)
            case RatingEscrowReleased():
                assert self.standing[event.rater] is Standing.GOOD, "who is looked into waits"
                assert event.amount == self.of_ratings[event.rater] > 0, "all that ratings earned"
                self.of_ratings[event.rater] = 0
                self.escrow[event.rater] -= event.amount
                self.balance[event.rater] += event.amount
                self.trusted_raters.add(event.rater)
            case KudosGranted() | KudosAdjusted() | AllowancePaid():
                self.balance[event.user] += event.amount
            case KudosTransferred():
                self.balance[event.source] -= event.amount
                self.balance[event.target] += event.amount
            case ImageJobSubmitted() | TextJobSubmitted() | InterrogationJobSubmitted():
                self.jobs[event.job] = event
                self.hold[event.job] = 0
                assert event.priority == self.available(event.requester)
            case FormReused():
                self._reuse(event)
            case GenerationsLeased():
                assert kind_of(event) is self.jobs[event.job].kind
                assert not self.settled.intersection(event.generations), "what is settled is leased"
                if event.kind is not JobKind.INTERROGATION:
                    self.leased[event.lease] = self._offer(event)
            case HoldPlaced():
                assert event.amount == min(self.available(event.requester), self.quote(event.job)) > 0
                self.hold[event.job] += event.amount
            case HoldCaptured():
                self._captured[event.generation] += event.amount
            case HoldReleased():
                assert 0 < event.amount <= self.hold[event.job]
                self.hold[event.job] -= event.amount
            case GenerationDelivered() | GenerationCensored():
                self._charge(event)
            case RedundantDeliveryPaid():
                self._redundant(fact, event)
            case JobEnded():
                assert self.hold[event.job] == 0, "an ended job holds nothing"
            case _:
                pass

    def quote(self, job: UUID) -> int:
        """The most that a job may cost."""
        submitted = self.jobs[job]
        asked = [generation for generation in submitted.generations if generation not in self.reused]
        total = sum(sum(self._most(submitted, generation)) + submitted.tax for generation in asked)
        assert sum(amount for _, amount in submitted.quote) == total
        return total

    def _most(self, job: Submitted, generation: UUID) -> tuple[int, int]:
        """(reward, surcharge) of a generation, at most; of a form, exactly."""
        if not isinstance(job, InterrogationJobSubmitted):
            return job.price, job.surcharge
        form = dict(zip(job.generations, job.forms, strict=True))[generation]
        ((price, surcharge),) = {(p, s) for model, p, s in job.offers if model == f"*form:{form}"}
        return price, surcharge

    def _reuse(self, event: FormReused) -> None:
        """What was told of the same form of somebody's picture is given again, for nothing."""
        assert event.generation not in self.settled, "a form is told once"
        job = self.jobs[event.job]
        assert isinstance(job, InterrogationJobSubmitted)
        assert self.told[event.reused] == dict(zip(job.generations, job.forms, strict=True))[event.generation]
        self.settled.add(event.generation)
        self.reused.add(event.generation)

    def _mark(self, event: RatingsMarked) -> None:
        """Each rating is marked once, until its mark is lifted."""
        named = {mark.rating for mark in event.marks}
        assert len(named) == len(event.marks)
        if event.suspect:
            assert not named & self.marked, "marked twice"
            self.marked |= named
        else:
            assert named <= self.marked, "no mark to lift"
            self.marked -= named

    def _reverse(self, event: RatingRewardsReversed) -> None:
        """Never more than was earned and is still there."""
        rater = event.rater
        self.reversed[rater] += event.amount
        assert self.reversed[rater] <= self.rated[rater], "more goes back than was paid"
        assert 0 <= event.escrowed <= min(event.amount, self.of_ratings[rater])
        self.of_ratings[rater] -= event.escrowed
        self.escrow[rater] -= event.escrowed
        self.balance[rater] -= event.amount - event.escrowed

    def _offer(self, event: GenerationsLeased) -> tuple[int, int]:
        """What the model, or the family that it is of, was offered at; never more than what was quoted."""
        job = self.jobs[event.job]
        offered = {(price, surcharge) for _, price, surcharge in job.offers}
        named = {(price, surcharge) for model, price, surcharge in job.offers if model == event.model}
        assert event.price is not None
        offer = (event.price, event.surcharge)
        assert offer in (named or offered)
        assert event.price <= job.price
        assert sum(offer) <= job.price + job.surcharge
        return offer

    def _charge(self, event: GenerationDelivered | GenerationCensored) -> None:
        assert event.generation not in self.settled, "a generation is charged once"
        self.settled.add(event.generation)
        self.paid_to[event.generation] = event.owner
        job, payer, own = self.jobs[event.job], event.requester, event.owner == event.requester
        assert kind_of(event) is job.kind
        price, surcharge = self._worth(job, event)
        assert event.price == price
        charge = job.tax + (0 if own or isinstance(event, GenerationCensored) else price + surcharge)
        from_hold = min(self.hold[event.job], charge)
        paid = 0 if payer == ANONYMOUS else from_hold + min(self.available(payer), charge - from_hold)
        assert (event.charged, event.covered) == (charge, charge - paid)
        assert self._captured[event.generation] == from_hold
        self.hold[event.job] -= from_hold
        if payer != ANONYMOUS:
            self.balance[payer] -= paid
        self.consumed[payer] += charge
        self.charged[event.job] += charge
        assert self.charged[event.job] <= self.quote(event.job)
        if not own:
            self._earn_by_work(event.owner, price)

    def _worth(self, job: Submitted, event: GenerationDelivered | GenerationCensored) -> tuple[int, int]:
        """(reward, surcharge): of a text what was written of what was asked for, of a form its own."""
        if isinstance(job, InterrogationJobSubmitted):
            if isinstance(event, GenerationDelivered):
                assert event.form is not None
                self.told[event.generation] = event.form
            return self._most(job, event.generation)
        price, surcharge = self.leased[event.lease]
        if not isinstance(job, TextJobSubmitted) or not isinstance(event, GenerationDelivered):
            return price, surcharge
        assert event.tokens >= LEAST_TOKENS
        return _share(price, event.tokens, job), _share(surcharge, event.tokens, job)

    def _earn(self, owner: UUID, amount: int, kept: int) -> None:
        self.balance[owner] += amount - kept
        self.escrow[owner] += kept

    def _earn_by_work(self, owner: UUID, amount: int) -> None:
        self.earned[owner] += amount
        self._earn(owner, amount, 0 if self.trusted(owner) else amount // 2)

    def _redundant(self, fact: Fact, event: RedundantDeliveryPaid) -> None:
        assert event.generation in self.settled, "only what is settled can be redundant"
        day = (event.owner, day_of(fact.occurred_at))
        left = LATE_CAP_PER_DAY - self.late[day]
        nothing = event.owner in (event.requester, self.paid_to[event.generation])
        least, most = self._redundant_worth(event)
        if nothing:
            assert event.price == 0
        else:
            assert min(left, least) <= event.price <= min(left, most)
        self.late[day] += event.price
        self._earn_by_work(event.owner, event.price)

    def _redundant_worth(self, event: RedundantDeliveryPaid) -> tuple[int, int]:
        """At least and at most: how long a text was that nobody needs is not told."""
        job = self.jobs[event.job]
        if isinstance(job, InterrogationJobSubmitted):
            price, _ = self._most(job, event.generation)
            return price, price
        price, _ = self.leased[event.lease]
        return _share(price, LEAST_TOKENS, job) if isinstance(job, TextJobSubmitted) else price, price


def _share(amount: int, tokens: int, job: TextJobSubmitted) -> int:
    """What of an amount for all tokens is due for some of them; half a hundredth is rounded up."""
    due = Fraction(amount * min(tokens, job.max_length), job.max_length)
    return int(due + Fraction(1, 2))
