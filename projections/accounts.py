"""Accounts: balance, hold, escrow, where kudos came from and went, roles and standing of each user, folded from the log.

Amounts are hundredths of kudos. Available = balance - held. A registered balance below zero, or fewer than no waiting
generations, is a broken log, not a state. Look next: `app.ledger.postings` for the account names,
`app.ledger.standing` for what an account may ask for, `app.ledger.trust`, `projections.base`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.accounts import (
    AllowanceSet,
    AllowanceSource,
    AnonymousOpened,
    PublicProfileSet,
    PublicWorkersSet,
    Role,
    RoleGranted,
    RoleRevoked,
    TrustEarned,
    UserRegistered,
    WaitingLimitSet,
    WorkerLimitSet,
)
from events.base import ANONYMOUS, Event, Fact, postings_of
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
    JobExpired,
    JobKind,
    LeaseReleased,
    RedundantDeliveryPaid,
    SourcesRefused,
    TextJobSubmitted,
    kind_of,
)
from events.kudos import AllowancePaid, EscrowReleased, KudosAdjusted, KudosGranted, KudosTransferred
from events.ratings import (
    BestNamed,
    ImageRated,
    PicturesCompared,
    RatingEscrowReleased,
    RatingRewardsRestored,
    RatingRewardsReversed,
)
from events.workers import SuspicionRaised, UptimeRewarded, WorkerDeleted, WorkerRegistered
from projections.base import FoldError, Projection, known
from projections.months import neighbour

#: the facts that touch it
FACTS = (
    AnonymousOpened,
    UserRegistered,
    RoleGranted,
    RoleRevoked,
    TrustEarned,
    WaitingLimitSet,
    WorkerLimitSet,
    PublicWorkersSet,
    PublicProfileSet,
    AllowanceSet,
    WorkerRegistered,
    WorkerDeleted,
    UptimeRewarded,
    SuspicionRaised,
    KudosGranted,
    KudosAdjusted,
    AllowancePaid,
    KudosTransferred,
    EscrowReleased,
    ImageJobSubmitted,
    TextJobSubmitted,
    InterrogationJobSubmitted,
    FormReused,
    GenerationsLeased,
    LeaseReleased,
    GenerationFailed,
    GenerationFaulted,
    JobCancelled,
    JobExpired,
    SourcesRefused,
    HoldPlaced,
    HoldCaptured,
    HoldReleased,
    GenerationDelivered,
    GenerationCensored,
    RedundantDeliveryPaid,
    ImageRated,
    PicturesCompared,
    BestNamed,
    RatingRewardsReversed,
    RatingRewardsRestored,
    RatingEscrowReleased,
)
USER = "user:"
ESCROW = "escrow:"
#: roles whose accounts get the whole of what they earn at once
TRUSTING = frozenset({Role.TRUSTED, Role.MODERATOR, Role.OPERATOR})


class Account(msgspec.Struct, frozen=True, gc=False):
    """One user's money and standing."""

    id: UUID
    balance: int
    held: int
    #: all that was ever charged for generations, whether or not the balance could cover it
    consumed: int
    #: all that was ever earned by workers' deliveries, in escrow or not
    earned: int
    #: day (since 1970) of the last redundant deliveries paid to this owner, and their sum on that day
    late_day: int
    late_paid: int
    roles: tuple[Role, ...]
    registered_at: datetime
    #: generations of this user's image and text jobs that wait to be taken
    waiting: int = 0
    #: how many may wait, where somebody set it; None for the default (`app.ledger.standing`)
    waiting_limit: int | None = None
    #: workers of this user that are not deleted
    workers: int = 0
    #: how many there may be, where somebody set it; None for the default (`app.ledger.standing`)
    worker_limit: int | None = None
    #: everybody may see that these workers are this user's
    public_workers: bool = False
    #: earned, and to be spent only once the account is trusted
    escrow: int = 0
    #: suspicions raised about its workers
    suspicions: int = 0
    #: trust was taken from it: it comes back only by being granted
    distrusted: bool = False
    #: all that was ever rewarded for workers being there, in escrow or not
    uptime: int = 0
    #: all that operators ever corrected, up less down; all that was ever paid as an allowance
    adjusted: int = 0
    allowances: int = 0
    #: all that was ever granted, given to others, received from others
    granted: int = 0
    sent: int = 0
    received: int = 0
    #: all that ever left the balance for generations: `consumed` without what subsidies covered
    spent: int = 0
    #: what the treasury pays each month, and what for; 0 and None where nothing was ever set
    allowance: int = 0
    allowance_source: AllowanceSource | None = None
    #: from when on its months are counted; when the next of them begins; what was paid for the present one. They stay
    #: when the allowance ends, so that the same month is not paid twice when it begins again
    allowance_from: datetime | None = None
    allowance_due: datetime | None = None
    allowance_paid: int = 0
    #: forms of this user's interrogations that wait to be taken
    waiting_forms: int = 0
    #: everybody may see its name with what it has, asked for and delivered
    public_profile: bool = False
    #: pictures that were delivered for it
    generated: int = 0
    #: all that ratings ever earned, in escrow or not, less what was reversed
    rated: int = 0
    #: how much of the escrow is from ratings: it waits for trust in the rater, the rest for trust in the workers' owner
    rating_escrow: int = 0

    @property
    def work_escrow(self) -> int:
        """How much of the escrow workers earned."""
        return self.escrow - self.rating_escrow

    @property
    def available(self) -> int:
        """What may be spent or reserved now."""
        return self.balance - self.held

    @property
    def trusted(self) -> bool:
        """Whether somebody trusts it, or it has earned trust: it gets the whole of what it earns at once."""
        return not TRUSTING.isdisjoint(self.roles)

    @property
    def anonymous(self) -> bool:
        """Whether this is the single anonymous user."""
        return self.id == ANONYMOUS


