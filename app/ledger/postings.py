"""How each movement of kudos is booked: double entry, so that every movement sums to zero.

Pure. Accounts are named by text: `user:<id>`, `escrow:<id>` and the system accounts below, which may be
negative: their balance is a sum and no row is kept for them. A requester's own posting is kept even when it
is zero, because it is a line of their statement; zero postings of system accounts are left out. The anonymous
user stands at -50.00 since its genesis and is never posted to again. Amounts are hundredths of kudos.
Look next: `app.ledger.holds` for what is reserved, `app.ledger.trust` for who is trusted, `app.ledger.statement`
for the explanation of a movement.
"""

from typing import Final
from uuid import UUID

import msgspec

from app.ledger.holds import capture
from events.base import Posting, Postings

TREASURY: Final = "system:treasury"
TAX_SINK: Final = "sink:tax"
SURCHARGE_SINK: Final = "sink:surcharges"
FLOOR_SUBSIDY: Final = "subsidy:floor"
ANONYMOUS_SUBSIDY: Final = "subsidy:anonymous"
LATE_SUBSIDY: Final = "subsidy:late"
CENSORED_SUBSIDY: Final = "subsidy:censored"

#: What the anonymous user stands at, from its genesis on and for ever.
ANONYMOUS_BALANCE: Final = -5000


class DeliveryMoney(msgspec.Struct, frozen=True, kw_only=True):
    """What one delivered or censored generation moves."""

    postings: Postings
    #: c: what it cost the requester, counted as consumed whether or not the balance could cover it
    charged: int
    #: s: what of the charge a subsidy covered
    covered: int
    #: what of the charge the job's hold paid
    captured: int
    #: what the worker's owner earned; nothing where that is the requester
    reward: int
    #: how much of the reward waits in the owner's escrow
    escrowed: int
    #: what was burnt on top of price and tax
    surcharge: int


def user_account(user: UUID) -> str:
    """The account that a user spends from."""
    return f"user:{user}"


def escrow_account(user: UUID) -> str:
    """Where an untrusted user's earnings wait."""
    return f"escrow:{user}"


def escrowed_of(reward: int, *, trusted: bool) -> int:
    """How much of a reward for work waits in escrow: half of it, an odd hundredth not, until its owner is trusted."""
    return 0 if trusted else reward // 2


def assert_balanced(postings: Postings) -> Postings:
    """The same postings, if they sum to zero and name each account once.

    Raises:
        AssertionError: otherwise, also under `python -O`: it is a bug, and must not reach the log.
    """
    if sum(amount for _, amount in postings) != 0:
        raise AssertionError("postings do not sum to zero")
    if len({account for account, _ in postings}) != len(postings):
        raise AssertionError("postings name an account twice")
    return postings


def genesis_of_anonymous(anonymous: UUID) -> Postings:
    """The one movement that ever touches the anonymous user."""
    return _move(user_account(anonymous), TREASURY, -ANONYMOUS_BALANCE)


def grant(user: UUID, amount: int) -> Postings:
    """An operator's gift out of the treasury."""
    return _move(TREASURY, user_account(user), amount)


def adjustment(user: UUID, amount: int) -> Postings:
    """An operator's correction, up or down; that what it takes is available is the decider's to check."""
    return (
        _move(TREASURY, user_account(user), amount)
        if amount > 0
        else _move(user_account(user), TREASURY, -amount)
    )


def allowance(user: UUID, amount: int) -> Postings:
    """A month's allowance out of the treasury."""
    return _move(TREASURY, user_account(user), amount)


def transfer(source: UUID, target: UUID, amount: int) -> Postings:
    """A user's gift to another user; that it is available is the decider's to check."""
    if source == target:
        raise ValueError("a transfer needs two users")
    return _move(user_account(source), user_account(target), amount)


def delivery(
    *,
    requester: UUID,
    worker_owner: UUID,
    price: int,
    tax: int,
    surcharge: int,
    trusted_owner: bool,
    from_hold: int,
    available_after_hold: int,
    requester_anonymous: bool,
) -> DeliveryMoney:
    """A delivered generation: the worker's owner earns the price, the requester is charged price, surcharge and tax.

    The charge is paid from the job's hold, then from what is available, the rest from a subsidy. When the
    owner is the requester only the tax moves. An anonymous requester is not posted to: the subsidy pays all.

    Args:
        requester: who submitted the job.
        worker_owner: who owns the worker that delivered; never the anonymous user.
        price: the generation's price, without tax.
        tax: the flat tax on it.
        surcharge: what is burnt on top, for a source or slow workers refused.
        trusted_owner: whether the owner gets the whole reward at once.
        from_hold: what is left of the job's hold; 0 for an anonymous requester.
        available_after_hold: what the requester has that no job holds; not looked at for an anonymous one.
        requester_anonymous: whether the requester is the anonymous user.
    """
    _require_amounts(price=price, tax=tax, surcharge=surcharge)
    own = worker_owner == requester
    reward = 0 if own else price
    burnt = 0 if own else surcharge
    escrowed = escrowed_of(reward, trusted=trusted_owner)
    return _charged(
        requester,
        reward + burnt + tax,
        (*_earned(worker_owner, reward, escrowed), (SURCHARGE_SINK, burnt), (TAX_SINK, tax)),
        from_hold=from_hold,
        available=available_after_hold,
        anonymous=requester_anonymous,
        reward=reward,
        escrowed=escrowed,
        surcharge=burnt,
    )


