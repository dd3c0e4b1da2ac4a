"""From a movement to a line of the statement: its reason, its job and its breakdown. Pure.

Every breakdown sums to its amount. Look next: `app.ledger.statement` for the labels.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from app.accounts.queries import Movement
from app.ledger import statement
from app.ledger.quote import PriceItem
from app.ledger.rating_rewards import ARTIFACTS, BEST, RATING
from events.accounts import AnonymousOpened
from events.base import Event
from events.codec import decode
from events.jobs import GenerationCensored, GenerationDelivered, RedundantDeliveryPaid
from events.kudos import AllowancePaid, EscrowReleased, KudosAdjusted, KudosGranted, KudosTransferred
from events.ratings import (
    BestNamed,
    ImageRated,
    PicturesCompared,
    RatingEscrowReleased,
    RatingRewardsRestored,
    RatingRewardsReversed,
)
from events.workers import UptimeRewarded


class Line(msgspec.Struct, frozen=True):
    """A statement line without its event."""

    reason: str
    job: UUID | None
    breakdown: tuple[PriceItem, ...]


def explain(movement: Movement, user: UUID) -> Line:
    """Why a user's balance moved, and what the amount is made of. Raises ValueError where it does not add up."""
    event = decode(movement.type, movement.schema_version, movement.data.encode())
    match event:
        case GenerationDelivered() | GenerationCensored():
            line = _settlement(event, user)
        case RedundantDeliveryPaid():
            made = statement.late_redundant_earned(event.price, event.escrowed)
            line = Line("redundant delivery", event.job, made)
        case ImageRated() | PicturesCompared() | BestNamed():
            line = _judgement(event)
        case RatingRewardsReversed() | RatingRewardsRestored() | RatingEscrowReleased():
            line = _of_ratings(event)
        case UptimeRewarded():
            line = Line("uptime", None, statement.uptime(event.amount, event.escrowed))
        case _:
            line = _without_work(event, movement, user)
    if statement.total(line.breakdown) != movement.amount:
        message = f"the breakdown at {movement.position} does not add up"
        raise ValueError(message)
    return line


def _without_work(event: Event, movement: Movement, user: UUID) -> Line:
    """Why kudos moved that nobody worked for."""
    match event:
        case EscrowReleased():
            return Line("escrow released", None, statement.escrow_released(event.amount))
        case KudosGranted():
            reason = f"grant: {movement.note}" if movement.note else "grant"
            return Line(reason, None, statement.granted(event.amount))
        case KudosAdjusted():
            reason = f"correction: {movement.note}" if movement.note else "correction"
            return Line(reason, None, statement.adjusted(event.amount))
        case AllowancePaid():
            return Line("monthly allowance", None, statement.allowance(event.amount))
        case KudosTransferred():
            sent = event.source == user
            made = (
                statement.transfer_sent(event.amount) if sent else statement.transfer_received(event.amount)
            )
            return Line("transfer sent" if sent else "transfer received", None, made)
        case AnonymousOpened():
            return Line("opening of the anonymous user", None, statement.anonymous_genesis(movement.amount))
        case _:
            message = f"{movement.type} moves no kudos"
            raise ValueError(message)


def _judgement(event: ImageRated | PicturesCompared | BestNamed) -> Line:
    """What judging pictures earned; a job is named only where it is the rater's own."""
    if isinstance(event, PicturesCompared):
        return Line("comparison", None, statement.comparison(event.reward, event.escrowed))
    if isinstance(event, BestNamed):
        made = statement.best_named(BEST, BEST - event.reward, event.escrowed)
        return Line("best picture named", event.job, made)
    extra = 0 if event.artifacts is None else ARTIFACTS
    made = statement.rating(RATING, extra, RATING + extra - event.reward, event.escrowed)
    return Line("rating", event.job if event.own else None, made)


def _of_ratings(event: RatingRewardsReversed | RatingRewardsRestored | RatingEscrowReleased) -> Line:
    """What became of rewards of ratings later."""
    match event:
        case RatingRewardsReversed():
            made = statement.ratings_reversed(event.amount, event.escrowed)
            return Line("rewards of ratings taken back", None, made)
        case RatingRewardsRestored():
            made = statement.ratings_restored(event.amount, event.escrowed)
            return Line("rewards of ratings paid again", None, made)
        case RatingEscrowReleased():
            return Line("escrow released", None, statement.rating_escrow_released(event.amount))


def _settlement(event: GenerationDelivered | GenerationCensored, user: UUID) -> Line:
    delivered = isinstance(event, GenerationDelivered)
    if event.requester != user:
        explained = statement.delivery_earned if delivered else statement.censored_earned
        made = explained(event.price, event.escrowed)
        return Line("your worker delivered" if delivered else "your worker censored", event.job, made)
    if delivered and event.owner == user:
        made = statement.delivery_by_own_worker(event.tax, event.covered)
        return Line("generation by your own worker", event.job, made)
    if isinstance(event, GenerationDelivered):
        made = statement.delivery_requested(event.price, event.surcharge, event.tax, event.covered)
        return Line("generation", event.job, made)
    return Line("censored generation", event.job, statement.censored_requested(event.tax, event.covered))