def keys(fact: Fact) -> tuple[UUID, ...]:
    """The users whose money or standing a fact touches."""
    return _KEYS[type(fact.event)](fact.event)


def _both(event: Any) -> tuple[UUID, ...]:
    return (event.requester,) if event.requester == event.owner else (event.requester, event.owner)


_OF_REQUESTER = (
    HoldPlaced,
    HoldCaptured,
    HoldReleased,
    ImageJobSubmitted,
    TextJobSubmitted,
    InterrogationJobSubmitted,
    FormReused,
    GenerationsLeased,
    LeaseReleased,
    GenerationFailed,
    GenerationFaulted,
    JobCancelled,
    JobExpired,
    SourcesRefused,
)
#: for each fact the users in it; by type, since the writer asks for every event
_KEYS: dict[type[Event], Callable[[Any], tuple[UUID, ...]]] = {
    **dict.fromkeys(
        (
            AnonymousOpened,
            UserRegistered,
            RoleGranted,
            RoleRevoked,
            TrustEarned,
            WaitingLimitSet,
            WorkerLimitSet,
            PublicWorkersSet,
            PublicProfileSet,
            AllowanceSet,
            KudosGranted,
            KudosAdjusted,
            AllowancePaid,
            EscrowReleased,
        ),
        lambda event: (event.user,),
    ),
    **dict.fromkeys(_OF_REQUESTER, lambda event: (event.requester,)),
    KudosTransferred: lambda event: (event.source, event.target),
    GenerationDelivered: _both,
    GenerationCensored: _both,
    RedundantDeliveryPaid: lambda event: (event.owner,),
    WorkerRegistered: lambda event: (event.owner,),
    WorkerDeleted: lambda event: (event.owner,),
    UptimeRewarded: lambda event: (event.owner,),
    SuspicionRaised: lambda event: (event.owner,),
    **dict.fromkeys(
        (
            ImageRated,
            PicturesCompared,
            BestNamed,
            RatingRewardsReversed,
            RatingRewardsRestored,
            RatingEscrowReleased,
        ),
        lambda event: (event.rater,),
    ),
}