def censored(
    *,
    requester: UUID,
    worker_owner: UUID,
    price: int,
    tax: int,
    trusted_owner: bool,
    from_hold: int,
    available_after_hold: int,
    requester_anonymous: bool,
) -> DeliveryMoney:
    """A generation whose picture was withheld: a subsidy pays the worker, the requester pays the tax, no surcharge.

    No subsidy flows back to the requester: an own worker earns nothing. Arguments as in `delivery`.
    """
    _require_amounts(price=price, tax=tax)
    reward = 0 if worker_owner == requester else price
    escrowed = escrowed_of(reward, trusted=trusted_owner)
    return _charged(
        requester,
        tax,
        (*_earned(worker_owner, reward, escrowed), (CENSORED_SUBSIDY, -reward), (TAX_SINK, tax)),
        from_hold=from_hold,
        available=available_after_hold,
        anonymous=requester_anonymous,
        reward=reward,
        escrowed=escrowed,
        surcharge=0,
    )


def late_redundant(*, requester: UUID, worker_owner: UUID, price: int, trusted_owner: bool) -> Postings:
    """A delivery under a live lease that a late one made redundant: the late subsidy pays the worker's owner.

    Empty when the owner is the requester. That it is within the owner's cap is the decider's to check.
    """
    _require_amounts(price=price)
    if worker_owner == requester or not price:
        return ()
    earned = _earned(worker_owner, price, escrowed_of(price, trusted=trusted_owner))
    return assert_balanced(((LATE_SUBSIDY, -price), *earned))


def uptime(*, worker_owner: UUID, amount: int, trusted_owner: bool) -> Postings:
    """A reward for being there, out of the treasury: all of it waits in escrow until the owner is trusted.

    The owner's own posting is kept even where it is zero, as a line of their statement.
    """
    return _between_treasury(worker_owner, amount, 0 if trusted_owner else amount)


def rating(rater: UUID, amount: int, escrowed: int) -> Postings:
    """A reward for judging a picture, out of the treasury, and what of it waits in the rater's escrow.

    The rater's own posting is kept even where it is zero, as a line of their statement.
    """
    return _between_treasury(rater, amount, escrowed)


def ratings_reversed(rater: UUID, amount: int, escrowed: int) -> Postings:
    """Rewards of ratings that go back to the treasury, `escrowed` of them out of escrow, the rest out of the balance."""
    return tuple((account, -moved) for account, moved in _between_treasury(rater, amount, escrowed))


def _between_treasury(user: UUID, amount: int, escrowed: int) -> Postings:
    if not 0 < amount >= escrowed >= 0:
        raise ValueError("an amount that moves must be above zero, and hold what waits of it")
    kept = ((escrow_account(user), escrowed),) if escrowed else ()
    return assert_balanced(((TREASURY, -amount), (user_account(user), amount - escrowed), *kept))


def release_escrow(user: UUID, amount: int) -> Postings:
    """All that waited for a user's trust."""
    return _move(escrow_account(user), user_account(user), amount)


def _earned(owner: UUID, reward: int, escrowed: int) -> Postings:
    """A reward for work on its owner's accounts."""
    if not reward:
        return ()
    kept = ((escrow_account(owner), escrowed),) if escrowed else ()
    return ((user_account(owner), reward - escrowed), *kept)


def _charged(
    requester: UUID,
    charge: int,
    others: tuple[Posting, ...],
    *,
    from_hold: int,
    available: int,
    anonymous: bool,
    reward: int,
    escrowed: int,
    surcharge: int,
) -> DeliveryMoney:
    """The requester's side of a movement whose other sides add up to what the requester is charged."""
    if anonymous:
        own: tuple[Posting, ...] = ()
        captured, covered, subsidy = 0, charge, ANONYMOUS_SUBSIDY
    else:
        _require_amounts(from_hold=from_hold, available_after_hold=available)
        captured = capture(from_hold, charge)
        covered = charge - captured - min(available, charge - captured)
        own, subsidy = ((user_account(requester), covered - charge),), FLOOR_SUBSIDY
    subsidised = ((subsidy, -covered),) if covered else ()
    taxed = tuple(posting for posting in others if posting[1])
    return DeliveryMoney(
        postings=assert_balanced((*own, *taxed, *subsidised)),
        charged=charge,
        covered=covered,
        captured=captured,
        reward=reward,
        escrowed=escrowed,
        surcharge=surcharge,
    )


def _move(source: str, target: str, amount: int) -> Postings:
    if amount <= 0:
        raise ValueError("an amount that moves must be above zero")
    return assert_balanced(((source, -amount), (target, amount)))


def _require_amounts(**amounts: int) -> None:
    for name, amount in amounts.items():
        if amount < 0:
            raise ValueError(f"{name} must not be negative")