def evolve(key: UUID, row: Account | None, fact: Fact) -> Account | None:
    """The account after a fact."""
    event = fact.event
    if isinstance(event, AnonymousOpened | UserRegistered):
        if row is not None:
            message = f"{key} was opened twice"
            raise FoldError(message)
        row = Account(key, 0, 0, 0, 0, 0, 0, (), fact.occurred_at)
    account = _standing(key, known(row, fact), fact)
    if postings := postings_of(event):
        mine, kept = f"{USER}{key}", f"{ESCROW}{key}"
        moved = sum(amount for name, amount in postings if name == mine)
        waits = sum(amount for name, amount in postings if name == kept)
        account = replace(account, balance=account.balance + moved, escrow=account.escrow + waits)
    if _impossible(account):
        message = (
            f"{key} stands at {account.balance} with {account.held} held, {account.escrow} in escrow, "
            f"{account.waiting} waiting and {account.workers} workers "
            f"after {fact.position}"
        )
        raise FoldError(message)
    return account


def _impossible(account: Account) -> bool:
    counted = (account.held, account.waiting, account.waiting_forms, account.workers, account.escrow)
    if min(*counted, account.rating_escrow, account.escrow - account.rating_escrow) < 0:
        return True
    return not account.anonymous and account.available < 0


def _standing(key: UUID, account: Account, fact: Fact) -> Account:
    match event := fact.event:
        case RoleGranted() | RoleRevoked() | TrustEarned():
            return _role(account, event)
        case WaitingLimitSet():
            return replace(account, waiting_limit=event.limit)
        case WorkerLimitSet() | PublicWorkersSet() | WorkerRegistered() | WorkerDeleted():
            return _with_workers(account, event)
        case PublicProfileSet():
            return replace(account, public_profile=event.public)
        case AllowanceSet() | AllowancePaid():
            return _allowed(account, event, fact.occurred_at)
        case HoldPlaced():
            return replace(account, held=account.held + event.amount)
        case HoldCaptured() | HoldReleased():
            return replace(account, held=account.held - event.amount)
        case _:
            return _moved(key, account, fact)


def _moved(key: UUID, account: Account, fact: Fact) -> Account:
    """Where kudos came from and went."""
    match event := fact.event:
        case SuspicionRaised():
            return replace(account, suspicions=account.suspicions + 1)
        case UptimeRewarded():
            return replace(account, uptime=account.uptime + event.amount)
        case KudosGranted():
            return replace(account, granted=account.granted + event.amount)
        case KudosAdjusted():
            return replace(account, adjusted=account.adjusted + event.amount)
        case KudosTransferred():
            if key == event.source:
                return replace(account, sent=account.sent + event.amount)
            return replace(account, received=account.received + event.amount)
        case GenerationDelivered() | GenerationCensored():
            return _settled(key, account, event)
        case (
            ImageRated()
            | PicturesCompared()
            | BestNamed()
            | RatingRewardsRestored()
            | RatingRewardsReversed()
            | RatingEscrowReleased()
        ):
            return _rated(account, event)
        case RedundantDeliveryPaid():
            day = int(fact.occurred_at.timestamp()) // 86_400
            paid = account.late_paid if account.late_day == day else 0
            return replace(
                account, late_day=day, late_paid=paid + event.price, earned=account.earned + event.price
            )
        case _:
            queued = _queued(event)
            return _waiting(account, queued, kind_of(event)) if queued else account


def _rated(account: Account, event: Event) -> Account:
    match event:
        case RatingEscrowReleased():
            return replace(account, rating_escrow=account.rating_escrow - event.amount)
        case RatingRewardsReversed():
            earned, waits = -event.amount, -event.escrowed
        case RatingRewardsRestored():
            earned, waits = event.amount, event.escrowed
        case _:
            assert isinstance(event, ImageRated | PicturesCompared | BestNamed)
            earned, waits = event.reward, event.escrowed
    return replace(account, rated=account.rated + earned, rating_escrow=account.rating_escrow + waits)


def _waiting(account: Account, queued: int, kind: JobKind) -> Account:
    if kind is JobKind.INTERROGATION:
        return replace(account, waiting_forms=account.waiting_forms + queued)
    return replace(account, waiting=account.waiting + queued)


def _allowed(account: Account, event: AllowanceSet | AllowancePaid, at: datetime) -> Account:
    if isinstance(event, AllowanceSet):
        over = account.allowance_due is None or account.allowance_due <= at
        begins = event.amount > 0 and not account.allowance and over
        account = replace(account, allowance=event.amount, allowance_source=event.source)
        if begins:
            account = replace(account, allowance_from=at, allowance_due=at, allowance_paid=0)
        return account
    start, due = account.allowance_from, account.allowance_due
    if start is None or due is None or event.month > due:
        message = f"{account.id} was paid an allowance that was not due"
        raise FoldError(message)
    allowances = account.allowances + event.amount
    if event.month < due:
        return replace(account, allowances=allowances, allowance_paid=account.allowance_paid + event.amount)
    following = neighbour(start, due, 1)
    return replace(account, allowances=allowances, allowance_paid=event.amount, allowance_due=following)


def _with_workers(
    account: Account, event: WorkerLimitSet | PublicWorkersSet | WorkerRegistered | WorkerDeleted
) -> Account:
    match event:
        case WorkerLimitSet():
            return replace(account, worker_limit=event.limit)
        case PublicWorkersSet():
            return replace(account, public_workers=event.public)
        case WorkerRegistered():
            return replace(account, workers=account.workers + 1)
        case WorkerDeleted():
            return replace(account, workers=account.workers - 1)


def _role(account: Account, event: RoleGranted | RoleRevoked | TrustEarned) -> Account:
    role = Role.TRUSTED if isinstance(event, TrustEarned) else event.role
    revoked = isinstance(event, RoleRevoked)
    roles = {*account.roles} - {role} if revoked else {*account.roles, role}
    distrusted = revoked if role is Role.TRUSTED else account.distrusted
    return replace(account, roles=tuple(sorted(roles)), distrusted=distrusted)


def _settled(key: UUID, account: Account, event: GenerationDelivered | GenerationCensored) -> Account:
    mine = event.requester == key
    if mine and isinstance(event, GenerationDelivered) and event.waited:
        account = _waiting(account, -1, event.kind)
    paid = event.charged - event.covered
    drawn = mine and isinstance(event, GenerationDelivered) and event.kind is JobKind.IMAGE
    return replace(
        account,
        generated=account.generated + drawn,
        consumed=account.consumed + (event.charged if mine else 0),
        spent=account.spent + (paid if mine else 0),
        earned=account.earned + (event.price if event.owner == key != event.requester else 0),
    )


def _queued(event: Event) -> int:
    """How many generations an event puts into the queue, or takes out of it."""
    match event:
        case ImageJobSubmitted() | TextJobSubmitted() | InterrogationJobSubmitted() | LeaseReleased():
            return len(event.generations)
        case GenerationFailed():
            return 1
        case GenerationFaulted() | FormReused():
            return -1
        case GenerationsLeased() | JobCancelled() | JobExpired() | SourcesRefused():
            return -len(event.generations)
        case _:
            return 0


PROJECTION = Projection(
    "accounts",
    8,
    Account,
    FACTS,
    keys,
    evolve,
    # for the sweeper, which looks every second, and for lists of users; of no column that deliveries change
    indexes=("(realm, allowance_due) WHERE allowance > 0", "(realm, id) WHERE public_profile"),
)
